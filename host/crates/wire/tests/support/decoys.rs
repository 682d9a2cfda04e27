//! Decoys between the halves of a value: what a client joins of a stream, and what becomes of it.

use serde_json::{Value, json};
use wire::Flow;

use super::{CANARY, Judge, events, masked, run, value};

/// The halves of a text with the canary.
pub(crate) const FIRST: &str = "ssn 078-05-";
pub(crate) const LAST: &str = "1120 ok";

/// What a client reads of one event or document.
pub(crate) type Reads = fn(&Value) -> Option<String>;

/// What a client joins of a stream.
pub(crate) fn heard(body: &str, reads: Reads) -> String {
    events(body.as_bytes()).iter().filter(|event| *event != "[DONE]").filter_map(|event| reads(&value(event))).collect()
}

/// The two halves are read as one by this client, and leave masked.
pub(crate) fn is_masked(flow: Box<dyn Flow>, body: &str, reads: Reads) {
    assert!(heard(body, reads).contains(CANARY), "no client joins this: {body}");
    let out = masked(flow, body);
    assert!(!heard(&out, reads).contains(CANARY), "{out}");
    assert!(heard(&out, reads).contains("[SSN]"), "{out}");
}

/// A body is refused, with these words.
pub(crate) fn is_refused(flow: Box<dyn Flow>, body: &str, why: &str) {
    let error = run(flow, &mut Judge::masking(), body.as_bytes(), &[]).unwrap_err().to_string();
    assert!(error.contains(why), "{error}: {body}");
}

/// Events with no names.
pub(crate) fn unnamed(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("data: {document}\n\n")).collect()
}

pub(crate) fn typed(kind: &str, text: &str) -> Value {
    json!({ "type": kind, "text": text })
}

/// An event with a name.
pub(crate) fn named(name: &str, document: &Value) -> String {
    format!("event: {name}\ndata: {document}\n\n")
}
