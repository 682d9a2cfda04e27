//! The claims that decide whether a token counts now and here (RFC 7519, 4.1; RFC 8725).
//!
//! What must hold: a time is a whole number that is not negative, or the token is refused: a malformed one is never
//! taken for an absent one. `exp` and `iat` must be there, since revocation goes by them.

use model::Digest;
use serde_json::{Map, Value};

use super::Fault;

/// The last second of the year 9999: what is later is not a time.
const LATEST: u64 = 253_402_300_799;

/// The longest `sub` and `jti`, in bytes.
const NAME_BYTES: usize = 1024;

/// What an issuer's tokens must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'i> {
    /// One of these must be in `aud`, whole.
    pub(crate) audiences: &'i [String],
    /// Where not empty: `azp` must be one of them.
    pub(crate) parties: &'i [String],
    /// Seconds by which the issuer's clock may differ.
    pub(crate) leeway: u64,
    /// The most seconds from `iat` to `exp`.
    pub(crate) longest: u64,
}

/// What a token that counts says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    /// Seconds since 1970.
    pub(crate) issued: u64,
    /// Seconds since 1970; the first at which it counts no more, but for the leeway.
    pub(crate) expires: u64,
    pub(crate) id: Option<String>,
    /// SHA-256 of the client certificate that must come with it (RFC 8705, 3.1).
    pub(crate) certificate: Option<Digest>,
}

impl Claims {
    /// Checks all members that have a meaning here, at a time in seconds since 1970.
    pub(crate) fn read(members: &Map<String, Value>, terms: &Terms<'_>, now: u64) -> Result<Self, Fault> {
        // A logout token or another security event (RFC 8417; OpenID Connect Back-Channel Logout 1.0, 2.4) tells
        // something: whatever type it has, it opens nothing.
        if members.contains_key("events") {
            return Err(Fault::Claim("events"));
        }
        let expires = time(members, "exp")?.ok_or(Fault::Claim("exp"))?;
        let issued = time(members, "iat")?.ok_or(Fault::Claim("iat"))?;
        let begins = time(members, "nbf")?;
        if now >= expires.saturating_add(terms.leeway) {
            return Err(Fault::Expired);
        }
        let soon = now.saturating_add(terms.leeway);
        if issued > soon || begins.is_some_and(|begins| begins > soon) {
            return Err(Fault::NotYet);
        }
        if expires.checked_sub(issued).ok_or(Fault::Claim("exp"))? > terms.longest {
            return Err(Fault::TooLong);
        }
        audience(members, terms.audiences)?;
        party(members, terms.parties)?;
        Ok(Self {
            subject: name(members, "sub")?.ok_or(Fault::Claim("sub"))?.to_owned(),
            issued,
            expires,
            id: name(members, "jti")?.map(str::to_owned),
            certificate: confirmation(members)?,
        })
    }
}

pub(super) fn time(members: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, Fault> {
    let Some(value) = members.get(name) else { return Ok(None) };
    // `as_u64` of a float or a negative number is none, and so is that of a string.
    value.as_u64().filter(|time| *time <= LATEST).map(Some).ok_or(Fault::Claim(name))
}

pub(super) fn name<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, Fault> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let fits = |text: &&str| !text.is_empty() && text.len() <= NAME_BYTES && !text.chars().any(char::is_control);
    value.as_str().filter(fits).map(Some).ok_or(Fault::Claim(name))
}

pub(super) fn audience(members: &Map<String, Value>, audiences: &[String]) -> Result<(), Fault> {
    let ours = |text: &str| audiences.iter().any(|audience| audience == text);
    let found = match members.get("aud") {
        Some(Value::String(text)) => ours(text),
        Some(Value::Array(list)) => {
            if !list.iter().all(Value::is_string) {
                return Err(Fault::Claim("aud"));
            }
            list.iter().filter_map(Value::as_str).any(ours)
        }
        _ => return Err(Fault::Claim("aud")),
    };
    if found { Ok(()) } else { Err(Fault::Audience) }
}

fn party(members: &Map<String, Value>, parties: &[String]) -> Result<(), Fault> {
    let party = name(members, "azp")?;
    let allowed = |party: &str| parties.iter().any(|allowed| allowed == party);
    if !parties.is_empty() && !party.is_some_and(allowed) {
        return Err(Fault::Audience);
    }
    Ok(())
}

/// A token that is bound to a key must not count without that key. A certificate's can be checked; any other can't.
fn confirmation(members: &Map<String, Value>) -> Result<Option<Digest>, Fault> {
    const CNF: Fault = Fault::Claim("cnf");
    let Some(value) = members.get("cnf") else { return Ok(None) };
    let object = value.as_object().filter(|object| object.len() == 1).ok_or(CNF)?;
    let digest = object.get("x5t#S256").and_then(Value::as_str).and_then(crate::thumbprint).ok_or(CNF)?;
    Ok(Some(digest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn read_with(change: impl FnOnce(&mut Value), parties: &[String]) -> Result<Claims, Fault> {
        let mut claims = json!({"sub": "ann", "aud": "gate", "iat": NOW - 10, "exp": NOW + 60});
        change(&mut claims);
        let terms = Terms { audiences: &["gate".into(), "https://gate".into()], parties, leeway: 30, longest: 3600 };
        Claims::read(claims.as_object().unwrap(), &terms, NOW)
    }

    fn read(change: impl FnOnce(&mut Value)) -> Result<Claims, Fault> {
        read_with(change, &[])
    }

    fn without(name: &str) -> Result<Claims, Fault> {
        read(|claims| {
            claims.as_object_mut().unwrap().remove(name);
        })
    }

    #[test]
    fn what_counts_counts() {
        let claims = read(|_| {}).unwrap();
        assert_eq!((claims.subject.as_str(), claims.issued, claims.expires), ("ann", NOW - 10, NOW + 60));
        assert!(read(|claims| claims["aud"] = json!(["other", "https://gate"])).is_ok());
        assert!(read(|claims| claims["exp"] = json!(NOW - 29)).is_err(), "exp before iat is no time span");
        assert!(read(|claims| (claims["iat"], claims["exp"]) = (json!(NOW - 60), json!(NOW - 29))).is_ok());
        assert!(read(|claims| (claims["iat"], claims["nbf"]) = (json!(NOW + 30), json!(NOW + 30))).is_ok());
    }

    #[test]
    fn times_are_whole_numbers_or_nothing_counts() {
        for name in ["exp", "nbf", "iat"] {
            for wrong in [
                json!("1700000060"),
                json!(1_700_000_060.0),
                json!(1_700_000_060.5),
                json!(-1),
                json!(-0.0),
                json!(1e300),
                json!(u64::MAX),
                json!(null),
                json!(true),
                json!([NOW]),
                json!({}),
            ] {
                assert_eq!(read(|claims| claims[name] = wrong.clone()), Err(Fault::Claim(name)), "{name} {wrong}");
            }
        }
        assert_eq!(without("exp"), Err(Fault::Claim("exp")));
        assert_eq!(without("iat"), Err(Fault::Claim("iat")));
    }

    #[test]
    fn the_clock_decides_at_the_second() {
        let spans = [
            (NOW - 60, NOW - 30, Err(Fault::Expired)),
            (NOW - 60, NOW - 29, Ok(())),
            (NOW + 31, NOW + 60, Err(Fault::NotYet)),
            (NOW - 10, NOW - 10 + 3601, Err(Fault::TooLong)),
            (NOW - 10, NOW - 10 + 3600, Ok(())),
            (NOW, NOW - 1, Err(Fault::Claim("exp"))),
        ];
        for (issued, expires, expected) in spans {
            let found = read(|claims| (claims["iat"], claims["exp"]) = (json!(issued), json!(expires)));
            assert_eq!(found.map(|_| ()), expected, "{issued} {expires}");
        }
        assert_eq!(read(|claims| claims["nbf"] = json!(NOW + 31)), Err(Fault::NotYet));
    }

    #[test]
    fn an_audience_is_equal_or_another() {
        for other in [
            json!("gate2"),
            json!("gat"),
            json!("Gate"),
            json!("gate "),
            json!("gate,other"),
            json!(""),
            json!([]),
            json!(["gat", "e"]),
        ] {
            assert_eq!(read(|claims| claims["aud"] = other.clone()), Err(Fault::Audience), "{other}");
        }
        for wrong in [json!(null), json!({"gate": 1}), json!(["gate", 1]), json!([["gate"]]), json!(1)] {
            assert_eq!(read(|claims| claims["aud"] = wrong.clone()), Err(Fault::Claim("aud")), "{wrong}");
        }
        assert_eq!(without("aud"), Err(Fault::Claim("aud")));
        let parties = ["cli".to_owned()];
        assert_eq!(read_with(|_| {}, &parties), Err(Fault::Audience));
        assert_eq!(read_with(|claims| claims["azp"] = json!("other"), &parties), Err(Fault::Audience));
        assert!(read_with(|claims| claims["azp"] = json!("cli"), &parties).is_ok());
    }

    #[test]
    fn what_tells_an_event_is_no_token() {
        let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        for events in [logout, json!({}), json!(null), json!([])] {
            assert_eq!(read(|claims| claims["events"] = events.clone()), Err(Fault::Claim("events")), "{events}");
        }
    }

    #[test]
    fn a_subject_is_a_name() {
        for wrong in [json!(""), json!(null), json!(7), json!("a\u{0}b"), json!("a\nb"), json!("x".repeat(1025))] {
            assert_eq!(read(|claims| claims["sub"] = wrong.clone()), Err(Fault::Claim("sub")), "{wrong}");
        }
        assert_eq!(without("sub"), Err(Fault::Claim("sub")));
    }

    #[test]
    fn a_bound_token_needs_what_it_is_bound_to() {
        let thumb = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";
        assert_eq!(
            read(|claims| claims["cnf"] = json!({"x5t#S256": thumb})),
            Err(Fault::Claim("cnf")),
            "not canonical"
        );
        let thumb = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg0";
        let bound = read(|claims| claims["cnf"] = json!({"x5t#S256": thumb})).unwrap();
        assert!(bound.certificate.is_some());
        for wrong in [
            json!({"jkt": thumb}),
            json!({}),
            json!({"x5t#S256": thumb, "jkt": thumb}),
            json!({"x5t#S256": "AA"}),
            json!(null),
        ] {
            assert_eq!(read(|claims| claims["cnf"] = wrong.clone()), Err(Fault::Claim("cnf")), "{wrong}");
        }
    }
}
