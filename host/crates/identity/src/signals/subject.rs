//! From whom an event is about (`sub_id`: RFC 9493, SSF 1.0, 3) to callers as they are known here: issuer and subject.
//!
//! What must hold: a transmitter speaks only for the issuers that it is trusted for; a subject that can't be told for
//! certain is refused, so that nobody believes it ended; where only a part is understood (a session, a device of a user),
//! the whole user is meant.

use model::Target;
use serde_json::{Map, Value};
use thiserror::Error;

/// The most identifiers of one subject.
const ALIASES: usize = 16;
/// The longest subject, in bytes: as in tokens.
const SUBJECT_BYTES: usize = 1024;

/// Identifiers (RFC 9493) by which a transmitter may name a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectFormat {
    /// `iss_sub`: as in tokens.
    IssSub,
    /// `opaque`: its `id` is the `sub` of the issuer's tokens.
    Opaque,
    /// `email`: its address is the `sub` of the issuer's tokens.
    Email,
}

impl SubjectFormat {
    /// All of them, by the names they have in events and in the configuration.
    pub const ALL: [(&'static str, Self); 3] =
        [("iss_sub", Self::IssSub), ("opaque", Self::Opaque), ("email", Self::Email)];

    /// The format with exactly this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(known, format)| (known == name).then_some(format))
    }
}

/// Why nobody is known by a subject.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum NoCaller {
    #[error("sub_id is missing, or is not a subject identifier")]
    Form,
    #[error("callers are not known here by its subject's format; expected one that was agreed")]
    Format,
    #[error("its subject names no user, and only users' access can be ended")]
    NoUser,
    #[error("its subject belongs to an issuer that it does not speak for")]
    Foreign,
}

/// What a transmitter may speak about.
pub(super) struct Known<'t> {
    pub(super) formats: &'t [SubjectFormat],
    /// Not empty; the first is whose subjects those are that name no issuer.
    pub(super) issuers: &'t [String],
}

impl Known<'_> {
    /// The callers that a subject is; not empty.
    pub(super) fn callers(&self, subject: Option<&Map<String, Value>>) -> Result<Vec<Target>, NoCaller> {
        let subject = subject.ok_or(NoCaller::Form)?;
        match format(subject)? {
            "complex" => match subject.get("user") {
                Some(user) => self.simple_or_aliases(user.as_object().ok_or(NoCaller::Form)?),
                None => Err(NoCaller::NoUser),
            },
            _ => self.simple_or_aliases(subject),
        }
    }

    fn simple_or_aliases(&self, subject: &Map<String, Value>) -> Result<Vec<Target>, NoCaller> {
        if format(subject)? != "aliases" {
            return Ok(vec![self.simple(subject)?]);
        }
        let aliases = subject.get("identifiers").and_then(Value::as_array).ok_or(NoCaller::Form)?;
        if aliases.is_empty() || aliases.len() > ALIASES {
            return Err(NoCaller::Form);
        }
        let (mut callers, mut missing) = (Vec::new(), NoCaller::Format);
        for alias in aliases {
            match self.simple(alias.as_object().ok_or(NoCaller::Form)?) {
                Ok(caller) if callers.contains(&caller) => {}
                Ok(caller) => callers.push(caller),
                Err(NoCaller::Form) => return Err(NoCaller::Form),
                Err(other) => missing = other,
            }
        }
        // All of them are one person: what is not known here is only another name.
        if callers.is_empty() { Err(missing) } else { Ok(callers) }
    }

    fn simple(&self, subject: &Map<String, Value>) -> Result<Target, NoCaller> {
        let format = SubjectFormat::named(format(subject)?).filter(|format| self.formats.contains(format));
        let format = format.ok_or(NoCaller::Format)?;
        let home = self.issuers.first().ok_or(NoCaller::Format)?;
        let (issuer, subject) = match format {
            SubjectFormat::IssSub => (text(subject, "iss")?, text(subject, "sub")?),
            SubjectFormat::Opaque => (home.as_str(), text(subject, "id")?),
            SubjectFormat::Email => (home.as_str(), text(subject, "email")?),
        };
        if !self.issuers.iter().any(|known| known == issuer) {
            return Err(NoCaller::Foreign);
        }
        Ok(Target::Caller { issuer: issuer.to_owned(), subject: subject.to_owned() })
    }
}

fn format(subject: &Map<String, Value>) -> Result<&str, NoCaller> {
    text(subject, "format")
}

fn text<'s>(subject: &'s Map<String, Value>, name: &str) -> Result<&'s str, NoCaller> {
    let fits = |text: &&str| !text.is_empty() && text.len() <= SUBJECT_BYTES && !text.chars().any(char::is_control);
    subject.get(name).and_then(Value::as_str).filter(fits).ok_or(NoCaller::Form)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn callers(formats: &[SubjectFormat], subject: &Value) -> Result<Vec<(String, String)>, NoCaller> {
        let issuers = ["https://idp".to_owned(), "https://other".to_owned()];
        let found = Known { formats, issuers: &issuers }.callers(subject.as_object())?;
        let pair = |target: Target| match target {
            Target::Caller { issuer, subject } => (issuer, subject),
            other => panic!("{other:?}"),
        };
        Ok(found.into_iter().map(pair).collect())
    }

    fn one(formats: &[SubjectFormat], subject: &Value) -> Result<(String, String), NoCaller> {
        callers(formats, subject).map(|found| match &found[..] {
            [only] => only.clone(),
            several => panic!("{several:?}"),
        })
    }

    fn all() -> [SubjectFormat; 3] {
        SubjectFormat::ALL.map(|(_, format)| format)
    }

    fn ann(issuer: &str) -> (String, String) {
        (issuer.to_owned(), "ann".to_owned())
    }

    #[test]
    fn a_caller_is_named_in_the_agreed_ways_only() {
        let iss_sub = json!({"format": "iss_sub", "iss": "https://other", "sub": "ann"});
        let opaque = json!({"format": "opaque", "id": "ann"});
        let email = json!({"format": "email", "email": "ann"});
        for (format, subject, issuer) in [
            (SubjectFormat::IssSub, &iss_sub, "https://other"),
            (SubjectFormat::Opaque, &opaque, "https://idp"),
            (SubjectFormat::Email, &email, "https://idp"),
        ] {
            assert_eq!(one(&[format], subject), Ok(ann(issuer)));
            let others: Vec<_> = all().into_iter().filter(|other| *other != format).collect();
            assert_eq!(one(&others, subject), Err(NoCaller::Format), "{subject}");
        }
    }

    #[test]
    fn nobody_speaks_for_another_issuer() {
        for issuer in ["https://evil", "https://idp/", "HTTPS://IDP", "token"] {
            let subject = json!({"format": "iss_sub", "iss": issuer, "sub": "ann"});
            assert_eq!(one(&all(), &subject), Err(NoCaller::Foreign), "{issuer}");
        }
    }

    #[test]
    fn of_a_complex_subject_the_user_is_meant() {
        let user = json!({"format": "iss_sub", "iss": "https://idp", "sub": "ann"});
        let session = json!({"format": "opaque", "id": "s-1"});
        let complex = json!({"format": "complex", "user": user, "session": session, "tenant": session});
        assert_eq!(one(&all(), &complex), Ok(ann("https://idp")));
        for less in [json!({"format": "complex", "session": session}), json!({"format": "complex", "tenant": session})]
        {
            assert_eq!(one(&all(), &less), Err(NoCaller::NoUser), "{less}");
        }
        let twice = json!({"format": "complex", "user": complex});
        assert_eq!(one(&all(), &twice), Err(NoCaller::Format));
    }

    #[test]
    fn aliases_are_one_person() {
        let of = |identifiers: Value| json!({"format": "aliases", "identifiers": identifiers});
        let (idp, other) = (
            json!({"format": "iss_sub", "iss": "https://idp", "sub": "ann"}),
            json!({"format": "iss_sub", "iss": "https://other", "sub": "ann"}),
        );
        let (mail, evil) = (
            json!({"format": "email", "email": "ann@x"}),
            json!({"format": "iss_sub", "iss": "https://evil", "sub": "ann"}),
        );
        let names = [SubjectFormat::IssSub];
        assert_eq!(one(&names, &of(json!([mail, idp, idp, evil]))), Ok(ann("https://idp")));
        assert_eq!(callers(&names, &of(json!([idp, other]))).unwrap().len(), 2);
        assert_eq!(callers(&names, &of(json!([mail]))), Err(NoCaller::Format));
        assert_eq!(callers(&names, &of(json!([evil]))), Err(NoCaller::Foreign));
        for wrong in [json!([]), json!({}), json!([1]), json!(vec![idp.clone(); ALIASES + 1]), json!([idp, {}])] {
            assert_eq!(callers(&names, &of(wrong.clone())), Err(NoCaller::Form), "{wrong}");
        }
        assert_eq!(callers(&names, &of(json!([of(json!([idp]))]))), Err(NoCaller::Format), "aliases do not nest");
    }

    #[test]
    fn what_is_no_identifier_names_nobody() {
        for wrong in [
            json!(null),
            json!({}),
            json!({"subject_type": "iss_sub", "iss": "https://idp", "sub": "ann"}),
            json!({"format": 1}),
            json!({"format": "iss_sub", "iss": "https://idp"}),
            json!({"format": "iss_sub", "iss": "https://idp", "sub": ""}),
            json!({"format": "iss_sub", "iss": "https://idp", "sub": ["ann"]}),
            json!({"format": "opaque", "id": "a\nb"}),
            json!({"format": "opaque", "id": "x".repeat(SUBJECT_BYTES + 1)}),
            json!({"format": "complex", "user": "ann"}),
        ] {
            assert_eq!(callers(&all(), &wrong), Err(NoCaller::Form), "{wrong}");
        }
        for unknown in
            ["account", "phone_number", "did", "uri", "jwt_id", "saml_assertion_id", "ip-addresses", "ISS_SUB"]
        {
            assert_eq!(callers(&all(), &json!({"format": unknown, "id": "ann"})), Err(NoCaller::Format), "{unknown}");
        }
    }
}
