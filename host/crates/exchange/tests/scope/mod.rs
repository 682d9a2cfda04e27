//! A credential opens what its scope names, and nothing else; what the provider counts is told to its account.

use futures_util::StreamExt;
use http::StatusCode;
use model::{Outcome, Scope, Usage};

use crate::{
    SSE, answer, closed, event,
    rig::{Does, Holder, Rig, Setting, policy, read},
};

fn rig(scope: Scope, policies: Vec<crate::rig::TestPolicy>) -> Rig {
    Rig::new(Setting { holder: Holder::new(scope), policies, ..Setting::default() })
}

fn only_models(models: &[&str]) -> Scope {
    Scope { models: models.iter().map(|&model| model.to_owned()).collect(), ..Scope::on(["openai"]) }
}

/// Nothing went up, and the caller is told in the dialect's own form.
async fn refused(rig: &Rig, code: &str) {
    let response = rig.ask("my secret", false).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let (body, _) = read(response).await;
    assert!(body.contains(code) && body.contains("permission_error"), "{body}");
    assert!(rig.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_connection_is_refused() {
    refused(&rig(Scope::on(["other"]), Vec::new()), "not_granted").await;
    refused(&rig(Scope::default(), Vec::new()), "not_granted").await;
}

#[tokio::test]
async fn another_operation_is_refused() {
    let scope = Scope { operations: vec!["openai-models".into()], ..Scope::on(["openai"]) };
    refused(&rig(scope, Vec::new()), "out_of_scope").await;
}

#[tokio::test]
async fn another_model_is_refused_before_a_policy_sees_it() {
    let rig = rig(only_models(&["gpt-*"]), vec![policy("hangs", Does::Hang)]);
    refused(&rig, "out_of_scope").await;
    assert_eq!(closed(&rig), (Outcome::Denied, "the credential may not be used for model m".to_owned()));
    let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
    assert!(!record.contains("secret"), "what no policy masked is not recorded: {record}");
}

#[tokio::test]
async fn a_router_is_told_no_other_model() {
    for (further, status) in [(r#""models":["o3-pro"],"route":"fallback""#, 403), (r#""fallbacks":["m"]"#, 200)] {
        let mut rig = rig(only_models(&["m"]), Vec::new());
        rig.say(&answer("done"));
        rig.hang_up();
        let body = format!(r#"{{"model":"m",{further},"messages":[{{"role":"user","content":"hi"}}]}}"#);
        let response = rig.post(&[("content-type", "application/json")], body.into_bytes()).await;
        assert_eq!(response.status(), status, "{further}");
        assert_eq!(rig.received.lock().unwrap().len(), usize::from(status == 200));
    }
}

/// Sends this there; the status of the answer.
async fn to(rig: &Rig, target: &str, body: &'static [u8]) -> StatusCode {
    let request = http::Request::post(target)
        .header("host", "gate")
        .header("authorization", "Bearer good")
        .header("content-type", "application/json")
        .body(futures_util::stream::iter([Ok(bytes::Bytes::from_static(body))]).boxed())
        .unwrap();
    rig.carry(request).await.status()
}

#[tokio::test]
async fn no_target_names_another_model() {
    for (target, status) in [
        ("/v1/chat/completions?model=big", 400),
        ("/v1/chat/completions?%6dodel=big", 400),
        ("/engines/big/chat/completions", 403),
        ("/v1/engines/big/completions", 403),
        ("/DEPLOYMENTS/big/chat/completions", 403),
        ("/engines/m/big/chat/completions", 403),
        ("/models/big/v1/chat/completions", 403),
        ("/engines/m/chat/completions?api-version=1", 200),
        ("/models/m/v1/chat/completions", 200),
    ] {
        let mut rig = rig(only_models(&["m"]), Vec::new());
        rig.say(&answer("done"));
        rig.hang_up();
        let body = br#"{"model":"m","prompt":"hi","messages":[{"role":"user","content":"hi"}]}"#;
        assert_eq!(to(&rig, target, body).await, status, "{target}");
        assert_eq!(rig.received.lock().unwrap().len(), usize::from(status == 200), "{target}");
    }
}

#[tokio::test]
async fn where_the_body_may_count_beside_the_path_both_must_be_allowed() {
    for (target, status) in [("/models/m/v1/chat/completions", 403), ("/deployments/m/chat/completions", 200)] {
        let mut rig = rig(only_models(&["m"]), Vec::new());
        rig.say(&answer("done"));
        rig.hang_up();
        let body = br#"{"model":"big","messages":[{"role":"user","content":"hi"}]}"#;
        assert_eq!(to(&rig, target, body).await, status, "{target}");
    }
}

#[tokio::test]
async fn a_policy_can_not_widen_the_scope() {
    let rig = rig(only_models(&["m"]), vec![policy("router", Does::Model("gpt-expensive"))]);
    refused(&rig, "out_of_scope").await;
}

#[tokio::test]
async fn what_is_in_the_scope_passes() {
    let mut rig = rig(only_models(&["m", "gpt-*"]), vec![policy("router", Does::Model("gpt-small"))]);
    rig.say(&answer("done"));
    rig.hang_up();
    assert_eq!(rig.ask("hi", false).await.status(), StatusCode::OK);
    assert!(rig.received.lock().unwrap()[0].windows(9).any(|window| window == b"gpt-small"));
}

#[tokio::test]
async fn what_nobody_counts_is_estimated_and_hanging_up_saves_nothing() {
    for ends in [true, false] {
        let holder = Holder::new(Scope::on(["openai"]));
        let mut rig = Rig::new(Setting { holder: holder.clone(), content_type: SSE, ..Setting::default() });
        rig.say(&event(&"word ".repeat(8)));
        if ends {
            rig.say(crate::FINISH);
            rig.hang_up();
        }
        let mut response = rig.ask("hello there", true).await;
        while let Some(chunk) = response.body_mut().next().await {
            assert!(chunk.is_ok());
            if !ends {
                break;
            }
        }
        drop(response);
        // What else is text in a message counts too.
        assert_eq!(*holder.spent.lock().unwrap(), Usage { input_tokens: 4, output_tokens: 11 }, "{ends}");
    }
}

#[tokio::test]
async fn an_error_of_the_provider_costs_nothing() {
    let holder = Holder::new(Scope::on(["openai"]));
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut rig = Rig::new(Setting { holder: holder.clone(), status, ..Setting::default() });
    rig.say(r#"{"error":{"message":"slow down, please","type":"requests","param":null,"code":"rate_limit"}}"#);
    rig.hang_up();
    assert_eq!(rig.ask("hello there", false).await.status(), status);
    assert_eq!(*holder.spent.lock().unwrap(), Usage::default());
}

#[tokio::test]
async fn usage_is_told_once() {
    let usage = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\
                 \"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}\n\n";
    let holder = Holder::new(Scope::on(["openai"]));
    let mut rig = Rig::new(Setting { holder: holder.clone(), content_type: SSE, ..Setting::default() });
    for text in [&event("one"), usage, crate::FINISH] {
        rig.say(text);
    }
    rig.hang_up();
    let (_, cut) = read(rig.ask("hi", true).await).await;
    assert!(!cut);
    assert_eq!(*holder.spent.lock().unwrap(), Usage { input_tokens: 7, output_tokens: 5 });
}
