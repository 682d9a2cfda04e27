//! Alerts over the API.

use exchange::ports::{TurnedAway, Watch};
use model::Digest;

use super::*;

#[tokio::test]
async fn alerts_are_listed_shown_and_seen() {
    let rig = Rig::new();
    assert_eq!(rig.get("/v1/alerts").await.json()["alerts"], serde_json::json!([]));
    let refused = TurnedAway { code: "revoked", credential: Some(Digest([0xab; 32])), ..TurnedAway::default() };
    rig.control.alerts.turned_away(&refused);
    let listed = rig.get("/v1/alerts?rule=revoked-credentials&since_ms=1").await.json();
    let alert = &listed["alerts"][0];
    assert_eq!(alert["rule"], "revoked-credentials");
    assert_eq!(alert["subject"], serde_json::json!({ "kind": "credential", "name": "abababab" }));
    for none in ["/v1/alerts?rule=unusual-volume", "/v1/alerts?since_ms=99999999999999"] {
        assert_eq!(rig.get(none).await.json()["alerts"], serde_json::json!([]), "{none}");
    }
    let path = format!("/v1/alerts/{}", alert["id"].as_str().unwrap().replace('-', ""));
    assert_eq!(rig.get(&path).await.json(), *alert);
    let seen = rig.post(&format!("{path}/ack"), r#"{"by":"bob","reason":"known"}"#).await.json();
    assert_eq!((&seen["acked"]["by"], &seen["acked"]["reason"]), (&"bob".into(), &"known".into()));
    let again = rig.post(&format!("{path}/ack"), "").await.json();
    assert_eq!(again["acked"]["by"], "bob", "who saw it first counts");
}

#[tokio::test]
async fn what_is_no_alert_is_told_so() {
    let rig = Rig::new();
    let none = model::AlertId::new();
    for (path, status) in [
        (format!("/v1/alerts/{none}"), StatusCode::NOT_FOUND),
        ("/v1/alerts/x".to_owned(), StatusCode::BAD_REQUEST),
        ("/v1/alerts?rule=x".to_owned(), StatusCode::BAD_REQUEST),
        ("/v1/alerts?x=1".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(rig.get(&path).await.status, status, "{path}");
    }
    assert_eq!(rig.post(&format!("/v1/alerts/{none}/ack"), "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.post(&format!("/v1/alerts/{none}/ack"), r#"{"x":1}"#).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(rig.get(&format!("/v1/alerts/{none}/ack")).await.status, StatusCode::METHOD_NOT_ALLOWED);
}
