//! Policies one after the other: each judges what those before it left, also what they put in.

use exchange::{
    Limits,
    ports::{Conversation, ConversationDecision},
};
use http::StatusCode;
use model::{FailureMode, Outcome};
use serde_json::{Value, json};

use crate::{
    FINISH, SSE, answer, closed, event, masker,
    rig::{Does, Rig, Setting, TestPolicy, chat, patching, policy, read, refusal},
};

/// Asks with a secret in every place, and answers what came of it: the status, what the caller is told, what went up.
async fn asked(policies: Vec<TestPolicy>) -> (Rig, StatusCode, String, Value) {
    let mut rig = Rig::new(Setting { policies, ..Setting::default() });
    rig.say(&answer("fine"));
    rig.hang_up();
    let function = json!({"name": "rm", "description": "no secret", "parameters": {"title": "a secret"}});
    let body = json!({
        "model": "small", "temperature": 1, "metadata": {"note": "my secret"}, "user": "secret",
        "messages": [{"role": "user", "content": "the secret"}], "tools": [{"type": "function", "function": function}],
    });
    let response = rig.post(&[("content-type", "application/json")], body.to_string().into_bytes()).await;
    let status = response.status();
    let (told, _) = read(response).await;
    let sent = rig.received.lock().unwrap().first().map_or(Value::Null, |sent| serde_json::from_slice(sent).unwrap());
    (rig, status, told, sent)
}

fn record(rig: &Rig) -> String {
    serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap()
}

fn allow() -> ConversationDecision {
    ConversationDecision { patch: String::new(), ..patching(&Value::Null) }
}

fn block_if(met: bool) -> ConversationDecision {
    if met { ConversationDecision { verdict: refusal("such request"), ..allow() } } else { allow() }
}

/// Tells all that it is shown.
fn tell(request: &Conversation) -> ConversationDecision {
    let text: Vec<_> = request.parts.iter().map(|part| part.text.as_str()).collect();
    let told = format!("{} {} {:?} {text:?}", request.model, request.parameters, request.tools);
    ConversationDecision { verdict: refusal(&told), ..allow() }
}

/// Adds to the metadata as it was shown them.
fn tag(request: &Conversation) -> ConversationDecision {
    let parameters: Value = serde_json::from_str(&request.parameters).unwrap();
    let mut metadata = parameters["metadata"].clone();
    metadata["team"] = "a".into();
    patching(&json!({ "metadata": metadata }))
}

#[tokio::test]
async fn a_policy_is_shown_all_of_a_request_as_those_before_it_left_it() {
    let (rig, status, told, _) = asked(vec![masker(), policy("20-tell", Does::Request(tell))]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(told.contains("my [X]") && told.contains("no [X]") && told.contains("a [X]"), "{told}");
    assert!(!told.contains("secret") && !record(&rig).contains("secret"), "{told}");

    let change = |_: &Conversation| patching(&json!({"temperature": 0, "model": "big"}));
    let (_, _, told, _) = asked(vec![policy("10", Does::Request(change)), policy("20", Does::Request(tell))]).await;
    assert!(told.contains("no big ") && told.contains("temperature\\\":0") && !told.contains("small"), "{told}");
}

#[tokio::test]
async fn what_a_policy_puts_in_is_judged_by_those_behind_it() {
    let tagging = || policy("20-tag", Does::Request(tag));
    for policies in [vec![masker(), tagging()], vec![tagging(), masker()]] {
        let (rig, status, _, sent) = asked(policies).await;
        assert_eq!((status, &sent["metadata"]), (StatusCode::OK, &json!({"note": "my [X]", "team": "a"})));
        assert!(!sent.to_string().contains("secret") && !record(&rig).contains("secret"), "{sent}");
    }
    let put = |_: &Conversation| patching(&json!({"metadata": {"other": "a secret of mine"}}));
    let (_, _, _, sent) = asked(vec![policy("10-put", Does::Request(put)), masker()]).await;
    assert_eq!(sent["metadata"], json!({"note": "my [X]", "other": "a [X] of mine"}));
    let (_, status, ..) = asked(vec![policy("10-put", Does::Request(put)), policy("20", Does::Block("of mine"))]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let no_big = |request: &Conversation| block_if(request.model == "big");
    let policies = || vec![policy("10-route", Does::Model("big")), policy("20-block", Does::Request(no_big))];
    let (rig, status, _, sent) = asked(policies()).await;
    assert_eq!((status, sent, closed(&rig).0), (StatusCode::FORBIDDEN, Value::Null, Outcome::Blocked));
    let no_tools = |request: &Conversation| block_if(!request.tools.is_empty());
    let (_, status, ..) = asked(vec![policy("10", Does::Tools("rm")), policy("20", Does::Request(no_tools))]).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_policies_made_unreadable_does_not_go_up() {
    // A name that is there already.
    let put = |_: &Conversation| patching(&json!({"metadata": {"secret": "1", "[X]": "2"}}));
    let mut masker = masker();
    masker.info.on_failure = FailureMode::Open;
    let policies = vec![policy("05-put", Does::Request(put)), masker, policy("20", Does::Request(|_| allow()))];
    let (rig, status, told, sent) = asked(policies).await;
    assert_eq!((status, sent), (StatusCode::SERVICE_UNAVAILABLE, Value::Null));
    assert!(told.contains("policy_failed") && told.contains("10-mask"), "{told}");
    assert!(!record(&rig).contains("\"Request\""), "nothing of it is recorded");
}

#[tokio::test]
async fn arguments_that_a_policy_wrote_are_judged_by_those_behind_it() {
    let call = json!({"id": "t", "type": "function", "function": {"name": "send", "arguments": "{\"to\":\"me\"}"}});
    let answer = json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}],
    });
    let write = || policy("10-write", Does::ToolInput(r#"{"to":"a secret","of":[1,"my secret"]}"#));
    for (behind, expected) in
        [(masker(), Some(json!({"to": "a [X]", "of": [1, "my [X]"]}))), (policy("20", Does::Block("my secret")), None)]
    {
        let mut rig = Rig::new(Setting { policies: vec![write(), behind], ..Setting::default() });
        rig.say(&answer.to_string());
        rig.hang_up();
        let response = rig.ask("hi", false).await;
        assert_eq!(response.status().is_success(), expected.is_some());
        let (told, _) = read(response).await;
        let told: Value = serde_json::from_str(&told).unwrap();
        let arguments = told["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str();
        assert_eq!(arguments.map(|arguments| serde_json::from_str(arguments).unwrap()), expected, "{told}");
    }
}

#[tokio::test]
async fn what_a_policy_that_is_done_edited_leaves_edited() {
    for pieces in [["a secret 55", "x rest"], ["a secret 55 ", "x rest"]] {
        let (policies, limits) =
            (vec![policy("10", Does::Finish("555-1234"))], Limits { batch_bytes: 1, ..Limits::default() });
        let mut rig = Rig::new(Setting { policies, limits, content_type: SSE, ..Setting::default() });
        pieces.iter().for_each(|piece| rig.say(&event(piece)));
        rig.say(FINISH);
        rig.hang_up();
        let (told, cut) = read(rig.ask("hi", true).await).await;
        assert_eq!((told, cut), (event("[gone]") + &event("x rest") + FINISH, false));
    }
}

/// A policy that answers nonsense is the reason, and where its operator lets that pass nothing of it counts.
#[tokio::test]
async fn what_breaks_a_rule_changes_nothing() {
    let open = |mut policy: TestPolicy| {
        policy.info.on_failure = FailureMode::Open;
        policy
    };
    let messages = |_: &Conversation| ConversationDecision {
        remove_tools: vec!["rm".to_owned()],
        ..patching(&json!({"messages": []}))
    };
    for does in [Does::BreakHead("accept"), Does::BeforeBody("["), Does::Request(messages)] {
        let (_, status, told, sent) = asked(vec![policy("10-break", does.clone()), masker()]).await;
        assert_eq!((status, sent), (StatusCode::SERVICE_UNAVAILABLE, Value::Null), "{does:?}");
        assert!(told.contains("policy_failed") && told.contains("10-break"), "{told}");
        let mut rig =
            Rig::new(Setting { policies: vec![open(policy("10-break", does)), masker()], ..Setting::default() });
        rig.say(&answer("fine"));
        rig.hang_up();
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        let response = rig.post(&headers, chat("my secret", false).into_bytes()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(rig.heads.lock().unwrap()[0]["accept"], "application/json");
        assert!(!rig.heads.lock().unwrap()[0].contains_key("host"));
        let sent = rig.received.lock().unwrap()[0].clone();
        let sent = String::from_utf8_lossy(&sent);
        assert!(sent.contains("my [X]") && sent.contains("\"rm\""), "{sent}");
    }
    // What a caller sent that can't be read is the caller's, whoever edits it.
    let rig = Rig::new(Setting { policies: vec![policy("10-break", Does::BeforeBody(" "))], ..Setting::default() });
    let response = rig.post(&[("content-type", "application/json")], b"{".to_vec()).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}
