//! Which session an exchange belongs to.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::{Caller, CompactString, SessionId, TokenId};

use crate::ports::Credential;

/// Whose session, and on which connection.
type Key = (Holder, CompactString);

/// A token that was issued here has sessions of its own; any other credential shares those of its caller.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Holder {
    Token(TokenId),
    /// Issuer and subject.
    Caller(CompactString, CompactString),
}

/// The open sessions. Bounded: the one that rested longest is forgotten first, and then begins anew.
pub(crate) struct Sessions {
    gap: Duration,
    most: usize,
    open: Mutex<HashMap<Key, (SessionId, Instant)>>,
}

impl Sessions {
    pub(crate) fn new(gap: Duration, most: usize) -> Self {
        Self { gap, most, open: Mutex::new(HashMap::new()) }
    }

    /// The session of a credential on a connection: the running one, or a new one after a gap.
    pub(crate) fn of(&self, caller: &Caller, credential: Credential, connection: &str, now: Instant) -> SessionId {
        let holder = match credential {
            Credential::Issued(token) => Holder::Token(token),
            Credential::Static | Credential::Direct => {
                Holder::Caller(caller.issuer.as_str().into(), caller.subject.as_str().into())
            }
        };
        self.find((holder, connection.into()), now)
    }

    fn find(&self, key: Key, now: Instant) -> SessionId {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((session, seen)) = open.get_mut(&key)
            && now.duration_since(*seen) < self.gap
        {
            *seen = now;
            return *session;
        }
        if open.len() >= self.most {
            make_room(&mut open, self.gap, now);
        }
        let session = SessionId::new();
        open.insert(key, (session, now));
        session
    }
}

fn make_room(open: &mut HashMap<Key, (SessionId, Instant)>, gap: Duration, now: Instant) {
    let before = open.len();
    open.retain(|_, (_, seen)| now.duration_since(*seen) < gap);
    if open.len() < before {
        return;
    }
    if let Some(oldest) = open.iter().min_by_key(|(_, (_, seen))| *seen).map(|(key, _)| key.clone()) {
        open.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(subject: &str, connection: &str) -> Key {
        (Holder::Caller("test".into(), subject.into()), connection.into())
    }

    #[test]
    fn a_gap_ends_a_session() {
        let sessions = Sessions::new(Duration::from_secs(60), 10);
        let start = Instant::now();
        let at = |seconds| sessions.find(caller("ann", "openai"), start + Duration::from_secs(seconds));
        let first = at(0);
        assert_eq!(at(59), first);
        assert_eq!(at(118), first);
        assert_ne!(at(178), first);
    }

    #[test]
    fn callers_tokens_and_connections_do_not_share_one() {
        let sessions = Sessions::new(Duration::from_secs(60), 10);
        let now = Instant::now();
        let token = TokenId::new();
        let keys = [
            caller("ann", "openai"),
            caller("bob", "openai"),
            caller("ann", "other"),
            (Holder::Token(token), "openai".into()),
            (Holder::Token(TokenId::new()), "openai".into()),
        ];
        let mut ids: Vec<_> = keys.into_iter().map(|key| sessions.find(key, now)).collect();
        assert_eq!(ids[3], sessions.find((Holder::Token(token), "openai".into()), now));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 5);
    }

    #[test]
    fn callers_of_two_issuers_with_one_name_share_none() {
        let sessions = Sessions::new(Duration::from_secs(60), 10);
        let now = Instant::now();
        let session = |issuer: &str, subject: &str, credential| {
            let caller = Caller { issuer: issuer.into(), subject: subject.into(), ..Caller::default() };
            sessions.of(&caller, credential, "openai", now)
        };
        let ann = session("https://idp", "ann", Credential::Direct);
        assert_eq!(session("https://idp", "ann", Credential::Static), ann);
        assert_ne!(session("https://other", "ann", Credential::Direct), ann);
        assert_ne!(session("https://idp", "bob", Credential::Direct), ann);
    }

    #[test]
    fn the_number_is_bounded() {
        let sessions = Sessions::new(Duration::from_secs(60), 3);
        let start = Instant::now();
        let at = |who: u64, seconds| sessions.find(caller(&who.to_string(), "c"), start + Duration::from_secs(seconds));
        let ids: Vec<_> = (0..5).map(|who| at(who, who)).collect();
        assert_eq!(sessions.open.lock().unwrap().len(), 3);
        assert_eq!(at(4, 5), ids[4]);
        assert_ne!(at(0, 5), ids[0]);
    }
}
