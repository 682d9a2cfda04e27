//! Tokens that others signed (JWS compact serialisation, RFC 7515; JWT, RFC 7519), before and after the library checks
//! their signature.
//!
//! ```text
//! text ─▶ compact ─▶ header ─▶ (issuer by `iss`) ─▶ claims ─▶ (key by `kid`) ─▶ signature ─▶ who
//!          strict      allow-list                     times, audience     jwks.rs
//! ```
//!
//! What must hold: a token has one meaning or none. Whatever two parsers could read differently (a name twice, a number
//! that is not a whole one, base64url that is not canonical) is refused before any library sees it; nothing in a token
//! chooses its own key or algorithm; every check that fails refuses.

mod claims;
mod compact;
mod event;
mod header;
mod signature;
mod strict;

use thiserror::Error;

pub(crate) use claims::{Claims, Terms};
pub(crate) use compact::Compact;
pub(crate) use event::{EVENT_TYPE, EventClaims, EventTerms};
pub(crate) use header::{Header, plain_type};
pub use signature::Algorithm;
pub(crate) use signature::{signature_holds, sound, twin};
pub(crate) use strict::object;

/// The longest token that is looked at, in bytes.
pub(crate) const TOKEN_BYTES: usize = 16 << 10;

/// Why a token is refused. Holds nothing of the token itself.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Not a JWS in its compact, canonical, unambiguous form.
    #[error("malformed: {0}")]
    Form(&'static str),
    /// Its header asks for something that is never done.
    #[error("its header is refused: {0}")]
    Header(&'static str),
    /// Signed in a way that its issuer is not expected to.
    #[error("its algorithm is not allowed for its issuer")]
    Algorithm,
    /// A token for another purpose.
    #[error("its type is not one of a token that opens anything")]
    Type,
    /// Nobody who is trusted here.
    #[error("its issuer is not known here")]
    Issuer,
    /// Made for somebody else.
    #[error("it is not meant for this gate")]
    Audience,
    /// A claim is missing or is not what it must be.
    #[error("a claim is refused: {0}")]
    Claim(&'static str),
    /// Over.
    #[error("it has expired")]
    Expired,
    /// Not begun.
    #[error("it is not valid yet")]
    NotYet,
    /// Valid for longer than its issuer's tokens may be.
    #[error("it is valid for too long")]
    TooLong,
    /// No key of its issuer, or more than one, fits it.
    #[error("no key of its issuer fits it")]
    Key,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// It can't be checked now: the issuer's keys could not be had for too long.
    #[error("the keys of its issuer can't be had")]
    KeysStale,
    /// It can't be checked now: too many tokens wait for keys of their issuers.
    #[error("too many tokens wait for keys of their issuers")]
    Busy,
}

impl Fault {
    /// Whether the token itself may be sound: another try later can succeed.
    #[must_use]
    pub fn passing(self) -> bool {
        matches!(self, Self::KeysStale | Self::Busy)
    }

    /// Its word in metrics and records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Form(_) => "form",
            Self::Header(_) => "header",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claim(_) => "claim",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::TooLong => "too_long",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::KeysStale => "keys_stale",
            Self::Busy => "busy",
        }
    }
}
