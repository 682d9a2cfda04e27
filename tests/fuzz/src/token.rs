//! Tokens that others signed, up to the place where a key would be needed.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt as _;
use identity::{Fault, Issuer, Issuers};
use serde_json::Value;

/// Nobody answers there; no token gets as far as that.
static ISSUERS: LazyLock<Issuers> =
    LazyLock::new(|| Issuers::new([Issuer::new("https://issuer.invalid", ["gate"])]).expect("it can be one"));

/// An input: three lines are header, payload and signature before they are coded; anything else is a token as it is.
pub(crate) fn run(input: &[u8]) {
    let lines: Vec<&[u8]> = input.splitn(3, |byte| *byte == b'\n').collect();
    let token = match lines.as_slice() {
        [header, payload, signature] => [header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join("."),
        _ => String::from_utf8_lossy(input).into_owned(),
    };
    let Some(result) = ISSUERS.verify(&token).now_or_never() else { return };
    let Err(fault) = result else { panic!("nobody signed it: {token}") };
    // Whatever gets further than the form has one, by other parsers too.
    if !matches!(fault, Fault::Form(_)) {
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3, "{fault}: {token}");
        let bytes: Vec<Vec<u8>> =
            parts.iter().map(|part| URL_SAFE_NO_PAD.decode(part).expect("is base64url")).collect();
        for (part, bytes) in parts.iter().zip(&bytes) {
            assert_eq!(URL_SAFE_NO_PAD.encode(bytes), **part, "not the one form: {token}");
        }
        for json in &bytes[..2] {
            let value: Value = serde_json::from_slice(json).expect("is JSON");
            assert!(value.is_object(), "{value}");
            // The host's other strict reader agrees that it has one meaning.
            let named = [b"json answer\n".as_slice(), json].concat();
            let (spec, body) = crate::named("http", &named).expect("is a flow");
            let small = body.len() < 1 << 10 && !value.to_string().contains("[[[[");
            assert!(!small || crate::untouched(spec, body), "two readers disagree: {value}");
        }
        assert!(!bytes[2].is_empty(), "not signed: {token}");
    }
}
