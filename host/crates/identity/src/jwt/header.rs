//! The JOSE header. It may say which key of its issuer to use and with which algorithm; both are only looked up, never
//! believed.

use serde_json::{Map, Value};

use super::{Algorithm, Fault};

/// The longest `kid`, in bytes.
const KID_BYTES: usize = 256;

/// The type of a token that says nothing else.
const JWT: &str = "jwt";

/// Names that bring a key along (RFC 7515, 4.1.2 to 4.1.6), change what is signed (RFC 7797), ask for extensions
/// (4.1.11), or belong to encryption (RFC 7516) and nested tokens (RFC 7519, 5.2).
const REFUSED: [&str; 10] = ["jwk", "jku", "x5u", "x5c", "crit", "b64", "enc", "zip", "epk", "cty"];

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    /// In lower case and with no `application/`; `jwt` when absent.
    pub(crate) kind: String,
}

impl Header {
    /// Reads the header's members.
    pub(crate) fn read(members: &Map<String, Value>) -> Result<Self, Fault> {
        if let Some(name) = REFUSED.into_iter().find(|name| members.contains_key(*name)) {
            return Err(Fault::Header(name));
        }
        // Exact names only: `none` in any spelling, HMAC and everything unknown end here.
        let algorithm = text(members, "alg")?.and_then(Algorithm::named).ok_or(Fault::Algorithm)?;
        let kid = text(members, "kid")?;
        if kid.is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES || !kid.bytes().all(printable)) {
            return Err(Fault::Header("kid"));
        }
        let kind = text(members, "typ")?.map_or_else(|| JWT.to_owned(), plain_type);
        Ok(Self { algorithm, kid: kid.map(str::to_owned), kind })
    }
}

/// A media type as `typ` has it (RFC 7515, 4.1.9): the prefix `application/` may be left out, letters have no case.
pub(crate) fn plain_type(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.strip_prefix("application/") {
        Some(rest) if !rest.contains('/') => rest.to_owned(),
        _ => kind,
    }
}

fn text<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, Fault> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Fault::Header(name)),
    }
}

fn printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(header: Value) -> Result<Header, Fault> {
        match header {
            Value::Object(members) => Header::read(&members),
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn a_plain_header_is_read() {
        let header =
            read(json!({"alg": "ES256", "kid": "a/b+c=", "typ": "application/AT+JWT", "x5t": "ignored"})).unwrap();
        assert_eq!(header, Header { algorithm: Algorithm::Es256, kid: Some("a/b+c=".into()), kind: "at+jwt".into() });
        assert_eq!(read(json!({"alg": "RS256"})).unwrap().kind, "jwt");
    }

    #[test]
    fn no_header_chooses_its_algorithm() {
        for alg in ["none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "es256", "ES256 ", "", "ES256K", "dir"] {
            assert_eq!(read(json!({ "alg": alg })), Err(Fault::Algorithm), "{alg}");
        }
        assert_eq!(read(json!({})), Err(Fault::Algorithm));
        assert_eq!(read(json!({"alg": null})), Err(Fault::Header("alg")));
        assert_eq!(read(json!({"alg": ["ES256"]})), Err(Fault::Header("alg")));
    }

    #[test]
    fn no_header_brings_its_key_or_asks_for_more() {
        for name in REFUSED {
            for value in [json!(null), json!([]), json!("x"), json!(true), json!({})] {
                let mut header = json!({"alg": "ES256"});
                header[name] = value;
                assert_eq!(read(header), Err(Fault::Header(name)));
            }
        }
    }

    #[test]
    fn a_hostile_kid_is_refused() {
        for kid in [
            json!(""),
            json!("a\0b"),
            json!("a\nb"),
            json!("é"),
            json!("x".repeat(257)),
            json!(1),
            json!(["a"]),
            json!(null),
        ] {
            assert_eq!(read(json!({"alg": "ES256", "kid": kid})), Err(Fault::Header("kid")));
        }
    }
}
