//! Clients that find lines in ways of their own: with LF only, as Python's `splitlines` does, or each line of data by
//! itself. Of what leaves, whatever came, they read the documents that a client of the HTML standard reads.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::{Connection, EndpointRule, Family, OnBlock, Restore, Upstream, View};
use serde_json::{Value, json};
use support::{CANARY, Judge, MASK, anthropic, run};
use wire::{Endpoint, Flow, Limits};

/// Where Python ends lines, beside CR and LF.
const BREAKS: [&str; 8] = ["\u{b}", "\u{c}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{85}", "\u{2028}", "\u{2029}"];

#[derive(Clone, Copy, Debug)]
enum Reader {
    /// The HTML standard.
    Standard,
    /// Lines end with LF or CRLF, as `bufio.ScanLines` in Go has it.
    Go,
    /// Lines end as `str.splitlines` has it, and each `data:` by itself is a document if it is JSON.
    Python,
    /// Lines end with LF, and each `data: ` by itself is a document if it is JSON.
    Lines,
}

/// A document, and the name of its event.
type Read = (String, Value);

impl Reader {
    fn lines(self, stream: &str) -> Vec<&str> {
        if matches!(self, Self::Go | Self::Lines) {
            return stream.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
        }
        let python = matches!(self, Self::Python);
        let ends = move |c: char| matches!(c, '\r' | '\n') || (python && BREAKS.iter().any(|end| end.starts_with(c)));
        let (mut lines, mut rest) = (Vec::new(), stream);
        while let Some(at) = rest.find(ends) {
            let (line, after) = rest.split_at(at);
            lines.push(line);
            rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(ends)).unwrap_or_default();
        }
        lines.push(rest);
        lines
    }

    /// The documents of a stream; what is no JSON is passed over.
    fn read(self, stream: &str) -> Vec<Read> {
        let by_line = matches!(self, Self::Python | Self::Lines);
        let (mut read, mut name, mut data) = (Vec::new(), String::new(), None::<String>);
        let document = |name: &str, data: &str| Some((name.to_owned(), serde_json::from_str::<Value>(data).ok()?));
        for line in self.lines(stream) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let spaced = value.strip_prefix(' ');
            let value = spaced.unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    read.extend(data.take().and_then(|data| document(&name, &data)));
                    name.clear();
                }
                "event" if spaced.is_some() || !matches!(self, Self::Lines) => value.clone_into(&mut name),
                "data" if matches!(self, Self::Lines) && spaced.is_none() => {}
                "data" if by_line => read.extend(document(&name, value)),
                "data" => data = Some(data.map_or(value.to_owned(), |before| before + "\n" + value)),
                _ => {}
            }
        }
        read
    }
}

/// A dialect whose answers may be event streams.
struct Dialect {
    what: &'static str,
    endpoint: &'static dyn Endpoint,
    /// The name of an event that says something.
    name: &'static str,
    /// Such an event's data.
    says: fn(&str) -> Value,
    /// An event's data that says nothing, under the same name.
    hush: Value,
    /// What stands around the events that say something.
    around: (String, String),
    /// A whole answer.
    whole: Value,
}

fn endpoint(family: Family, path: &str, query: &str) -> &'static dyn Endpoint {
    let upstream = Upstream { tls: false, authority: "model".into(), base_path: String::new() };
    let views = vec![View::Sse, View::Json];
    let connection = Connection {
        name: "c".into(),
        path_prefix: "/".into(),
        upstream,
        family,
        on_block: OnBlock::Error,
        endpoints: vec![EndpointRule { path: "/x".into(), methods: vec!["POST".into()], views }],
        restore: Restore::Off,
        caller_headers: Vec::new(),
    };
    wire::endpoint(&connection, "POST", path, query).unwrap()
}

fn chat(text: &str) -> Value {
    json!({"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":text}}]})
}

fn completion(text: &str) -> Value {
    json!({"id":"c","object":"text_completion","choices":[{"index":0,"text":text}]})
}

fn response(text: &str) -> Value {
    json!({"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":text})
}

fn message(text: &str) -> Value {
    anthropic::at(0, json!({ "type": "text_delta", "text": text }))
}

fn candidate(text: &str) -> Value {
    json!({"candidates":[{"content":{"parts":[{"text":text}],"role":"model"},"index":0}],"modelVersion":"g"})
}

fn log(text: &str) -> Value {
    json!({"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":text}})
}

fn any(text: &str) -> Value {
    json!({ "t": text })
}

fn dialects() -> Vec<Dialect> {
    let block = anthropic::block_of(0, json!({ "type": "text", "text": "" }));
    let stream = anthropic::sse(&[block, message("here"), anthropic::stop(0)], "end_turn");
    let (before, after) = stream.split_once(&anthropic::event(&message("here"))).unwrap();
    let done = || (String::new(), "data: [DONE]\n\n".to_owned());
    let none = || (String::new(), String::new());
    let gemini = "/v1beta/models/g:streamGenerateContent";
    let dialect = |what, endpoint, name, says: fn(&str) -> Value, hush, around, whole| Dialect {
        what,
        endpoint,
        name,
        says,
        hush,
        around,
        whole,
    };
    vec![
        dialect(
            "chat",
            endpoint(Family::Openai, "/v1/chat/completions", ""),
            "",
            chat,
            chat(""),
            done(),
            json!({"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}),
        ),
        dialect(
            "completions",
            endpoint(Family::Openai, "/v1/completions", ""),
            "",
            completion,
            completion(""),
            done(),
            json!({"object":"text_completion","choices":[{"index":0,"text":"ok","finish_reason":"stop"}]}),
        ),
        dialect(
            "responses",
            endpoint(Family::Openai, "/v1/responses", ""),
            "response.output_text.delta",
            response,
            response(""),
            none(),
            json!({"object":"response","output":[]}),
        ),
        dialect(
            "anthropic",
            endpoint(Family::Anthropic, "/v1/messages", ""),
            "content_block_delta",
            message,
            message(""),
            (before.to_owned(), after.to_owned()),
            json!({"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn"}),
        ),
        dialect(
            "gemini",
            endpoint(Family::Gemini, gemini, "?alt=sse"),
            "",
            candidate,
            candidate(""),
            none(),
            candidate("ok"),
        ),
        dialect(
            "mcp",
            endpoint(Family::Mcp, "/mcp", ""),
            "message",
            log,
            log(""),
            none(),
            json!({"jsonrpc":"2.0","id":7,"result":{}}),
        ),
        dialect("http", endpoint(Family::Http, "/x", ""), "", any, any(""), none(), any("ok")),
    ]
}

impl Dialect {
    fn flow(&self, content_type: &str) -> Box<dyn Flow> {
        self.endpoint.response(200, content_type, Limits::default()).unwrap()
    }

    /// The line with the name of an event.
    fn named(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!("event: {}\n", self.name) }
    }

    /// An event as it should stand.
    fn event(&self, data: &Value) -> String {
        format!("{}data: {data}\n\n", self.named())
    }

    /// Events in which clients find another document, or none: what they are, and how they stand there. `data` is that
    /// document.
    fn odd(&self, data: &str) -> Vec<(String, String)> {
        let (name, hush) = (self.named(), self.hush.to_string());
        // Under the name of the others, ended as those who look for it end lines.
        let hidden = |end: &str| format!("{}data: {data}", name.replace('\n', end));
        let mut odd = Vec::new();
        for end in BREAKS {
            odd.push((format!("id {end:?}"), format!("id: {end}{}\n{name}data: {hush}\n\n", hidden(end))));
            odd.push((format!("event {end:?}"), format!("event: {end}{}\n{name}data: {hush}\n\n", hidden(end))));
        }
        for end in BREAKS.into_iter().chain(["\r"]) {
            odd.push((format!("id alone {end:?}"), format!("id: 1{end}{}\n\n", hidden(end))));
            odd.push((format!("comment {end:?}"), format!(":{end}{}\n\n", hidden(end))));
            odd.push((format!("blank {end:?}"), format!(":{end}{end}\n{name}data: {data}\n\n")));
            odd.push((format!("retry {end:?}"), format!("retry: 1{end}{}\n\n", hidden(end))));
        }
        let inner = |data: &str, before: &str| format!("{before}{}", &data[1..]);
        let split = inner(&hush, &format!("{{\"foo\":\ndata: {data}\ndata: ,"));
        odd.push(("split".to_owned(), format!("{name}data: {split}\n\n")));
        odd.push(("split anywhere".to_owned(), format!("{name}data:{}\n\n", inner(data, "{\r\ndata:\t"))));
        odd.push(("between".to_owned(), format!("{name}data: {}\n\n", inner(data, "{\nid: 7\n: \nfoo: a\ndata: "))));
        odd.push(("empty lines".to_owned(), format!("{name}data\ndata: \ndata:{data}\ndata\n\n")));
        odd.push(("no space".to_owned(), format!("{}data:{data}\n\n", name.replace(": ", ":"))));
        odd.push(("tab".to_owned(), format!("{name}data:\t{data}\n\n")));
        for ends in [["\r", "\r"], ["\r\n", "\n"], ["\n", "\r\n"], ["\r\n", "\r\n"], ["\n", "\r\r"]] {
            odd.push((format!("ends {ends:?}"), format!("{name}data: {data}{}", ends.concat())));
        }
        odd.push(("mark".to_owned(), format!("{name}\u{feff}data: {hush}\ndata: {data}\n\n")));
        odd
    }
}

fn out(flow: Box<dyn Flow>, body: &str, mut judge: Judge) -> Result<String, wire::Malformed> {
    run(flow, &mut judge, body.as_bytes(), &[]).map(|out| String::from_utf8(out.concat()).unwrap())
}

fn agree(stream: &str, what: &str) -> Vec<Read> {
    let standard = Reader::Standard.read(stream);
    for reader in [Reader::Go, Reader::Python, Reader::Lines] {
        assert_eq!(reader.read(stream), standard, "{what}, {reader:?}: {stream:?}");
    }
    standard
}

#[test]
fn every_client_reads_the_events_that_were_judged() {
    for dialect in dialects() {
        let (before, after) = &dialect.around;
        let [first, last] = ["ssn 078-05-", "1120 ok"].map(|text| dialect.event(&(dialect.says)(text)));
        let data = (dialect.says)("9").to_string();
        for (form, odd) in dialect.odd(&data) {
            let what = format!("{}, {form}", dialect.what);
            let body = [before.as_str(), &first, &odd, &last, after].concat();
            match out(dialect.flow("text/event-stream"), &body, Judge::default()) {
                Ok(left) => {
                    let came = Reader::Standard.read(&body).into_iter().map(|(_, data)| data);
                    let left = agree(&left, &what).into_iter().map(|(_, data)| data);
                    assert_eq!(left.collect::<Vec<_>>(), came.collect::<Vec<_>>(), "{what}: {odd:?}");
                }
                // Names of events are words, and data in several lines stands together.
                Err(error) => assert!(form.starts_with("event") || form == "between", "{what}: {error}"),
            }
        }
    }
}

#[test]
fn a_value_hides_from_no_client() {
    for dialect in dialects() {
        let (before, after) = &dialect.around;
        let data = (dialect.says)(CANARY).to_string().replace("078-", "07\\u0038-");
        for (form, odd) in dialect.odd(&data) {
            let body = [before, odd.as_str(), after].concat();
            let Ok(left) = out(dialect.flow("text/event-stream"), &body, Judge::masking()) else { continue };
            for reader in [Reader::Standard, Reader::Go, Reader::Python, Reader::Lines] {
                let read = reader.read(&left);
                let leak = read.iter().any(|(_, data)| data.to_string().contains(CANARY));
                assert!(!leak, "{}, {form}, {reader:?}: {left:?}", dialect.what);
            }
        }
    }
}

#[test]
fn what_ends_a_line_for_some_is_escaped_in_json() {
    for dialect in dialects() {
        let said = (dialect.says)("a\u{2028}b\u{85}c\u{2029}d\u{2027}é 078-05-1120");
        let (before, after) = &dialect.around;
        let body = [before, dialect.event(&said).as_str(), after].concat();
        let left = out(dialect.flow("text/event-stream"), &body, Judge::default()).unwrap();
        assert_eq!(left, support::unbroken(&body), "{}", dialect.what);
        assert_eq!(agree(&left, dialect.what), Reader::Standard.read(&body));
        let left = out(dialect.flow("text/event-stream"), &body, Judge::masking()).unwrap();
        assert_eq!(left, support::unbroken(&body).replace(CANARY, MASK), "{}", dialect.what);
    }
}

#[test]
fn what_a_policy_puts_in_ends_no_line() {
    for dialect in dialects() {
        let (before, after) = &dialect.around;
        let body = [before, dialect.event(&(dialect.says)("a 078-05-1120 z")).as_str(), after].concat();
        let judge = Judge { by: Some("x\u{2028}\u{85}y"), ..Judge::masking() };
        let left = out(dialect.flow("text/event-stream"), &body, judge).unwrap();
        assert_eq!(left, body.replace(CANARY, "x\\u2028\\u0085y"), "{}", dialect.what);
        agree(&left, dialect.what);
    }
    let http = endpoint(Family::Http, "/x", "").response(200, "text/event-stream", Limits::default()).unwrap();
    let judge = Judge { by: Some("x\u{2028}\u{b}\n\u{85}y"), ..Judge::masking() };
    assert_eq!(out(http, "data: a 078-05-1120 z\n\n", judge).unwrap(), "data: a x    y z\n\n");
}

#[test]
fn what_ends_a_line_for_some_is_a_space_in_text() {
    let http = || endpoint(Family::Http, "/x", "").response(200, "text/event-stream", Limits::default()).unwrap();
    for end in BREAKS {
        let spaces = " ".repeat(end.len());
        let body = format!("data: 078-05-{end}data: é\n\ndata: {end}data: 1120\n\ndata: {{{end}078-05-1120\n\n");
        let left = out(http(), &body, Judge::masking()).unwrap();
        assert_eq!(left, body.replace(end, &spaces).replace(CANARY, MASK));
        // It is judged as it leaves.
        let body = format!("data: 078{end}05\n\n");
        let mut judge = Judge::default();
        run(http(), &mut judge, body.as_bytes(), &[]).unwrap();
        assert!(judge.parts.values().all(|told| told.text == format!("078{spaces}05")), "{:?}", judge.parts);
    }
}

#[test]
fn a_stream_in_the_one_form_leaves_as_it_came() {
    for dialect in dialects() {
        let (before, after) = &dialect.around;
        let events = ["a", "b c", "é"].map(|text| dialect.event(&(dialect.says)(text)));
        let usual = [before.as_str(), &events.concat(), after].concat();
        let with = |line: &str| [before.as_str(), &events.join(line), after].concat();
        let plain = ["", "id: 7-a/b\n", "retry: 3000\n", ":\n\n"].map(with);
        let extras = if dialect.what == "gemini" { &plain[..1] } else { &plain[..] };
        for stream in extras.iter().chain([&usual]) {
            for stream in [stream.clone(), stream.replace('\n', "\r\n")] {
                for cut in (0..=stream.len()).step_by(11) {
                    let flow = dialect.flow("text/event-stream");
                    let left = run(flow, &mut Judge::default(), stream.as_bytes(), &[cut]).unwrap().concat();
                    assert_eq!(String::from_utf8(left).unwrap(), stream, "{}, cut at {cut}", dialect.what);
                }
                agree(&stream, dialect.what);
            }
        }
    }
}

#[test]
fn no_line_of_a_whole_answer_is_a_document_by_itself() {
    for dialect in dialects() {
        let inner = ["078-05-", "1120", ""].map(|text| (dialect.says)(text).to_string());
        let whole = dialect.whole.to_string();
        for end in ["\n", "\r", "\r\n"] {
            let hidden = ["foo", "bar", "baz"].iter().zip(&inner);
            let hidden: String = hidden.map(|(name, inner)| format!("\"{name}\":{end}{inner}{end},")).collect();
            let body = format!("{{{hidden}{}{end}", &whole[1..]);
            let left = out(dialect.flow("application/json"), &body, Judge::default()).unwrap();
            assert_eq!(support::value(&left), support::value(&body), "{}", dialect.what);
            assert!(!left.trim().contains(['\r', '\n']), "{}: {left:?}", dialect.what);
            let raw = format!("{{\"foo\":{end}{{}}{end},\"bar\":\"a{end}\"}}");
            assert!(
                out(dialect.flow("application/json"), &raw, Judge::default()).is_err(),
                "no end of line in a string"
            );
        }
        let pretty = serde_json::to_string_pretty(&dialect.whole).unwrap() + "\n";
        for body in [whole, pretty] {
            assert_eq!(out(dialect.flow("application/json"), &body, Judge::default()).unwrap(), body);
        }
    }
}
