//! Types of events, and what each ends.
//!
//! What must hold: an event that can be read in two ways ends the most of them; one that says nothing about access ends
//! nothing.

use serde_json::{Map, Value};

use crate::jwt::EventClaims;

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";

/// A type of event that ends something (CAEP 1.0, RISC 1.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalEvent {
    /// CAEP: a session was revoked. Ends what its user was issued until then.
    SessionRevoked,
    /// CAEP: a credential changed. Ends what its user was issued until then, unless one was only added.
    CredentialChange,
    /// RISC: all sessions of an account were revoked. As the first.
    SessionsRevoked,
    /// RISC: a credential is in wrong hands. As the first.
    CredentialCompromise,
    /// RISC: an account was disabled. Ends its user, until an operator lifts it.
    AccountDisabled,
    /// RISC: an account was deleted for good. The same.
    AccountPurged,
}

impl SignalEvent {
    /// All of them, by the names that they have in the configuration.
    pub const ALL: [(&'static str, Self); 6] = [
        ("session-revoked", Self::SessionRevoked),
        ("credential-change", Self::CredentialChange),
        ("sessions-revoked", Self::SessionsRevoked),
        ("credential-compromise", Self::CredentialCompromise),
        ("account-disabled", Self::AccountDisabled),
        ("account-purged", Self::AccountPurged),
    ];

    /// The event with exactly this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(known, event)| (known == name).then_some(event))
    }

    fn of(uri: &str) -> Option<Self> {
        let (name, caep) = match uri.strip_prefix(CAEP) {
            Some(name) => (name, true),
            None => (uri.strip_prefix(RISC)?, false),
        };
        let own = matches!(Self::named(name)?, Self::SessionRevoked | Self::CredentialChange);
        if own == caep { Self::named(name) } else { None }
    }

    fn ends(self, details: &Map<String, Value>, until: u64) -> Ends {
        match self {
            Self::AccountDisabled | Self::AccountPurged => Ends::Caller,
            // A way in that was added takes nothing from who is in.
            Self::CredentialChange if details.get("change_type").is_some_and(|change| change == "create") => {
                Ends::Nothing
            }
            Self::SessionRevoked | Self::SessionsRevoked | Self::CredentialCompromise | Self::CredentialChange => {
                Ends::Until(until)
            }
        }
    }
}

/// What an event ends, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ends {
    Nothing,
    /// What a caller was issued until this second since 1970, that second included.
    Until(u64),
    /// The caller, until an operator lifts it.
    Caller,
}

/// What a whole message comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) ends: Ends,
    /// Its type, in a word for the log; none: nobody here knows it, or wants it.
    pub(super) word: Option<&'static str>,
    /// The transmitter tried whether the stream works, or changed the stream.
    pub(super) stream: Option<StreamNews>,
}

/// News about the stream itself (SSF 1.0, 8.1.4 and 8.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamNews {
    Verified,
    /// Its new status.
    Updated(String),
}

/// What claims come to where these events are wanted, at a time in seconds since 1970.
pub(super) fn told(claims: &EventClaims, wanted: &[SignalEvent], latest: u64) -> Told {
    let mut told = Told { ends: Ends::Nothing, word: None, stream: None };
    for (uri, details) in &claims.events {
        let Some(details) = details.as_object() else { continue };
        if let Some(event) = SignalEvent::of(uri).filter(|event| wanted.contains(event)) {
            let ends = event.ends(details, when(claims, details, latest));
            if told.word.is_none() || ends > told.ends {
                told.word = SignalEvent::ALL.into_iter().find_map(|(name, own)| (own == event).then_some(name));
            }
            told.ends = told.ends.max(ends);
        }
        match uri.strip_prefix(SSF) {
            Some("verification") => told.stream = Some(StreamNews::Verified),
            Some("stream-updated") => {
                let status = details.get("status").and_then(Value::as_str).unwrap_or("unknown");
                told.stream = Some(StreamNews::Updated(status.to_owned()));
            }
            Some(_) | None => {}
        }
    }
    told
}

/// When it happened. A time that can't be read (drafts had milliseconds) or lies ahead is not believed: then what counts
/// is when it was told, which is later and so ends more.
fn when(claims: &EventClaims, details: &Map<String, Value>, latest: u64) -> u64 {
    let happened = match details.get("event_timestamp") {
        None => claims.happened,
        Some(value) => value.as_u64(),
    };
    happened.filter(|at| *at <= latest).unwrap_or(claims.issued)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LATEST: u64 = 1_000;

    fn all() -> Vec<SignalEvent> {
        SignalEvent::ALL.map(|(_, event)| event).into()
    }

    fn tell(events: Value, happened: Option<u64>, wanted: &[SignalEvent]) -> Told {
        let Value::Object(events) = events else { panic!("not an object") };
        told(&EventClaims { id: "e".into(), issued: 900, happened, subject: None, events }, wanted, LATEST)
    }

    fn ends(uri: &str, details: &Value) -> Ends {
        tell(json!({ uri: details }), None, &all()).ends
    }

    #[test]
    fn each_type_ends_what_it_is_about() {
        for (name, prefix, expected) in [
            ("session-revoked", CAEP, Ends::Until(900)),
            ("credential-change", CAEP, Ends::Until(900)),
            ("sessions-revoked", RISC, Ends::Until(900)),
            ("credential-compromise", RISC, Ends::Until(900)),
            ("account-disabled", RISC, Ends::Caller),
            ("account-purged", RISC, Ends::Caller),
        ] {
            assert_eq!(ends(&format!("{prefix}{name}"), &json!({})), expected, "{name}");
            let other = if prefix == CAEP { RISC } else { CAEP };
            assert_eq!(ends(&format!("{other}{name}"), &json!({})), Ends::Nothing, "{name} of the other family");
            assert_eq!(ends(&format!("{prefix}{name}/"), &json!({})), Ends::Nothing, "{name}/");
            let told = tell(json!({ format!("{prefix}{name}"): {} }), None, &[]);
            assert_eq!((told.ends, told.word), (Ends::Nothing, None), "{name}, which nobody wants");
        }
        assert_eq!(
            ends("https://schemas.openid.net/secevent/risc/event-type/account-enabled", &json!({})),
            Ends::Nothing
        );
    }

    #[test]
    fn a_credential_that_is_only_added_ends_nothing() {
        let uri = format!("{CAEP}credential-change");
        assert_eq!(ends(&uri, &json!({"change_type": "create"})), Ends::Nothing);
        for change in [json!("revoke"), json!("update"), json!("delete"), json!("Create"), json!(["create"]), json!(1)]
        {
            assert_eq!(ends(&uri, &json!({ "change_type": change })), Ends::Until(900), "{change}");
        }
    }

    #[test]
    fn a_time_that_is_none_ends_more_and_not_less() {
        let uri = format!("{CAEP}session-revoked");
        let at = |value: Value| ends(&uri, &json!({ "event_timestamp": value }));
        assert_eq!((at(json!(500)), at(json!(1_000))), (Ends::Until(500), Ends::Until(1_000)));
        for wrong in [json!(1_001), json!(500_000_000), json!(-5), json!(500.5), json!("500"), json!(null)] {
            assert_eq!(at(wrong.clone()), Ends::Until(900), "{wrong}");
        }
        let event = json!({ uri: {} });
        assert_eq!(tell(event.clone(), Some(600), &all()).ends, Ends::Until(600), "`toe`");
        assert_eq!(tell(event, Some(2_000), &all()).ends, Ends::Until(900));
    }

    #[test]
    fn of_several_names_the_strongest_counts() {
        let both =
            json!({ format!("{CAEP}session-revoked"): {}, format!("{RISC}account-purged"): {}, "https://x": {} });
        let told = tell(both, None, &all());
        assert_eq!((told.ends, told.word), (Ends::Caller, Some("account-purged")));
    }

    #[test]
    fn news_about_the_stream_end_nothing() {
        let told = tell(json!({ format!("{SSF}verification"): {"state": "x"} }), None, &all());
        assert_eq!((told.ends, told.stream), (Ends::Nothing, Some(StreamNews::Verified)));
        let told = tell(json!({ format!("{SSF}stream-updated"): {"status": "paused"} }), None, &all());
        assert_eq!(told.stream, Some(StreamNews::Updated("paused".into())));
    }
}
