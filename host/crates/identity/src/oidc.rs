//! Who is trusted to say who somebody is: `OpenID` providers for people, clusters and CI systems for workloads.
//!
//! What must hold: a token is checked by the keys of the issuer that it names, and that issuer is one of the
//! configuration; what an issuer says is fetched from it alone (`http.rs`), and believed only while it is fresh.

mod discovery;
mod mapping;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use model::{Caller, Digest};
use outbound::Http;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::Semaphore;

use self::discovery::{Documents, Provider};
pub(crate) use self::discovery::{Metadata, place};
pub use self::mapping::ClaimPath;
pub use crate::jwks::Freshness;
use crate::{
    digest,
    jwks::Keeper,
    jwt::{
        Algorithm, Claims, Compact, EVENT_TYPE, EventClaims, EventTerms, Fault, Terms, signature_holds, sound, twin,
    },
    registry::{Clock, now_ms},
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
    /// When the issuer made the token, by the clock here: seconds since 1970.
    pub issued: u64,
    /// When it is over: seconds since 1970.
    pub expires: u64,
    /// Its `jti`.
    pub id: Option<String>,
    /// SHA-256 of the other text that is this token too, where its signature allows one.
    pub twin: Option<Digest>,
    /// SHA-256 of the client certificate that must come with it.
    pub certificate: Option<Digest>,
}

/// Tokens of all issuers together that wait for a key at once, where nothing else is said.
const WAITING: usize = 256;

/// All issuers that are trusted.
pub struct Issuers {
    by_url: HashMap<String, Trusted>,
    clock: Clock,
    /// Places of tokens that wait for a key.
    waiting: Arc<Semaphore>,
}

struct Trusted {
    terms: Issuer,
    keeper: Keeper<Provider>,
    http: Arc<Http>,
    /// By how many seconds its clock was ever seen to be ahead of the one here.
    ahead: AtomicU64,
}

impl Issuers {
    /// These, by the system's clock. Nothing is fetched before [`keep`](Self::keep) runs.
    ///
    /// # Errors
    /// [`IssuerError`] for the first that can't be used.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Self, IssuerError> {
        Self::with_clock(issuers, Arc::new(now_ms))
    }

    /// These, by another clock.
    ///
    /// # Errors
    /// [`IssuerError`] for the first that can't be used.
    pub fn with_clock(issuers: impl IntoIterator<Item = Issuer>, clock: Clock) -> Result<Self, IssuerError> {
        Self::told_by(Documents::Tokens, issuers, clock)
    }

    /// Those that only tell events (transmitters): their keys are where their transmitter's metadata says.
    pub(crate) fn of_events(issuers: impl IntoIterator<Item = Issuer>, clock: Clock) -> Result<Self, IssuerError> {
        Self::told_by(Documents::Events, issuers, clock)
    }

    fn told_by(
        documents: Documents,
        issuers: impl IntoIterator<Item = Issuer>,
        clock: Clock,
    ) -> Result<Self, IssuerError> {
        let mut by_url = HashMap::new();
        for terms in issuers {
            let url = terms.url.clone();
            let trusted =
                Trusted::new(terms, documents, &clock).map_err(|what| IssuerError { url: url.clone(), what })?;
            if by_url.insert(url.clone(), trusted).is_some() {
                return Err(IssuerError { url, what: "is configured twice".into() });
            }
        }
        Ok(Self { by_url, clock, waiting: Arc::new(Semaphore::new(WAITING)) })
    }

    /// Lets so many tokens wait for a key at once, and no more: anybody can write one that names an unknown key, and
    /// its request is held meanwhile. Others are told to come again ([`Fault::Busy`]).
    #[must_use]
    pub fn waiting_at_most(mut self, tokens: usize) -> Self {
        self.waiting = Arc::new(Semaphore::new(tokens));
        self
    }

    /// Lets its tokens wait in the places of these.
    #[must_use]
    pub(crate) fn waiting_among(mut self, others: &Self) -> Self {
        self.waiting = Arc::clone(&others.waiting);
        self
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
        self.check(token, None).await
    }

    /// Checks the ID token of a sign-in: from this issuer, for this client (OpenID Connect Core 1.0, 3.1.3.7).
    pub(crate) async fn verify_login(&self, token: &str, issuer: &str, client: &str) -> Result<Verified, Fault> {
        let audiences = [client.to_owned()];
        let verified = self.check(token, Some((issuer, &audiences))).await?;
        let several = verified.claims.get("aud").and_then(Value::as_array).is_some_and(|list| list.len() > 1);
        match verified.claims.get("azp") {
            Some(party) if party == client => Ok(verified),
            None if !several => Ok(verified),
            Some(_) | None => Err(Fault::Audience),
        }
    }

    /// Checks a token; `login`: which issuer it must be from, and which audiences count instead of those that are
    /// configured.
    async fn check(&self, token: &str, login: Option<(&str, &[String])>) -> Result<Verified, Fault> {
        let token = Compact::read(token)?;
        let trusted = self.behind(&token)?;
        if login.is_some_and(|(issuer, _)| issuer != trusted.terms.url) {
            return Err(Fault::Issuer);
        }
        let terms = &trusted.terms;
        if !terms.types.contains(&token.header.kind) {
            return Err(Fault::Type);
        }
        // All that costs nothing comes before a key is looked for: only a token that would count may cause a fetch.
        let mut claim_terms = trusted.claim_terms();
        if let Some((_, audiences)) = login {
            claim_terms = Terms { audiences, parties: &[], ..claim_terms };
        }
        let now = (self.clock)() / 1000;
        let claims = Claims::read(&token.members, &claim_terms, now)?;
        sound(&token)?;
        let caller = mapping::caller(terms, &claims, &token.members)?;
        trusted.signed(&token, claims.issued, &self.waiting).await?;
        Ok(Verified {
            caller,
            twin: twin(&token).map(digest),
            claims: token.members,
            issued: trusted.made(claims.issued, now),
            expires: claims.expires,
            id: claims.id,
            certificate: claims.certificate,
        })
    }

    /// Checks a security event now. It opens nothing, as no token tells an event: each is refused in the other's place
    /// by its type.
    pub(crate) async fn verify_event(&self, token: &Compact<'_>, terms: &EventTerms<'_>) -> Result<EventClaims, Fault> {
        let trusted = self.behind(token)?;
        if token.header.kind != EVENT_TYPE {
            return Err(Fault::Type);
        }
        let claims = EventClaims::read(&token.members, terms, (self.clock)() / 1000)?;
        sound(token)?;
        trusted.signed(token, claims.issued, &self.waiting).await?;
        Ok(claims)
    }

    /// The issuer that a token names, where it is trusted and signs in this way.
    fn behind(&self, token: &Compact<'_>) -> Result<&Trusted, Fault> {
        let trusted = token.members.get("iss").and_then(Value::as_str).and_then(|iss| self.by_url.get(iss));
        let trusted = trusted.ok_or(Fault::Issuer)?;
        if !trusted.terms.algorithms.contains(&token.header.algorithm) {
            return Err(Fault::Algorithm);
        }
        Ok(trusted)
    }

    /// Whether a credential looks like a token of somebody else's: three parts.
    #[must_use]
    pub fn looks_like_one(credential: &str) -> bool {
        credential.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// By how many seconds an issuer's clock may differ; none for one that is not trusted.
    pub(crate) fn leeway(&self, url: &str) -> u64 {
        self.by_url.get(url).map_or(0, |trusted| trusted.terms.leeway.as_secs())
    }

    /// Whether an issuer is trusted.
    #[must_use]
    pub fn trusts(&self, url: &str) -> bool {
        self.by_url.contains_key(url)
    }

    /// What an issuer said of itself when it was last asked, and the way to it.
    pub(crate) fn about(&self, url: &str) -> Option<(Metadata, Arc<Http>)> {
        let trusted = self.by_url.get(url)?;
        Some((trusted.keeper.about()?.as_ref().clone(), Arc::clone(&trusted.http)))
    }

    /// From now on an issuer is asked what it says of itself, also where its keys are known without that.
    pub(crate) fn need_metadata(&self, url: &str) {
        if let Some(trusted) = self.by_url.get(url) {
            trusted.keeper.source().need_metadata();
        }
    }
}

impl Trusted {
    fn new(mut terms: Issuer, documents: Documents, clock: &Clock) -> Result<Self, String> {
        if terms.audiences.is_empty() || terms.audiences.iter().any(String::is_empty) {
            return Err("needs audiences: a token for anybody is a token for nobody".into());
        }
        if terms.algorithms.is_empty() {
            return Err("needs an algorithm".into());
        }
        for kind in &mut terms.types {
            *kind = crate::jwt::plain_type(kind);
        }
        if terms.types.iter().any(|kind| kind == EVENT_TYPE) {
            return Err("takes security events for tokens: an event opens nothing".into());
        }
        let named = [Some(&terms.url), terms.jwks.as_ref()];
        let http = Http::new(terms.authorities.as_deref(), named.into_iter().flatten())?;
        let http = Arc::new(http);
        let provider = Provider::new(&terms, documents, Arc::clone(&http))?;
        let keeper = Keeper::new(terms.url.clone(), provider, terms.freshness, Arc::clone(clock));
        Ok(Self { terms, keeper, http, ahead: AtomicU64::new(0) })
    }

    /// Whether the issuer signed a token that it made at `issued`.
    async fn signed(&self, token: &Compact<'_>, issued: u64, places: &Semaphore) -> Result<(), Fault> {
        let issued = issued.saturating_add(self.terms.leeway.as_secs());
        let (kid, algorithm) = (token.header.kid.as_deref(), token.header.algorithm);
        self.keeper.signed(kid, algorithm, issued, places, |key| signature_holds(token, key).is_ok()).await
    }

    /// When the issuer made a token of `issued` that counts, by the clock here. One whose clock is ahead dates tokens
    /// later than they were made, and a revocation of what was issued before some time would miss them: as much as it
    /// was ever seen to be ahead is taken off.
    fn made(&self, issued: u64, now: u64) -> u64 {
        let ahead = issued.saturating_sub(now);
        let known = self.ahead.fetch_max(ahead, Ordering::Relaxed);
        issued.saturating_sub(ahead.max(known))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_whose_clock_is_ahead_makes_no_token_younger_than_it_is() {
        const NOW: u64 = 1_800_000_000;
        let issuers =
            Issuers::new([Issuer::new("https://idp", ["gate"]), Issuer::new("https://other", ["gate"])]).unwrap();
        let idp = &issuers.by_url["https://idp"];
        assert_eq!(idp.made(NOW - 5, NOW), NOW - 5, "clocks that agree take nothing off");
        assert_eq!(idp.made(NOW + 20, NOW), NOW);
        assert_eq!(idp.made(NOW + 20, NOW + 60), NOW, "the same when it comes again");
        assert_eq!(idp.made(NOW + 50, NOW + 60), NOW + 30, "and others of it");
        assert_eq!(idp.made(NOW + 90, NOW + 60), NOW + 60);
        assert_eq!(idp.made(NOW + 95, NOW + 120), NOW + 65, "as much as it was ever ahead");
        assert_eq!(issuers.by_url["https://other"].made(NOW, NOW), NOW);
    }
}
