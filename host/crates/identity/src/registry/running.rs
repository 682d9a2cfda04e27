//! Who uses what right now: every exchange that was let in and is not over, its lease, and what it is counted on.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use exchange::ports::{About, Account, Credential, Ended, Exceeded, Lease, NoEntry};
use model::{CompactString, ControlEvent, ExchangeId, SessionId, Target, TokenId, Usage, control::Revoked};

use super::{
    Registry, Terms,
    limits::Meters,
    reserved::ToCome,
    unkept::Unkept,
    view::{Holder, Place, View, hits},
};

/// Issuer and subject.
type CallerKey = (CompactString, CompactString);

/// All that is behind the registry's lock.
pub(super) struct State {
    pub(super) view: View,
    /// Revoked here, but not in the log: the same order must be kept when it comes again.
    pub(super) unkept: Unkept,
    /// Places of tokens that are being written.
    pub(super) to_come: ToCome,
    running: HashMap<u64, Running>,
    next: u64,
    terms: Terms,
    callers: Meters<CallerKey>,
    tokens: Meters<TokenId>,
    /// Whose a session is, and where; the newest ones.
    sessions: BTreeMap<SessionId, (Arc<Holder>, CompactString)>,
}

/// An exchange that was let in.
pub(super) struct Running {
    pub(super) holder: Arc<Holder>,
    /// Where it goes, once that is known.
    pub(super) place: Option<(Place, SessionId, ExchangeId)>,
    lease: Lease,
}

impl State {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            view: View::new(terms.caller_tokens),
            unkept: Unkept::default(),
            to_come: ToCome::default(),
            running: HashMap::new(),
            next: 0,
            terms,
            callers: Meters::default(),
            tokens: Meters::default(),
            sessions: BTreeMap::new(),
        }
    }

    /// Lets an exchange in, unless its credential has ended. Answers what it is called here.
    pub(super) fn admit(&mut self, holder: &Arc<Holder>, lease: &Lease) -> Result<u64, Ended> {
        if let Some(revoked) = self.view.ended(holder) {
            return Err(Ended::revoked(revoked.reason.as_str()));
        }
        // Forgotten since it was found: so it has expired, and what was revoked of it is forgotten too.
        if holder.token().is_some_and(|id| self.view.token_called(id).is_none()) {
            return Err(Ended::Expired);
        }
        let key = self.next;
        self.next += 1;
        self.running.insert(key, Running { holder: Arc::clone(holder), place: None, lease: lease.clone() });
        Ok(key)
    }

    /// Whether something runs with a token, which may be forgotten.
    pub(super) fn runs(&self, id: TokenId) -> bool {
        self.running.values().any(|running| running.holder.token() == Some(id))
    }

    /// Exchanges that a revocation would cut.
    pub(super) fn cut_by<'s>(&'s self, revoked: &'s Revoked) -> impl Iterator<Item = &'s Running> {
        self.running.values().filter(move |running| {
            let place = running.place.as_ref().map(|(place, ..)| place);
            hits(revoked, &running.holder, place) && running.lease.ended().is_none()
        })
    }

    /// Puts a revocation in force: it is in the view, and all that it concerns is cut. Answers what it is called among
    /// those that are not kept yet.
    pub(super) fn put_in_force(&mut self, revoked: &Revoked) -> u64 {
        self.view.fold(&ControlEvent::Revoked(revoked.clone()));
        self.cut(revoked);
        self.unkept.begin(revoked.clone())
    }

    /// Takes a target's revocations back; those that come into the log behind this stay.
    pub(super) fn lift(&mut self, lifted: &ControlEvent, target: &Target) {
        self.view.fold(lifted);
        for revoked in self.unkept.lift(target) {
            self.view.fold(&ControlEvent::Revoked(revoked));
        }
    }

    /// Who runs something now, by issuer and subject.
    pub(super) fn callers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.running.values().map(|running| (running.holder.issuer.as_str(), running.holder.subject.as_str()))
    }

    fn cut(&self, revoked: &Revoked) {
        for running in self.cut_by(revoked) {
            running.lease.end(Ended::revoked(revoked.reason.as_str()));
        }
    }

    /// What a session's revocation is about; none when nobody remembers the session.
    pub(super) fn session(&self, session: SessionId) -> Option<Target> {
        let (holder, connection) = self.sessions.get(&session)?;
        let (issuer, subject) = (holder.issuer.clone(), holder.subject.clone());
        // Not the token alone: for what it was issued for there would be the next one at once.
        Some(Target::Session { session, token: None, issuer, subject, connection: connection.to_string() })
    }

    fn enter(&mut self, key: u64, holder: &Arc<Holder>, about: &About, now: Instant) -> Result<(), NoEntry> {
        let place = Place { connection: about.connection.clone() };
        let running = self.running.get(&key).ok_or(NoEntry::Ended(Ended::Expired))?;
        if let Some(ended) = running.lease.ended() {
            return Err(NoEntry::Ended(ended));
        }
        if let Some(revoked) = self.view.ended_at(holder, &place) {
            return Err(NoEntry::Ended(Ended::revoked(revoked.reason.as_str())));
        }
        self.count(holder, now).map_err(NoEntry::Exceeded)?;
        if self.sessions.len() >= self.terms.sessions && !self.sessions.contains_key(&about.session) {
            // Ids sort by the time they were made.
            self.sessions.pop_first();
        }
        self.sessions.insert(about.session, (Arc::clone(holder), about.connection.clone()));
        if let Some(running) = self.running.get_mut(&key) {
            running.place = Some((place, about.session, about.exchange));
        }
        Ok(())
    }

    /// Counts one more exchange, on its caller and on its token, or on neither.
    fn count(&mut self, holder: &Holder, now: Instant) -> Result<(), Exceeded> {
        let Terms { caller, token, .. } = &self.terms;
        let key = caller_key(holder);
        self.callers.check(&key, caller, now).map_err(|over| over.of("caller"))?;
        if let Credential::Issued(id) = holder.credential {
            self.tokens.check(&id, token, now).map_err(|over| over.of("token"))?;
            self.tokens.enter(id, token, now);
        }
        self.callers.enter(key, caller, now);
        Ok(())
    }

    fn spend(&mut self, holder: &Holder, usage: Usage, now: Instant) {
        let tokens = u64::from(usage.input_tokens) + u64::from(usage.output_tokens);
        self.callers.spend(&caller_key(holder), &self.terms.caller, tokens, now);
        if let Credential::Issued(id) = holder.credential {
            self.tokens.spend(&id, &self.terms.token, tokens, now);
        }
    }

    fn leave(&mut self, key: u64, holder: &Holder, counted: bool) {
        self.running.remove(&key);
        if !counted {
            return;
        }
        self.callers.leave(&caller_key(holder));
        if let Credential::Issued(id) = holder.credential {
            self.tokens.leave(&id);
        }
    }

    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }
}

fn caller_key(holder: &Holder) -> CallerKey {
    (holder.issuer.as_str().into(), holder.subject.as_str().into())
}

/// One exchange's stay; when it is dropped, the exchange is over.
pub(super) struct Stay {
    registry: Registry,
    key: u64,
    holder: Arc<Holder>,
    counted: AtomicBool,
}

impl Stay {
    pub(super) fn new(registry: Registry, key: u64, holder: Arc<Holder>) -> Self {
        Self { registry, key, holder, counted: AtomicBool::new(false) }
    }
}

impl Account for Stay {
    fn enter(&self, about: &About) -> Result<(), NoEntry> {
        self.registry.state().enter(self.key, &self.holder, about, Instant::now())?;
        self.counted.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn spend(&self, usage: Usage) {
        self.registry.state().spend(&self.holder, usage, Instant::now());
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.registry.state().leave(self.key, &self.holder, self.counted.load(Ordering::Relaxed));
    }
}
