//! The strict JSON reader, through the view that reads any JSON, against serde_json.

use serde_json::value::RawValue;

use crate::flows;

/// An input: a body.
pub(crate) fn run(body: &[u8]) {
    // No bytes are no body, which an answer may have.
    if body.is_empty() {
        return;
    }
    let named = [b"json answer\n".as_slice(), body].concat();
    let Some((spec, body)) = flows::named("http", &named) else { return };
    let ours = crate::untouched(spec, body);
    match serde_json::from_slice::<&RawValue>(body) {
        // Names that stand twice, lone surrogates (which a raw value hides) and depth are refused here alone.
        Ok(_) => {}
        Err(error) => assert!(!ours, "accepted, and others say {error}"),
    }
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) {
        let written = value.to_string();
        let depth = written.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
        // What another writes in its own way has no name twice; so nothing is left to refuse but depth and size.
        if depth < flows::LIMITS.json_depth && written.len() < flows::LIMITS.body_bytes {
            assert!(crate::untouched(spec, written.as_bytes()), "refused: {written}");
        }
    }
}
