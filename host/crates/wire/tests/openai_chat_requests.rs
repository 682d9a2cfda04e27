//! `openai-chat`: requests, feature by feature.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use model::{Channel, Speaker};
use serde_json::json;
use support::{CANARY, Judge, left_of, masked, openai_chat::request, run, told, value};
use wire::{Change, Malformed, Step};

#[test]
fn a_request_is_told_whole_and_in_order() {
    let body = r#"{"model":"gpt-9","stream":true,"messages":[
      {"role":"system","content":"be good"},
      {"content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}],"role":"user","name":"bob"},
      {"role":"assistant","content":null,"refusal":"no","reasoning_content":"hmm","tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"mail","arguments":"{\"to\":\"a\\u0040b\",\"n\":12345678}"}}]},
      {"role":"tool","tool_call_id":"call_1","content":"sent"},
      {"role":"developer","content":"dev"}],
      "tools":[{"type":"function","function":{"name":"mail","description":"Sends","parameters":{"type":"object","properties":{"to":{"type":"string"}}}}}],
      "temperature":0.5,"metadata":{"ticket":"T-1"},"user":"u-1","seed":123456789}"#;
    let judge = told(request(), body);
    let asked = judge.asked.clone().unwrap();
    assert_eq!((asked.model.as_str(), asked.streaming, asked.tools.len()), ("gpt-9", true, 1));
    assert_eq!(asked.tools[0].name, "mail");
    assert_eq!(asked.tools[0].description, "Sends");
    assert_eq!(value(&asked.tools[0].parameters)["type"], "object");
    assert_eq!(
        value(&asked.parameters),
        json!({"temperature":0.5,"metadata":{"ticket":"T-1"},"user":"u-1","seed":123_456_789})
    );
    assert_eq!(judge.texts(Channel::Content), ["be good", "look", "dev"]);
    assert_eq!(judge.texts(Channel::Refusal), ["no"]);
    assert_eq!(judge.texts(Channel::Reasoning), ["hmm"]);
    assert_eq!(judge.texts(Channel::ToolInput), ["mail", "to", "a@b", "n", "12345678", "\"n\":12345678"]);
    assert_eq!(judge.texts(Channel::ToolResult), ["sent"]);
    assert_eq!(judge.texts(Channel::ToolDefinition), ["mail", "Sends", "to"]);
    let fields = judge.texts(Channel::Field);
    for field in ["https://x.example/a.png", "bob", "call_1", "ticket", "T-1", "u-1", "123456789"] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    let speakers: Vec<Speaker> =
        judge.parts.values().filter(|told| told.channel == Channel::Content).map(|told| told.speaker).collect();
    assert_eq!(speakers, [Speaker::System, Speaker::User, Speaker::Developer]);
}

#[test]
fn a_request_leaves_with_only_what_was_changed() {
    let body = format!(
        r#"{{ "messages" : [{{"role":"user","content":"caf\u00e9 {CANARY}\n\/x"}},
        {{"role":"assistant","content":null,"tool_calls":[{{"id":"c","type":"function","function":{{"name":"f",
        "arguments":"{{\"k\":\"\\u0030{}\"}}"}}}}]}}],"big":12345678901234567890.10,"{CANARY}":[{CANARY_NUMBER}] }}"#,
        &CANARY[1..],
    );
    let expected = body.replace(&format!(r"\\u0030{}", &CANARY[1..]), "[SSN]").replace(CANARY, "[SSN]");
    assert_eq!(masked(request(), &body), expected);
}

const CANARY_NUMBER: u32 = 780_511_200;

#[test]
fn a_changed_number_becomes_a_string() {
    let body = r#"{"messages":[],"n":780511200}"#;
    let mut flow = request();
    flow.push(body.as_bytes()).unwrap();
    flow.finish().unwrap();
    while let Some(step) = flow.next() {
        if let Step::Text { part, text } = step {
            assert_eq!(text, "780511200");
            flow.release(part, 9, vec![Change { span: 0..9, by: "[N]".into() }]);
        }
    }
    assert_eq!(wire::taken(&mut *flow), r#"{"messages":[],"n":"[N]"}"#);
}

#[test]
fn nothing_of_a_request_leaves_before_all_of_it_is_decided() {
    let mut flow = request();
    flow.push(br#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}"#).unwrap();
    assert!(flow.next().is_none());
    flow.finish().unwrap();
    let mut parts = Vec::new();
    while let Some(step) = flow.next() {
        if let Step::End(part) = step {
            parts.push(part);
        }
    }
    assert!(wire::taken(&mut *flow).is_empty());
    flow.release(parts[1], 1, Vec::new());
    assert!(wire::taken(&mut *flow).is_empty());
    flow.release(parts[0], 1, Vec::new());
    assert!(!wire::taken(&mut *flow).is_empty());
}

#[test]
fn tools_and_parameters_are_spliced() {
    let tool = |name: &str| format!(r#"{{"type":"function", "function":{{"name":"{name}"}}}}"#);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{CANARY}"}}], "tools": [{}, {}, {}], "tool_choice":"auto", "metadata":{{"a":"{CANARY}","b":1}},"top_p":1}}"#,
        tool("a"),
        tool("b"),
        tool("c")
    );
    let cut = |names: &[&str], patch: &str| {
        let mut flow = request();
        flow.push(body.as_bytes()).unwrap();
        flow.finish().unwrap();
        flow.remove_tools(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        flow.patch_parameters(patch).unwrap();
        let mut out = BytesMut::new();
        Judge::masking().turn(&mut *flow, &mut out);
        assert!(!String::from_utf8_lossy(&out).contains(CANARY));
        String::from_utf8(out.to_vec()).unwrap()
    };
    let clean = body.replace(CANARY, "[SSN]");
    assert_eq!(cut(&["x"], "{}"), clean);
    assert_eq!(cut(&["b"], "{}"), clean.replace(&format!("{}, ", tool("b")), ""));
    assert_eq!(cut(&["c"], "{}"), clean.replace(&format!(", {}", tool("c")), ""));
    let none = value(&cut(&["a", "b", "c"], r#"{"top_p":null,"n":2,"metadata":{"b":2}}"#));
    assert_eq!(none, json!({"messages":[{"role":"user","content":"[SSN]"}],"metadata":{"a":"[SSN]","b":2},"n":2}));
    let mut flow = request();
    assert!(flow.patch_parameters(r#"{"messages":[]}"#).is_err());
    assert!(flow.patch_parameters("nonsense").is_err());
}

/// The names of the tools that a request offers, and what is left of it without these.
fn without(body: &serde_json::Value, names: &[&str]) -> (Vec<String>, serde_json::Value) {
    let asked = told(request(), &body.to_string()).asked.unwrap();
    (asked.tools.into_iter().map(|tool| tool.name).collect(), left_of(request(), body, names))
}

#[test]
fn a_tool_with_several_names_is_told_by_all_and_taken_away_by_any() {
    let ok = json!({"type":"function","function":{"name":"fine"}});
    for (tool, names) in [
        (json!({"type":"web_search_preview","name":"ok"}), &["ok", "web_search_preview"][..]),
        (json!({"type":"function","name":"shell","function":{"name":"ok"}}), &["ok", "shell"]),
        (json!({"type":"custom","custom":{"name":"shell"},"function":{"name":"ok"}}), &["ok", "shell"]),
        (json!({"type":"web_search","web_search":{"enable":true}}), &["web_search"]),
        (json!({"type":"mcp","server_label":"s","allowed_tools":["find","drop"]}), &["mcp", "find", "drop"]),
        (json!({"type":"mcp","allowed_tools":{"tool_names":["drop"],"read_only":true}}), &["mcp", "drop"]),
        (json!({"type":"namespace","name":"n","tools":[{"type":"function","name":"shell"}]}), &["n", "shell"]),
        (json!({"name":"shell"}), &["shell"]),
        (json!({"type":"function"}), &["function"]),
        (json!({}), &[""]),
    ] {
        let body = json!({"messages":[],"tools":[ok, tool]});
        let (told, _) = without(&body, &[]);
        assert_eq!(told[0], "fine");
        assert_eq!(told[1..], *names, "{tool}");
        for name in names {
            assert_eq!(without(&body, &[name]).1, json!({"messages":[],"tools":[ok]}), "{tool} without {name}");
        }
        // One that is in no list.
        let alone = json!({"messages":[],"tools":tool,"tool_choice":"auto"});
        let (told, left) = without(&alone, &[names[0]]);
        assert_eq!((told, left), (names.iter().map(ToString::to_string).collect(), json!({"messages":[]})), "{tool}");
    }
    // A message may bring tools, too.
    let body = json!({"messages":[{"role":"system","content":"","tools":[ok, {"type":"function","function":{"name":"shell"}}]}]});
    let (told, left) = without(&body, &["shell"]);
    assert_eq!(told, ["fine", "shell"]);
    assert_eq!(left, json!({"messages":[{"role":"system","content":"","tools":[ok]}]}));
}

#[test]
fn models_that_tools_name_are_told() {
    let body = json!({"messages":[{"role":"user","content":"","tools":[{"type":"advisor","model":"d"}]}],"tools":[
        {"type":"image_generation","model":"a"},
        {"type":"advisor","parameters":{"deep":[{"fallback_models":["b","c"]}]}},
        {"type":"function","function":{"name":"x","parameters":{"type":"object","required":["model"],
            "properties":{"model":{"type":"string","default":"no"}},"default":{"model":"no"},"examples":[{"model":"no"}]}}}]});
    let asked = told(request(), &body.to_string()).asked.unwrap();
    assert_eq!(asked.tool_models, ["d", "a", "b", "c"]);
    let body = json!({"messages":[],"tools":[{"type":"advisor_20260301","name":"advisor","model":"a"}]}).to_string();
    let flow = wire::claim(model::Family::Anthropic, "POST", "/v1/messages").unwrap();
    let flow = flow.request("application/json", wire::Limits::default()).unwrap();
    assert_eq!(told(flow, &body).asked.unwrap().tool_models, ["a"]);
    let path = "/v1beta/models/m:generateContent";
    let flow = wire::claim(model::Family::Gemini, "POST", path).unwrap();
    let flow = flow.request_at(path, "application/json", wire::Limits::default()).unwrap();
    let body = json!({"contents":[],"tools":{"novelTool":{"model":"a"}}}).to_string();
    assert_eq!(told(flow, &body).asked.unwrap().tool_models, ["a"]);
}

#[test]
fn encoded_files_are_not_text_but_short_ones_are() {
    let long = "QUJD".repeat(100);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[
        {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{long}"}}}},
        {{"type":"input_audio","input_audio":{{"data":"{long}","format":"wav"}}}},
        {{"type":"file","file":{{"file_data":"data:text/plain;base64,QUJD","filename":"a.txt"}}}}]}}]}}"#
    );
    let judge = told(request(), &body);
    assert_eq!(judge.texts(Channel::Field), ["wav", "data:text/plain;base64,QUJD", "a.txt"]);
}

#[test]
fn a_path_that_names_the_model_is_believed() {
    for path in ["chat/completions", "completions", "embeddings", "responses"] {
        let path = format!("/openai/deployments/gpt-9/{path}");
        let endpoint = wire::claim(model::Family::Openai, "POST", &path).unwrap();
        let mut flow = endpoint.request_at(&path, "application/json", wire::Limits::default()).unwrap();
        flow.push(br#"{"model":"gpt-1","messages":[],"input":"x","prompt":"y"}"#).unwrap();
        flow.finish().unwrap();
        assert!(matches!(flow.next(), Some(Step::Asked(asked)) if asked.model == "gpt-9"), "{path}");
    }
}

#[test]
fn requests_of_another_shape_are_refused() {
    for body in [
        "[]",
        "{}",
        r#"{"messages":{}}"#,
        r#"{"messages":["x"]}"#,
        r#"{"messages":[{"content":"x"}]}"#,
        r#"{"messages":[{"role":"user","content":{"a":1}}]}"#,
        r#"{"messages":[{"role":"user","content":["x"]}]}"#,
    ] {
        let error = run(request(), &mut Judge::default(), body.as_bytes(), &[]).unwrap_err();
        assert!(matches!(error, Malformed::Shape { .. }), "{body}: {error}");
    }
}
