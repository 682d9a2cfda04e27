//! Which session an exchange belongs to.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::{Caller, SessionId};

/// Issuer, subject and connection.
type Key = (String, String, String);

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

    /// The session of a caller on a connection: the running one, or a new one after a gap.
    pub(crate) fn of(&self, caller: &Caller, connection: &str, now: Instant) -> SessionId {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (caller.issuer.clone(), caller.subject.clone(), connection.to_owned());
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

    fn caller(subject: &str) -> Caller {
        Caller { subject: subject.into(), issuer: "test".into(), ..Caller::default() }
    }

    #[test]
    fn a_gap_ends_a_session() {
        let sessions = Sessions::new(Duration::from_secs(60), 10);
        let start = Instant::now();
        let first = sessions.of(&caller("ann"), "openai", start);
        assert_eq!(sessions.of(&caller("ann"), "openai", start + Duration::from_secs(59)), first);
        assert_eq!(sessions.of(&caller("ann"), "openai", start + Duration::from_secs(118)), first);
        assert_ne!(sessions.of(&caller("ann"), "openai", start + Duration::from_secs(178)), first);
    }

    #[test]
    fn callers_and_connections_do_not_share_one() {
        let sessions = Sessions::new(Duration::from_secs(60), 10);
        let now = Instant::now();
        let first = sessions.of(&caller("ann"), "openai", now);
        assert_ne!(sessions.of(&caller("bob"), "openai", now), first);
        assert_ne!(sessions.of(&caller("ann"), "other", now), first);
    }

    #[test]
    fn the_number_is_bounded() {
        let sessions = Sessions::new(Duration::from_secs(60), 3);
        let start = Instant::now();
        let ids: Vec<_> =
            (0..5).map(|at| sessions.of(&caller(&at.to_string()), "c", start + Duration::from_secs(at))).collect();
        assert_eq!(sessions.open.lock().unwrap().len(), 3);
        assert_eq!(sessions.of(&caller("4"), "c", start + Duration::from_secs(5)), ids[4]);
        assert_ne!(sessions.of(&caller("0"), "c", start + Duration::from_secs(5)), ids[0]);
    }
}
