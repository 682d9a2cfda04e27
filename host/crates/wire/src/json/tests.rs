//! The strict reader against serde_json, and literals against what their text should become.

use std::ops::Range;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

use super::{Doc, Kind, Rules, Tape, literal};
use crate::Malformed;

const STRICT: Rules = Rules { depth: 64, duplicates: false };

fn read(bytes: &[u8]) -> Result<Value, Malformed> {
    let mut tape = Tape::default();
    tape.read(bytes, STRICT).map(|doc| value(doc, 0))
}

/// What the tape says, as serde_json would.
fn value(doc: Doc<'_>, node: usize) -> Value {
    match doc.kind(node) {
        Kind::Object => Value::Object(
            doc.members(node)
                .map(|(key, inner)| (doc.name(key).into_owned(), value(doc, inner)))
                .collect::<Map<_, _>>(),
        ),
        Kind::Array => doc.items(node).map(|item| value(doc, item)).collect(),
        Kind::Text => doc.name(node).into_owned().into(),
        Kind::Number => serde_json::from_str::<Number>(doc.raw(node)).map_or(Value::Null, Value::Number),
        Kind::Word => serde_json::from_str(doc.raw(node)).unwrap(),
        Kind::Key => unreachable!("a name stands before a value only"),
    }
}

#[test]
fn what_the_grammar_has_is_read() {
    let cases = [
        "0",
        "-0",
        "1.5e+10",
        "-12.0E-3",
        "\"\"",
        "\"\\ud83d\\ude00\\/\\b\\f\"",
        "[]",
        "{}",
        "[[],{}]",
        "true",
        "false",
        "null",
        " [ 1 , 2 ] ",
        "{\"a\":{\"a\":[1,{\"b\":\"é\u{2028}\"}]}}",
        "\t{\"\":\"\"}\r\n",
        "\"\u{7f}\"",
    ];
    for case in cases {
        assert_eq!(read(case.as_bytes()).unwrap(), serde_json::from_str::<Value>(case).unwrap(), "{case}");
    }
}

#[test]
fn what_the_profile_forbids_is_refused() {
    let cases: &[&[u8]] = &[
        b"",
        b" ",
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"{}x",
        b"[1,]",
        b"{\"a\":1,}",
        b"{a:1}",
        b"{'a':1}",
        b"[1 2]",
        b"01",
        b"+1",
        b"1.",
        b".5",
        b"1e",
        b"-",
        b"0x1",
        b"NaN",
        b"Infinity",
        b"nul",
        b"\"\n\"",
        b"\"\\x\"",
        b"\"\\u12g4\"",
        b"\"\\ud800\"",
        b"\"\\udc00\"",
        b"\"\\ud800\\u0041\"",
        b"\"\\ud800",
        b"\"a",
        b"[",
        b"{\"a\"",
        b"{\"a\":",
        b"]",
        b"}",
        b"[}",
        b"{]",
        b"\"\xff\"",
        b"\"\xed\xa0\x80\"",
        b"{\"a\":1,\"a\":2}",
        b"{\"a\":1,\"\\u0061\":2}",
        b"{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":1}",
        b"{\0}",
        b"[1]\0",
        b"{\"a\":1,\"b\":{\"c\":1,\"c\":1}}",
        b"\xff\xfe{\0}\0",
        b"\"\\",
        b"\"\\u00",
        b"/**/1",
    ];
    for case in cases {
        assert!(read(case).is_err(), "{}", String::from_utf8_lossy(case));
    }
}

#[test]
fn duplicates_are_found_in_objects_of_every_size() {
    for size in [1, 2, 12, 13, 200] {
        let members: Vec<String> = (0..size).map(|at| format!("\"k{at}\":{{\"k0\":{at}}}")).collect();
        assert!(read(format!("{{{}}}", members.join(",")).as_bytes()).is_ok());
        let twice = format!("{{{},\"\\u006b0\":1}}", members.join(","));
        assert!(matches!(
            read(twice.as_bytes()),
            Err(Malformed::Json { what: "a name stands twice in one object", .. })
        ));
    }
}

#[test]
fn depth_is_bound_and_costs_no_stack() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read(nested(64).as_bytes()).is_ok());
    assert!(matches!(read(nested(65).as_bytes()), Err(Malformed::TooLarge { bound: "json_depth", .. })));
    let mut tape = Tape::default();
    let rules = Rules { depth: usize::MAX, duplicates: true };
    assert!(tape.read(nested(1_000_000).as_bytes(), rules).is_ok());
}

#[test]
fn strings_end_where_they_end_at_every_alignment() {
    for len in 0..200 {
        for byte in ["\\n", "\u{1}", "é", "\\u0041"] {
            let text = format!("\"{}{byte}{}\"", "a".repeat(len), "b".repeat(17));
            let ours = read(text.as_bytes()).ok();
            assert_eq!(ours, serde_json::from_str(&text).ok(), "{text}");
        }
    }
}

/// Text as a literal's inside, each character written in a way that `ways` picks.
fn spell(text: &str, ways: &[u8]) -> String {
    let mut out = String::new();
    for (at, char) in text.chars().enumerate() {
        let way = ways.get(at % ways.len().max(1)).copied().unwrap_or(0);
        if way % 3 == 0 {
            char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
        } else if way % 3 == 1 && char == '/' {
            out.push_str("\\/");
        } else {
            out.push_str(&literal::escaped(char.encode_utf8(&mut [0; 4])));
        }
    }
    out
}

/// A string that is hard on parsers.
fn hard() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![any::<char>(), prop::sample::select(vec!['"', '\\', '/', '\n', '\0', 'é', '😀', 'a', '0'])],
        0..24,
    )
    .prop_map(String::from_iter)
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15..1e15f64).prop_map(Value::from),
        hard().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((hard(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What becomes of a document on the way to the next.
#[derive(Clone, Debug)]
enum Turn {
    /// Some strings, names among them, say something else.
    Say(Vec<(prop::sample::Index, String)>),
    /// A byte becomes another.
    Damage(prop::sample::Index, u8),
    /// A byte is gone.
    Lose(prop::sample::Index),
    /// Another document.
    Other(Value),
    /// Read by other rules.
    Rules(Rules),
}

fn turn() -> impl Strategy<Value = Turn> {
    let said = prop_oneof![4 => "[a-z é]{0,12}", 1 => hard()];
    let rules = (1_usize..6, any::<bool>()).prop_map(|(depth, duplicates)| Rules { depth, duplicates });
    prop_oneof![
        8 => prop::collection::vec((any::<prop::sample::Index>(), said), 0..6).prop_map(Turn::Say),
        1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Turn::Damage(at, byte)),
        1 => any::<prop::sample::Index>().prop_map(Turn::Lose),
        1 => json().prop_map(Turn::Other),
        1 => rules.prop_map(Turn::Rules),
    ]
}

impl Turn {
    fn take(&self, text: &mut Vec<u8>, rules: &mut Rules) {
        match self {
            Self::Say(said) => {
                for (place, by) in said {
                    let strings = strings(text);
                    if !strings.is_empty() {
                        text.splice(strings[place.index(strings.len())].clone(), by.bytes());
                    }
                }
            }
            Self::Damage(place, byte) if !text.is_empty() => {
                let at = place.index(text.len());
                text[at] = *byte;
            }
            Self::Lose(place) if !text.is_empty() => {
                text.remove(place.index(text.len()));
            }
            Self::Damage(..) | Self::Lose(_) => {}
            Self::Other(value) => *text = serde_json::to_vec(value).unwrap(),
            Self::Rules(other) => *rules = *other,
        }
    }
}

/// Where the insides of a document's strings are, as long as it is one.
fn strings(text: &[u8]) -> Vec<Range<usize>> {
    let mut tape = Tape::default();
    let Ok(doc) = tape.read(text, Rules { depth: 64, duplicates: true }) else { return Vec::new() };
    let strings = doc.nodes.iter().filter(|node| matches!(node.kind, Kind::Text | Kind::Key));
    strings.map(|node| node.start as usize + 1..node.end as usize - 1).collect()
}

/// All that a reading comes to.
fn nodes(tape: &mut Tape, text: &[u8], rules: Rules) -> String {
    format!("{:?}", tape.read(text, rules).map(|doc| (doc.text, doc.nodes)))
}

/// The names in a document, and what else is not said by strings; whether it is told to be like the one before.
fn shape(tape: &mut Tape, text: &[u8], rules: Rules) -> Option<(Vec<String>, bool)> {
    let doc = tape.read(text, rules).ok()?;
    let raw = |at: usize| if doc.kind(at) == Kind::Key { doc.raw(at) } else { "" };
    let nodes = (0..doc.nodes.len()).map(|at| format!("{:?} {} {}", doc.kind(at), raw(at), doc.nodes[at].after));
    Some((nodes.collect(), doc.alike))
}

#[test]
fn an_event_that_differs_in_its_strings_is_followed() {
    let event = |id: &str, said: &str, end: &str| {
        format!("{{\"id\":\"{id}\",\"choices\":[{{\"text\":\"{said}\"}}],\"end\":{end}}}")
    };
    let mut last = Tape::of_many();
    let first = event("a", "Hello", "null");
    last.read(first.as_bytes(), STRICT).unwrap();
    for (next, follows) in [
        (event("a", "Hello", "null"), true),
        (event("a", "Help", "null"), true),
        (event("abc", "", "null"), true),
        (event("", "Hello, hello, and é", "null"), true),
        (event("a", "Hel\\u0021lo", "null"), false),
        (event("a", "Hel\nlo", "null"), false),
        (event("a", "Hello", "true"), false),
        (event("a", "Hello", "null").replace("text", "next"), false),
        (event("a", "Hello", "null").replace("null", "nul"), false),
        (event("a", "Hello", "null") + " ", false),
    ] {
        let mut moved = last.read(first.as_bytes(), STRICT).unwrap().nodes.to_vec();
        assert_eq!(super::alike::follow(&mut moved, first.as_bytes(), next.as_bytes()), follows, "{next}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_serde_json_writes(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn agrees_with_serde_json_on_damaged_text(value in json(), at in any::<prop::sample::Index>(), byte in prop::sample::select(b"\"\\{}[],:0-+.eEuntf \n\x00\xc3\xff".to_vec()), insert in any::<bool>()) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        if insert { text.insert(at, byte) } else { text[at] = byte }
        match (read(&text), serde_json::from_slice::<Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), Err(_)) => {}
            // serde_json lets duplicates pass, and refuses numbers too large for it.
            (Err(Malformed::Json { what, .. }), Ok(_)) => prop_assert_eq!(what, "a name stands twice in one object"),
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{}", error),
            (Err(error), Ok(_)) => prop_assert!(false, "{}", error),
        }
    }

    /// Whatever was read before, a document is read as one that comes alone.
    #[test]
    fn what_is_like_the_document_before_is_read_as_it_is(value in json(), turns in prop::collection::vec(turn(), 1..12)) {
        let (mut text, mut rules) = (serde_json::to_vec(&value).unwrap(), STRICT);
        let mut many = Tape::of_many();
        for turn in turns {
            turn.take(&mut text, &mut rules);
            let (ours, alone) = (nodes(&mut many, &text, rules), nodes(&mut Tape::default(), &text, rules));
            prop_assert_eq!(ours, alone, "{}", String::from_utf8_lossy(&text));
        }
    }

    /// What is like the document before has its names, at their places.
    #[test]
    fn what_is_like_the_document_before_has_its_names(value in json(), turns in prop::collection::vec(turn(), 1..12)) {
        let (mut text, mut rules) = (serde_json::to_vec(&value).unwrap(), STRICT);
        let mut many = Tape::of_many();
        let mut last = None;
        for turn in turns {
            turn.take(&mut text, &mut rules);
            let next = shape(&mut many, &text, rules);
            let alone = shape(&mut Tape::of_many(), &text, rules);
            prop_assert_eq!(next.as_ref().map(|(shape, _)| shape), alone.as_ref().map(|(shape, _)| shape));
            // One that can't be read in between changes nothing: the next may be like the one before it.
            if let (Some((shape, true)), Some(last)) = (&next, &last) {
                prop_assert_eq!(shape, last, "{}", String::from_utf8_lossy(&text));
            }
            last = next.map(|(shape, _)| shape).or(last);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&bytes);
    }

    #[test]
    fn an_edit_changes_its_span_and_nothing_else(
        text in hard(), ways in prop::collection::vec(any::<u8>(), 1..8), ends in any::<[prop::sample::Index; 4]>(), by in hard(),
    ) {
        let raw = spell(&text, &ways);
        let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut ends: Vec<usize> = ends.iter().map(|end| bounds[end.index(bounds.len())]).collect();
        ends.sort_unstable();
        let mut locator = literal::Locator::new(&raw);
        let places: Vec<usize> = ends.iter().enumerate().map(|(at, &end)| locator.raw(end, at % 2 == 1)).collect();
        let mut put = BytesMut::new();
        literal::escape(&by, &mut put);
        let put = std::str::from_utf8(&put).unwrap();
        let got = [&raw[..places[0]], put, &raw[places[1]..places[2]], put, &raw[places[3]..]].concat();
        let expected = [&text[..ends[0]], &by, &text[ends[1]..ends[2]], &by, &text[ends[3]..]].concat();
        prop_assert_eq!(read(format!("\"{got}\"").as_bytes()).unwrap(), Value::from(expected));
    }
}
