//! What comes in: forms, queries and cookies, read strictly: UTF-8, every name at most once (RFC 6749, 3.1 and 3.2).

use std::collections::BTreeMap;

use http::{HeaderMap, header};

use super::answer::Refusal;

/// The longest form or query, in bytes.
pub(super) const FORM_BYTES: usize = 64 << 10;

/// Names and values, each name once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// A body.
    pub(super) fn body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let kinds: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
        let form = match kinds[..] {
            [kind] => kind.to_str().is_ok_and(|kind| {
                let essence = kind.split(';').next().unwrap_or_default().trim();
                essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
            }),
            _ => false,
        };
        if !form {
            return Err(Refusal::request("the body must be application/x-www-form-urlencoded"));
        }
        let text = std::str::from_utf8(body).map_err(|_| Refusal::request("the body is not UTF-8"))?;
        Self::read(text)
    }

    /// A query or a body.
    pub(super) fn read(text: &str) -> Result<Self, Refusal> {
        if text.len() > FORM_BYTES {
            return Err(Refusal::request("too long"));
        }
        let mut form = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Refusal::request("the form is not encoded well"));
            };
            if form.insert(name, value).is_some() {
                return Err(Refusal::request("a parameter stands twice"));
            }
        }
        Ok(Self(form))
    }

    /// A value; an empty one is none (RFC 6749, 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A value that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::request(format!("{name} is missing")))
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A cookie that came exactly once.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(own, value)| (own == name).then_some(value));
    match (found.next(), found.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_once_and_whole() {
        let form = Form::read("a=1&b=x+y%2Bz&c&d=%C3%A9&&e=a%3Db").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), Some("x y+z"), None));
        assert_eq!((form.get("d"), form.get("e")), (Some("é"), Some("a=b")));
        assert!(form.need("c").is_err());
        for wrong in ["a=1&a=1", "a=1&%61=2", "a=%", "a=%4", "a=%zz", "a=%ff", "a=%-1"] {
            assert!(Form::read(wrong).is_err(), "{wrong}");
        }
        assert!(Form::read(&format!("a={}", "x".repeat(FORM_BYTES))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_read_back(pairs in proptest::collection::btree_map(".+", ".+", 0..8), text in ".*") {
            let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            proptest::prop_assert_eq!(Form::read(&encoded), Ok(Form(pairs)));
            let _either = Form::read(&text);
        }
    }

    #[test]
    fn a_cookie_comes_once() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=1; b=2;c=3".parse().unwrap());
        assert_eq!(cookie(&headers, "b"), Some("2"));
        assert_eq!(cookie(&headers, "d"), None);
        headers.append(header::COOKIE, "b=4".parse().unwrap());
        assert_eq!(cookie(&headers, "b"), None);
    }
}
