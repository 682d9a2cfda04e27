//! Who is trusted to say who somebody is: `OpenID` providers for people, clusters and CI systems for workloads.
//!
//! What must hold: a token is checked by the keys of the issuer that it names, and that issuer is one of the
//! configuration; what an issuer says is fetched from it alone (`http.rs`), and believed only while it is fresh.

mod discovery;
mod http;
mod mapping;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use model::{Caller, Digest};
use serde_json::{Map, Value};
use thiserror::Error;

pub use self::mapping::ClaimPath;
use self::{discovery::Provider, http::Http};
pub use crate::jwks::{Freshness, Wall};
use crate::{
    jwks::Keeper,
    jwt::{Algorithm, Claims, Compact, Fault, Terms, signature_holds, sound},
};

/// An issuer, as the configuration has it.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Its `iss`, exactly.
    pub url: String,
    /// Its tokens must be meant for one of these. Not empty.
    pub audiences: Vec<String>,
    /// Where not empty: the client that a token was issued to (`azp`) must be one of these.
    pub parties: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Types (`typ`) of its tokens that are taken; one with no `typ` counts as `jwt`.
    pub types: Vec<String>,
    /// Claims whose values are the caller's groups.
    pub groups: Vec<ClaimPath>,
    /// Claims that policies may see.
    pub shown: Vec<ClaimPath>,
    /// By how much its clock may differ.
    pub leeway: Duration,
    /// The longest that a token of it may be valid.
    pub longest: Duration,
    /// How its keys are kept.
    pub freshness: Freshness,
    /// Where its keys are, when it does not say so itself.
    pub jwks: Option<String>,
    /// PEM file of the authorities that vouch for its servers; none: the system's.
    pub authorities: Option<PathBuf>,
}

impl Issuer {
    /// An issuer with what is usual for everything else.
    #[must_use]
    pub fn new(url: impl Into<String>, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            url: url.into(),
            audiences: audiences.into_iter().map(Into::into).collect(),
            parties: Vec::new(),
            algorithms: vec![
                Algorithm::Rs256,
                Algorithm::Ps256,
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::EdDsa,
                Algorithm::Ed25519,
            ],
            types: vec!["jwt".into(), "at+jwt".into()],
            groups: vec![ClaimPath::member("groups")],
            shown: Vec::new(),
            leeway: Duration::from_secs(30),
            longest: Duration::from_secs(24 * 3600),
            freshness: Freshness::default(),
            jwks: None,
            authorities: None,
        }
    }
}

/// An issuer that can't be used as it is configured.
#[derive(Debug, Error)]
#[error("issuer {url}: {what}")]
pub struct IssuerError {
    /// Which.
    pub url: String,
    /// What is wrong.
    pub what: String,
}

/// A token that counts: who it is about, as their issuer says.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who, as policies and records have it.
    pub caller: Caller,
    /// All claims, for grants.
    pub claims: Map<String, Value>,
    /// When the issuer made the token: seconds since 1970.
    pub issued: u64,
    /// When it is over: seconds since 1970.
    pub expires: u64,
    /// Its `jti`.
    pub id: Option<String>,
    /// SHA-256 of the client certificate that must come with it.
    pub certificate: Option<Digest>,
}

/// All issuers that are trusted.
pub struct Issuers {
    by_url: HashMap<String, Trusted>,
    wall: Wall,
}

struct Trusted {
    terms: Issuer,
    keeper: Keeper<Provider>,
    #[expect(dead_code, reason = "used by the login, which comes with the token endpoint")]
    http: Arc<Http>,
}

impl Issuers {
    /// These, by the system's clock. Nothing is fetched before [`keep`](Self::keep) runs.
    ///
    /// # Errors
    /// [`IssuerError`] for the first that can't be used.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Self, IssuerError> {
        let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self::with_wall(issuers, Arc::new(wall))
    }

    /// These, by another clock.
    ///
    /// # Errors
    /// [`IssuerError`] for the first that can't be used.
    pub fn with_wall(issuers: impl IntoIterator<Item = Issuer>, wall: Wall) -> Result<Self, IssuerError> {
        let mut by_url = HashMap::new();
        for terms in issuers {
            let url = terms.url.clone();
            let trusted = Trusted::new(terms, &wall).map_err(|what| IssuerError { url: url.clone(), what })?;
            if by_url.insert(url.clone(), trusted).is_some() {
                return Err(IssuerError { url, what: "is configured twice".into() });
            }
        }
        Ok(Self { by_url, wall })
    }

    /// Keeps every issuer's keys fresh. Runs until it is dropped.
    pub async fn keep(&self) {
        join_all(self.by_url.values().map(|trusted| trusted.keeper.keep())).await;
    }

    /// Checks a token now.
    ///
    /// # Errors
    /// [`Fault`]. [`Fault::passing`] tells those that are not the token's.
    pub async fn verify(&self, token: &str) -> Result<Verified, Fault> {
        let token = Compact::read(token)?;
        let trusted = token.members.get("iss").and_then(Value::as_str).and_then(|iss| self.by_url.get(iss));
        let trusted = trusted.ok_or(Fault::Issuer)?;
        let terms = &trusted.terms;
        if !terms.algorithms.contains(&token.header.algorithm) {
            return Err(Fault::Algorithm);
        }
        if !terms.types.contains(&token.header.kind) {
            return Err(Fault::Type);
        }
        // All that costs nothing comes before a key is looked for: only a token that would count may cause a fetch.
        let claims = Claims::read(&token.members, &trusted.claim_terms(), (self.wall)())?;
        sound(&token)?;
        let caller = mapping::caller(terms, &claims, &token.members)?;
        let issued = claims.issued.saturating_add(terms.leeway.as_secs());
        let key = trusted.keeper.key(token.header.kid.as_deref(), token.header.algorithm, issued).await?;
        signature_holds(&token, &key)?;
        Ok(Verified {
            caller,
            claims: token.members,
            issued: claims.issued,
            expires: claims.expires,
            id: claims.id,
            certificate: claims.certificate,
        })
    }

    /// Whether a credential looks like a token of somebody else's: three parts.
    #[must_use]
    pub fn looks_like_one(credential: &str) -> bool {
        credential.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Each issuer and the age of the keys of it that are in force.
    pub fn ages(&self) -> impl Iterator<Item = (&str, Option<Duration>)> {
        self.by_url.iter().map(|(url, trusted)| (url.as_str(), trusted.keeper.age()))
    }
}

impl Trusted {
    fn new(mut terms: Issuer, wall: &Wall) -> Result<Self, String> {
        if terms.audiences.is_empty() || terms.audiences.iter().any(String::is_empty) {
            return Err("needs audiences: a token for anybody is a token for nobody".into());
        }
        if terms.algorithms.is_empty() {
            return Err("needs an algorithm".into());
        }
        for kind in &mut terms.types {
            *kind = crate::jwt::plain_type(kind);
        }
        let named = [Some(&terms.url), terms.jwks.as_ref()];
        let http = Http::new(terms.authorities.as_deref(), named.into_iter().flatten())?;
        let http = Arc::new(http);
        let provider = Provider::new(&terms, Arc::clone(&http))?;
        let keeper = Keeper::new(terms.url.clone(), provider, terms.freshness, Arc::clone(wall));
        Ok(Self { terms, keeper, http })
    }

    fn claim_terms(&self) -> Terms<'_> {
        Terms {
            audiences: &self.terms.audiences,
            parties: &self.terms.parties,
            leeway: self.terms.leeway.as_secs(),
            longest: self.terms.longest.as_secs(),
        }
    }
}
