//! Gemini: every field that is a channel, whole, as events and as a streamed array, over every split, with a decoder of
//! its own.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use model::{Channel, Connection, Family, OnBlock, Restore, Speaker, Upstream};
use serde_json::{Value, json};
use support::{CANARY, Judge, MASK, events, masked, masked_words, run, told, value};
use wire::{Broken, Complaint, Endpoint, Flow, Limits};

const MODEL: &str = "/v1beta/models/gemini-2.5-flash";
const SSE: &str = "text/event-stream";
const JSON: &str = "application/json; charset=UTF-8";

fn find(method: &str, path: &str, query: &str) -> Option<&'static dyn Endpoint> {
    let upstream = Upstream { tls: true, authority: "model".into(), base_path: String::new() };
    let connection = Connection {
        name: "c".into(),
        path_prefix: "/".into(),
        upstream,
        family: Family::Gemini,
        on_block: OnBlock::Error,
        endpoints: Vec::new(),
        restore: Restore::Off,
        caller_headers: Vec::new(),
    };
    wire::endpoint(&connection, method, path, query)
}

fn at(verb: &str, query: &str) -> &'static dyn Endpoint {
    find("POST", &format!("{MODEL}:{verb}"), query).unwrap()
}

fn request(verb: &str) -> Box<dyn Flow> {
    at(verb, "").request_at(&format!("{MODEL}:{verb}"), "application/json", Limits::default()).unwrap()
}

/// Writes a text where a channel has it.
type Write = fn(&str) -> Value;

/// The three framings of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Whole,
    Events,
    Array,
}

const FRAMINGS: [Framing; 3] = [Framing::Whole, Framing::Events, Framing::Array];

impl Framing {
    fn flow(self) -> Box<dyn Flow> {
        let limits = Limits::default();
        match self {
            Self::Whole => at("generateContent", "").response(200, JSON, limits),
            Self::Events => at("streamGenerateContent", "?alt=sse").response(200, SSE, limits),
            Self::Array => at("streamGenerateContent", "").response(200, JSON, limits),
        }
        .unwrap()
    }

    fn write(self, documents: &[Value]) -> String {
        match self {
            Self::Whole => {
                assert_eq!(documents.len(), 1);
                documents[0].to_string()
            }
            Self::Events => documents.iter().map(|document| format!("data: {document}\r\n\r\n")).collect(),
            Self::Array => {
                let items: Vec<String> =
                    documents.iter().map(|document| serde_json::to_string_pretty(document).unwrap()).collect();
                format!("[{}\n]\n", items.join("\n,\r\n"))
            }
        }
    }

    /// The documents that a client gets.
    fn read(self, body: &str) -> Vec<Value> {
        match self {
            Self::Whole => vec![value(body)],
            Self::Events => events(body.as_bytes()).iter().map(|data| value(data)).collect(),
            Self::Array => serde_json::from_str(body).unwrap(),
        }
    }
}

fn piece(part: &Value) -> Value {
    json!({ "candidates": [{ "content": { "parts": [part], "role": "model" }, "index": 0 }], "modelVersion": "gemini" })
}

/// The strings at a path of the parts of candidate 0, joined.
fn joined(documents: &[Value], pointer: &str) -> String {
    documents
        .iter()
        .flat_map(|document| document["candidates"].as_array().into_iter().flatten())
        .filter(|candidate| candidate["index"].as_u64().unwrap_or(0) == 0)
        .flat_map(|candidate| candidate["content"]["parts"].as_array().into_iter().flatten())
        .filter_map(|part| part.pointer(pointer).and_then(Value::as_str))
        .collect()
}

#[test]
fn only_what_generates_counts_and_lists_is_claimed() {
    for (method, path, query, dialect) in [
        ("POST", "/v1beta/models/m:generateContent", "", "gemini"),
        ("POST", "/v1beta/models/m:streamGenerateContent", "?alt=sse", "gemini"),
        ("POST", "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent", "", "gemini"),
        ("POST", "/v1beta/models/m:countTokens", "", "gemini-count-tokens"),
        ("POST", "/v1beta/models/m:embedContent", "", "gemini-embeddings"),
        ("POST", "/v1beta/models/m:batchEmbedContents", "", "gemini-embeddings"),
        ("GET", "/v1beta/models", "?pageSize=5", "gemini-models"),
        ("GET", "/v1beta/models/m", "", "gemini-models"),
    ] {
        assert_eq!(find(method, path, query).unwrap().dialect(), dialect, "{path}");
    }
    for (method, path, query) in [
        ("POST", "/v1beta/models/m:predict", ""),
        ("POST", "/v1beta/models/m:generateContent", "?$httpMethod=DELETE"),
        ("POST", "/v1beta/models/m:generateContent", "?alt=proto"),
        ("POST", "/v1beta/cachedContents", ""),
        ("DELETE", "/v1beta/models/m", ""),
        ("GET", "/v1beta/files", ""),
        ("GET", "/v1beta/models/m:generateContent", ""),
    ] {
        assert!(find(method, path, query).is_none(), "{method} {path}{query}");
    }
}

#[test]
fn every_text_of_a_request_has_its_channel() {
    let body = json!({
        "system_instruction": { "parts": { "text": "rules" } },
        "contents": [
            { "role": "user", "parts": [
                { "text": "question" }, { "inlineData": { "mimeType": "image/png", "data": "A".repeat(300) } },
                { "fileData": { "fileUri": "gs://bucket/file" } }, { "inline_data": { "data": "short" } } ] },
            { "role": "model", "parts": [
                { "text": "hmm", "thought": true, "thoughtSignature": "c2ln" }, { "text": "so" },
                { "functionCall": { "id": "id-1", "name": "weather", "args": { "where": ["Oslo"], "n": 1_234_567 } } },
                { "executableCode": { "language": "PYTHON", "code": "print(1)" } },
                { "codeExecutionResult": { "outcome": "OUTCOME_OK", "output": "1" } } ] },
            { "role": "function", "parts": [
                { "functionResponse": { "name": "weather", "response": { "result": "cold" } } } ] },
        ],
        "tools": [{ "functionDeclarations": [{ "name": "weather", "description": "says it", "parameters": { "type": "OBJECT" } }] },
            { "googleSearch": {} }],
        "generationConfig": { "stopSequences": ["stop-here"], "candidateCount": 2 },
        "novel": "odd",
    });
    let judge = told(request("streamGenerateContent"), &body.to_string());
    let said = judge.said();
    let has = |channel, speaker, text: &str| said.contains(&(channel, speaker, text.to_owned()));
    assert!(has(Channel::Content, Speaker::System, "rules"));
    assert!(has(Channel::Content, Speaker::User, "question"));
    assert!(has(Channel::Reasoning, Speaker::Assistant, "hmm"));
    assert!(has(Channel::Content, Speaker::Assistant, "so"));
    assert!(has(Channel::Content, Speaker::Assistant, "print(1)"));
    for text in ["weather", "where", "Oslo", "1234567"] {
        assert!(has(Channel::ToolInput, Speaker::Assistant, text), "{text}");
    }
    for text in ["cold", "1"] {
        assert!(has(Channel::ToolResult, Speaker::Tool, text), "{text}");
    }
    for text in ["gs://bucket/file", "short", "id-1", "c2ln", "stop-here", "novel", "odd"] {
        assert!(has(Channel::Field, Speaker::User, text), "{text}");
    }
    assert!(has(Channel::ToolDefinition, Speaker::Developer, "says it"));
    let asked = judge.asked.unwrap();
    assert_eq!((asked.model.as_str(), asked.streaming), ("gemini-2.5-flash", true));
    assert_eq!(asked.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["weather", "googleSearch"]);
    assert!(asked.parameters.contains("candidateCount") && !asked.parameters.contains("question"));

    let judge = told(
        request("countTokens"),
        r#"{"generateContentRequest":{"model":"models/gemini-2.5-flash","contents":[{"parts":[{"text":"c"}]}]}}"#,
    );
    assert_eq!((judge.texts(Channel::Content), judge.asked.as_ref().unwrap().streaming), (vec!["c"], false));
    let judge = told(
        request("batchEmbedContents"),
        r#"{"requests":[{"model":"models/gemini-2.5-flash","content":{"parts":[{"text":"e"}]},"title":"t"}]}"#,
    );
    assert_eq!(judge.texts(Channel::Content), ["e"]);
}

#[test]
fn what_can_not_be_judged_as_google_reads_it_is_refused() {
    for body in [
        r#"{"model":"models/other","contents":[]}"#,
        r#"{"contents":["text"]}"#,
        r#"{"contents":[{"parts":["text"]}]}"#,
        r#"{"contents":[],"contents":[]}"#,
        r#"{"generateContentRequest":{"model":"models/other"}}"#,
        r#"{"requests":[{"model":"models/other"}]}"#,
        "[]",
    ] {
        let mut flow = request("generateContent");
        assert!(flow.push(body.as_bytes()).and_then(|()| flow.finish()).is_err(), "{body}");
    }
}

#[test]
fn tools_are_taken_away_and_parameters_changed() {
    let body = r#"{"contents":[{"parts":{"text":"x"}}], "tools":[{"function_declarations":[{"name":"rm"},{"name":"ls"}], "googleSearch":{}},{"functionDeclarations":[{"name":"cp"}]}], "toolConfig":{"functionCallingConfig":{"allowedFunctionNames":["rm"]}}}"#;
    let out = |names: &[&str]| {
        let mut flow = request("generateContent");
        flow.push(body.as_bytes()).unwrap();
        flow.finish().unwrap();
        flow.remove_tools(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        flow.patch_parameters("{\"generationConfig\":{\"seed\":7}}").unwrap();
        for forbidden in ["contents", "system_instruction", "systemInstruction", "tools", "model"] {
            assert!(flow.patch_parameters(&format!("{{\"{forbidden}\":1}}")).is_err(), "{forbidden}");
        }
        let mut out = BytesMut::new();
        Judge::default().turn(&mut *flow, &mut out);
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    let left = out(&["rm"]);
    assert_eq!(left["tools"][0], json!({ "function_declarations": [{ "name": "ls" }], "googleSearch": {} }));
    assert!(left.get("toolConfig").is_none() && left["generationConfig"]["seed"] == 7);
    assert_eq!(out(&["cp"])["tools"].as_array().unwrap().len(), 1);
    assert_eq!(out(&["googleSearch"])["tools"][0].get("googleSearch"), None);
    assert_eq!(out(&["rm", "ls"])["tools"][0], json!({ "googleSearch": {} }));
    assert!(out(&["rm", "ls", "cp", "googleSearch"]).get("tools").is_none());
}

#[test]
fn a_tool_that_stands_alone_is_taken_away_as_one_of_a_list() {
    let left = |tools: &Value, name: &str| {
        let body = json!({ "contents": [], "tools": tools });
        let told = told(request("generateContent"), &body.to_string()).asked.unwrap().tools;
        assert_eq!(told[0].name, name, "{tools}");
        let mut flow = request("generateContent");
        flow.push(body.to_string().as_bytes()).unwrap();
        flow.finish().unwrap();
        flow.remove_tools(&[name.to_owned()]);
        let mut out = BytesMut::new();
        Judge::default().turn(&mut *flow, &mut out);
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    let none = json!({ "contents": [] });
    assert_eq!(left(&json!([{ "functionDeclarations": { "name": "shell", "description": "d" } }]), "shell"), none);
    assert_eq!(left(&json!({ "function_declarations": { "name": "shell" } }), "shell"), none);
    assert_eq!(left(&json!([{ "functionDeclarations": [{ "description": "d" }] }]), ""), none, "without a name");
    let search = json!([{ "functionDeclarations": { "name": "shell" }, "googleSearch": {} }]);
    assert_eq!(left(&search, "shell"), json!({ "contents": [], "tools": [{ "googleSearch": {} }] }));
}

#[test]
fn a_canary_is_masked_at_every_split_of_every_channel() {
    let text = format!("é {CANARY}.");
    let channels: [(&str, Write); 5] = [
        ("/text", |text| json!({ "text": text })),
        ("/text", |text| json!({ "text": text, "thought": true })),
        ("/executableCode/code", |text| json!({ "executableCode": { "language": "PYTHON", "code": text } })),
        (
            "/codeExecutionResult/output",
            |text| json!({ "codeExecutionResult": { "outcome": "OUTCOME_OK", "output": text } }),
        ),
        ("/novel/deep", |text| json!({ "novel": { "deep": text } })),
    ];
    for framing in [Framing::Events, Framing::Array] {
        for (path, part) in channels {
            for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
                let body = framing.write(&[piece(&part(&text[..at])), piece(&part(&text[at..]))]);
                for cut in (0..=body.len()).filter(|cut| at % 4 == 0 || cut % 16 == 0) {
                    let out = run(framing.flow(), &mut Judge::masking(), body.as_bytes(), &[cut]).unwrap().concat();
                    let out = framing.read(std::str::from_utf8(&out).unwrap());
                    assert_eq!(
                        (joined(&out, path).as_str(), out.len()),
                        ("é [SSN].", 2),
                        "{framing:?} {path} {at} {cut}"
                    );
                }
                told(framing.flow(), &body);
            }
        }
    }
    for (path, part) in channels {
        let out = masked(Framing::Whole.flow(), &piece(&part(&text)).to_string());
        assert_eq!(joined(&[value(&out)], path), "é [SSN].", "{path}");
    }
}

#[test]
fn an_array_leaves_item_by_item_and_is_valid_so_far() {
    let body = Framing::Array.write(&[piece(&json!({ "text": "a" })), piece(&json!({ "text": "b" }))]);
    let mut flow = Framing::Array.flow();
    let (mut judge, mut all) = (Judge::default(), Vec::new());
    for byte in body.as_bytes() {
        let mut out = BytesMut::new();
        flow.push(&[*byte]).unwrap();
        judge.turn(&mut *flow, &mut out);
        if !out.is_empty() {
            all.extend_from_slice(&out);
            let text = std::str::from_utf8(&all).unwrap().trim_end();
            let closed = if text.ends_with(']') { text.to_owned() } else { format!("{text}]") };
            assert!(serde_json::from_str::<Vec<Value>>(&closed).is_ok(), "{text}");
        }
    }
    flow.finish().unwrap();
    assert_eq!(all, body.as_bytes());
    // What is no array is one document: an error, or a server that does not stream.
    let error = format!("{{\"error\":{{\"code\":400,\"message\":\"no {CANARY}\",\"status\":\"INVALID_ARGUMENT\"}}}}");
    for body in [error.clone(), format!("[{error}]")] {
        assert_eq!(masked(Framing::Array.flow(), &body), body.replace(CANARY, MASK));
    }
    for bad in ["[{}", "[{}]x", "[1]", "[[]]", ""] {
        assert!(run(Framing::Array.flow(), &mut Judge::default(), bad.as_bytes(), &[]).is_err(), "{bad}");
    }
}

#[test]
fn every_other_string_of_an_answer_is_seen() {
    let document = json!({
        "candidates": [{
            "content": { "role": CANARY, "novel": CANARY, "parts": [
                { "text": CANARY, "novel": [CANARY], "thoughtSignature": CANARY },
                { "inlineData": { "mimeType": CANARY, "data": CANARY } }, { "fileData": { "fileUri": CANARY } } ] },
            "finishReason": CANARY, "finishMessage": CANARY, "novel": { CANARY: CANARY },
            "safetyRatings": [{ "category": CANARY, "probability": CANARY }],
            "citationMetadata": { "citationSources": [{ "uri": CANARY, "license": CANARY, "startIndex": 1 }] },
            "groundingMetadata": { "webSearchQueries": [CANARY], "searchEntryPoint": { "renderedContent": CANARY },
                "groundingChunks": [{ "web": { "uri": CANARY, "title": CANARY } }],
                "groundingSupports": [{ "segment": { "text": CANARY } }] },
        }],
        "promptFeedback": { "blockReason": CANARY, "safetyRatings": [{ "category": CANARY }] },
        "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5, CANARY: 1 },
        "modelVersion": CANARY, "responseId": CANARY, "createTime": CANARY, "novel": 123_456_789,
        "error": { "message": CANARY, "status": CANARY, "details": [{ "@type": CANARY, "reason": CANARY }] },
    });
    for framing in FRAMINGS {
        let mut documents = vec![document.clone()];
        if framing != Framing::Whole {
            // There an error stands by itself.
            let error = documents[0].as_object_mut().unwrap().remove("error");
            documents.push(json!({ "error": error }));
        }
        let body = framing.write(&documents);
        assert_eq!(masked(framing.flow(), &body), body.replace(CANARY, MASK), "{framing:?}");
        let judge = told(framing.flow(), &body);
        assert!(judge.texts(Channel::Field).contains(&"123456789"));
        assert_eq!(judge.texts(Channel::Error), [CANARY]);
        let mut flow = framing.flow();
        flow.push(body.as_bytes()).unwrap();
        flow.finish().unwrap();
        assert_eq!((flow.usage().input_tokens, flow.usage().output_tokens), (3, 9));
    }
    for (method, path) in
        [("GET", "/v1beta/models"), ("POST", "/v1beta/models/m:embedContent"), ("POST", "/v1beta/models/m:countTokens")]
    {
        let flow = || find(method, path, "").unwrap().response(200, JSON, Limits::default()).unwrap();
        let body = format!(
            "{{\"models\":[{{\"displayName\":\"{CANARY}\"}}],\"embedding\":{{\"values\":[0.12345678,\"{CANARY}\"]}},\"{CANARY}\":1}}"
        );
        assert_eq!(masked(flow(), &body), body.replace(CANARY, MASK));
        assert!(!told(flow(), &body).texts(Channel::Field).contains(&"0.12345678"));
    }
}

#[test]
fn candidates_are_judged_each_by_itself() {
    let candidate = |index: u64, text: &str| {
        let mut candidate = json!({ "content": { "parts": [{ "text": text }] }, "finishReason": "STOP" });
        if index > 0 {
            candidate["index"] = index.into();
        }
        json!({ "candidates": [candidate] })
    };
    for framing in [Framing::Events, Framing::Array] {
        let body = framing.write(&[
            candidate(0, "078-"),
            candidate(1, "x"),
            candidate(0, "05-1120"),
            candidate(1, "078-05"),
            candidate(1, "-1120"),
        ]);
        let out = framing.read(&masked(framing.flow(), &body));
        assert_eq!(joined(&out, "/text"), MASK);
        let other: String = out
            .iter()
            .filter(|document| document["candidates"][0]["index"] == 1)
            .map(|document| document["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap())
            .collect();
        assert_eq!(other, "x[SSN]");
    }
}

#[test]
fn a_function_call_is_held_until_it_is_decided() {
    let call =
        piece(&json!({ "functionCall": { "id": "c1", "name": "mail", "args": { "to": CANARY, "n": [1, true] } } }));
    for framing in [Framing::Events, Framing::Array] {
        let body = framing.write(&[piece(&json!({ "text": "a" })), call.clone(), piece(&json!({ "text": "b" }))]);
        let judge = told(framing.flow(), &body);
        assert_eq!((judge.calls[0].1.as_str(), judge.calls[0].2.as_str()), ("c1", "mail"));
        let out = framing.read(&masked(framing.flow(), &body));
        let args = |out: &[Value]| out[1]["candidates"][0]["content"]["parts"][0]["functionCall"]["args"].clone();
        assert_eq!(args(&out), json!({ "to": MASK, "n": [1, true] }));

        let mut flow = framing.flow();
        let (mut out, mut calls) = (BytesMut::new(), Vec::new());
        flow.push(body.as_bytes()).unwrap();
        flow.finish().unwrap();
        while let Some(step) = flow.next() {
            match step {
                wire::Step::End(part) => flow.release(part, 1000, Vec::new()),
                wire::Step::ToolCall(call) => calls.push(call),
                _ => {}
            }
        }
        flow.take(&mut out);
        assert!(!std::str::from_utf8(&out).unwrap().contains("mail"), "nothing leaves past an open call");
        flow.clear_tool_call(calls[0].call, Some("{\"to\":\"nobody\"}".into()));
        flow.take(&mut out);
        assert_eq!(args(&framing.read(std::str::from_utf8(&out).unwrap())), json!({ "to": "nobody" }));
    }
    for in_pieces in [json!({ "name": "n", "willContinue": true }), json!({ "name": "n", "partialArgs": [] })] {
        let body = piece(&json!({ "functionCall": in_pieces })).to_string();
        assert!(run(Framing::Whole.flow(), &mut Judge::default(), body.as_bytes(), &[]).is_err());
    }
}

#[test]
fn tokens_of_changed_text_do_not_leave() {
    let document = |text: &str, tokens: &[&str], other: &str| {
        let chosen: Vec<Value> =
            tokens.iter().map(|token| json!({ "token": token, "tokenId": 7, "logProbability": -0.1 })).collect();
        let mut document = piece(&json!({ "text": text }));
        document["candidates"][0]["logprobsResult"] = json!({ "chosenCandidates": chosen, "topCandidates": [{ "candidates": [{ "token": other, "tokenId": 8 }] }] });
        document
    };
    for (text, tokens, other) in
        [(CANARY, vec!["078-", "05-1120"], "x"), ("x", vec!["078-", "05-1120"], "x"), ("fine", vec!["fine"], CANARY)]
    {
        for framing in FRAMINGS {
            let body = framing.write(&[document(text, &tokens, other)]);
            let out = framing.read(&masked(framing.flow(), &body));
            assert_eq!(out[0]["candidates"][0]["logprobsResult"], Value::Null, "{text} {other}");
            told(framing.flow(), &body);
        }
    }
    let clean = Framing::Events.write(&[document("fine", &["fi", "ne"], "x")]);
    assert_eq!(masked(Framing::Events.flow(), &clean), clean);
}

#[test]
fn a_stream_that_is_stopped_says_so_in_googles_form() {
    let complaint = Complaint {
        status: 403,
        code: "blocked".into(),
        message: "no".into(),
        request_id: "r".into(),
        policy: "p".into(),
        replies: Vec::new(),
    };
    let endpoint = at("streamGenerateContent", "");
    let words = |content_type, begun| {
        String::from_utf8(endpoint.last_words(Broken { content_type, begun }, &complaint)).unwrap()
    };
    for (before, begun) in [("", false), ("[{}", true)] {
        let items: Vec<Value> = serde_json::from_str(&format!("{before}{}]", words(JSON, begun))).unwrap();
        assert_eq!(items.last().unwrap()["error"]["status"], "PERMISSION_DENIED");
        assert!(!words(JSON, begun).contains(']') || words(JSON, begun).trim_end().ends_with('}'), "it stays open");
    }
    assert_eq!(value(&events(words(SSE, true).as_bytes())[0])["error"]["code"], 403);
    let whole = endpoint.complaint(&complaint);
    let body = value(std::str::from_utf8(&whole.body).unwrap());
    assert_eq!((&body["error"]["status"], &body["code"]), (&json!("PERMISSION_DENIED"), &json!("blocked")));
    for (verb, query, framing) in [
        ("generateContent", "", Framing::Whole),
        ("streamGenerateContent", "?alt=sse", Framing::Events),
        ("streamGenerateContent", "", Framing::Array),
    ] {
        let refusal = at(verb, query).refusal("m", framing != Framing::Whole, &complaint);
        let documents = framing.read(std::str::from_utf8(&refusal.body).unwrap());
        assert_eq!(joined(&documents, "/text"), "no (policy p, request r)");
        assert_eq!(at(verb, query).streams(200, refusal.content_type), framing != Framing::Whole);
    }
    assert!(!endpoint.streams(400, JSON));
    assert_eq!((endpoint.stream_type(), endpoint.heartbeat("x")), ("application/json", b" ".to_vec()));
}

#[test]
fn candidates_of_one_event_have_indices_of_their_own() {
    let candidate = |text: &str| json!({"content":{"role":"model","parts":[{ "text": text }]}});
    let body = json!({"candidates":[candidate("078-05-"), candidate("1120")]}).to_string();
    let event = format!("data: {body}\n\n");
    assert!(run(Framing::Events.flow(), &mut Judge::default(), event.as_bytes(), &[]).is_err());
    assert_eq!(told(Framing::Whole.flow(), &body).texts(Channel::Content), ["078-05-", "1120"]);
}

/// Writes two texts.
type Pair<'p, T> = &'p dyn Fn(&str, &str) -> T;

#[test]
fn code_and_what_it_came_to_are_judged_each_by_itself() {
    let code = |code: &str| json!({ "executableCode": { "language": "PYTHON", "code": code } });
    let output = |output: &str| json!({ "codeExecutionResult": { "outcome": "OUTCOME_OK", "output": output } });
    let list =
        |parts: &[Value]| json!({ "candidates": [{ "content": { "role": "model", "parts": parts }, "index": 0 }] });
    let cases: [Pair<'_, Vec<Value>>; 4] = [
        &|one, other| vec![output(one), code("print(1)"), output(other)],
        &|one, other| vec![code(one), output("ok"), code(other)],
        &|one, other| vec![output(one), output(other)],
        &|one, other| vec![json!({ "text": "so", "executableCode": { "code": one } }), code(other)],
    ];
    for parts in cases {
        for framing in FRAMINGS {
            let apart =
                |one: &str, other: &str| framing.write(&parts(one, other).iter().map(piece).collect::<Vec<_>>());
            let beside = |one: &str, other: &str| framing.write(&[list(&parts(one, other))]);
            let ways: [Pair<'_, String>; 2] = [&beside, &apart];
            for body in ways.iter().take(if framing == Framing::Whole { 1 } else { 2 }) {
                let flow = || framing.flow();
                assert_eq!(masked_words(flow(), &body("ssn 078-05-1120", "42")), body("ssn [SSN]", "42"));
                assert_eq!(masked_words(flow(), &body("42", "078-05-1120")), body("42", "[SSN]"));
                assert_eq!(masked_words(flow(), &body("ssn 078-05-", "1120")), body("ssn [SSN]", ""));
            }
        }
    }
}

#[test]
fn parts_that_the_dialect_does_not_know_are_judged_each_by_itself() {
    let part = |text: &str| json!({ "toolResponse": { "response": { "output": text } } });
    let body = |one: &str, other: &str| {
        json!({ "candidates": [{ "content": { "role": "model", "parts": [part(one), part(other)] } }] }).to_string()
    };
    for before in ["", &"y ".repeat(600)] {
        let (one, instead) = (format!("{before}ssn {CANARY}"), format!("{before}ssn {MASK}"));
        assert_eq!(masked_words(Framing::Whole.flow(), &body(&one, "9 x")), body(&instead, "9 x"));
        assert_eq!(masked_words(Framing::Whole.flow(), &body("x 9", &one)), body("x 9", &instead));
    }
    assert_eq!(masked(Framing::Whole.flow(), &body("a 078-05", "-1120 b")), body("a [SSN]", " b"));
}

/// Events as Google's clients find them: in JavaScript only what begins with `data:`, up to two ends of line of one kind;
/// in Python only lines that begin with `data: `, up to an empty one.
fn found(stream: &str) -> [Vec<Value>; 2] {
    let normal = stream.replace("\r\n\r\n", "\n\n");
    let script = normal.split("\n\n").map(str::trim).filter_map(|event| event.strip_prefix("data:"));
    let script: Vec<Value> = script.map(|data| value(data.trim())).collect();
    let mut lines = Vec::new();
    for line in stream.replace("\r\n", "\n").split('\n').filter(|line| !line.is_empty()) {
        lines.push(value(line.strip_prefix("data: ").expect("it takes any other line for JSON")));
    }
    [script, lines]
}

#[test]
fn every_event_is_one_line_to_googles_clients() {
    let (text, parts) = (|text: &str| piece(&json!({ "text": text })).to_string(), ["ssn 078-05-", "x", "1120 ok"]);
    let [first, decoy, last] = parts.map(text);
    let usual = [&first, &decoy, &last].map(|data| format!("data: {data}\n\n")).concat();
    for odd in [
        format!(":\ndata: {decoy}\n\n"),
        format!("id: 7\ndata: {decoy}\n\n"),
        format!("event: x\r\ndata: {decoy}\r\n\r\n"),
        format!("retry: 10\ndata: {decoy}\n: a\n\n"),
        format!("data:{decoy}\n\n"),
        format!("data: {decoy}\r\r"),
        format!("data: {decoy}\n\r\n"),
        format!("data: {decoy}\r\n\n"),
        format!("data: {}\n\n", decoy.replacen(":[", ":\ndata: [", 1).replacen(",\"", "\ndata:,\"", 1)),
        format!(":{{\n\nid: {{\n\ndata: \n\ndata\n\n: wait\n\ndata:\ndata: {decoy}\ndata\n\n"),
    ] {
        let body = [format!("data: {first}\n\n"), odd, format!("data: {last}\n\n")].concat();
        for cut in 0..=body.len() {
            let out = run(Framing::Events.flow(), &mut Judge::default(), body.as_bytes(), &[cut]).unwrap().concat();
            let out = String::from_utf8(out).unwrap();
            let expected = [&first, &decoy, &last].map(|data| value(data));
            assert_eq!(found(&out), [expected.to_vec(), expected.to_vec()], "cut at {cut}: {out:?}");
        }
        let out = masked(Framing::Events.flow(), &body.replace("\"x\"", &format!("\"{CANARY}\"")));
        assert!(!out.contains(CANARY) && out.contains(MASK), "{out}");
    }
    // A mark, and an end that is missing.
    for (before, end) in [("\u{feff}", "\n\n"), ("", ""), ("", "\n"), ("", "\r")] {
        let body = [before, usual.trim_end(), end].concat();
        let out = run(Framing::Events.flow(), &mut Judge::default(), body.as_bytes(), &[]).unwrap().concat();
        assert_eq!(String::from_utf8(out).unwrap(), usual);
    }
    // What is so already leaves as it came, and so do empty lines.
    for plain in [usual.clone(), usual.replace('\n', "\r\n"), format!("\n{usual}\r\n\n")] {
        for cut in 0..=plain.len() {
            let out = run(Framing::Events.flow(), &mut Judge::default(), plain.as_bytes(), &[cut]).unwrap().concat();
            assert_eq!(String::from_utf8(out).unwrap(), plain, "cut at {cut}");
        }
    }
    // A comment is no empty line to Google's client in Python.
    let stream = at("streamGenerateContent", "?alt=sse");
    assert_eq!(stream.heartbeat("wait"), b"\n\n");
}
