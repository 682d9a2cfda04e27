//! Callers: who a credential belongs to, what it may be used for, and how much. Made by `identity`.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use model::{Caller, Digest, Scope, TokenId, Usage};
use thiserror::Error;

use super::{
    About,
    lease::{Ended, Lease},
};

/// Who a credential belongs to.
pub trait Identify: Send + Sync {
    /// The caller behind what was presented.
    ///
    /// # Errors
    /// [`Unidentified`] when there is none, or none that may pass now.
    fn identify<'a>(&'a self, presented: Presented<'a>) -> BoxFuture<'a, Result<Identified, Unidentified>>;
}

/// What came with a request to show who asks.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The bearer token or API key, as it came in.
    pub credential: &'a str,
    /// SHA-256 of the client certificate (DER) that the connection was made with, where there was one.
    pub certificate: Option<Digest>,
}

/// Says nothing of the credential.
impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// A caller, and what its credential is good for.
pub struct Identified {
    /// Who.
    pub caller: Arc<Caller>,
    /// What kind of credential.
    pub credential: Credential,
    /// What it may be used for.
    pub scope: Arc<Scope>,
    /// Whether it is still good; this exchange's own.
    pub lease: Lease,
    /// What this exchange is counted on; dropped with the exchange.
    pub account: Box<dyn Account>,
}

/// What kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A static token of the configuration.
    Static,
    /// A token of an identity provider, presented directly.
    Direct,
    /// A token that was issued here.
    Issued(TokenId),
}

/// What one exchange is counted on. Dropped when the exchange is over: it no longer counts as running.
pub trait Account: Send + Sync {
    /// The exchange goes where `about` says: it counts from here on.
    ///
    /// # Errors
    /// [`NoEntry`] when it may not go there, or not now.
    fn enter(&self, about: &About) -> Result<(), NoEntry>;

    /// What the provider counted, as soon as it has told.
    fn spend(&self, usage: Usage);
}

/// Why nobody was identified.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unidentified {
    /// Nobody issued this credential.
    #[error("the credential is not known here")]
    Unknown,
    /// It was good, and is no more: whose it was.
    #[error("{0}")]
    Ended(Ended, Arc<Caller>),
    /// It is bound to a client certificate, and another or none was presented.
    #[error("the credential is bound to a client certificate that was not presented")]
    WrongCertificate,
    /// Who it belongs to can't be told at the moment: an issuer's keys can't be had. Refused, and worth trying again.
    #[error("credentials can't be checked at the moment: {0}")]
    Unavailable(String),
}

/// Why an exchange may not go where it wants to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoEntry {
    /// Its credential ended, or is revoked for this session or connection.
    #[error("{0}")]
    Ended(Ended),
    /// It would be more than is allowed.
    #[error("{0}")]
    Exceeded(Exceeded),
}

/// More than is allowed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("more than {allowed} {} (`{whose}_{}`): try again in {} s", .limit.words(), .limit.key(), self.seconds())]
pub struct Exceeded {
    /// Of what.
    pub limit: Limit,
    /// Of whom: `caller`, `token`.
    pub whose: &'static str,
    /// How much is.
    pub allowed: u64,
    /// When it is worth trying again.
    pub retry_after: Duration,
}

impl Exceeded {
    /// Whole seconds until it is worth trying again, none too few.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.retry_after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests in a stretch of time.
    Requests,
    /// Exchanges at the same time.
    Streams,
    /// Tokens of usage in a stretch of time.
    Tokens,
}

impl Limit {
    /// For headers: `requests`, `streams`, `tokens`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Streams => "streams",
            Self::Tokens => "tokens",
        }
    }

    /// Stable, for machines.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Requests => "rate_limited",
            Self::Streams => "too_many_streams",
            Self::Tokens => "budget_spent",
        }
    }

    /// What its key in the configuration ends with.
    fn key(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Streams => "streams",
            Self::Tokens => "usage",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Requests => "requests in this time",
            Self::Streams => "exchanges at the same time",
            Self::Tokens => "tokens of usage in this time",
        }
    }
}
