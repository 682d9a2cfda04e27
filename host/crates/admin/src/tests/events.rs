//! Control events over the control API.

use model::{
    ControlEvent, Event, Scope, TokenId,
    control::{Origin, TokenExchanged, TokenIssued},
};
use store::EventRecord;

use super::*;

async fn numbers(rig: &Rig, query: &str) -> Vec<u64> {
    let told = rig.get(&format!("/v1/events{query}")).await.json();
    told["events"].as_array().unwrap().iter().map(|event| event["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn events_are_listed_newest_first_a_page_at_a_time() {
    let rig = Rig::new();
    for at_ms in 0..5 {
        rig.control.store.event(Event::Started { at_ms, version: "0.1.0".to_owned() }).await.unwrap();
    }
    assert_eq!(numbers(&rig, "").await, [4, 3, 2, 1, 0]);
    assert_eq!(numbers(&rig, "?limit=2").await, [4, 3]);
    assert_eq!(numbers(&rig, "?limit=2&before=3").await, [2, 1]);
    assert_eq!(numbers(&rig, "?before=0").await, [0; 0]);
    let first = rig.get("/v1/events?before=1").await.json();
    assert_eq!(
        first["events"][0],
        serde_json::json!({ "number": 0, "event": { "Started": { "at_ms": 0, "version": "0.1.0" } } })
    );
    for query in ["?limit=0", "?limit=10001", "?before=x", "?since_ms=1"] {
        assert_eq!(rig.get(&format!("/v1/events{query}")).await.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn no_event_tells_the_hash_of_a_credential() {
    let rig = Rig::new();
    let facts = |digest| TokenIssued {
        at_ms: 1,
        id: TokenId::new(),
        digest: Digest([digest; 32]),
        caller: Caller { subject: "ann".to_owned(), ..Caller::default() }.into(),
        scope: Scope::on(["openai"]),
        expires_ms: u64::MAX,
        by: "night".to_owned(),
        certificate: None,
        proven_ms: None,
    };
    let origin = Origin { digest: Digest([0xa3; 32]), twin: Some(Digest([0xa4; 32])) };
    let exchanged = TokenExchanged { token: facts(0xa2), origin };
    for event in [ControlEvent::TokenIssued(facts(0xa1)), ControlEvent::TokenExchanged(Box::new(exchanged))] {
        rig.control.store.append(event).await.unwrap();
    }
    let told = rig.get("/v1/events").await;
    for byte in [0xa1, 0xa2, 0xa3, 0xa4] {
        assert!(!told.text.contains(&Digest([byte; 32]).to_string()), "{byte:x}: {}", told.text);
    }
    let events = told.json();
    assert_eq!(events["events"][1]["event"]["Control"]["TokenIssued"]["caller"]["subject"], "ann");
    assert_eq!(events["events"][0]["event"]["Control"]["TokenExchanged"]["token"]["by"], "night");
    // Who reads it understands it, as the command line does.
    let read: Vec<EventRecord> = serde_json::from_value(events["events"].clone()).unwrap();
    assert_eq!(read.iter().map(|event| event.event.at_ms()).collect::<Vec<_>>(), [1, 1]);
}
