//! Little that makes much: bodies and events of a few megabytes that would cost minutes, or gigabytes, if what they say
//! were gone through once for each thing that they say. What is quadratic does not end here.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use model::Channel;
use serde_json::{Value, json};
use support::{
    Judge, anthropic, decoys::unnamed, openai_chat as chat, openai_completions as completions,
    openai_responses as responses, run, told,
};
use wire::{Flow, Limits, Malformed};

/// The bound that a body is beyond.
fn bound(flow: Box<dyn Flow>, body: &str) -> &'static str {
    match run(flow, &mut Judge::default(), body.as_bytes(), &[]) {
        Err(Malformed::TooLarge { bound, .. }) => bound,
        other => panic!("{:?}", other.map(|_| "read")),
    }
}

/// A stream whose events may be long.
fn long_events() -> Box<dyn Flow> {
    let limits = Limits { event_bytes: 32 << 20, ..Limits::default() };
    chat::chat().response(200, "text/event-stream", limits).unwrap()
}

fn delta(delta: &Value) -> Value {
    json!({ "choices": [{ "index": 0, "delta": delta }] })
}

#[test]
fn an_event_of_many_lines_is_read_line_by_line() {
    let body = format!("data:{{\"novel\":[\n{}data:\"\"]}}\n\n", "data:\"x\",\n".repeat(1_000_000));
    assert_eq!(bound(long_events(), &body), "parts");
}

#[test]
fn too_many_texts_are_too_many_wherever_they_stand() {
    let texts = "{\"type\":\"text\",\"text\":\"a\"},".repeat(110_000);
    let list = format!("[{}]", texts.trim_end_matches(','));
    let request = format!(r#"{{"messages":[{{"role":"user","content":{list}}}]}}"#);
    assert_eq!(bound(chat::request(), &request), "parts");
    let calls = r#"{"id":"a","type":"function","function":{"name":"x","arguments":"{}"}},"#.repeat(110_000);
    let calls = calls.trim_end_matches(',');
    let request = format!(r#"{{"messages":[{{"role":"assistant","tool_calls":[{calls}]}}]}}"#);
    assert_eq!(bound(chat::request(), &request), "parts");
}

#[test]
fn a_tool_is_described_once_whatever_it_lists() {
    let listed: Vec<String> = (0..1000).map(|at| format!("n{at}")).collect();
    let tool = json!({"type":"mcp","name":"s","description":"d".repeat(1000),"parameters":{},"allowed_tools":listed});
    let body = json!({"messages":[],"tools":[tool]}).to_string();
    for flow in [chat::request(), anthropic::request()] {
        let tools = told(flow, &body).asked.unwrap().tools;
        let described: usize = tools.iter().map(|tool| tool.description.len()).sum();
        assert!(tools.len() > 1000 && described < 3000, "{} tools, {described} bytes", tools.len());
    }
}

#[test]
fn what_a_tool_answered_is_read_in_one_go() {
    let contents = "{\"text\":\"a\"},".repeat(300_000);
    let strings = "\"b\",".repeat(1_000_000);
    let output = format!(r#"{{"type":"function_call_output","call_id":"c","output":[{contents}{strings}""]}}"#);
    assert_eq!(bound(responses::request(), &format!(r#"{{"input":[{output}]}}"#)), "parts");
}

#[test]
fn calls_that_come_again_are_known_as_far_as_there_are_few_of_them() {
    let done = |number: usize| {
        let arguments = format!("{{\"number\":{number}}}");
        let item = json!({"id":"fc","type":"function_call","call_id":"c","name":"send","arguments":arguments});
        json!({"type":"response.output_item.done","output_index":0,"item":item})
    };
    let calls = |numbers: &[usize]| {
        let events: Vec<Value> = numbers.iter().map(|&number| done(number)).collect();
        told(responses::stream(), &unnamed(&events)).calls.len()
    };
    assert_eq!(calls(&[0, 1, 2, 3, 4, 5]), 6);
    assert_eq!(calls(&[0, 1, 2, 3, 4, 5, 0, 3]), 6);
    assert_eq!(calls(&[0, 1, 2, 3, 4, 5, 5, 4]), 8, "each that is not known again is a call of its own");
}

#[test]
fn tokens_that_were_not_taken_are_told_unless_another_was_just_that() {
    let logprobs = json!({
        "tokens": ["forwarding", " onwards"], "token_logprobs": [-1.0, -1.0],
        "top_logprobs": [{"forwarding": -1.0, "backwards": -2.0}, {" onwards": -1.0, "forward": -2.0, "wards": -3.0}],
    });
    let body = json!({"choices":[{"index":0,"text":"forwarding onwards","logprobs":logprobs}]}).to_string();
    let told = told(completions::whole(), &body);
    assert_eq!(told.texts(Channel::Logprobs), ["backwards\nforward"]);
}

#[test]
fn white_space_in_front_of_arguments_is_looked_at_once() {
    let call = |id: &str, arguments: &str| {
        let function = json!({ "name": "send", "arguments": arguments });
        delta(&json!({ "tool_calls": [{ "index": 0, "id": id, "function": function }] }))
    };
    let fragments = vec![json!({ "index": 0, "function": { "arguments": " " } }); 60_000];
    let body = unnamed(&[call("a", ""), call("b", &" ".repeat(4_000_000)), delta(&json!({ "tool_calls": fragments }))]);
    let judge = told(chat::stream(), &body);
    // Each alone, and both as one.
    assert_eq!(judge.calls.len(), 3);
}

#[test]
fn the_type_of_a_content_is_not_written_anew_for_each_of_its_members() {
    let mut content: Value = (0..20_000).map(|at| (format!("member{at}"), json!(1))).collect();
    content["type"] = "x".repeat(16 << 20).into();
    told(long_events(), &unnamed(&[delta(&json!({ "content": [content] }))]));
}

#[test]
fn a_long_name_is_not_told_with_any_number_of_items() {
    let request = |items: usize| {
        let list = vec![7_654_321; items];
        json!({ "messages": [], ("x".repeat(100)): list }).to_string()
    };
    assert_eq!(bound(chat::request(), &request(200_000)), "names of lists");
    let told = told(chat::request(), &request(1000));
    let named = told.texts(Channel::Field).into_iter().find(|text| text.starts_with('"')).unwrap();
    assert_eq!(named.matches(":7654321").count(), 1000);
}
