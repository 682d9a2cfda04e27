//! The claims of a security event (SET, RFC 8417) as the Shared Signals Framework 1.0 has them.
//!
//! What must hold: what could be a token for opening something is no event: `exp` and `sub` are refused (SSF 1.0, 4.1),
//! and the type is looked at before this.

use serde_json::{Map, Value};

use super::{
    Fault,
    claims::{audience, name, time},
};

/// The type (`typ`) of an event, and of nothing else.
pub(crate) const EVENT_TYPE: &str = "secevent+jwt";

/// The most types of one event; more than one are other names of the same (SSF 1.0, 4.2.1).
const TYPES: usize = 16;

/// What a transmitter's events must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventTerms<'t> {
    /// One of these must be in `aud`, whole.
    pub(crate) audiences: &'t [String],
    /// Seconds by which the transmitter's clock may differ.
    pub(crate) leeway: u64,
    /// Seconds after which an event is not taken any more.
    pub(crate) oldest: u64,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventClaims {
    pub(crate) id: String,
    /// When it was told: seconds since 1970.
    pub(crate) issued: u64,
    /// When it happened, as far as that can be read.
    pub(crate) happened: Option<u64>,
    /// Whom it is about (`sub_id`, RFC 9493).
    pub(crate) subject: Option<Map<String, Value>>,
    /// What it is, by type; not empty, and each with an object.
    pub(crate) events: Map<String, Value>,
}

impl EventClaims {
    /// Checks all members that have a meaning here, at a time in seconds since 1970.
    pub(crate) fn read(members: &Map<String, Value>, terms: &EventTerms<'_>, now: u64) -> Result<Self, Fault> {
        for name in ["exp", "sub"] {
            if members.contains_key(name) {
                return Err(Fault::Claim(name));
            }
        }
        let issued = time(members, "iat")?.ok_or(Fault::Claim("iat"))?;
        if issued > now.saturating_add(terms.leeway) {
            return Err(Fault::NotYet);
        }
        if issued.saturating_add(terms.oldest).saturating_add(terms.leeway) < now {
            return Err(Fault::Expired);
        }
        audience(members, terms.audiences)?;
        let events = members.get("events").and_then(Value::as_object).ok_or(Fault::Claim("events"))?;
        if events.is_empty() || events.len() > TYPES || !events.values().all(Value::is_object) {
            return Err(Fault::Claim("events"));
        }
        let subject = match members.get("sub_id") {
            None => None,
            Some(subject) => Some(subject.as_object().ok_or(Fault::Claim("sub_id"))?.clone()),
        };
        Ok(Self {
            id: name(members, "jti")?.ok_or(Fault::Claim("jti"))?.to_owned(),
            issued,
            happened: time(members, "toe")?,
            subject,
            events: events.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn read(change: impl FnOnce(&mut Value)) -> Result<EventClaims, Fault> {
        let mut claims = json!({
            "aud": "gate", "iat": NOW - 10, "jti": "e1", "toe": NOW - 20,
            "sub_id": {"format": "opaque", "id": "ann"}, "events": {"https://e": {}},
        });
        change(&mut claims);
        let terms = EventTerms { audiences: &["gate".to_owned()], leeway: 30, oldest: 3600 };
        EventClaims::read(claims.as_object().unwrap(), &terms, NOW)
    }

    fn without(name: &str) -> Result<EventClaims, Fault> {
        read(|claims| {
            claims.as_object_mut().unwrap().remove(name);
        })
    }

    #[test]
    fn an_event_is_read() {
        let event = read(|_| {}).unwrap();
        assert_eq!((event.id.as_str(), event.issued, event.happened), ("e1", NOW - 10, Some(NOW - 20)));
        assert!(without("toe").unwrap().happened.is_none() && without("sub_id").unwrap().subject.is_none());
        for name in ["aud", "iat", "jti", "events"] {
            assert_eq!(without(name), Err(Fault::Claim(name)));
        }
    }

    #[test]
    fn what_could_be_a_token_is_no_event() {
        assert_eq!(read(|claims| claims["exp"] = json!(NOW + 60)), Err(Fault::Claim("exp")));
        assert_eq!(read(|claims| claims["sub"] = json!("ann")), Err(Fault::Claim("sub")));
    }

    #[test]
    fn an_event_is_neither_of_tomorrow_nor_of_long_ago() {
        let at = |iat: u64| read(|claims| claims["iat"] = json!(iat)).map(|_| ());
        assert_eq!(at(NOW + 31), Err(Fault::NotYet));
        assert_eq!((at(NOW + 30), at(NOW - 3630)), (Ok(()), Ok(())));
        assert_eq!(at(NOW - 3631), Err(Fault::Expired));
        for name in ["iat", "toe"] {
            for wrong in [json!("1800000000"), json!(1.5), json!(-1), json!(null), json!(1_800_000_000_000_u64)] {
                assert_eq!(read(|claims| claims[name] = wrong.clone()), Err(Fault::Claim(name)), "{name} {wrong}");
            }
        }
    }

    #[test]
    fn events_and_subjects_are_objects() {
        let many: Map<String, Value> = (0..=TYPES).map(|at| (at.to_string(), json!({}))).collect();
        for wrong in [json!({}), json!([]), json!("x"), json!(null), json!({"https://e": null}), json!(many)] {
            assert_eq!(read(|claims| claims["events"] = wrong.clone()), Err(Fault::Claim("events")), "{wrong}");
        }
        assert_eq!(read(|claims| claims["sub_id"] = json!("ann")), Err(Fault::Claim("sub_id")));
        assert_eq!(read(|claims| claims["aud"] = json!("gate2")), Err(Fault::Audience));
        assert_eq!(read(|claims| claims["jti"] = json!("")), Err(Fault::Claim("jti")));
    }
}
