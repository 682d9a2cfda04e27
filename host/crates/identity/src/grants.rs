//! Grants: which callers may use what, for how long, and whether a person must agree first.
//!
//! What must hold: nobody has anything that no grant gives; a grant names its issuer, so that a group of one issuer
//! never counts as a group of another; what is issued is never more than the grant, in no direction, and stays so when the
//! grant becomes less.

mod access;
mod pattern;
mod wanted;

use std::{collections::HashSet, time::Duration};

use model::{Caller, Scope, control::TokenIssued};
use serde_json::Value;
use thiserror::Error;

use self::pattern::fits;
pub use self::{
    access::{AccessBook, AccessDecision, AccessError, AccessState, AccessTerms, Asked, Asking, Standing},
    wanted::{Wanted, scope_words},
};
use crate::oidc::{ClaimPath, Verified};

/// How long an issued token lives when the grant does not say.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The longest that a grant may let a token live.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The shortest: what expires on its way opens nothing.
pub const SHORTEST_LIFETIME: Duration = Duration::from_secs(10);

/// A rule that lets callers have something.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its name; no two alike.
    pub name: String,
    /// To whom.
    pub who: Who,
    /// What.
    pub scope: Scope,
    /// How long a token for it lives.
    pub lifetime: Duration,
    /// Whether a token of the issuer may be used as it is, with no exchange.
    pub direct: bool,
    /// Whether a token for it must be bound to a client certificate (RFC 8705).
    pub bound: bool,
    /// Set where a person must agree first.
    pub approval: Option<Approval>,
}

/// Which callers: all that is said here must be true of them.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// The issuer's URL, exactly.
    pub issuer: String,
    /// One of these subjects; each may end in `*`. Empty: any.
    pub subjects: Vec<String>,
    /// In one of these groups. Empty: any.
    pub groups: Vec<String>,
    /// Each of these claims has one of these values; each may end in `*`.
    pub claims: Vec<(ClaimPath, Vec<String>)>,
}

/// That a person must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Groups that may decide. Not empty.
    pub approvers: Vec<String>,
    /// How long the question stays open, and the answer good.
    pub timeout: Duration,
}

/// A grant that can't be meant.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("grant {grant}: {what}")]
pub struct GrantError {
    /// Which.
    pub grant: String,
    /// What is wrong.
    pub what: &'static str,
}

/// Why nothing is given.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotGranted {
    /// No grant is for this caller.
    #[error("no grant is for this caller")]
    Nobody,
    /// There are grants for it, and none gives all that is wanted.
    #[error("no grant of this caller gives all of this")]
    TooMuch,
}

/// All grants, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// Exactly these.
    ///
    /// # Errors
    /// [`GrantError`] for the first that can't be meant.
    pub fn new(grants: Vec<Grant>) -> Result<Self, GrantError> {
        let mut names = HashSet::new();
        for grant in &grants {
            let twice = (!names.insert(grant.name.clone())).then_some("another one has the same name");
            if let Some(what) = twice.or_else(|| grant.flaw()) {
                return Err(GrantError { grant: grant.name.clone(), what });
            }
        }
        Ok(Self(grants))
    }

    /// The grants for a caller.
    pub fn of<'g>(&'g self, who: &Verified) -> impl Iterator<Item = &'g Grant> {
        self.0.iter().filter(|grant| grant.who.is(who))
    }

    /// What a caller may do with its issuer's own token: the first grant for it that allows that.
    #[must_use]
    pub fn direct<'g>(&'g self, who: &Verified) -> Option<&'g Grant> {
        self.of(who).find(|grant| grant.direct)
    }

    /// The grant to issue a token by, and the scope of that token: the first that gives all that is wanted, those before
    /// the others that ask nobody.
    ///
    /// # Errors
    /// [`NotGranted`].
    pub fn choose<'g>(&'g self, who: &Verified, wanted: &Wanted) -> Result<(&'g Grant, Scope), NotGranted> {
        let mut none = NotGranted::Nobody;
        let mut found = None;
        for grant in self.of(who) {
            none = NotGranted::TooMuch;
            let Some(scope) = wanted.within(grant) else { continue };
            if grant.approval.is_none() {
                return Ok((grant, scope));
            }
            found.get_or_insert((grant, scope));
        }
        found.ok_or(none)
    }

    /// Whether a token that was issued before is what a grant gives now: the one that it was issued by is there, for its
    /// caller, and gives no less, in no direction. Of what the caller's issuer said, a token keeps who it is and its
    /// groups: claims are not looked at again.
    #[must_use]
    pub fn give(&self, token: &TokenIssued) -> bool {
        self.named(&token.by).is_some_and(|grant| grant.gives(token))
    }

    /// A grant by its name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Grant> {
        self.0.iter().find(|grant| grant.name == name)
    }
}

impl Grant {
    fn gives(&self, token: &TokenIssued) -> bool {
        let lifetime = Duration::from_millis(token.expires_ms.saturating_sub(token.at_ms));
        self.who.names(&token.caller)
            && self.scope.covers(&token.scope)
            && lifetime <= self.lifetime
            && (!self.bound || token.certificate.is_some())
    }

    /// What is wrong with it, if anything.
    fn flaw(&self) -> Option<&'static str> {
        let Scope { connections, models, operations } = &self.scope;
        let unsaid = |list: &[String]| list.is_empty() || list.iter().any(String::is_empty);
        if self.who.issuer.is_empty() {
            return Some("names no issuer");
        }
        if self.who.claims.iter().any(|(_, values)| values.is_empty()) {
            return Some("names a claim and no value of it");
        }
        if [connections, models, operations].into_iter().any(|list| unsaid(list)) {
            return Some("gives nothing: connections, models and operations must each name something");
        }
        if !(SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&self.lifetime) {
            return Some("its lifetime is out of range");
        }
        match &self.approval {
            Some(_) if self.direct => {
                Some("a token of the issuer needs no approval: `direct` and `approval` exclude each other")
            }
            Some(approval) if approval.approvers.is_empty() => Some("nobody could approve"),
            _ => None,
        }
    }
}

impl Who {
    /// Whether this is one of them.
    #[must_use]
    pub fn is(&self, who: &Verified) -> bool {
        self.names(&who.caller)
            && self.claims.iter().all(|(path, patterns)| {
                path.find(&who.claims).is_some_and(|value| said(value).any(|text| any(patterns, &text)))
            })
    }

    /// Whether a caller is one of them, as far as no claim says otherwise.
    fn names(&self, caller: &Caller) -> bool {
        self.issuer == caller.issuer
            && (self.subjects.is_empty() || any(&self.subjects, &caller.subject))
            && (self.groups.is_empty() || self.groups.iter().any(|group| caller.groups.contains(group)))
    }
}

/// Whether a text is what one of these patterns says.
fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, text))
}

/// What a claim says, as text: a list says each of its items. Objects, null and lists in lists say nothing.
fn said(value: &Value) -> impl Iterator<Item = String> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().filter_map(|item| match item {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(item.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}

#[cfg(test)]
mod tests;
