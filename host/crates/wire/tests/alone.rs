//! Texts that stand in a list: each is judged as it stands alone, whatever it is joined with besides.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::Family;
use serde_json::{Value, json};
use support::told;
use wire::{Flow, Limits};

const JSON: &str = "application/json";

/// Two texts of a list, neither of which stands at an end of what both say together.
const TEXTS: [&str; 3] = ["first one", "second two", "third three"];

fn request(family: Family, path: &str) -> Box<dyn Flow> {
    wire::claim(family, "POST", path).unwrap().request_at(path, JSON, Limits::default()).unwrap()
}

fn answer(family: Family, path: &str) -> Box<dyn Flow> {
    wire::claim(family, "POST", path).unwrap().response(200, JSON, Limits::default()).unwrap()
}

fn each(make: impl Fn(&str) -> Value) -> Value {
    TEXTS.iter().map(|text| make(text)).collect()
}

fn texts() -> Value {
    each(|text| json!(text))
}

fn is_told_alone(flow: Box<dyn Flow>, body: &Value) {
    let judge = told(flow, &body.to_string());
    for text in TEXTS {
        assert!(judge.parts.values().any(|part| part.text == text), "{text} in {body}: {:?}", judge.said());
    }
}

#[test]
fn each_text_of_a_list_in_a_request_is_judged_alone() {
    let text = |text: &str| json!({"type":"text","text":text});
    let input = |text: &str| json!({"type":"input_text","text":text});
    let part = |text: &str| json!({"text":text});
    let openai = [
        ("completions", json!({"model":"m","prompt":texts()})),
        ("completions", json!({"model":"m","prompt":"x","stop":texts()})),
        ("embeddings", json!({"model":"m","input":texts()})),
        ("embeddings", json!({"model":"m","input":each(text)})),
        ("moderations", json!({"input":texts()})),
        ("moderations", json!({"input":each(text)})),
        ("chat/completions", json!({"model":"m","messages":[{"role":"user","content":each(text)}]})),
        ("chat/completions", json!({"model":"m","messages":each(|text| json!({"role":"user","content":text}))})),
        ("chat/completions", json!({"model":"m","messages":[],"stop":texts()})),
        ("chat/completions", json!({"model":"m","messages":[],"prediction":{"type":"content","content":each(text)}})),
        ("chat/completions", json!({"model":"m","messages":[],"novel":{"deep":texts()}})),
        ("responses", json!({"model":"m","input":[{"role":"user","content":each(input)}]})),
        ("responses", json!({"model":"m","input":each(|text| json!({"role":"user","content":text}))})),
        (
            "responses",
            json!({"model":"m","input":[{"type":"function_call_output","call_id":"c","output":each(input)}]}),
        ),
        (
            "responses",
            json!({"model":"m","input":[{"type":"reasoning","summary":each(|text| json!({"type":"summary_text","text":text}))}]}),
        ),
        (
            "responses",
            json!({"model":"m","input":[{"type":"web_search_call","action":{"type":"search","queries":texts()}}]}),
        ),
        ("responses", json!({"model":"m","input":[{"type":"novel","texts":texts()}]})),
        ("responses", json!({"model":"m","input":[{"type":"novel","content":texts()}]})),
    ];
    for (path, body) in openai {
        is_told_alone(request(Family::Openai, &format!("/v1/{path}")), &body);
    }
    let said = |messages: Value| json!({"model":"m","max_tokens":5,"messages":messages});
    let with = |name: &str, value: Value| {
        let mut body = said(json!([]));
        body[name] = value;
        body
    };
    for body in [
        said(json!([{"role":"user","content":each(text)}])),
        said(json!([{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":each(text)}]}])),
        with("system", each(text)),
        with("stop_sequences", texts()),
        with("novel", texts()),
    ] {
        is_told_alone(request(Family::Anthropic, "/v1/messages"), &body);
    }
    for body in [
        json!({"contents":[{"role":"user","parts":each(part)}]}),
        json!({"contents":[],"systemInstruction":{"parts":each(part)}}),
        json!({"contents":[],"generationConfig":{"stopSequences":texts()}}),
    ] {
        is_told_alone(request(Family::Gemini, "/v1beta/models/m:generateContent"), &body);
    }
    is_told_alone(request(Family::Ollama, "/api/embed"), &json!({"model":"m","input":texts()}));
    is_told_alone(request(Family::Ollama, "/api/chat"), &json!({"model":"m","messages":[],"options":{"stop":texts()}}));
    let call = json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"f","arguments":{"list":texts()}}});
    is_told_alone(request(Family::Mcp, "/mcp"), &call);
}

#[test]
fn each_text_of_a_list_in_an_answer_is_judged_alone() {
    let text = |text: &str| json!({"type":"text","text":text});
    let choice = |text: &str| json!({"index":0,"message":{"role":"assistant","content":text},"finish_reason":"stop"});
    let output = |text: &str| json!({"type":"output_text","text":text,"annotations":[]});
    for (path, body) in [
        ("completions", json!({"choices":each(|text| json!({"index":0,"text":text,"finish_reason":"stop"}))})),
        ("chat/completions", json!({"choices":each(choice)})),
        (
            "chat/completions",
            json!({"choices":[{"index":0,"message":{"role":"assistant","content":each(text)},"finish_reason":"stop"}]}),
        ),
        ("chat/completions", json!({"choices":[],"citations":texts()})),
        ("responses", json!({"output":[{"type":"message","role":"assistant","content":each(output)}]})),
        (
            "responses",
            json!({"output":each(|text| json!({"type":"message","role":"assistant","content":[output(text)]}))}),
        ),
        (
            "responses",
            json!({"output":[{"type":"reasoning","summary":each(|text| json!({"type":"summary_text","text":text}))}]}),
        ),
        (
            "responses",
            json!({"output":[{"type":"code_interpreter_call","outputs":each(|text| json!({"type":"logs","logs":text}))}]}),
        ),
        ("responses", json!({"output":[{"type":"novel","content":each(text)}]})),
        ("responses", json!({"output":each(|text| json!({"type":"novel","said":text}))})),
        ("responses", json!({"output":[{"type":"novel","said":texts()}]})),
    ] {
        is_told_alone(answer(Family::Openai, &format!("/v1/{path}")), &body);
    }
    let message = json!({"type":"message","role":"assistant","content":each(text),"stop_reason":"end_turn"});
    is_told_alone(answer(Family::Anthropic, "/v1/messages"), &message);
    let parts =
        json!({"candidates":[{"index":0,"content":{"role":"model","parts":each(|text| json!({"text":text}))}}]});
    is_told_alone(answer(Family::Gemini, "/v1beta/models/m:generateContent"), &parts);
    for result in [json!({"content":each(text)}), json!({"content":[],"structuredContent":{"list":texts()}})] {
        is_told_alone(answer(Family::Mcp, "/mcp"), &json!({"jsonrpc":"2.0","id":1,"result":result}));
    }
}
