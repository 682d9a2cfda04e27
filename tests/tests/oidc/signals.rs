//! Offboarded at the provider: a security event ends what runs, and what was issued before it, also after a crash.

use std::time::{SystemTime, UNIX_EPOCH};

use scenarios::rig::{End, Heard, Host, Setup, Upstream, request, within};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::rig::{EVENTS_FOR, Gate, STREAM_SECRET};

const KIND: (&str, &str) = ("content-type", "application/secevent+jwt");
const PACE: std::time::Duration = std::time::Duration::from_millis(100);

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Gate {
    /// An event of a type (`caep/event-type/session-revoked`) about the workload `ci`.
    pub(crate) async fn event(&mut self, id: &str, kind: &str, details: Value) -> String {
        let subject = json!({ "format": "iss_sub", "iss": self.provider.issuer, "sub": "ci" });
        let events = json!({ format!("https://schemas.openid.net/secevent/{kind}"): details });
        let claims = json!({ "jti": id, "iat": now(), "aud": EVENTS_FOR, "sub_id": subject, "events": events });
        self.provider.event(&claims).await
    }
}

/// Sends an event with this `authorization`; status and what is said.
pub(crate) async fn push(host: &Host, path: &str, event: &str, authorization: &str) -> (u16, Value) {
    let headers = [KIND, ("authorization", authorization)];
    let mut reply = host.caller("").send_plain("POST", path, &headers, event.as_bytes()).await;
    let body = reply.rest().await;
    (reply.status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn asks(host: &Host, token: &str) -> u16 {
    host.caller(token).whole(&request("hello", false)).await.0.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_at_the_provider_ends_here_in_mid_stream() {
    let (_end, ending) = watch::channel(false);
    let upstream = Upstream::speaking(PACE, ending).await;
    let mut gate = Gate::with(Setup::new(), "", &upstream).await;
    let (token, direct) = (gate.token("").await, gate.provider.token().await);
    let mut stream = gate.host.caller(&token).ask(&request("hello", true)).await;
    assert_eq!(stream.status, 200, "{}", gate.host.log_text());
    assert_eq!((asks(&gate.host, &token).await, asks(&gate.host, &direct).await), (200, 200));

    let revoked = gate.event("e1", "caep/event-type/session-revoked", json!({ "event_timestamp": now() })).await;
    let (status, said) = push(&gate.host, "/ssf/events", &revoked, "Bearer other").await;
    assert_eq!((status, &said["err"]), (400, &"authentication_failed".into()), "{said}");
    let (status, said) = push(&gate.host, "/ssf/events", &direct, STREAM_SECRET).await;
    assert_eq!((status, &said["err"]), (400, &"invalid_request".into()), "a token is no event: {said}");
    assert_eq!(asks(&gate.host, &revoked).await, 401, "an event is no token");
    assert_eq!(asks(&gate.host, &token).await, 200, "nothing of it ended anything");

    let (status, said) = push(&gate.host, "/ssf/events", &revoked, STREAM_SECRET).await;
    assert_eq!((status, said), (202, Value::Null), "{}", gate.host.log_text());
    let rest = stream.rest().await;
    assert_eq!(stream.end, Some(End::Broken), "a cut stream must not look complete");
    let heard = Heard::stream(&rest);
    assert_eq!(heard.error.map(|error| error["code"].clone()), Some("revoked".into()));
    let seen = upstream.received().len();
    assert_eq!((asks(&gate.host, &token).await, asks(&gate.host, &direct).await), (401, 401));

    gate.host.kill9().await;
    gate.host = gate.host.restart().await;
    assert_eq!((asks(&gate.host, &token).await, asks(&gate.host, &direct).await), (401, 401), "after a crash too");
    assert_eq!(upstream.received().len(), seen, "nothing of it goes upstream");
    let fresh = within("a token of a later second", async {
        loop {
            let fresh = gate.provider.token().await;
            if asks(&gate.host, &fresh).await == 200 {
                return fresh;
            }
        }
    })
    .await;
    let disabled = gate.event("e2", "risc/event-type/account-disabled", json!({})).await;
    assert_eq!(push(&gate.host, "/ssf/events", &disabled, STREAM_SECRET).await.0, 202);
    assert_eq!(asks(&gate.host, &fresh).await, 401, "an account that is disabled gets in with nothing");
    assert_eq!(asks(&gate.host, &gate.provider.token().await).await, 401);
    for secret in [&STREAM_SECRET["Bearer ".len()..], &revoked, &token[4..]] {
        assert!(!gate.host.log_text().contains(secret), "a credential or an event stands in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_is_nobodys_connection() {
    let (_end, ending) = watch::channel(false);
    let upstream = Upstream::speaking(PACE, ending).await;
    let mut gate = Gate::with(Setup::new(), "", &upstream).await;
    let try_out = gate.event("v", "ssf/event-type/verification", json!({ "state": "try" })).await;
    for path in ["/ssf/events", "/%73sf/events", "//ssf//events", "/v1/../ssf/events"] {
        let (status, _) = push(&gate.host, path, &try_out, STREAM_SECRET).await;
        assert!(matches!(status, 202 | 400), "{path}: {status}");
    }
    assert_eq!(push(&gate.host, "/ssf", &try_out, STREAM_SECRET).await.0, 404);
    assert_eq!(push(&gate.host, "/ssf/events", &"a".repeat(20 << 10), STREAM_SECRET).await.0, 413);
    let reply = gate.host.client().send("GET", "/ssf/events", &[], b"").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    gate.host.logged(|line| line.contains("the stream of security events works")).await;
    assert_eq!(upstream.received().len(), 0);
}
