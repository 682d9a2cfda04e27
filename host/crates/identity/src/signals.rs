//! What issuers report by themselves: a receiver of security events (OpenID Shared Signals Framework 1.0, CAEP 1.0,
//! RISC 1.0), pushed to the data listener (RFC 8935). Whoever is offboarded at the issuer is offboarded here.
//!
//! ```text
//! POST /ssf/events ──▶ transmitter by `iss` ──▶ its secret ──▶ event: type, audience, times, signature
//!        202 ◀── durable ◀── Registry::revoke ◀── callers (subject.rs) ◀── what it ends (event.rs)
//! ```
//!
//! What must hold: only a transmitter of the configuration ends anything, and only for the issuers it speaks for; it is
//! told that an event was taken when what it ends is durable, and not before; what is not understood is refused, not
//! taken; an event that comes again does nothing.

mod event;
mod refusal;
mod seen;
mod subject;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use model::Digest;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::sync::Semaphore;

pub use self::{event::SignalEvent, subject::SubjectFormat};
use self::{
    event::{Ends, StreamNews},
    refusal::Refusal,
    seen::Seen,
    subject::Known,
};
use crate::{
    Algorithm, Blast, Issuer, Issuers, Order, Registry, STATIC_ISSUER, digest,
    jwt::{Compact, EventClaims, EventTerms, Fault, TOKEN_BYTES},
    oauth::empty,
    registry::now_ms,
};

const PREFIX: &str = "/ssf";
const EVENTS: &str = "/ssf/events";
/// The media type of an event (RFC 8417, 7.2).
const MEDIA_TYPE: &str = "application/secevent+jwt";

/// Events that are carried out at the same time; more are asked to come again.
const IN_HAND: usize = 64;

/// Who may report, as the configuration has it.
#[derive(Clone, Debug)]
pub struct Transmitter {
    /// The `iss` of its events, exactly.
    pub issuer: String,
    /// Its events must be meant for one of these. Not empty.
    pub audiences: Vec<String>,
    /// Types that count; others are acknowledged, and end nothing.
    pub events: Vec<SignalEvent>,
    /// By what it may name callers.
    pub formats: Vec<SubjectFormat>,
    /// Issuers of the callers whom it speaks for; `token` for static tokens. The first is meant where a subject names
    /// none. Not empty.
    pub about: Vec<String>,
    /// SHA-256 of the `authorization` that it sends, where it was given one.
    pub authorization: Option<Digest>,
    /// How its events may be signed, where its keys are not those of a trusted issuer.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are; none: those of the trusted issuer of this name, or where its metadata says.
    pub jwks: Option<String>,
    /// PEM file of the authorities that vouch for its servers; none: the system's.
    pub authorities: Option<PathBuf>,
    /// By how much its clock may differ.
    pub leeway: Duration,
    /// How long after it was told an event is taken.
    pub oldest: Duration,
}

impl Transmitter {
    /// One that speaks for its own issuer, with what is usual for everything else.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let usual = Issuer::new(issuer, audiences);
        Self {
            about: vec![usual.url.clone()],
            issuer: usual.url,
            audiences: usual.audiences,
            events: SignalEvent::ALL.map(|(_, event)| event).into(),
            formats: vec![SubjectFormat::IssSub],
            authorization: None,
            algorithms: usual.algorithms,
            jwks: None,
            authorities: None,
            leeway: usual.leeway,
            oldest: Duration::from_secs(7 * 24 * 3600),
        }
    }

    /// Whether it can be meant where these issuers are trusted.
    ///
    /// # Errors
    /// [`SignalsError`].
    pub fn check(&self, issuers: &Issuers) -> Result<(), SignalsError> {
        let wrong = |what: String| Err(SignalsError { issuer: self.issuer.clone(), what });
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return wrong("need audiences: an event for anybody is an event for nobody".into());
        }
        if self.formats.is_empty() || self.events.is_empty() {
            return wrong("need events and formats: else nothing can be told".into());
        }
        if self.about.is_empty() {
            return wrong("are about nobody".into());
        }
        if let Some(about) = self.about.iter().find(|about| *about != STATIC_ISSUER && !issuers.trusts(about)) {
            return wrong(format!("are about {about}, which is no issuer of callers here"));
        }
        match Issuers::of_events(self.keys_of_its_own(issuers), Arc::new(now_ms)) {
            Ok(_) => Ok(()),
            Err(error) => wrong(error.what),
        }
    }

    fn has_keys_of_its_own(&self, issuers: &Issuers) -> bool {
        self.jwks.is_some() || !issuers.trusts(&self.issuer)
    }

    /// Where its keys are, if they are not those of a trusted issuer.
    fn keys_of_its_own(&self, issuers: &Issuers) -> Option<Issuer> {
        self.has_keys_of_its_own(issuers).then(|| Issuer {
            algorithms: self.algorithms.clone(),
            jwks: self.jwks.clone(),
            authorities: self.authorities.clone(),
            ..Issuer::new(&self.issuer, &self.audiences)
        })
    }
}

/// A transmitter that can't be used as it is configured.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("signals of {issuer}: {what}")]
pub struct SignalsError {
    /// Whose.
    pub issuer: String,
    /// What is wrong.
    pub what: String,
}

/// The receiver.
pub struct Signals {
    by_issuer: HashMap<String, Transmitter>,
    /// Issuers whose tokens are taken; their keys sign their events too.
    issuers: Arc<Issuers>,
    /// Transmitters with keys of their own.
    own: Issuers,
    registry: Registry,
    seen: Mutex<Seen>,
    in_hand: Semaphore,
}

impl Signals {
    /// The most bytes of a body that are looked at.
    pub const BODY_BYTES: usize = TOKEN_BYTES;

    /// A receiver of what these report. Nothing is fetched before [`keep`](Self::keep) runs.
    ///
    /// # Errors
    /// [`SignalsError`] for the first that can't be used.
    pub fn new(
        transmitters: impl IntoIterator<Item = Transmitter>,
        issuers: Arc<Issuers>,
        registry: Registry,
    ) -> Result<Self, SignalsError> {
        let (mut by_issuer, mut own) = (HashMap::new(), Vec::new());
        for terms in transmitters {
            let issuer = terms.issuer.clone();
            terms.check(&issuers)?;
            own.extend(terms.keys_of_its_own(&issuers));
            if by_issuer.insert(issuer.clone(), terms).is_some() {
                return Err(SignalsError { issuer, what: "are configured twice".into() });
            }
        }
        let clock = registry.clone();
        let own = Issuers::of_events(own, Arc::new(move || clock.now_ms()));
        let own = own.map_err(|error| SignalsError { issuer: error.url, what: error.what })?.waiting_among(&issuers);
        let in_hand = Semaphore::new(IN_HAND);
        Ok(Self { by_issuer, issuers, own, registry, seen: Mutex::default(), in_hand })
    }

    /// Keeps the keys of transmitters fresh that have their own. Runs until it is dropped.
    pub async fn keep(&self) {
        self.own.keep().await;
    }

    /// Whether a path is the receiver's: such a request never goes to a connection.
    #[must_use]
    pub fn serves(path: &str) -> bool {
        path == PREFIX || path.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Answers a request whose body is whole (RFC 8935, 2).
    pub async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        if parts.uri.path() != EVENTS {
            return empty(StatusCode::NOT_FOUND);
        }
        if parts.method != Method::POST {
            let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return answer;
        }
        match self.take(&parts.headers, &body).await {
            Ok(()) => empty(StatusCode::ACCEPTED),
            Err(refusal) => refusal.answer(),
        }
    }

    async fn take(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        if !is_event(headers) {
            return Err(Refusal::request("the body must be application/secevent+jwt"));
        }
        let body = std::str::from_utf8(body).map_err(|_| Refusal::request("the event is not a JWT"))?;
        let token = Compact::read(body)?;
        let issuer = token.members.get("iss").and_then(Value::as_str);
        let terms = issuer.and_then(|issuer| self.by_issuer.get(issuer)).ok_or(Fault::Issuer)?;
        authenticate(headers, terms.authorization.as_ref())?;
        let (leeway, oldest) = (terms.leeway.as_secs(), terms.oldest.as_secs());
        let keys = if terms.has_keys_of_its_own(&self.issuers) { &self.own } else { &self.issuers };
        let claims = keys.verify_event(&token, &EventTerms { audiences: &terms.audiences, leeway, oldest }).await?;
        self.carry_out(terms, &claims).await.inspect_err(|refusal| {
            // Its transmitter said it, so somebody believes that it counts.
            let (issuer, event) = (&terms.issuer, &claims.id);
            tracing::warn!(%issuer, %event, error = refusal.error, why = %refusal.description, "a security event is refused");
        })
    }

    /// Does what an event asks for; ready when that is durable.
    async fn carry_out(&self, terms: &Transmitter, claims: &EventClaims) -> Result<(), Refusal> {
        // Only for what its transmitter said: what is forged, and waits for a key that never comes, takes no place.
        let _place = self.in_hand.try_acquire().map_err(|_| Refusal::later("too many events are in hand"))?;
        let (name, says) = fingerprints(&terms.issuer, claims);
        match self.seen().look(&name, &says) {
            seen::Known::New => {}
            seen::Known::Same => return Ok(()),
            seen::Known::Other => return Err(Refusal::request("another event had its jti")),
        }
        let now = self.registry.now_ms() / 1000;
        let told = event::told(claims, &terms.events, now.saturating_add(terms.leeway.as_secs()));
        let (issuer, event) = (&terms.issuer, &claims.id);
        match &told.stream {
            Some(StreamNews::Verified) => tracing::info!(%issuer, %event, "the stream of security events works"),
            Some(StreamNews::Updated(status)) => {
                tracing::warn!(%issuer, %event, ?status, "the stream of security events was changed by its transmitter");
            }
            None => {}
        }
        let before_ms = match told.ends {
            Ends::Nothing => None,
            // The whole second counts: a token of the same second may be older than the event.
            Ends::Until(second) => Some(Some(second.saturating_add(1).saturating_mul(1000))),
            Ends::Caller => Some(None),
        };
        if let (Some(issued_before_ms), Some(word)) = (before_ms, told.word) {
            let known = Known { formats: &terms.formats, issuers: &terms.about };
            for target in known.callers(claims.subject.as_ref())? {
                let reason = format!("{word}, told by event {event}");
                let order = Order { target, issued_before_ms, reason, by: format!("signals:{issuer}") };
                let Blast { tokens, streams, already, .. } = self.registry.revoke(order).await?;
                tracing::info!(%issuer, %event, kind = word, tokens, streams, already, "a security event was carried out");
            }
        }
        let oldest = now.saturating_sub(terms.oldest.as_secs()).saturating_sub(terms.leeway.as_secs());
        self.seen().remember(name, says, claims.issued, oldest);
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Changed by whole steps that don't panic half-way.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Exactly one type, and it is an event's.
fn is_event(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    kind.to_str().is_ok_and(|kind| kind.eq_ignore_ascii_case(MEDIA_TYPE))
}

/// Whether the transmitter shows what it was given for this.
fn authenticate(headers: &HeaderMap, expected: Option<&Digest>) -> Result<(), Refusal> {
    let Some(expected) = expected else { return Ok(()) };
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let right = match (shown.next(), shown.next()) {
        (Some(shown), None) => bool::from(digest(shown.as_bytes()).0.ct_eq(&expected.0)),
        _ => false,
    };
    if right { Ok(()) } else { Err(Refusal::new("authentication_failed", "authorization is missing or wrong")) }
}

/// What an event is called, and what it says.
fn fingerprints(issuer: &str, claims: &EventClaims) -> (Digest, Digest) {
    let name = json!([issuer, claims.id]).to_string();
    let says = json!([claims.subject, claims.events]).to_string();
    (digest(name), digest(says))
}
