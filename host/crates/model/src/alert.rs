//! Alerts: something was noticed that a person should know of.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AlertId, Digest};

/// What is looked for. New rules go at the end: the store keeps them by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A caller asks far more often than it uses to.
    UnusualVolume,
    /// Credentials are presented that are refused.
    RefusedCredentials,
    /// A credential is presented that was revoked.
    RevokedCredentials,
    /// What a caller wants is denied again and again, or nobody answers.
    FailedApprovals,
    /// A policy gives no verdict.
    PolicyFailures,
    /// An upstream refuses the host's own credential.
    UpstreamCredentials,
}

impl Rule {
    /// Every rule, in the order in which they are listed.
    pub const ALL: [Self; 6] = [
        Self::UnusualVolume,
        Self::RefusedCredentials,
        Self::RevokedCredentials,
        Self::FailedApprovals,
        Self::PolicyFailures,
        Self::UpstreamCredentials,
    ];

    /// The word that configuration, API, metrics and webhooks use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnusualVolume => "unusual-volume",
            Self::RefusedCredentials => "refused-credentials",
            Self::RevokedCredentials => "revoked-credentials",
            Self::FailedApprovals => "failed-approvals",
            Self::PolicyFailures => "policy-failures",
            Self::UpstreamCredentials => "upstream-credentials",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Rule {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text).ok_or(())
    }
}

/// Whom or what an alert is about. Never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// What kind of thing.
    pub kind: SubjectKind,
    /// Which.
    pub name: String,
}

/// What kind of thing an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A caller: `SUBJECT` of a static token, else `ISSUER|SUBJECT`.
    Caller,
    /// A credential: the first digits of its SHA-256.
    Credential,
    /// The network address that requests came from.
    Address,
    /// A policy, by its id.
    Policy,
    /// A connection, by its name.
    Connection,
    /// More of one rule than are told one by one.
    Others,
}

impl SubjectKind {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Credential => "credential",
            Self::Address => "address",
            Self::Policy => "policy",
            Self::Connection => "connection",
            Self::Others => "others",
        }
    }
}

impl Subject {
    /// A caller.
    #[must_use]
    pub fn caller(issuer: &str, subject: &str) -> Self {
        // As `portcullis revoke --caller` takes it.
        let name = if issuer == "token" { subject.to_owned() } else { format!("{issuer}|{subject}") };
        Self { kind: SubjectKind::Caller, name }
    }

    /// A credential, by its digest.
    #[must_use]
    pub fn credential(digest: &Digest) -> Self {
        Self { kind: SubjectKind::Credential, name: digest.short() }
    }

    /// A network address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self { kind: SubjectKind::Address, name: address.to_canonical().to_string() }
    }

    /// A policy.
    #[must_use]
    pub fn policy(id: &str) -> Self {
        Self { kind: SubjectKind::Policy, name: id.to_owned() }
    }

    /// A connection.
    #[must_use]
    pub fn connection(name: &str) -> Self {
        Self { kind: SubjectKind::Connection, name: name.to_owned() }
    }

    /// All that are too many to be told one by one.
    #[must_use]
    pub fn others() -> Self {
        Self { kind: SubjectKind::Others, name: String::new() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name } = self;
        if name.is_empty() { f.write_str(kind.as_str()) } else { write!(f, "{} {name}", kind.as_str()) }
    }
}

/// Something was noticed. Times are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// What was looked for.
    pub rule: Rule,
    /// Whom or what it is about.
    pub subject: Subject,
    /// A sentence for people: what was noticed when it was raised.
    pub detail: String,
    /// When it was raised.
    pub first_ms: u64,
    /// When it was noticed last.
    pub last_ms: u64,
    /// How often it was noticed; 1 when it is raised.
    pub count: u64,
    /// A person has seen it.
    pub acked: Option<Acked>,
    /// What became of telling it, for each webhook.
    pub deliveries: Vec<Delivery>,
}

/// A person has seen an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// When.
    pub at_ms: u64,
    /// Who.
    pub by: String,
    /// What they say about it.
    pub reason: String,
}

/// What became of telling an alert to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The webhook's name.
    pub webhook: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Where it stands.
    pub state: DeliveryState,
}

/// Where a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// To be tried from then on.
    Pending {
        /// When.
        due_ms: u64,
    },
    /// The receiver has it.
    Delivered {
        /// When.
        at_ms: u64,
    },
    /// It is not tried any more.
    GivenUp {
        /// When.
        at_ms: u64,
        /// Why.
        cause: String,
    },
}

impl Alert {
    /// A new one, noticed once.
    #[must_use]
    pub fn new(id: AlertId, rule: Rule, subject: Subject, detail: String, at_ms: u64) -> Self {
        Self {
            id,
            rule,
            subject,
            detail,
            first_ms: at_ms,
            last_ms: at_ms,
            count: 1,
            acked: None,
            deliveries: Vec::new(),
        }
    }

    /// From when on a webhook is to be told of it, where it still is.
    #[must_use]
    pub fn due_for(&self, webhook: &str) -> Option<u64> {
        self.deliveries.iter().find(|delivery| delivery.webhook == webhook).and_then(|delivery| match delivery.state {
            DeliveryState::Pending { due_ms } => Some(due_ms),
            DeliveryState::Delivered { .. } | DeliveryState::GivenUp { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_its_word_alone() {
        for rule in Rule::ALL {
            assert_eq!(rule.as_str().parse(), Ok(rule));
            assert_eq!(serde_json::to_string(&rule).unwrap(), format!("{:?}", rule.as_str()));
        }
        assert_eq!("Unusual-Volume".parse::<Rule>(), Err(()));
    }

    #[test]
    fn a_caller_is_named_as_the_command_line_names_it() {
        assert_eq!(Subject::caller("token", "ann").to_string(), "caller ann");
        assert_eq!(Subject::caller("https://id", "ann").to_string(), "caller https://id|ann");
        assert_eq!(Subject::address("::ffff:10.0.0.1".parse().unwrap()).name, "10.0.0.1");
    }
}
