//! What a body says, by other parsers than the host's: an oracle for what leaves.

use serde_json::Value;

/// How documents stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One document.
    Whole,
    /// An event stream.
    Events,
    /// An event stream of which nothing but its documents goes on, each as an event.
    PlainEvents,
    /// One on each line.
    Lines,
    /// The items of an array, or one document.
    Items,
    /// Text.
    Text,
}

/// Where some clients end lines, and the HTML standard and JSON do not.
const BREAKS: [char; 8] = ['\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];

/// An event as a client has it: its name, its id and its data; of comments and other fields nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

/// The events of a stream, by the HTML standard's text; the last one also when no empty line follows it. An id that is not
/// plain ASCII is none.
fn events(stream: &[u8]) -> Vec<Event> {
    let mut rest = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let (mut out, mut event, mut data) = (Vec::new(), Event::default(), None::<Vec<u8>>);
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix(b"\r\n").unwrap_or(after.get(1..).unwrap_or_default());
        if line.is_empty() {
            let id = event.id.clone();
            if let Some(data) = data.take() {
                out.push(Event { data, ..event });
            }
            event = Event { id, ..Event::default() };
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let name = &line[..colon.unwrap_or(line.len())];
        let value = colon.map_or(&[][..], |colon| &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => match &mut data {
                Some(data) => data.extend([b"\n", value].concat()),
                None => data = Some(value.to_vec()),
            },
            b"event" => event.name = value.to_vec(),
            b"id" if value.iter().all(|byte| matches!(byte, b' '..=b'~')) => event.id = value.to_vec(),
            _ => {}
        }
    }
    if let Some(data) = data {
        out.push(Event { data, ..event });
    }
    out
}

/// Data of an event that is no JSON, with spaces where some clients end lines; of what looks like JSON, whose lines leave
/// as one, where all do.
fn text_of(data: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(data).ok()?;
    let loose = text.trim_start().starts_with(['{', '[']);
    let ends = |c: char| BREAKS.contains(&c) || (loose && c == '\n');
    Some(
        text.chars().map(|c| if ends(c) { " ".repeat(c.len_utf8()) } else { c.to_string() }).collect::<String>().into(),
    )
}

/// A body of JSON with escapes where some clients end lines.
pub(crate) fn unbroken(body: &[u8]) -> Vec<u8> {
    let escapes = [("\u{85}", "\\u0085"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];
    let body = String::from_utf8_lossy(body).into_owned();
    escapes.iter().fold(body, |body, (raw, escape)| body.replace(raw, escape)).into_bytes()
}

/// A body of JSON with spaces for its ends of lines.
pub(crate) fn flat(body: &[u8]) -> Vec<u8> {
    body.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

/// The documents of a body; `None` when a part of it is none to the parser used here (also numbers that it can't hold).
#[must_use]
pub fn documents(framing: Framing, body: &[u8]) -> Option<Vec<Value>> {
    let text = |bytes: &[u8]| Some(Value::from(std::str::from_utf8(bytes).ok()?));
    Some(match framing {
        Framing::Whole => vec![serde_json::from_slice(body).ok()?],
        Framing::Items => match serde_json::from_slice(body).ok()? {
            Value::Array(items) => items,
            one => vec![one],
        },
        Framing::Lines => {
            let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
            lines.map(|line| serde_json::from_slice(line).ok()).collect::<Option<_>>()?
        }
        Framing::PlainEvents => {
            let said = events(body).into_iter().filter(|event| !event.data.trim_ascii().is_empty());
            said.map(|event| serde_json::from_slice(&event.data).ok()).collect::<Option<_>>()?
        }
        Framing::Text => vec![text(body)?],
        Framing::Events => {
            let mut out = Vec::new();
            for event in events(body) {
                out.push(text(&event.name)?);
                out.push(text(&event.id)?);
                out.push(serde_json::from_slice(&event.data).ok().or_else(|| text_of(&event.data))?);
            }
            out
        }
    })
}

/// Whether a word stands in a string or name of a document, also in JSON that stands in a string.
#[must_use]
pub(crate) fn mentions(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => {
            let nested = text.starts_with('{').then(|| serde_json::from_str::<Value>(text).ok()).flatten();
            text.contains(word) || nested.is_some_and(|nested| mentions(&nested, word))
        }
        Value::Array(items) => items.iter().any(|item| mentions(item, word)),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains(word) || mentions(value, word)),
        _ => false,
    }
}
