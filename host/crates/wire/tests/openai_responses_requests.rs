//! `openai-responses`: requests, feature by feature.

mod support;

use bytes::BytesMut;
use model::{Channel, Speaker};
use serde_json::json;
use support::{
    CANARY, Judge, left_of, masked,
    openai_responses::{request, responses},
    run, told, value,
};
use wire::{Limits, Malformed};

#[test]
fn a_request_is_told_by_channel() {
    let body = r#"{"model":"gpt-9","stream":true,"instructions":"be good","previous_response_id":"resp_0","input":[
      {"role":"user","content":"hello"},
      {"type":"message","role":"developer","content":[{"type":"input_text","text":"look"},
        {"type":"input_image","image_url":"https://x.example/a.png","detail":"auto"},{"type":"input_file","filename":"a.txt"}]},
      {"type":"message","id":"m","role":"assistant","status":"completed","content":[
        {"type":"output_text","text":"said","annotations":[]},{"type":"refusal","refusal":"won't"}]},
      {"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"in short"}],
        "content":[{"type":"reasoning_text","text":"at length"}]},
      {"type":"function_call","call_id":"c1","name":"mail","arguments":"{\"to\":\"a\\u0040b\",\"n\":12345678}"},
      {"type":"function_call_output","call_id":"c1","output":"sent"},
      {"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"twice"}]},
      {"type":"shell_call","call_id":"c2","action":{"commands":["ls"]}},
      {"type":"shell_call_output","call_id":"c2","output":[{"stdout":"file","stderr":"none","outcome":{"type":"exit","exit_code":0}}]},
      {"type":"mcp_call","id":"p","server_label":"deep","name":"ask","arguments":"{}","output":"deeply"},
      {"type":"file_search_call","id":"f","queries":["find"],"results":[{"text":"found"}]},
      {"type":"item_reference","id":"old_1"}],
      "tools":[{"type":"function","name":"mail","description":"Sends","parameters":{"type":"object","properties":{"to":{}}}}],
      "prompt":{"id":"pmpt_1","variables":{"city":"Graz"}},"metadata":{"ticket":"T-1"},"temperature":0.5}"#;
    let judge = told(request(), body);
    let asked = judge.asked.clone().unwrap();
    assert_eq!((asked.model.as_str(), asked.streaming, asked.tools.len()), ("gpt-9", true, 1));
    assert_eq!((asked.tools[0].name.as_str(), asked.tools[0].description.as_str()), ("mail", "Sends"));
    assert_eq!(value(&asked.tools[0].parameters)["type"], "object");
    assert_eq!(
        value(&asked.parameters),
        json!({"previous_response_id":"resp_0","metadata":{"ticket":"T-1"},"temperature":0.5})
    );
    assert_eq!(judge.texts(Channel::Content), ["be good", "hello", "look", "said", "city", "Graz"]);
    assert_eq!(judge.texts(Channel::Refusal), ["won't"]);
    assert_eq!(judge.texts(Channel::Reasoning), ["in short", "at length", "in shortat length"]);
    let inputs = ["mail", "to", "a@b", "n", "12345678", "\"n\":12345678", "commands", "ls", "ask", "find"];
    assert_eq!(judge.texts(Channel::ToolInput), inputs);
    assert_eq!(judge.texts(Channel::ToolResult), ["sent", "twice", "file", "none", "deeply", "found"]);
    assert_eq!(judge.texts(Channel::ToolDefinition), ["mail", "Sends", "to"]);
    let fields = judge.texts(Channel::Field);
    for field in ["resp_0", "https://x.example/a.png", "a.txt", "c1", "deep", "old_1", "pmpt_1", "ticket", "T-1"] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    let speakers: Vec<Speaker> =
        judge.parts.values().filter(|told| told.channel == Channel::Content).map(|told| told.speaker).collect();
    assert_eq!(speakers[..4], [Speaker::System, Speaker::User, Speaker::Developer, Speaker::Assistant]);
    assert!(judge.calls.is_empty(), "calls of the past are not proposed again");
}

#[test]
fn a_request_leaves_with_only_what_was_changed() {
    let body = format!(
        r#"{{ "input" : "caf\u00e9 {CANARY}\n\/x", "instructions":"{CANARY}", "big":12345678901234567890.10, "{CANARY}":1 }}"#
    );
    assert_eq!(masked(request(), &body), body.replace(CANARY, "[SSN]"));
    let token = |text: &str| json!({"token":text,"logprob":-0.1,"top_logprobs":[]});
    let body = json!({"input":[{"type":"message","role":"assistant","content":[
        {"type":"output_text","text":CANARY,"logprobs":[token(&CANARY[..4]), token(&CANARY[4..])]}]}]});
    let out = value(&masked(request(), &body.to_string()));
    assert_eq!(out["input"][0]["content"][0], json!({"type":"output_text","text":"[SSN]","logprobs":[]}));
}

#[test]
fn tools_and_parameters_are_spliced() {
    let tool = |name: &str| format!(r#"{{"type":"function", "name":"{name}"}}"#);
    let body = format!(
        r#"{{"input":"{CANARY}", "tools": [{}, {}, {{"type":"web_search"}}], "tool_choice":{{"type":"function","name":"b"}}, "top_p":1}}"#,
        tool("a"),
        tool("b"),
    );
    let cut = |names: &[&str], patch: &str| {
        let mut flow = request();
        flow.push(body.as_bytes()).unwrap();
        flow.finish().unwrap();
        flow.remove_tools(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        flow.patch_parameters(patch).unwrap();
        let mut out = BytesMut::new();
        Judge::masking().turn(&mut *flow, &mut out);
        value(std::str::from_utf8(&out).unwrap())
    };
    let left = cut(&["b", "web_search"], r#"{"top_p":null,"store":false}"#);
    assert_eq!(left, json!({"input":"[SSN]","tools":[{"type":"function","name":"a"}],"store":false}));
    assert_eq!(cut(&["a", "b", "web_search"], "{}"), json!({"input":"[SSN]","top_p":1}));
    for fixed in ["input", "instructions", "prompt", "tools", "stream"] {
        assert!(request().patch_parameters(&json!({ fixed: 1 }).to_string()).is_err(), "{fixed}");
    }
}

#[test]
fn what_another_server_may_offer_is_named_and_taken_away_with_its_tool() {
    let own = json!({"type":"function","name":"own"});
    for allowed in [json!(["find", "drop"]), json!({"tool_names":["find","drop"],"read_only":true})] {
        let mcp = json!({"type":"mcp","server_label":"s","server_url":"https://x.example","allowed_tools":allowed});
        let body = json!({"input":"hi","tools":[mcp, own]});
        let asked = told(request(), &body.to_string()).asked.unwrap();
        let names: Vec<&str> = asked.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["mcp", "find", "drop", "own"]);
        assert_eq!(left_of(request(), &body, &["drop"]), json!({"input":"hi","tools":[own]}));
    }
}

#[test]
fn tools_in_lists_of_tools_and_in_items_are_tools() {
    let body = json!({"input":[
        {"role":"user","content":"hi"},
        {"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"shell"},{"type":"web_search"}]},
        {"type":"tool_search_output","call_id":"c","tools":[{"type":"function","name":"shell"}]}],
        "tools":[
            {"type":"namespace","name":"crm","description":"d","tools":[
                {"type":"function","name":"shell"},
                {"type":"function","name":"find"}]},
            {"type":"namespace","name":"ops","tools":[{"type":"function","name":"shell"}]}],
        "tool_choice":{"type":"function","name":"shell"}});
    let asked = told(request(), &body.to_string()).asked.unwrap();
    let names: Vec<&str> = asked.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["shell", "web_search", "shell", "crm", "shell", "find", "ops", "shell"]);
    let left = |names: &[&str]| left_of(request(), &body, names);
    assert_eq!(left(&["other"]), body);
    let item = |kind: &str, tools: &serde_json::Value| match kind {
        "additional_tools" => json!({"type":kind,"role":"developer","tools":tools}),
        _ => json!({"type":kind,"call_id":"c","tools":tools}),
    };
    let crm = json!({"type":"namespace","name":"crm","description":"d","tools":[{"type":"function","name":"find"}]});
    assert_eq!(
        left(&["shell"]),
        json!({"input":[
            {"role":"user","content":"hi"},
            item("additional_tools", &json!([{"type":"web_search"}])),
            item("tool_search_output", &json!([]))],
            "tools":[crm]})
    );
    let none = left(&["shell", "find", "web_search"]);
    assert_eq!(none["input"][1], item("additional_tools", &json!([])));
    assert_eq!((none.get("tools"), none.get("tool_choice")), (None, None));
}

#[test]
fn requests_of_another_shape_are_refused() {
    for body in [
        "[]",
        r#"{"input":7}"#,
        r#"{"input":{"role":"user"}}"#,
        r#"{"input":["x"]}"#,
        r#"{"input":[{"role":"user","content":{"a":1}}]}"#,
        r#"{"input":[{"role":"user","content":["x"]}]}"#,
    ] {
        let error = run(request(), &mut Judge::default(), body.as_bytes(), &[]).unwrap_err();
        assert!(matches!(error, Malformed::Shape { .. }), "{body}: {error}");
    }
    assert!(responses().request("text/event-stream", Limits::default()).is_err());
    let stored = wire::claim(model::Family::Openai, "POST", "/v1/responses/resp_1/cancel").unwrap();
    assert!(stored.request("application/json", Limits::default()).unwrap().push(b"{}").is_err());
}

#[test]
fn tokens_and_vectors_in_the_place_of_text_are_refused() {
    for name in ["prompt_token_ids", "prompt_embeds", "input_ids", "input_embeds"] {
        for value in [json!([1, 2]), json!([[0.5]]), json!("AAAA")] {
            let body = json!({"model":"m","input":"x",name:value}).to_string();
            let error = run(request(), &mut Judge::default(), body.as_bytes(), &[]).unwrap_err().to_string();
            assert_eq!(error, format!("/{name} must be nothing (tokens and vectors can't be judged)"));
        }
        told(request(), &json!({"model":"m","input":"x",name:null}).to_string());
    }
}
