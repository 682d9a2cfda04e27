//! What a policy took out of a request by placeholder, and where in the answer its caller gets it back.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that can't go on fails")]

mod rig;

use exchange::{
    Limits,
    ports::{RulingState, Window},
};
use futures_util::StreamExt;
use http::StatusCode;
use model::{
    Channel, Decision, Edit, EndpointRule, Entry, Family, Mode, PartId, Restore, Substitute, View, record::TokenSpan,
};
use proptest::prelude::*;
use rig::{Does, FINISH, Rig, SSE, Setting, answer, event, policy, read, set};
use serde_json::Value;

const VALUE: &str = "ann@example.com";

fn tokens() -> rig::TestPolicy {
    policy("10-mask", Does::Token(VALUE, "email"))
}

fn setting(restore: Restore) -> Setting {
    Setting { policies: vec![tokens()], restore, ..Setting::default() }
}

/// All that the record holds.
fn record(rig: &Rig) -> String {
    serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap()
}

/// The body of the response as the record has it.
fn recorded(rig: &Rig) -> String {
    let entries = rig.entries.lock().unwrap();
    let chunks = entries.iter().filter_map(|entry| match entry {
        Entry::Chunk(chunk) => Some(String::from_utf8(chunk.data.clone()).unwrap()),
        _ => None,
    });
    chunks.collect()
}

/// What a stream says.
fn said(stream: &str) -> String {
    let events = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
    let text = |event: &str| {
        let event: Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    events.map(text).collect()
}

async fn ask(rig: &mut Rig, asked: &str, says: &str) -> String {
    rig.say(says);
    rig.hang_up();
    let response = rig.ask(asked, false).await;
    assert_eq!(response.status(), StatusCode::OK);
    let length = response.headers()["content-length"].clone();
    let (body, cut) = read(response).await;
    assert!(!cut && length == body.len().to_string());
    body
}

#[tokio::test]
async fn the_caller_reads_the_value_and_the_model_and_the_record_do_not() {
    let mut rig = Rig::new(setting(Restore::Text));
    let body = ask(&mut rig, &format!("write to {VALUE}"), &answer("Dear [EMAIL_1], or [EMAIL_2]?")).await;
    assert_eq!(body, answer(&format!("Dear {VALUE}, or [EMAIL_2]?")));
    let sent = String::from_utf8(rig.received.lock().unwrap()[0].to_vec()).unwrap();
    assert!(sent.contains("write to [EMAIL_1]") && !sent.contains(VALUE), "{sent}");
    assert_eq!(recorded(&rig), answer("Dear [EMAIL_1], or [EMAIL_2]?"));
    assert!(!record(&rig).contains(VALUE), "{}", record(&rig));
    let entries = rig.entries.lock().unwrap();
    let back: Vec<_> =
        entries.iter().filter_map(|entry| if let Entry::PutBack(back) = entry { Some(back) } else { None }).collect();
    let [back] = back[..] else { panic!("one part: {back:?}") };
    assert_eq!(back.part.map(|(_, channel)| channel), Some(Channel::Content));
    assert_eq!(back.tokens, [TokenSpan { start: 5, end: 14, token: "[EMAIL_1]".into() }]);
    assert!(matches!(back.part, Some((PartId(_), _))));
}

#[tokio::test]
async fn nothing_is_put_back_unless_the_operator_says_so() {
    let mut rig = Rig::new(setting(Restore::Off));
    assert_eq!(ask(&mut rig, VALUE, &answer("Dear [EMAIL_1]")).await, answer("Dear [EMAIL_1]"));
}

#[tokio::test]
async fn what_the_model_was_not_shown_it_can_not_name() {
    let mut rig = Rig::new(setting(Restore::All));
    assert_eq!(ask(&mut rig, "hello", &answer("Dear [EMAIL_1]")).await, answer("Dear [EMAIL_1]"));
    // The same caller and session, another request: what it holds no value for stays, although the number was given.
    rig.once_more();
    assert_eq!(ask(&mut rig, VALUE, &answer("[EMAIL_1]")).await, answer(VALUE));
    rig.once_more();
    assert_eq!(ask(&mut rig, "hello again", &answer("[EMAIL_1]")).await, answer("[EMAIL_1]"));
}

#[tokio::test]
async fn what_a_policy_took_out_of_the_answer_stays_out() {
    let mut rig = Rig::new(setting(Restore::All));
    let body = ask(&mut rig, VALUE, &answer(&format!("{VALUE} is [EMAIL_1]"))).await;
    assert_eq!(body, answer(&format!("[EMAIL_1] is {VALUE}")));
    let blocking = vec![tokens(), policy("20-block", Does::Block("bomb"))];
    let mut rig = Rig::new(Setting { policies: blocking, ..setting(Restore::All) });
    rig.say(&answer("[EMAIL_1] has a bomb"));
    rig.hang_up();
    let response = rig.ask(VALUE, false).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!read(response).await.0.contains(VALUE));
}

#[tokio::test]
async fn a_policy_that_is_only_watched_takes_nothing_out() {
    let mut shadow = tokens();
    shadow.info.mode = Mode::Shadow;
    let mut rig = Rig::new(Setting { policies: vec![shadow], ..setting(Restore::All) });
    assert_eq!(ask(&mut rig, VALUE, &answer("[EMAIL_1]")).await, answer("[EMAIL_1]"));
}

/// A policy that looks at text is shown the same addresses again and again, until it knows what they are a part of.
fn spans(window: &Window<'_>) -> Decision {
    let text = window.pending;
    let mut decision = Decision::allow();
    let mut token = |start: usize, end: usize, kind: &str| {
        let by = Substitute::Token(kind.into());
        decision.edits.push(Edit { start, end, by, reason: "test".into() });
    };
    let end = text.find(" end").map(|at| at + " end".len());
    if let (Some(start), Some(end)) = (text.find("begin"), end) {
        token(start, end, "span");
    }
    for (start, address) in text.match_indices("ann@example.com").chain(text.match_indices("bob@example.com")) {
        if end.is_none_or(|end| start >= end) {
            token(start, start + address.len(), "email");
        }
    }
    decision.hold_back = if window.last { 0 } else { text.len() };
    decision
}

#[tokio::test]
async fn placeholders_are_numbered_as_they_are_put_however_an_answer_comes() {
    let text = "begin ann@example.com and end of it; write to bob@example.com now";
    let policies = || vec![policy("10", Does::Text(spans))];
    let mut whole = Rig::new(Setting { policies: policies(), ..Setting::default() });
    assert_eq!(ask(&mut whole, "hi", &answer(text)).await, answer("[SPAN_1] of it; write to [EMAIL_1] now"));
    // Piece by piece, so that the policy is shown an address before it is shown what that is a part of.
    let limits = Limits { batch_bytes: 1, ..Limits::default() };
    let mut streamed = Rig::new(Setting { policies: policies(), content_type: SSE, limits, ..Setting::default() });
    for piece in text.split_inclusive(' ') {
        streamed.say(&event(piece));
    }
    streamed.say(FINISH);
    streamed.hang_up();
    let (told, _) = read(streamed.ask("hi", true).await).await;
    assert_eq!(said(&told), "[SPAN_1] of it; write to [EMAIL_1] now");
}

#[tokio::test]
async fn a_policy_that_is_only_watched_takes_no_number() {
    let mut shadow = policy("05-shadow", Does::Token("bob@example.com", "email"));
    shadow.info.mode = Mode::Shadow;
    let mut rig = Rig::new(Setting { policies: vec![shadow, tokens()], ..Setting::default() });
    assert_eq!(ask(&mut rig, "I am bob@example.com", &answer(VALUE)).await, answer("[EMAIL_1]"));
    assert!(record(&rig).contains("\"[EMAIL]\""), "{}", record(&rig));
}

#[tokio::test]
async fn nothing_is_put_back_before_a_policy_that_judges_bytes() {
    let policies = vec![tokens(), policy("20-bytes", Does::Bytes)];
    let mut rig = Rig::new(Setting { policies, ..setting(Restore::All) });
    assert_eq!(ask(&mut rig, VALUE, &answer("[EMAIL_1]")).await, answer("[EMAIL_1]"));
}

#[tokio::test]
async fn every_channel_that_the_caller_reads_gets_values() {
    let says = serde_json::json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m", "note": "[EMAIL_1] aside",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "c [EMAIL_1]",
            "reasoning_content": "r [EMAIL_1]", "refusal": "n [EMAIL_1]"}}],
    })
    .to_string();
    for (restore, note) in [(Restore::Text, "[EMAIL_1] aside"), (Restore::All, "ann@example.com aside")] {
        let mut rig = Rig::new(setting(restore));
        let body: Value = serde_json::from_str(&ask(&mut rig, VALUE, &says).await).unwrap();
        let message = &body["choices"][0]["message"];
        assert_eq!(message["content"], format!("c {VALUE}"));
        assert_eq!(message["reasoning_content"], format!("r {VALUE}"));
        assert_eq!(message["refusal"], format!("n {VALUE}"));
        assert_eq!(body["note"], note, "no dialect knows this one");
        assert_eq!(recorded(&rig), says);
    }
    let mut rig = Rig::new(Setting { status: StatusCode::BAD_REQUEST, ..setting(Restore::Text) });
    rig.say(r#"{"error":{"message":"no such thing: [EMAIL_1]","type":"x","param":null,"code":null}}"#);
    rig.hang_up();
    assert!(read(rig.ask(VALUE, false).await).await.0.contains(VALUE), "an error that echoes the prompt");
}

#[tokio::test]
async fn fields_of_services_that_nobody_knows_get_values_only_where_all_is_put_back() {
    let views = vec![View::Json, View::Sse, View::Ndjson, View::Text];
    let rule = EndpointRule { path: "/v1/chat/completions".into(), methods: vec!["POST".into()], views };
    let field = r#"{"url":"http://else/?q=[EMAIL_1]"}"#;
    for (content_type, says, also_text) in [
        ("application/json", field.to_owned(), false),
        (SSE, format!("data: {field}\n\ndata: {field}\n\n"), false),
        ("application/x-ndjson", format!("{field}\n{field}\n"), false),
        ("text/plain", "Dear [EMAIL_1]".to_owned(), true),
    ] {
        for (restore, reached) in [(Restore::Text, also_text), (Restore::All, true)] {
            let (family, endpoints) = (Family::Http, vec![rule.clone()]);
            let mut rig = Rig::new(Setting { family, endpoints, content_type, ..setting(restore) });
            rig.say(&says);
            rig.hang_up();
            let (told, cut) = read(rig.ask(VALUE, false).await).await;
            let expected = if reached { says.replace("[EMAIL_1]", VALUE) } else { says.clone() };
            assert_eq!((told, cut), (expected, false), "{content_type}, {restore:?}");
            assert_eq!(recorded(&rig), says);
        }
    }
}

#[tokio::test]
async fn an_approver_sees_placeholders() {
    let policies = vec![tokens(), policy("30-approve", Does::Ask("delete"))];
    let mut rig = Rig::new(Setting { policies, ruling: Some(RulingState::Approved), ..setting(Restore::Text) });
    assert_eq!(ask(&mut rig, VALUE, &answer("delete [EMAIL_1]?")).await, answer(&format!("delete {VALUE}?")));
    let shown = rig.shown.lock().unwrap().concat();
    assert!(shown.contains("delete [EMAIL_1]?") && !shown.contains(VALUE), "{shown}");
}

#[tokio::test]
async fn tokens_that_spell_a_placeholder_are_not_told_beside_its_value() {
    let token =
        |text: &str| serde_json::json!({"token": text, "logprob": -0.1, "bytes": text.as_bytes(), "top_logprobs": []});
    let says = serde_json::json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "to [EMAIL_1]"},
            "logprobs": {"content": [token("to "), token("[EMA"), token("IL_1]")]}}],
    });
    let mut rig = Rig::new(setting(Restore::Text));
    let body: Value = serde_json::from_str(&ask(&mut rig, VALUE, &says.to_string()).await).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], format!("to {VALUE}"));
    assert!(!body.to_string().contains("EMA"), "{body}");
    assert_eq!(recorded(&rig), says.to_string());
}

fn call(arguments: &str) -> String {
    serde_json::json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "rm", "arguments": arguments}}]}}],
    })
    .to_string()
}

#[tokio::test]
async fn arguments_of_tools_get_values_only_where_all_is_put_back() {
    let masked = call(r#"{"to":"[EMAIL_1]","cc":["x [EMAIL_1]"]}"#);
    let mut rig = Rig::new(setting(Restore::Text));
    assert_eq!(ask(&mut rig, VALUE, &masked).await, masked);
    let mut rig = Rig::new(setting(Restore::All));
    let body = ask(&mut rig, VALUE, &masked).await;
    assert_eq!(body, masked.replace("[EMAIL_1]", VALUE));
    assert_eq!(recorded(&rig), masked);
    assert!(!record(&rig).contains(VALUE));
    // What a policy took out of these arguments stays out of them.
    let mut rig = Rig::new(setting(Restore::All));
    let body = ask(&mut rig, VALUE, &call(&format!(r#"{{"to":"{VALUE}"}}"#))).await;
    assert_eq!(body, call(r#"{"to":"[EMAIL_1]"}"#));
}

#[tokio::test]
async fn a_value_is_written_in_the_form_of_its_place() {
    const ODD: &str = "a \"b\"\\\n\u{1f980}";
    let policies = || vec![policy("10-mask", Does::Token(ODD, "name"))];
    let mut rig = Rig::new(Setting { policies: policies(), ..setting(Restore::All) });
    assert_eq!(ask(&mut rig, ODD, &answer("it is [NAME_1].")).await, answer(&format!("it is {ODD}.")));
    let mut rig = Rig::new(Setting { policies: policies(), ..setting(Restore::All) });
    let body: Value = serde_json::from_str(&ask(&mut rig, ODD, &call(r#"{"n":"[NAME_1]"}"#)).await).unwrap();
    let arguments = body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), serde_json::json!({"n": ODD}));
}

#[tokio::test]
async fn a_new_set_takes_over_while_a_placeholder_has_begun() {
    let rig = Rig::new(Setting { content_type: SSE, ..setting(Restore::Text) });
    rig.say(&event("Dear [EMA"));
    let mut body = rig.ask(VALUE, true).await.into_body();
    rig.publish.send(set(2, vec![policy("15-mask", Does::Mask("secret", "[X]"))])).unwrap();
    rig.say(&event("IL_1], secret"));
    rig.say(FINISH);
    let mut all = String::new();
    while !all.contains("[DONE]") {
        all.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(said(&all), format!("Dear {VALUE}, [X]"));
    assert_eq!(said(&recorded(&rig)), "Dear [EMAIL_1], [X]");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_split_changes_nothing(
        words in prop::collection::vec(
            prop::sample::select(&["[EMAIL_1]", "[EMAIL_2]", "[", "[EMAIL", "]", "Dear ", "_1]", "ann@", "\u{e9}"][..]),
            0..8,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = words.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.retain(|cut| text.is_char_boundary(*cut));
        cuts.sort_unstable();
        let events: Vec<String> = cuts.windows(2).map(|cut| event(&text[cut[0]..cut[1]])).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stream, kept) = runtime.block_on(async {
            let mut rig = Rig::new(Setting { content_type: SSE, ..setting(Restore::Text) });
            for event in &events {
                rig.say(event);
            }
            rig.say(FINISH);
            rig.hang_up();
            let (stream, cut) = read(rig.ask(VALUE, true).await).await;
            assert!(!cut, "{stream}");
            (stream, recorded(&rig))
        });
        prop_assert_eq!(said(&stream), text.replace("[EMAIL_1]", VALUE));
        prop_assert_eq!(kept, events.concat() + FINISH);
    }
}
