//! Records of a store that can't show all that it has.

use store::ExchangeFilter;

use super::*;
use crate::BEHIND;

fn opened() -> Opened {
    Opened {
        exchange: ExchangeId::new(),
        session: SessionId::new(),
        at_ms: 1,
        caller: Caller::default().into(),
        connection: "openai".into(),
        dialect: "raw".into(),
        method: "POST".into(),
        path: "/".into(),
        headers: Vec::new(),
        set: SetRef { generation: Generation(1), digest: Digest([0; 32]) },
    }
}

/// Records one exchange, durably.
async fn record(rig: &Rig) -> Opened {
    let first = opened();
    let mut tape = rig.control.store.open(first.clone()).unwrap();
    tape.append(Entry::ResponseHead(ResponseHead { at: 1, status: 200, headers: Vec::new() })).unwrap();
    // The store may fail while it waits: what was written is in the journal all the same.
    tape.keep(exchange::ports::Safety::Durable).await.ok();
    first
}

#[tokio::test]
async fn a_store_that_has_failed_is_read_and_says_what_it_does_not_show() {
    let rig = Rig::new();
    let shown = record(&rig).await;
    let paths = ["/v1/sessions", "/v1/exchanges", "/v1/events", &format!("/v1/sessions/{}", shown.session)];
    for path in paths {
        let answer = rig.get(path).await;
        assert!(answer.status == StatusCode::OK && !answer.headers.contains_key(BEHIND), "{path}");
    }
    // The journal takes what comes then, the segment does not.
    std::fs::remove_file(rig.dir.path().join("store/segment-000001.redb")).unwrap();
    let hidden = record(&rig).await;
    for path in paths {
        let answer = rig.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let behind = answer.headers[BEHIND].to_str().unwrap();
        assert!(behind.contains("bytes of the records can be read when the host was started again"), "{behind}");
    }
    let unknown = rig.get(&format!("/v1/exchanges/{}", hidden.exchange)).await;
    assert!(unknown.status == StatusCode::NOT_FOUND && unknown.headers.contains_key(BEHIND));
    assert!(!rig.get("/v1/status").await.headers.contains_key(BEHIND), "it tells no records");
    let listed = rig.control.store.exchanges(&ExchangeFilter::default()).unwrap();
    assert_eq!(listed.iter().map(|one| one.exchange).collect::<Vec<_>>(), [shown.exchange]);
}
