//! Orders of operators, and of issuers that report: revoke, look at what that would do first, take it back.

use std::collections::BTreeSet;

use exchange::ports::RecordError;
use model::{
    ControlEvent, ExchangeId, SessionId, Target, TokenId,
    control::{Lifted, Revoked, TokenIssued},
};
use serde::Serialize;
use thiserror::Error;

use super::{
    Registry,
    running::State,
    view::{Place, hits},
};

/// Bytes of a reason that are kept.
const REASON_BYTES: usize = 2000;
/// Tokens and exchanges that an answer names; it counts all of them.
const NAMED: usize = 50;

/// What is to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub target: Target,
    /// Only what was issued before this (milliseconds since 1970-01-01T00:00:00Z).
    pub issued_before_ms: Option<u64>,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub by: String,
}

/// What a revocation ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blast {
    /// Tokens that were issued here and are good until then.
    pub tokens: usize,
    /// Exchanges that run, with any credential.
    pub streams: usize,
    /// Callers among those.
    pub callers: usize,
    /// The same is revoked already: nothing new was written.
    pub already: bool,
    /// Some of them.
    pub named: Vec<Affected>,
}

/// A token or an exchange that a revocation ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// Its caller's issuer.
    pub issuer: String,
    /// Its caller's subject.
    pub subject: String,
    /// The token, where one was issued here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// The exchange, for one that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangeId>,
    /// Its session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Its connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
}

/// Why a revocation was not acknowledged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RevokeError {
    /// No such token is known: it never was, or has expired.
    #[error("no token {0} is known here: it has expired, or never was")]
    NoToken(TokenId),
    /// It is in force, but would not survive a restart.
    #[error("in force until this host stops, but it could not be kept: {cause}")]
    NotKept {
        /// What it ended.
        blast: Box<Blast>,
        /// Why.
        cause: RecordError,
    },
    /// The task that carries it out was stopped.
    #[error("the host is stopping")]
    Stopping,
}

/// Why a revocation was not lifted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LiftError {
    /// There is none of this target.
    #[error("nothing like that is revoked")]
    NotRevoked,
    /// It could not be kept, so the revocation stands.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The task that carries it out was stopped.
    #[error("the host is stopping")]
    Stopping,
}

impl Registry {
    /// Revokes: in force at once, ready when it is durable. Goes on to its end also when nobody waits for it.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke(&self, order: Order) -> Result<Blast, RevokeError> {
        self.carry_out(order, ControlEvent::Revoked).await
    }

    /// Revokes a token at the word of who holds it. The same, but it is refused where only what is held back for
    /// operators is left of the log.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn give_back(&self, token: &TokenIssued) -> Result<Blast, RevokeError> {
        let order = Order {
            target: Target::Token(token.id),
            issued_before_ms: None,
            reason: "given back by its holder".into(),
            by: token.caller.subject.clone(),
        };
        self.carry_out(order, ControlEvent::GivenBack).await
    }

    async fn carry_out(&self, order: Order, event: fn(Revoked) -> ControlEvent) -> Result<Blast, RevokeError> {
        // No other order's disk is waited for: first it is in force.
        let (blast, unkept) = self.put_in_force(order)?;
        let Some((key, revoked)) = unkept else { return Ok(blast) };
        let this = self.clone();
        let task = tokio::spawn(async move { this.keep(key, revoked, event).await });
        match task.await {
            Ok(Ok(())) => Ok(blast),
            Ok(Err(cause)) => Err(RevokeError::NotKept { blast: Box::new(blast), cause }),
            Err(_) => Err(RevokeError::Stopping),
        }
    }

    /// The first step, with nothing awaited: what it ends, and what is to be kept, unless all of it was said before and
    /// is durable.
    fn put_in_force(&self, order: Order) -> Result<(Blast, Option<(u64, Revoked)>), RevokeError> {
        let (revoked, blast, key) = {
            let mut state = self.state();
            state.view.prune(self.now_ms());
            let revoked = self.revocation(&state, order)?;
            let blast = blast(&state, &revoked, self.now_ms());
            if blast.already {
                return Ok((blast, None));
            }
            let key = state.put_in_force(&revoked);
            (revoked, blast, key)
        };
        if may_end_what_was_asked(&revoked.target) {
            self.0.revoked.send_modify(|count| *count += 1);
        }
        tracing::warn!(
            target = ?revoked.target, reason = %revoked.reason, by = %revoked.by,
            tokens = blast.tokens, streams = blast.streams, "revoked"
        );
        Ok((blast, Some((key, revoked))))
    }

    /// The second: it is durable. Those that come together share what the log does for each.
    async fn keep(&self, key: u64, revoked: Revoked, event: fn(Revoked) -> ControlEvent) -> Result<(), RecordError> {
        // Before a lift in the log or behind it, as it is in the view.
        let _no_lift_meanwhile = self.0.lifting.read().await;
        let target = revoked.target.clone();
        let kept = self.0.log.append(event(revoked)).await;
        let mut state = self.state();
        match &kept {
            Ok(()) => state.unkept.kept(&target, key),
            Err(_) => state.unkept.refused(&target, key),
        }
        kept
    }

    /// What a revocation would end.
    ///
    /// # Errors
    /// [`RevokeError::NoToken`].
    pub fn blast(&self, order: Order) -> Result<Blast, RevokeError> {
        let state = self.state();
        let revoked = self.revocation(&state, order)?;
        Ok(blast(&state, &revoked, self.now_ms()))
    }

    /// Takes back all that was revoked of a target. What it ended stays ended.
    ///
    /// # Errors
    /// [`LiftError`].
    pub async fn lift(&self, target: Target, reason: String, by: String) -> Result<(), LiftError> {
        let this = self.clone();
        let task = tokio::spawn(async move {
            let _no_revocation_meanwhile = this.0.lifting.write().await;
            {
                let mut state = this.state();
                if state.view.revocation(&target).is_none() {
                    return Err(LiftError::NotRevoked);
                }
                state.unkept.set_lifting(Some(target.clone()));
            }
            let (at_ms, reason) = (this.now_ms(), short(reason));
            let lifted = ControlEvent::Lifted(Lifted { at_ms, target: target.clone(), reason, by });
            let kept = this.0.log.append(lifted.clone()).await;
            let mut state = this.state();
            state.unkept.set_lifting(None);
            if kept.is_ok() {
                state.lift(&lifted, &target);
            }
            Ok(kept?)
        });
        task.await.unwrap_or(Err(LiftError::Stopping))
    }

    /// What a session's revocation is about; none when the session is older than what is remembered.
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<Target> {
        self.state().session(session)
    }

    /// The event of an order.
    fn revocation(&self, state: &State, order: Order) -> Result<Revoked, RevokeError> {
        let Order { target, mut issued_before_ms, reason, by } = order;
        let now = self.now_ms();
        let expiry = |id| state.view.token_called(id).map(|facts| facts.expires_ms);
        let until_ms = match &target {
            Target::Token(id) => {
                let known = expiry(*id).or_else(|| state.runs(*id).then_some(now));
                Some(known.ok_or(RevokeError::NoToken(*id))?)
            }
            Target::Credential(digest) => state.view.token(digest).map(|facts| facts.expires_ms),
            Target::Session { .. } => {
                // All ends there that its caller has proved by now, in this millisecond too; a later proof may begin
                // another.
                issued_before_ms = issued_before_ms.or(Some(now.saturating_add(1)));
                None
            }
            Target::Caller { .. } | Target::Connection(_) | Target::Issuer(_) | Target::Everything => None,
        };
        Ok(Revoked { at_ms: now, target, issued_before_ms, reason: short(reason), by, until_ms })
    }
}

/// Whether a question to a person, or a request for access, may end with this target. A holder may give back token after
/// token: nobody looks at all that was asked for each.
fn may_end_what_was_asked(target: &Target) -> bool {
    match target {
        Target::Token(_) | Target::Credential(_) => false,
        Target::Caller { .. }
        | Target::Session { .. }
        | Target::Connection(_)
        | Target::Issuer(_)
        | Target::Everything => true,
    }
}

fn blast(state: &State, revoked: &Revoked, now_ms: u64) -> Blast {
    let mut blast = Blast {
        already: !state.unkept.holds(&revoked.target)
            && state.view.revocation(&revoked.target).is_some_and(|old| old.covers(revoked)),
        ..Blast::default()
    };
    let mut callers = BTreeSet::new();
    for facts in state.view.concerned(&revoked.target).filter(|facts| facts.expires_ms > now_ms) {
        let holder = state.view.holder(facts);
        let hit = match &revoked.target {
            Target::Connection(connection) | Target::Session { connection, .. } => {
                let place = Place { connection: connection.as_str().into() };
                facts.scope.allows_connection(connection) && hits(revoked, &holder, Some(&place))
            }
            Target::Token(_)
            | Target::Credential(_)
            | Target::Caller { .. }
            | Target::Issuer(_)
            | Target::Everything => hits(revoked, &holder, None),
        };
        if hit && state.view.ended(&holder).is_none() {
            blast.tokens += 1;
            blast.name(Affected {
                issuer: holder.issuer.clone(),
                subject: holder.subject.clone(),
                token: Some(facts.id),
                exchange: None,
                session: None,
                connection: None,
            });
            callers.insert((holder.issuer, holder.subject));
        }
    }
    for running in state.cut_by(revoked) {
        blast.streams += 1;
        let (issuer, subject) = (running.holder.issuer.clone(), running.holder.subject.clone());
        let token = running.holder.token();
        let mut affected = Affected {
            issuer: issuer.clone(),
            subject: subject.clone(),
            token,
            exchange: None,
            session: None,
            connection: None,
        };
        if let Some((place, session, exchange)) = running.place.clone() {
            (affected.exchange, affected.session) = (Some(exchange), Some(session));
            affected.connection = Some(place.connection.into());
        }
        blast.name(affected);
        callers.insert((issuer, subject));
    }
    blast.callers = callers.len();
    blast
}

impl Blast {
    fn name(&mut self, affected: Affected) {
        if self.named.len() < NAMED {
            self.named.push(affected);
        }
    }
}

/// A reason within its bound.
fn short(mut reason: String) -> String {
    if reason.len() > REASON_BYTES {
        let cut = (0..=REASON_BYTES).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or_default();
        reason.truncate(cut);
    }
    reason
}
