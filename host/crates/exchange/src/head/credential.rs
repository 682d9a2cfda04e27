//! The credential of a request: where it may stand, and that it is one.

use http::{HeaderMap, header};

use crate::refuse::Stop;

/// Where a credential may stand besides `authorization`.
const KEYS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// A credential as it came in. Not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Credential(pub(crate) String);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl Credential {
    /// The one credential of a request, wherever it stands. Two that differ could each be meant: who is asked about one
    /// must not be let in by the other.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, Stop> {
        let bearers =
            headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok()).filter_map(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then_some(token)
            });
        let keys = KEYS.iter().flat_map(|name| headers.get_all(*name)).filter_map(|value| value.to_str().ok());
        let mut given = bearers.chain(keys).map(str::trim).filter(|token| !token.is_empty());
        let Some(first) = given.next() else { return Ok(None) };
        if given.any(|other| other != first) {
            return Err(Stop::BadHead("two different credentials: send one, or the same in every header"));
        }
        Ok(Some(Self(first.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> Result<Option<String>, &'static str> {
        let header = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        match Credential::read(&headers.iter().map(header).collect()) {
            Ok(found) => Ok(found.map(|found| found.0)),
            Err(Stop::BadHead(why)) => Err(why),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn two_different_credentials_are_refused_and_one_twice_is_one() {
        for headers in [
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")][..],
            &[("authorization", "Bearer a"), ("x-api-key", "b")],
            &[("x-api-key", "a"), ("api-key", "b")],
            &[("x-goog-api-key", "a"), ("x-goog-api-key", "b")],
        ] {
            assert!(read(headers).is_err_and(|why| why.contains("two different credentials")), "{headers:?}");
        }
        for headers in [
            &[("authorization", "Bearer a"), ("authorization", "bearer  a")][..],
            &[("authorization", "Bearer a"), ("x-api-key", "a"), ("api-key", "")],
            &[("authorization", "Basic b"), ("x-api-key", "a")],
        ] {
            assert_eq!(read(headers), Ok(Some("a".to_owned())), "{headers:?}");
        }
        assert_eq!(read(&[("x-api-key", " ")]), Ok(None));
    }
}
