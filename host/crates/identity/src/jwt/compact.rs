//! The compact serialisation: `header.payload.signature`, each canonical base64url with no padding.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{Fault, Header, TOKEN_BYTES, strict};

/// A token, taken apart. Nothing in it is true yet.
#[derive(Debug)]
pub(crate) struct Compact<'t> {
    pub(crate) header: Header,
    /// The payload's members, each once.
    pub(crate) members: Map<String, Value>,
    /// What is signed: `header.payload` as it stands in the token.
    pub(crate) signed: &'t str,
    /// The signature as it stands in the token.
    pub(crate) signature: &'t str,
    /// The signature, decoded.
    pub(crate) signature_bytes: Vec<u8>,
}

impl<'t> Compact<'t> {
    /// Takes a token apart.
    pub(crate) fn read(token: &'t str) -> Result<Self, Fault> {
        if token.len() > TOKEN_BYTES {
            return Err(Fault::Form("too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::Form("not three parts"));
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let header = object(header, "header")?;
        let members = object(payload, "payload")?;
        let signature_bytes = decode(signature).ok_or(Fault::Form("signature"))?;
        if signature_bytes.is_empty() {
            return Err(Fault::Form("no signature"));
        }
        Ok(Self { header: Header::read(&header)?, members, signed, signature, signature_bytes })
    }
}

fn object(part: &str, name: &'static str) -> Result<Map<String, Value>, Fault> {
    decode(part).and_then(|bytes| strict::object(&bytes)).ok_or(Fault::Form(name))
}

/// The engine refuses padding, white space, the other alphabet, and bits behind the last byte that are not zero: one
/// text for each value.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.{}", encode(header), encode(payload), encode("signature"))
    }

    #[test]
    fn a_token_is_taken_apart() {
        let token = token(r#"{"alg":"ES256","kid":"k"}"#, r#"{"iss":"i"}"#);
        let compact = Compact::read(&token).unwrap();
        assert_eq!(compact.members["iss"], "i");
        assert_eq!(compact.signature_bytes, b"signature");
        assert_eq!(format!("{}.{}", compact.signed, compact.signature), token);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".*", header in ".*", payload in ".*") {
            let _refused = Compact::read(&text);
            let _refused = Compact::read(&format!("{text}.{header}.{payload}"));
            let _refused = Compact::read(&token(&header, &payload));
            let _refused = Compact::read(&token(r#"{"alg":"ES256"}"#, &payload));
            let _refused = crate::jwks::KeySet::read(payload.as_bytes());
        }
    }

    #[test]
    fn every_other_form_is_refused() {
        let good = token(r#"{"alg":"ES256"}"#, "{}");
        let (start, signature) = good.rsplit_once('.').unwrap();
        let wrong = [
            String::new(),
            "..".into(),
            start.to_owned(),
            format!("{start}."),
            format!("{good}."),
            format!(".{good}"),
            format!("{good}.{signature}"),
            format!("{good}="),
            format!("{good} "),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{start}.{signature}+/"),
            // `c2lnbmF0dXJl` has no spare bits; `YQ` has four, which must be zero.
            format!("{start}.YR"),
            format!("{start}.Y"),
            format!("{}.{}.{signature}", encode(r#"{"alg":"ES256"}"#), encode("[]")),
            format!("{}.{}.{signature}", encode(r#"{"alg":"ES256"}"#), encode(r#"{"a":1,"a":1}"#)),
            format!("{}.{}.{signature}", encode(r#"{"alg":"ES256","alg":"ES256"}"#), encode("{}")),
            r#"{"payload":"e30","signatures":[]}"#.into(),
            "é.é.é".into(),
            "a".repeat(TOKEN_BYTES + 1),
        ];
        for token in wrong {
            assert!(matches!(Compact::read(&token), Err(Fault::Form(_))), "{token}");
        }
        assert!(Compact::read(&format!("{start}.YQ")).is_ok());
    }
}
