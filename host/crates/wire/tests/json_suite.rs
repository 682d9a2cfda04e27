//! JSONTestSuite against the strict reader, through the view that reads any JSON: what a parser must accept goes through
//! byte for byte over any split, what it must refuse is refused, and a table says what becomes of the rest.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::{Connection, EndpointRule, Family, OnBlock, Restore, Upstream, View};
use serde_json::Value;
use support::{Judge, run};
use wire::{Flow, Limits, Malformed};

/// What the suite leaves open, or wants accepted, and the strict profile decides; with the reason.
const DECIDED: &[(&str, bool, &str)] = &[
    ("y_object_duplicated_key", false, "parsers differ in which of two values counts"),
    ("y_object_duplicated_key_and_value", false, "parsers differ in which of two values counts"),
    ("n_structure_no_data", true, "no bytes are no body, which an answer may have; no JSON is read"),
    ("i_number_", true, "a number goes on as it is written, whatever it comes to"),
    ("i_object_key_lone_2nd_surrogate", false, "a lone surrogate is no text"),
    ("i_string_1st_", false, "a lone surrogate is no text"),
    ("i_string_incomplete_surrogate", false, "a lone surrogate is no text"),
    ("i_string_invalid_lonely_surrogate", false, "a lone surrogate is no text"),
    ("i_string_invalid_surrogate", false, "a lone surrogate is no text"),
    ("i_string_inverted_surrogates", false, "a lone surrogate is no text"),
    ("i_string_lone_second_surrogate", false, "a lone surrogate is no text"),
    ("i_string_UTF-16LE_with_BOM", false, "only UTF-8"),
    ("i_string_utf16", false, "only UTF-8"),
    ("i_string_UTF-8_invalid_sequence", false, "not UTF-8"),
    ("i_string_UTF8_surrogate", false, "not UTF-8"),
    ("i_string_invalid_utf-8", false, "not UTF-8"),
    ("i_string_iso_latin_1", false, "not UTF-8"),
    ("i_string_lone_utf8_continuation_byte", false, "not UTF-8"),
    ("i_string_not_in_unicode_range", false, "not UTF-8"),
    ("i_string_overlong", false, "not UTF-8"),
    ("i_string_truncated-utf-8", false, "not UTF-8"),
    ("i_structure_500_nested_arrays", false, "deeper than `json_depth`"),
    ("i_structure_UTF-8_BOM_empty_object", false, "a byte order mark is not JSON (RFC 8259, 8.1)"),
];

/// Longer ones are cut in few places only.
const CUT_EVERYWHERE: usize = 300;

fn view() -> Box<dyn Flow> {
    let upstream = Upstream { tls: false, authority: "model".into(), base_path: String::new() };
    let rule = EndpointRule { path: "/x".into(), methods: vec!["POST".into()], views: vec![View::Json] };
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
    endpoint.response(200, "application/json", Limits::default()).unwrap()
}

/// Name and bytes of each case.
fn suite() -> Vec<(String, Vec<u8>)> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/json-test-suite.json")).unwrap();
    let text = |case: &Value, name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let bytes = |case: &Value| {
        let hex = text(case, "hex");
        let times = case["times"].as_u64().unwrap_or(0) as usize;
        let long = text(case, "repeat").repeat(times) + &text(case, "back").repeat(times) + &text(case, "text");
        let pairs = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        pairs.chain(long.into_bytes()).collect()
    };
    cases.iter().map(|case| (text(case, "name"), bytes(case))).collect()
}

/// What leaves of a body, cut here; all of it has left.
fn through(body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Malformed> {
    run(view(), &mut Judge::default(), body, cuts).map(|pieces| pieces.concat())
}

fn decided(name: &str) -> Option<bool> {
    DECIDED.iter().find(|(begin, ..)| name.starts_with(begin)).map(|(_, accepted, _)| *accepted)
}

#[test]
fn every_case_is_accepted_or_refused_as_it_must_be() {
    let suite = suite();
    assert_eq!(suite.len(), 318);
    for (name, body) in &suite {
        let accepted = decided(name).unwrap_or_else(|| {
            assert!(!name.starts_with("i_"), "{name} is not decided");
            name.starts_with("y_")
        });
        let whole = through(body, &[]);
        assert_eq!(whole.is_ok(), accepted, "{name}: {whole:?}");
        if accepted {
            assert_eq!(whole.unwrap(), *body, "{name} goes on as it is");
            let theirs = serde_json::from_slice::<Box<serde_json::value::RawValue>>(body);
            assert!(theirs.is_ok() || body.is_empty(), "{name} is no JSON to others");
        }
    }
}

#[test]
fn a_split_changes_nothing() {
    for (name, body) in suite() {
        let whole = through(&body, &[]).ok();
        let every: Vec<usize> = (1..body.len()).collect();
        let step = body.len() / CUT_EVERYWHERE + 1;
        for cut in every.iter().step_by(step) {
            assert_eq!(through(&body, &[*cut]).ok(), whole, "{name} cut at {cut}");
        }
        if step == 1 {
            assert_eq!(through(&body, &every).ok(), whole, "{name} byte by byte");
        }
    }
}

#[test]
fn every_decision_is_about_a_case() {
    let suite = suite();
    for (begin, _, reason) in DECIDED {
        assert!(suite.iter().any(|(name, _)| name.starts_with(begin)), "{begin}");
        assert!(!reason.is_empty());
    }
}
