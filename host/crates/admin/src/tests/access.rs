//! Requests for access over the control API.

use identity::Asking;
use model::{Scope, TokenId};

use super::*;

impl Rig {
    async fn ask_for_access(&self, subject: &str) -> TokenId {
        let asking = Asking {
            caller: Caller { subject: subject.to_owned(), issuer: "https://idp".to_owned(), ..Caller::default() },
            scope: Scope::on(["openai"]),
            lifetime_ms: 60_000,
            reason: "release night".to_owned(),
            grant: "contractors".to_owned(),
            timeout_ms: 600_000,
        };
        self.control.access.ask(asking).await.unwrap()
    }
}

#[tokio::test]
async fn a_request_for_access_is_shown_and_decided_once() {
    let rig = Rig::new();
    let id = rig.ask_for_access("bob").await;
    let list = rig.get("/v1/access").await.json();
    let shown = &list["requests"][0];
    assert_eq!((&shown["state"], &shown["caller"]["subject"]), (&"asked".into(), &"bob".into()), "{list}");
    assert_eq!((&shown["reason"], &shown["grant"]), (&"release night".into(), &"contractors".into()));

    let path = format!("/v1/access/{id}");
    let own = rig.post(&format!("{path}/approve"), r#"{"by":"bob"}"#).await;
    assert_eq!((own.status, &own.json()["code"]), (StatusCode::FORBIDDEN, &"not_allowed".into()), "never by who asks");
    let done = rig.post(&format!("{path}/approve"), r#"{"by":"lea","reason":"go"}"#).await;
    assert_eq!((done.status, &done.json()["state"]), (StatusCode::OK, &"approved".into()), "{}", done.text);
    let again = rig.post(&format!("{path}/deny"), "{}").await;
    assert_eq!((again.status, &again.json()["code"]), (StatusCode::CONFLICT, &"not_pending".into()));
    let shown = rig.get(&path).await.json();
    assert_eq!((&shown["decided"]["by"], &shown["decided"]["approved"]), (&"lea".into(), &true.into()));
}

#[tokio::test]
async fn a_denial_gives_nothing_and_what_is_not_there_is_not_found() {
    let rig = Rig::new();
    let id = rig.ask_for_access("bob").await;
    let done = rig.post(&format!("/v1/access/{id}/deny"), "").await;
    assert_eq!((&done.json()["state"], &done.json()["decided"]["by"]), (&"denied".into(), &"admin".into()));
    assert_eq!(rig.get(&format!("/v1/access/{}", TokenId::new())).await.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.get("/v1/access/x").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(rig.post(&format!("/v1/access/{}/approve", TokenId::new()), "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.post(&format!("/v1/access/{id}/approve"), r#"{"who":"x"}"#).await.status, StatusCode::BAD_REQUEST);
}
