//! Generic views: any HTTP service at endpoints that rules allow. Nothing hides in a body, over any split; what nothing
//! changes leaves byte for byte; what no rule allows is denied.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use model::{Channel, Connection, EndpointRule, Family, OnBlock, Restore, Upstream, View};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{CANARY, Judge, MASK, events, run, told, unbroken, value};
use wire::{Broken, Complaint, Endpoint, Flow, Limits};

fn connection(family: Family, endpoints: Vec<EndpointRule>) -> Connection {
    let upstream = Upstream { tls: false, authority: "model".into(), base_path: String::new() };
    let (name, path_prefix, restore, caller_headers) = ("c".into(), "/".into(), Restore::Off, Vec::new());
    Connection { name, path_prefix, upstream, family, on_block: OnBlock::Error, endpoints, restore, caller_headers }
}

fn rule(path: &str, methods: &[&str], views: &[View]) -> EndpointRule {
    let methods = methods.iter().map(|method| (*method).to_owned()).collect();
    EndpointRule { path: path.into(), methods, views: views.to_vec() }
}

fn endpoint(views: &[View]) -> &'static dyn Endpoint {
    let connection = connection(Family::Http, vec![rule("/x", &["POST"], views)]);
    wire::endpoint(&connection, "POST", "/x", "").unwrap()
}

fn every() -> &'static dyn Endpoint {
    endpoint(&View::ALL.map(|(_, view)| view))
}

fn answer(content_type: &str) -> Box<dyn Flow> {
    every().response(200, content_type, Limits::default()).unwrap()
}

fn request(content_type: &str) -> Box<dyn Flow> {
    every().request(content_type, Limits::default()).unwrap()
}

const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";

fn masked(flow: Box<dyn Flow>, body: &str, cuts: &[usize]) -> String {
    String::from_utf8(run(flow, &mut Judge::masking(), body.as_bytes(), cuts).unwrap().concat()).unwrap()
}

#[test]
fn only_what_a_rule_allows_is_served() {
    let rules = vec![rule("/v1/rerank", &["POST"], &[View::Json]), rule("/v1/*", &["GET"], &[View::Text])];
    for family in [Family::Http, Family::Openai] {
        let connection = connection(family, rules.clone());
        let dialect = |method, path| wire::endpoint(&connection, method, path, "").map(Endpoint::dialect);
        assert_eq!(dialect("POST", "/v1/rerank"), Some("http"));
        assert_eq!(dialect("GET", "/v1/health"), Some("http"));
        assert_eq!(dialect("DELETE", "/v1/health"), None);
        assert_eq!(dialect("POST", "/v1/rerank/"), None);
        assert_eq!(dialect("POST", "/other"), None);
        // A rule takes nothing away from a dialect.
        let chat = dialect("POST", "/v1/chat/completions");
        assert_eq!(chat, (family == Family::Openai).then_some("openai-chat"));
    }
    assert!(wire::claim(Family::Http, "POST", "/v1/chat/completions").is_none());
}

#[test]
fn a_body_is_read_by_its_content_type_and_only_as_the_rule_allows() {
    let json = endpoint(&[View::Json]);
    let limits = Limits::default();
    for refused in ["text/plain", NDJSON, SSE, "", "application/octet-stream", "application/json; charset=utf-16"] {
        assert!(json.response(200, refused, limits).is_err(), "{refused}");
    }
    assert!(json.response(200, "application/problem+json", limits).is_ok());
    assert!(json.response(204, "", limits).is_ok());
    assert!(json.request("", limits).is_ok() && json.request("text/plain", limits).is_err());
    assert!(every().request(SSE, limits).is_err());
    assert!(json.how_to_allow(NDJSON).contains("\"ndjson\""), "{}", json.how_to_allow(NDJSON));
    assert!(json.how_to_allow("image/png").contains("no view"));
    let streams = |content_type| every().streams(200, content_type);
    assert!(streams(NDJSON) && streams(SSE) && streams("text/plain") && !streams("application/json"));
}

#[test]
fn a_request_with_no_content_type_has_no_body() {
    let mut flow = request("");
    assert!(flow.push(b"x").is_err());
}

#[test]
fn a_request_is_told_whole_after_what_it_asks_for() {
    for (content_type, body) in
        [("application/json", "{\"a\":\"b\"}"), (NDJSON, "{\"a\":\"b\"}\n{}\n"), ("text/plain", "a b"), (NDJSON, "")]
    {
        let mut flow = request(content_type);
        flow.push(body.as_bytes()).unwrap();
        assert!(flow.next().is_none(), "{content_type}");
        flow.finish().unwrap();
        assert!(matches!(flow.next(), Some(wire::Step::Asked(_))), "{content_type}");
        told(request(content_type), body);
    }
}

#[test]
fn every_string_name_and_long_number_of_json_is_seen() {
    let body =
        format!("{{\"{CANARY}\": [\"a {CANARY}\", {{\"type\":\"{CANARY}\"}}], \"n\": 123456789, \"short\": 123}}");
    let judge = told(answer("application/json"), &body);
    let fields = judge.texts(Channel::Field);
    for expected in [CANARY, "a 078-05-1120", "type", "123456789", "short"] {
        assert!(fields.contains(&expected), "{expected} in {fields:?}");
    }
    assert!(!fields.contains(&"123"));
    assert_eq!(masked(answer("application/json"), &body, &[]), body.replace(CANARY, MASK));
    assert_eq!(masked(answer("application/json"), &format!("\"{CANARY}\""), &[]), "\"[SSN]\"");
}

#[test]
fn a_canary_is_masked_at_every_split_of_lines() {
    let text = format!("é {CANARY}.");
    for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
        let line = |text: &str| format!("{}\r\n", json!({ "deep": [{ "text": text }], "id": "x" }));
        let body = format!("{}\n{}{{\"id\":\"y\"}}", line(&text[..at]), line(&text[at..]));
        for cut in 0..=body.len() {
            let out = masked(answer(NDJSON), &body, &[cut]);
            let lines: Vec<Value> = out.lines().filter(|line| !line.is_empty()).map(value).collect();
            let joined: String = lines.iter().filter_map(|line| line["deep"][0]["text"].as_str()).collect();
            assert_eq!((joined.as_str(), lines.len()), ("é [SSN].", 3), "{out}");
        }
    }
}

#[test]
fn a_value_of_its_own_is_masked_whatever_stands_before_it() {
    // Joined, the digits run together; each by itself is the canary.
    let line = format!("{{\"ssn\":\"{CANARY}\"}}\n");
    assert_eq!(masked(answer(NDJSON), &line.repeat(3), &[]), line.replace(CANARY, MASK).repeat(3));
}

#[test]
fn a_string_goes_on_past_documents_that_lack_it() {
    let body =
        format!("data: {{\"t\":\"{}\"}}\n\nevent: ping\ndata: {{}}\n\ndata: {{\"t\":\"{}\"}}\n\n", "078-05", "-1120");
    let out = events(masked(answer(SSE), &body, &[]).as_bytes());
    assert_eq!(out, ["{\"t\":\"[SSN]\"}", "{}", "{\"t\":\"\"}"]);
}

#[test]
fn events_of_text_are_masked_at_every_split() {
    let text = format!("{{ {CANARY} [");
    for at in 0..=text.len() {
        for line_end in ["\n", "\r\n"] {
            let event = |text: &str| format!("data: {text}{line_end}data: .{line_end}{line_end}");
            let body = format!("data: [DONE]{line_end}{line_end}{}{}", event(&text[..at]), event(&text[at..]));
            let told = told(answer(SSE), &body);
            assert!(told.texts(Channel::Content).iter().any(|text| text.starts_with("[DONE]")));
        }
        let body = format!("data:{}\n\ndata:{}\n\n", &text[..at], &text[at..]);
        for cut in 0..=body.len() {
            assert_eq!(events(masked(answer(SSE), &body, &[cut]).as_bytes()).concat().replace(' ', ""), "{[SSN][");
        }
    }
}

#[test]
fn pieces_of_text_that_look_like_json_are_text() {
    // Digits are numbers, `true` is a word, white space is nothing: for a client that joins data they are text.
    for pieces in [&["it is 078", "-", "05", "-1", "120"][..], &["0", "7", "8-05-11", "20"], &["true 078-05-112", "0"]]
    {
        let body: String = pieces.iter().map(|piece| format!("data: {piece}\n\n")).collect();
        let out = events(masked(answer(SSE), &body, &[]).as_bytes()).concat();
        assert_eq!(out, pieces.concat().replace(CANARY, MASK), "{body}");
    }
    let judge = told(answer(SSE), "data: a\n\ndata:  \n\ndata: 1\n\ndata: null\n\ndata:\n\ndata: {}\n\n");
    assert!(judge.texts(Channel::Content).contains(&"a 1null"), "{:?}", judge.texts(Channel::Content));
}

#[test]
fn escapes_in_what_only_looks_like_json_hide_nothing() {
    let body = "data: {\"a\":\"078\\u002d05-1120\",\"a\":1}\n\n";
    let out = masked(answer(SSE), body, &[]);
    assert_eq!(out, "data: {\"a\":\"[SSN]\",\"a\":1}\n\n");
}

#[test]
fn text_is_masked_at_every_split_and_leaves_as_it_is_decided() {
    let body = format!("é😀 {CANARY}\r\n{CANARY}078");
    for one in 0..=body.len() {
        for two in one..=body.len() {
            assert_eq!(masked(answer("text/plain"), &body, &[one, two]), body.replace(CANARY, MASK));
        }
        let mut judge = Judge::default();
        let out = run(answer("text/markdown; charset=UTF-8"), &mut judge, body.as_bytes(), &[one]).unwrap();
        assert_eq!(out.concat(), body.as_bytes());
        assert_eq!(judge.texts(Channel::Content), [body.as_str()]);
    }
    let (mut flow, mut judge) = (answer("text/plain"), Judge::masking());
    for (text, left) in [("abc 07", "abc "), ("x", "07x"), ("8", "8")] {
        let mut out = BytesMut::new();
        flow.push(text.as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        assert_eq!(out, left.as_bytes(), "after {text}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let limits = Limits { event_bytes: 64, held_bytes: 256, body_bytes: 64, ..Limits::default() };
    let broken = |content_type: &str, body: &[u8]| {
        let mut flow = every().response(200, content_type, limits).unwrap();
        flow.push(body).and_then(|()| flow.finish()).is_err()
    };
    for (content_type, body) in [
        ("application/json", b"{\"a\":1,\"a\":2}".as_slice()),
        ("application/json", b"{}x"),
        (NDJSON, b"{}\nx\n"),
        (NDJSON, b"{}{}\n"),
        (NDJSON, b"{\"a\":"),
        (NDJSON, b"\xEF\xBB\xBF{}"),
        ("text/plain", b"\xff"),
        ("text/plain", b"caf\xc3"),
        ("text/plain", b"0\x007\x00"),
        (SSE, b"data: \xff\n\n"),
    ] {
        assert!(broken(content_type, body), "{content_type} {body:?}");
    }
    for content_type in ["application/json", NDJSON, SSE] {
        assert!(broken(content_type, format!("\"{}\"", "x".repeat(64)).as_bytes()), "{content_type}");
    }
    assert!(broken("text/plain", &[b'x'; 257]));
}

#[test]
fn a_stream_that_is_stopped_says_so_in_its_own_form() {
    let complaint = Complaint {
        status: 403,
        code: "blocked".into(),
        message: "no".into(),
        request_id: "r".into(),
        policy: "p".into(),
        replies: Vec::new(),
    };
    let words = |content_type| {
        let said = every().last_words(Broken { content_type, begun: true }, &complaint);
        String::from_utf8(said).unwrap()
    };
    assert_eq!(value(&events(words(SSE).as_bytes())[0])["error"]["code"], "blocked");
    assert_eq!(value(words(NDJSON).strip_suffix('\n').unwrap())["error"]["status"], 403);
    assert_eq!(words("text/plain"), "");
    let whole = every().complaint(&complaint);
    assert_eq!((whole.status, whole.content_type), (403, "application/problem+json"));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(CANARY.to_owned()),
        2 => prop::sample::select(vec!["078-", "05-1120", "\u{2028}", "é", "\"", "\\", "\n", "", "a/b"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn odd() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![1 => Just(Value::Null), 1 => any::<i32>().prop_map(Value::from), 4 => word().prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// All strings and names of a value.
fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            out.push(name.clone());
            strings(value, out);
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_canary_leaves_a_stream_of_any_documents(
        documents in prop::collection::vec(odd(), 0..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\n\n"]),
    ) {
        let lines: String = documents.iter().map(|document| format!("{document}{line_end}")).collect();
        let stream: String = documents.iter().map(|document| format!("data: {document}{line_end}{line_end}")).collect();
        for (content_type, body) in [(NDJSON, lines), (SSE, stream)] {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            let mut judge = Judge::default();
            let same = run(answer(content_type), &mut judge, body.as_bytes(), &cuts).unwrap().concat();
            prop_assert_eq!(String::from_utf8(same).unwrap(), unbroken(&body));
            let mut at_once = Judge::default();
            run(answer(content_type), &mut at_once, body.as_bytes(), &[]).unwrap();
            prop_assert_eq!(judge.said(), at_once.said());

            let out = masked(answer(content_type), &body, &cuts);
            let out: Vec<Value> = match content_type {
                NDJSON => out.split('\n').filter(|line| !line.trim().is_empty()).map(value).collect(),
                _ => events(out.as_bytes()).iter().map(|data| value(data)).collect(),
            };
            prop_assert_eq!(out.len(), documents.len());
            let mut found = Vec::new();
            out.iter().for_each(|document| strings(document, &mut found));
            prop_assert!(found.iter().all(|text| !text.contains(CANARY)), "{:?}", found);
        }
    }
}
