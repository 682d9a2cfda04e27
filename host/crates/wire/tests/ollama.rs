//! Ollama: every field that is a channel, whole and streamed, over every split, with a decoder of its own.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use model::{Channel, Family, Speaker};
use serde_json::{Value, json};
use support::{CANARY, Judge, MASK, masked, run, told, value};
use wire::{Broken, Complaint, Endpoint, Flow, Limits};

const LINES: &str = "application/x-ndjson";
const JSON: &str = "application/json; charset=utf-8";

/// Writes a text where a channel has it.
type Write = fn(&str) -> Value;

fn at(method: &str, path: &str) -> &'static dyn Endpoint {
    wire::claim(Family::Ollama, method, path).unwrap()
}

fn request(path: &str) -> Box<dyn Flow> {
    at("POST", path).request("application/json", Limits::default()).unwrap()
}

fn answer(content_type: &str) -> Box<dyn Flow> {
    at("POST", "/api/chat").response(200, content_type, Limits::default()).unwrap()
}

fn lines(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect()
}

/// What a client makes of an answer: the strings of each path joined over the lines.
fn client(body: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for line in body.split('\n').filter(|line| !line.trim().is_empty()) {
        join(&mut out, "", &value(line));
    }
    out
}

fn join(out: &mut Vec<(String, String)>, path: &str, value: &Value) {
    match value {
        Value::String(text) => match out.iter_mut().find(|(known, _)| known == path) {
            Some((_, joined)) => joined.push_str(text),
            None => out.push((path.to_owned(), text.clone())),
        },
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| join(out, &format!("{path}/{place}"), item));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| join(out, &format!("{path}/{name}"), value));
        }
        _ => {}
    }
}

fn joined(body: &str, path: &str) -> String {
    client(body).into_iter().find(|(known, _)| known == path).map(|(_, text)| text).unwrap_or_default()
}

#[test]
fn only_what_asks_and_shows_is_claimed() {
    for (method, path, dialect) in [
        ("POST", "/api/chat", "ollama"),
        ("POST", "/api/generate", "ollama"),
        ("POST", "/api/embed", "ollama-embeddings"),
        ("POST", "/api/embeddings", "ollama-embeddings"),
        ("GET", "/api/tags", "ollama-models"),
        ("GET", "/api/version", "ollama-models"),
        ("POST", "/api/show", "ollama-models"),
        ("POST", "/v1/chat/completions", "openai-chat"),
    ] {
        assert_eq!(at(method, path).dialect(), dialect, "{path}");
    }
    for (method, path) in [
        ("POST", "/api/pull"),
        ("POST", "/api/push"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/blobs/sha256:0"),
        ("GET", "/api/chat"),
        ("POST", "/x/api/chat"),
    ] {
        assert!(wire::claim(Family::Ollama, method, path).is_none(), "{method} {path}");
    }
}

#[test]
fn a_stream_is_asked_for_unless_it_is_not() {
    for (stream, streaming) in
        [("", true), (",\"stream\":true", true), (",\"stream\":null", true), (",\"stream\":false", false)]
    {
        let body = format!("{{\"model\":\"m\",\"prompt\":\"p\"{stream},\"options\":{{\"seed\":1}}}}");
        let asked = told(request("/api/generate"), &body).asked.unwrap();
        assert_eq!((asked.model.as_str(), asked.streaming), ("m", streaming), "{stream}");
        assert!(
            asked.parameters.contains("\"seed\":1") && !asked.parameters.contains("prompt"),
            "{}",
            asked.parameters
        );
    }
}

#[test]
fn every_text_of_a_request_has_its_channel() {
    let body = json!({
        "model": "m", "format": { "properties": { "format-name": {} } },
        "messages": [
            { "role": "system", "content": "rules" },
            { "role": "user", "content": "question", "images": ["A".repeat(300), "short"] },
            { "role": "assistant", "content": "", "thinking": "hmm", "tool_calls": [
                { "function": { "name": "weather", "arguments": { "where": "Oslo", "n": 1_234_567 } } }] },
            { "role": "tool", "tool_name": "tool-name", "content": "cold" },
        ],
        "tools": [{ "type": "function", "function": { "name": "weather", "description": "says it", "parameters": { "type": "object" } } }],
        "novel": "odd",
    });
    let judge = told(request("/api/chat"), &body.to_string());
    assert_eq!(judge.texts(Channel::Content), ["rules", "question", ""]);
    assert_eq!(judge.texts(Channel::Reasoning), ["hmm"]);
    assert_eq!(judge.texts(Channel::ToolResult), ["cold"]);
    let inputs = judge.texts(Channel::ToolInput);
    assert!(["weather", "where", "Oslo", "1234567"].iter().all(|text| inputs.contains(text)), "{inputs:?}");
    let fields = judge.texts(Channel::Field);
    assert!(
        ["format-name", "short", "tool-name", "novel", "odd"].iter().all(|text| fields.contains(text)),
        "{fields:?}"
    );
    assert!(judge.texts(Channel::ToolDefinition).contains(&"says it"));
    assert_eq!(judge.asked.unwrap().tools[0].name, "weather");

    let body = json!({ "model": "m", "prompt": "p", "suffix": "s", "system": "y", "template": "t", "context": [] });
    let judge = told(request("/api/generate"), &body.to_string());
    assert_eq!(judge.texts(Channel::Content), ["p", "s", "y", "t"]);
    let system = judge.said().into_iter().filter(|(_, speaker, _)| *speaker == Speaker::System).count();
    assert_eq!(system, 2);

    let judge = told(request("/api/embed"), "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}");
    assert_eq!((judge.texts(Channel::Content), judge.asked.as_ref().unwrap().model.as_str()), (vec!["a", "b"], "m"));
    let asked = told(request("/api/show"), "{\"name\":\"m\",\"verbose\":true}").asked.unwrap();
    assert_eq!(asked.model, "m");
}

#[test]
fn what_ollama_would_read_in_another_way_is_refused() {
    for body in [
        r#"{"model":"m","Model":"other","prompt":"p"}"#,
        r#"{"model":"m","PROMPT":"p"}"#,
        r#"{"model":"m","mess\u0061ges":[],"ToolS":[]}"#,
        "{\"model\":\"m\",\"tool\u{17f}\":[]}",
        "{\"model\":\"m\",\"\u{212a}eep_alive\":1}",
        r#"{"model":"m","messages":[{"role":"user","Content":"c"}]}"#,
        r#"{"model":"m","messages":[{"content":"c"}]}"#,
        r#"{"model":"m","messages":{"role":"user"}}"#,
        r#"{"model":"m","messages":[{"role":"user","content":["c"]}]}"#,
        r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"Function":{"name":"n"}}]}]}"#,
        r#"{"model":"m","prompt":"p","context":[1,2]}"#,
        r#"{"model":"m","prompt":"p","prompt":"q"}"#,
        "[]",
    ] {
        let mut flow = request("/api/chat");
        assert!(flow.push(body.as_bytes()).and_then(|()| flow.finish()).is_err(), "{body}");
    }
    let mut flow = request("/api/embed");
    assert!(flow.push(b"{\"model\":\"m\",\"MODEL\":\"n\"}").and_then(|()| flow.finish()).is_err());
}

#[test]
fn tools_are_taken_away_and_parameters_changed() {
    let body = r#"{"model":"m", "messages":[], "tools":[{"type":"function","function":{"name":"rm"}}, {"type":"function","function":{"name":"ls"}}]}"#;
    let out = |names: &[&str]| {
        let mut flow = request("/api/chat");
        flow.push(body.as_bytes()).unwrap();
        flow.finish().unwrap();
        flow.remove_tools(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        flow.patch_parameters("{\"options\":{\"seed\":7}}").unwrap();
        assert!(
            flow.patch_parameters("{\"prompt\":\"x\"}").is_err() && flow.patch_parameters("{\"stream\":true}").is_err()
        );
        let mut out = BytesMut::new();
        Judge::default().turn(&mut *flow, &mut out);
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    let left = out(&["rm"]);
    assert_eq!((left["tools"].as_array().unwrap().len(), &left["options"]["seed"]), (1, &json!(7)));
    assert!(out(&["rm", "ls"]).get("tools").is_none());
}

fn chat(text: &str) -> Value {
    json!({ "model": "m", "created_at": "2025-10-26T17:15:24.097767Z", "message": { "role": "assistant", "content": text }, "done": false })
}

fn done() -> Value {
    json!({ "model": "m", "created_at": "2025-10-26T17:15:24.1Z", "message": { "role": "assistant", "content": "" }, "done": true,
        "done_reason": "stop", "total_duration": 10_706_818_083_u64, "prompt_eval_count": 26, "eval_count": 290 })
}

#[test]
fn a_canary_is_masked_at_every_split_of_every_channel() {
    let text = format!("é {CANARY}.");
    let channels: [(&str, Write); 5] = [
        ("/message/content", chat),
        ("/response", |text| json!({ "model": "m", "response": text, "done": false })),
        ("/message/thinking", |text| json!({ "message": { "content": "", "thinking": text }, "done": false })),
        ("/thinking", |text| json!({ "response": "", "thinking": text, "done": false })),
        ("/message/novel/deep", |text| json!({ "message": { "novel": { "deep": text } }, "done": false })),
    ];
    for (path, line) in channels {
        for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
            let body = lines(&[line(&text[..at]), line(&text[at..]), done()]);
            for cut in 0..=body.len() {
                let out = run(answer(LINES), &mut Judge::masking(), body.as_bytes(), &[cut]).unwrap().concat();
                let out = String::from_utf8(out).unwrap();
                assert_eq!(joined(&out, path), "é [SSN].", "{path} {at} {cut}");
                assert_eq!(out.lines().count(), 3);
            }
            told(answer(LINES), &body);
        }
        // The same, whole.
        let mut whole = line(&text);
        whole["done"] = true.into();
        assert_eq!(joined(&masked(answer(JSON), &whole.to_string()), path), "é [SSN].");
    }
}

#[test]
fn every_other_string_of_an_answer_is_seen() {
    let line = json!({
        "model": CANARY, "remote_host": CANARY, "created_at": CANARY, "done_reason": CANARY, "novel": { CANARY: [CANARY] },
        "message": { "role": CANARY, "content": CANARY, "images": [CANARY], "tool_calls": [
            { "id": CANARY, "novel": CANARY, "function": { "name": CANARY, "arguments": { CANARY: CANARY } } }] },
        "number": 123_456_789,
    });
    let (mut whole, error) = (line.clone(), json!({ "error": CANARY }));
    whole["error"] = CANARY.into();
    for (content_type, body) in [(LINES, lines(&[line, error])), (JSON, whole.to_string())] {
        assert_eq!(masked(answer(content_type), &body), body.replace(CANARY, MASK));
        assert!(told(answer(content_type), &body).texts(Channel::Field).contains(&"123456789"));
    }
    for (method, path) in [("GET", "/api/tags"), ("POST", "/api/show"), ("POST", "/api/embed")] {
        let flow = || at(method, path).response(200, JSON, Limits::default()).unwrap();
        let body = format!(
            "{{\"models\":[{{\"name\":\"{CANARY}\"}}],\"{CANARY}\":1,\"embeddings\":[[0.12345678,\"{CANARY}\"]]}}"
        );
        assert_eq!(masked(flow(), &body), body.replace(CANARY, MASK));
    }
    let vectors = told(
        at("POST", "/api/embed").response(200, JSON, Limits::default()).unwrap(),
        "{\"embeddings\":[[0.12345678,-1.2345678e-7,780511200]],\"total_duration\":14143917}",
    );
    assert_eq!(vectors.texts(Channel::Field), ["780511200"]);
}

#[test]
fn a_tool_call_is_held_until_it_is_decided() {
    let call = json!({ "message": { "role": "assistant", "content": "", "tool_calls": [
        { "id": "c1", "function": { "index": 0, "name": "mail", "arguments": { "to": CANARY, "n": 12 } } }] }, "done": false });
    let body = lines(&[chat("a"), call, done()]);
    let judge = told(answer(LINES), &body);
    assert_eq!(judge.calls.len(), 1);
    assert_eq!((judge.calls[0].1.as_str(), judge.calls[0].2.as_str()), ("c1", "mail"));
    let out = masked(answer(LINES), &body);
    let line = value(out.lines().nth(1).unwrap());
    assert_eq!(line["message"]["tool_calls"][0]["function"]["arguments"], json!({ "to": MASK, "n": 12 }));

    let mut flow = answer(LINES);
    let mut out = BytesMut::new();
    flow.push(body.as_bytes()).unwrap();
    flow.finish().unwrap();
    let mut calls = Vec::new();
    while let Some(step) = flow.next() {
        match step {
            wire::Step::End(part) => flow.release(part, 1000, Vec::new()),
            wire::Step::ToolCall(call) => calls.push(call),
            _ => {}
        }
    }
    flow.take(&mut out);
    assert_eq!(out, format!("{}\n", chat("a")).as_bytes(), "nothing leaves past an open call");
    assert_eq!(value(&flow.tool_input(calls[0].call)), json!({ "to": CANARY, "n": 12 }));
    flow.clear_tool_call(calls[0].call, Some("{\"to\":\"nobody\"}".into()));
    flow.take(&mut out);
    let out = String::from_utf8(out.to_vec()).unwrap();
    assert_eq!(
        value(out.lines().nth(1).unwrap())["message"]["tool_calls"][0]["function"]["arguments"],
        json!({ "to": "nobody" })
    );
}

#[test]
fn the_context_goes_when_anything_of_what_it_repeats_was_changed() {
    let generate = |text: &str| json!({ "model": "m", "response": text, "done": false });
    let end = json!({ "model": "m", "response": "", "done": true, "context": [101, 20_000, 7] });
    for at in 0..=CANARY.len() {
        let body = lines(&[generate(&CANARY[..at]), generate(&CANARY[at..]), generate(" a"), end.clone()]);
        let mut flow = answer(LINES);
        let (mut judge, mut out) = (Judge::masking(), BytesMut::new());
        for line in body.split_inclusive('\n') {
            flow.push(line.as_bytes()).unwrap();
            judge.turn(&mut *flow, &mut out);
        }
        let out = String::from_utf8(out.to_vec()).unwrap();
        assert_eq!(value(out.lines().last().unwrap())["context"], json!([]), "{out}");
    }
    let body = lines(&[generate("fine"), end]);
    assert_eq!(masked(answer(LINES), &body), body);
    let whole = json!({ "response": CANARY, "thinking": "t", "done": true, "context": [1, 2] });
    assert_eq!(value(&masked(answer(JSON), &whole.to_string()))["context"], json!([]));
    let whole = json!({ "response": "r", "thinking": CANARY, "done": true, "context": [1, 2] });
    assert_eq!(value(&masked(answer(JSON), &whole.to_string()))["context"], json!([]));
}

#[test]
fn tokens_of_changed_text_do_not_leave() {
    let token = |text: &str| json!({ "token": text, "logprob": -0.1, "bytes": text.as_bytes(), "top_logprobs": [{ "token": "zz", "logprob": -1 }] });
    let line = |text: &str, tokens: &[&str]| {
        let tokens: Vec<Value> = tokens.iter().map(|text| token(text)).collect();
        json!({ "message": { "content": text }, "done": false, "logprobs": tokens })
    };
    for (text, tokens) in [(CANARY, vec!["078-", "05-1120"]), ("x", vec!["078-", "05-1120"])] {
        let body = lines(&[line("fine", &["fi", "ne"]), line(text, &tokens), done()]);
        let out = masked(answer(LINES), &body);
        let second = value(out.lines().nth(1).unwrap());
        assert_eq!(second["logprobs"], json!([]), "{out}");
        assert_eq!(out.lines().next(), body.lines().next());
        told(answer(LINES), &body);
    }
}

#[test]
fn errors_are_seen_and_nothing_follows_the_end() {
    let body = format!("{}{{\"error\":\"no {CANARY}\"}}\n", lines(&[chat("a")]));
    let out = masked(answer(LINES), &body);
    assert_eq!(value(out.lines().last().unwrap())["error"], "no [SSN]");
    assert_eq!(told(answer(LINES), &body).texts(Channel::Error), [format!("no {CANARY}")]);
    let failed = at("POST", "/api/chat").response(404, JSON, Limits::default()).unwrap();
    assert_eq!(masked(failed, "{\"error\":\"078-05-1120\"}"), "{\"error\":\"[SSN]\"}");
    let late = lines(&[done(), chat("late")]);
    assert!(run(answer(LINES), &mut Judge::default(), late.as_bytes(), &[]).is_err());
    for bad in ["[]\n", "{}{}\n", "x\n", "{\"message\":{\"tool_calls\":[1]}}\n"] {
        assert!(run(answer(LINES), &mut Judge::default(), bad.as_bytes(), &[]).is_err(), "{bad}");
    }
    assert!(at("POST", "/api/chat").response(200, "text/event-stream", Limits::default()).is_err());
}

#[test]
fn usage_is_told_and_streams_are_lines() {
    let mut flow = answer(LINES);
    flow.push(lines(&[chat("a"), done()]).as_bytes()).unwrap();
    assert_eq!((flow.usage().input_tokens, flow.usage().output_tokens), (26, 290));
    let chat = at("POST", "/api/chat");
    assert!(chat.streams(200, LINES) && !chat.streams(200, JSON));
    assert_eq!((chat.stream_type(), chat.heartbeat("x")), (LINES, b" ".to_vec()));
    let complaint = Complaint {
        status: 403,
        code: "blocked".into(),
        message: "no".into(),
        request_id: "r".into(),
        policy: String::new(),
        replies: Vec::new(),
    };
    let line = chat.last_words(Broken { content_type: LINES, begun: true }, &complaint);
    assert!(line.ends_with(b"\n") && value(std::str::from_utf8(&line).unwrap())["error"] == "no (request r)");
    assert!(chat.last_words(Broken { content_type: JSON, begun: true }, &complaint).is_empty());
    for streaming in [true, false] {
        let refusal = chat.refusal("m", streaming, &complaint);
        let body = value(std::str::from_utf8(&refusal.body).unwrap());
        assert_eq!(
            (refusal.status, &body["message"]["content"], &body["done"]),
            (200, &json!("no (request r)"), &json!(true))
        );
        assert_eq!(refusal.content_type == LINES, streaming);
    }
}

/// A body is refused, with these words.
fn refused(content_type: &str, body: &str, why: &str) {
    let error = run(answer(content_type), &mut Judge::masking(), body.as_bytes(), &[]).unwrap_err().to_string();
    assert!(error.contains(why), "{error}: {body}");
}

#[test]
fn a_whole_answer_has_no_lines_that_are_objects() {
    // Clients that asked for a stream read lines, whatever the content type says, and pass over those that are no JSON.
    let [first, last] = ["ssn 078-05-", "1120"].map(|text| chat(text).to_string());
    for body in [
        format!(
            "{{\"x\":[\n{first}\n,\n{last}\n],\"message\":{{\"role\":\"assistant\",\"content\":\"\"}},\"done\":true}}\n"
        ),
        format!("{{\"x\":[\n \t{first}\r\n,{last}]}}"),
        format!("{{\"x\":\n{first}\n}}"),
        format!("{{\"x\":\r{first}\r}}"),
    ] {
        let out = masked(answer(JSON), &body);
        assert_eq!(out, body.replace(['\r', '\n'], " "));
    }
    // As servers write: on one line, or pretty.
    let whole = json!({"message":{"role":"assistant","content":"a","tool_calls":[{"function":{"name":"n","arguments":{}}}]},"done":true});
    let pretty = serde_json::to_string_pretty(&whole).unwrap();
    for body in [format!("{whole}"), format!("\n {whole}\r\n\n"), format!("{pretty}\n")] {
        assert_eq!(masked(answer(JSON), &body), body);
    }
}

#[test]
fn a_line_is_one_to_every_client() {
    // Clients in Python end lines with CR, and with some characters that JSON has in its strings, as well.
    let said = chat("a\u{2028}b\u{85}c\u{2029}\u{2027}").to_string();
    let escaped = said.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029").replace('\u{85}', "\\u0085");
    assert_eq!(masked(answer(LINES), &format!("{said}\r\n")), format!("{escaped}\r\n"));
    refused(LINES, &format!("{{\"x\":\r{said}\r}}\n"), "no CR in it");
}

#[test]
fn nothing_is_said_where_clients_stop() {
    let call =
        json!({"message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"n","arguments":{}}}]}});
    let why = "no text and no calls";
    let with = |text: &str, member: &str, value: Value| {
        let mut line = chat(text);
        line[member] = value;
        line
    };
    for error in [json!({"error":"overloaded"}), json!({"error":null}), json!({"error":{"message":"x"}})] {
        for behind in [chat("9"), call.clone(), json!({"response":"9"}), json!({"message":{"thinking":"9"}})] {
            refused(LINES, &lines(&[chat("ssn 078-05-"), chat("1120"), error.clone(), behind]), why);
        }
        let out = masked(answer(LINES), &lines(&[chat("ssn 078-05-"), chat("1120"), error.clone(), done()]));
        assert!(out.contains(MASK) && !out.contains("078-05-"), "{out}");
    }
    refused(LINES, &lines(&[chat("ssn 078-05-"), with("zz", "error", json!("x")), chat("1120")]), why);
    // The line that says so still counts.
    let success = with("1120", "status", "success".into());
    refused(LINES, &lines(&[chat("ssn 078-05-"), success.clone(), chat("9")]), why);
    let out = masked(answer(LINES), &lines(&[chat("ssn 078-05-"), success, done()]));
    assert!(out.contains(MASK) && !out.contains("078-05-"), "{out}");
    told(answer(LINES), &lines(&[with("a", "status", "loading".into()), chat("b"), done()]));
    for odd in [json!(1), json!("true"), json!({}), json!([])] {
        refused(LINES, &lines(&[chat("ssn 078-05-"), with("1120", "done", odd), chat("9")]), "`done` is true or false");
    }
    told(answer(LINES), &lines(&[with("a", "done", Value::Null), done()]));
}
