//! Event streams as the HTML standard says (9.2.5 and 9.2.6: the grammar, the interpretation, its own examples), as cases:
//! what a client of the standard makes of a stream, it makes of what leaves, with nothing but the masked words changed,
//! whatever the split. The client here is the standard's text, line by line, and is held against the cases first.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::{Connection, EndpointRule, Family, OnBlock, Restore, Upstream, View};
use support::{CANARY, Judge, MASK, run, told};
use wire::{Flow, Limits};

/// In the cases: what is harmless once and the canary another time.
const WORD: &str = "WORD";

/// Type, data and last event id.
type Event = (&'static str, &'static str, &'static str);

/// A stream, and the events that it dispatches.
const CASES: &[(&str, &[Event])] = &[
    // The standard's own examples.
    ("data: WORD\ndata: +2\ndata: 10\n\n", &[("message", "WORD\n+2\n10", "")]),
    (
        ": test stream\n\ndata: first WORD\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        &[("message", "first WORD", "1"), ("message", "second event", ""), ("message", " third event", "")],
    ),
    ("data\n\ndata\ndata\n\ndata:", &[("message", "", ""), ("message", "\n", "")]),
    ("data:WORD\n\ndata: WORD\n\n", &[("message", "WORD", ""), ("message", "WORD", "")]),
    (
        "event: add\ndata: 73857293\n\nevent: remove\ndata: WORD\n\nevent: add\ndata: 113411\n\n",
        &[("add", "73857293", ""), ("remove", "WORD", ""), ("add", "113411", "")],
    ),
    // Line ends: LF, CR, CRLF, and all of them in one event.
    ("data: WORD\r\r", &[("message", "WORD", "")]),
    ("data: WORD\r\n\r\n", &[("message", "WORD", "")]),
    ("data: a\rdata: WORD\r\ndata: c\n\r\ndata: d\n\r", &[("message", "a\nWORD\nc", ""), ("message", "d", "")]),
    ("data: a\r\n\ndata: WORD\n\r\n", &[("message", "a", ""), ("message", "WORD", "")]),
    // A byte order mark at the begin is none of it; another one is the begin of a field's name.
    ("\u{feff}data: WORD\n\n", &[("message", "WORD", "")]),
    ("\u{feff}\u{feff}data: a\n\ndata: WORD\n\n", &[("message", "WORD", "")]),
    ("data: a\n\n\u{feff}data: b\n\ndata: WORD\n\n", &[("message", "a", ""), ("message", "WORD", "")]),
    // The colon: the first one parts, one space behind it goes, a field with none has no value.
    ("data:a:WORD\n\n", &[("message", "a:WORD", "")]),
    ("data:\tWORD\n\ndata:   WORD \n\n", &[("message", "\tWORD", ""), ("message", "  WORD ", "")]),
    ("data:\u{a0}WORD\n\n", &[("message", "\u{a0}WORD", "")]),
    ("event\ndata: WORD\n\n", &[("message", "WORD", "")]),
    ("data : a\ndata: WORD\n\n", &[("message", "WORD", "")]),
    // Comments and fields of other names say nothing.
    (":\n\n: WORD\n\n:WORD\ndata: a\n\n", &[("message", "a", "")]),
    (":data: a\ndata: WORD\n\n", &[("message", "WORD", "")]),
    ("foo: WORD\nWORD\ndata: a\n\n", &[("message", "a", "")]),
    ("Data: a\nDATA: b\n data: c\nda ta: d\n\ndata: WORD\n\n", &[("message", "WORD", "")]),
    // What is passed over between two ends of line takes none of them along: CR and LF would become one.
    ("data: a\rfoo\n\ndata: WORD\n\n", &[("message", "a", ""), ("message", "WORD", "")]),
    ("data: a\r: b\r\nfoo\r:c\n\ndata: WORD\n\n", &[("message", "a", ""), ("message", "WORD", "")]),
    ("data: a\rfoo\rfoo\rfoo\n\r\ndata: WORD\n\n", &[("message", "a", ""), ("message", "WORD", "")]),
    ("data: a\r\r: b\n\ndata: WORD\r:b\n\n", &[("message", "a", ""), ("message", "WORD", "")]),
    ("id\rfoo\n\ndata: WORD\r\rfoo", &[("message", "WORD", "")]),
    // The type: `message` unless it is said, the last one said, and none of another event's.
    ("event: WORD\ndata: a\n\n", &[("WORD", "a", "")]),
    ("event: a\nevent: WORD\ndata: b\n\n", &[("WORD", "b", "")]),
    ("event: a\nevent:\ndata: WORD\n\n", &[("message", "WORD", "")]),
    ("event: a\n\ndata: WORD\n\n", &[("message", "WORD", "")]),
    // The id: stays until another comes, also from an event with no data; one with NUL in it is none.
    ("id: WORD\ndata: a\n\ndata: b\n\n", &[("message", "a", "WORD"), ("message", "b", "WORD")]),
    ("id: 7\n\ndata: WORD\n\n", &[("message", "WORD", "7")]),
    ("id: 7\ndata: a\n\nid: 8\0\ndata: WORD\n\n", &[("message", "a", "7"), ("message", "WORD", "7")]),
    ("id: 7\ndata: a\n\nid:\ndata: WORD\n\n", &[("message", "a", "7"), ("message", "WORD", "")]),
    // The time to reconnect: digits alone.
    ("retry: 1000\ndata: WORD\n\nretry: 1x\n\nretry\n\nretry:\n\n", &[("message", "WORD", "")]),
    // What has no data is not dispatched.
    ("data: WORD\r\n\r\nevent: x\r\n", &[("message", "WORD", "")]),
    // Nothing dispatches nothing.
    ("", &[]),
    ("\n\n\r\r\n\n", &[]),
    ("\u{feff}", &[]),
    ("event: WORD\nid: 3\n\n", &[]),
];

/// What does not end in an empty line is not dispatched, but less strict clients do that. How such a stream ends, and what
/// is written behind it, so that all do.
const UNENDED: &[(&str, &str)] = &[
    ("data: WORD", "\n\n"),
    ("data: WORD\n", "\n"),
    ("event: x\r\ndata: WORD\r\n", "\r\n"),
    ("event: x\r\ndata: WORD", "\r\n\r\n"),
    ("data: WORD\r\nid: 7", "\r\n\r\n"),
];

/// What a client has of a stream in the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Client {
    events: Vec<(String, String, String)>,
    retry: Option<u64>,
    last_id: String,
}

impl Client {
    /// 9.2.6, interpreting an event stream.
    fn of(stream: &[u8]) -> Self {
        let text = std::str::from_utf8(stream).unwrap();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut client, mut data, mut kind) = (Self::default(), String::new(), String::new());
        let mut rest = text;
        // A line is what an end of line ends: what follows the last one is none.
        while let Some(at) = rest.find(['\r', '\n']) {
            let (line, after) = rest.split_at(at);
            rest = after.strip_prefix("\r\n").unwrap_or(&after[1..]);
            if line.is_empty() {
                client.dispatch(&std::mem::take(&mut data), &std::mem::take(&mut kind));
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => kind = value.to_owned(),
                "data" => data = data + value + "\n",
                "id" if !value.contains('\0') => client.last_id = value.to_owned(),
                "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    client.retry = value.parse().ok();
                }
                _ => {}
            }
        }
        client
    }

    fn dispatch(&mut self, data: &str, kind: &str) {
        if let Some(data) = data.strip_suffix('\n') {
            let kind = if kind.is_empty() { "message" } else { kind };
            self.events.push((kind.to_owned(), data.to_owned(), self.last_id.clone()));
        }
    }
}

fn view() -> Box<dyn Flow> {
    let upstream = Upstream { tls: false, authority: "model".into(), base_path: String::new() };
    let rule = EndpointRule { path: "/x".into(), methods: vec!["POST".into()], views: vec![View::Sse] };
    let connection = Connection {
        name: "c".into(),
        path_prefix: "/".into(),
        upstream,
        family: Family::Http,
        on_block: OnBlock::Error,
        endpoints: vec![rule],
        restore: Restore::Off,
        caller_headers: Vec::new(),
    };
    let endpoint = wire::endpoint(&connection, "POST", "/x", "").unwrap();
    endpoint.response(200, "text/event-stream", Limits::default()).unwrap()
}

/// What leaves of a stream, cut nowhere, at each place, and everywhere: always the same.
fn through(stream: &str, masking: bool) -> Vec<u8> {
    let body = stream.as_bytes();
    let run = |cuts: &[usize]| {
        let mut judge = if masking { Judge::masking() } else { Judge::default() };
        run(view(), &mut judge, body, cuts).unwrap().concat()
    };
    let whole = run(&[]);
    let every: Vec<usize> = (1..body.len()).collect();
    for cut in &every {
        assert_eq!(run(&[*cut]), whole, "cut at {cut}: {stream:?}");
    }
    assert_eq!(run(&every), whole, "byte by byte: {stream:?}");
    whole
}

fn expected(events: &[Event], word: &str) -> Vec<(String, String, String)> {
    let with = |text: &str| text.replace(WORD, word);
    events.iter().map(|(kind, data, id)| (with(kind), with(data), with(id))).collect()
}

#[test]
fn a_client_of_the_standard_sees_what_the_standard_says() {
    for (stream, events) in CASES {
        assert_eq!(Client::of(stream.as_bytes()).events, expected(events, WORD), "{stream:?}");
    }
}

#[test]
fn it_sees_the_same_in_what_leaves() {
    for (stream, _) in CASES {
        let out = through(stream, false);
        assert_eq!(Client::of(&out), Client::of(stream.as_bytes()), "{stream:?}: {:?}", String::from_utf8_lossy(&out));
    }
}

#[test]
fn masked_words_are_all_that_it_sees_changed() {
    for (stream, events) in CASES {
        let out = through(&stream.replace(WORD, CANARY), true);
        let text = String::from_utf8_lossy(&out);
        assert_eq!(Client::of(&out).events, expected(events, MASK), "{stream:?}: {text:?}");
        assert!(!text.contains(CANARY), "{stream:?}: {text:?}");
    }
}

#[test]
fn what_says_nothing_does_not_go_on() {
    for (stream, left) in [
        (": hush\n\n", "\n"),
        ("foo: hush\nbar\ndata: a\n\n", "data: a\n\n"),
        (":hush\r\ndata: a\r\n\r\n", "data: a\r\n\r\n"),
        ("retry: hush\ndata: a\n\n", "data: a\n\n"),
        // Too long for a time, and long enough for an account.
        ("retry: 4111111111111111\ndata: a\n\n", "data: a\n\n"),
        // A comment with no words in it only keeps the stream alive.
        (":\n\n", ":\n\n"),
    ] {
        assert_eq!(String::from_utf8(through(stream, false)).unwrap(), left, "{stream:?}");
    }
}

#[test]
fn an_event_with_no_end_is_judged_and_gets_one() {
    for (stream, end) in UNENDED {
        for before in ["", "data: a\n\n"] {
            if !before.is_empty() && stream.contains('\r') {
                continue;
            }
            let stream = [before, stream].concat();
            let dispatched = Client::of(stream.as_bytes()).events.len();
            let out = through(&stream.replace(WORD, CANARY), true);
            assert_eq!(String::from_utf8_lossy(&out), stream.replace(WORD, MASK) + end);
            let events = Client::of(&out).events;
            assert_eq!((events.len(), events.last().unwrap().1.as_str()), (dispatched + 1, MASK), "{stream:?}");
        }
    }
}

#[test]
fn a_byte_order_mark_does_not_go_on() {
    for (stream, left) in
        [("\u{feff}data: a\n\n", "data: a\n\n"), ("\u{feff}\u{feff}data: a\ndata: b\n\n", "data: b\n\n")]
    {
        assert_eq!(
            String::from_utf8(through(stream, false)).unwrap(),
            left,
            "some clients pass over the event behind it"
        );
    }
}

/// What a client hears that listens for one name.
fn heard(stream: &[u8], name: &str) -> String {
    let events = Client::of(stream).events.into_iter().filter(|(kind, ..)| kind == name);
    events.map(|(_, data, _)| serde_json::from_str(&data).map_or(data, |said: [String; 1]| said.concat())).collect()
}

#[test]
fn what_comes_in_events_of_one_name_is_joined() {
    let plain = |text: &str| text.to_owned();
    let json = |text: &str| serde_json::json!([text]).to_string();
    let writes: [&dyn Fn(&str) -> String; 2] = [&plain, &json];
    for write in writes {
        let event = |name: &str, text: &str| match name {
            "" => format!("data: {}\n\n", write(text)),
            name => format!("event: {name}\ndata: {}\n\n", write(text)),
        };
        let (first, last) = ("ssn 078-05-", "1120 ok");
        for (one, heard_as) in [("", "message"), ("message", "message"), ("add", "add")] {
            for others in 1..6 {
                let between = event("ping", "zz").repeat(others);
                // What comes in other events before may make the whole value be judged in one of them.
                for before in ["", &event("ping", "a")] {
                    let stream = [before, &event(one, first), &between, &event(one, last)].concat();
                    let out = through(&stream, true);
                    assert!(heard(stream.as_bytes(), heard_as).contains(CANARY), "nobody joins this: {stream}");
                    assert!(!heard(&out, heard_as).contains(CANARY), "{}", String::from_utf8_lossy(&out));
                }
            }
        }
        let stream = [event("", first), event("other", last), event("", "zz")].concat();
        let out = through(&stream, true);
        assert!(Client::of(&out).events.iter().all(|(_, data, _)| !data.contains("1120")), "some hear all names");
        told(view(), &[event("", "a"), event("b", "a"), event("", "c"), event("d", "b"), event("b", "e")].concat());
    }
}

#[test]
fn events_may_have_any_number_of_names() {
    let events =
        |from: u32| (from..from + 3000).map(|number| format!("event: n{number}\ndata: a\n\n")).collect::<String>();
    let split = "event: n7\ndata: ssn 078-05-\n\nevent: n8\ndata: zz\n\nevent: n7\ndata: 1120 ok\n\n";
    let stream = [&events(0), split, &events(3000)].concat();
    let out = run(view(), &mut Judge::masking(), stream.as_bytes(), &[]).unwrap().concat();
    assert!(heard(stream.as_bytes(), "n7").contains(CANARY) && !heard(&out, "n7").contains(CANARY));
    assert_eq!(Client::of(&out).events.len(), 6003);
}
