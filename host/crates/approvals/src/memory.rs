//! Answers that are remembered, for policies that asked to be answered once.

use std::collections::{BTreeSet, HashMap};

use model::{ApprovalId, Digest, SessionId};

use crate::Approval;

/// Answers that are remembered; one that is forgotten is asked again.
const REMEMBERED: usize = 10_000;
/// How long they are remembered.
const REMEMBER_MS: u64 = 12 * 3_600_000;

/// The session, and all that the question is bound to. So another request never passes by it, whatever key a policy chose.
type Request = (SessionId, Digest);

#[derive(Clone, Debug)]
struct Remembered {
    /// The question as it was decided, with nothing to show.
    approval: Approval,
    until_ms: u64,
}

/// What is remembered. Bounded: the oldest answer is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    answers: HashMap<ApprovalId, Remembered>,
    by_request: HashMap<Request, ApprovalId>,
    /// When each is forgotten.
    due: BTreeSet<(u64, ApprovalId)>,
}

impl Memory {
    /// The answer to a question.
    pub(crate) fn get(&self, id: ApprovalId) -> Option<&Approval> {
        self.answers.get(&id).map(|known| &known.approval)
    }

    /// The question that was answered for this very request.
    pub(crate) fn of(&self, session: SessionId, bound_to: Digest) -> Option<ApprovalId> {
        self.by_request.get(&(session, bound_to)).copied()
    }

    /// Remembers an answer.
    pub(crate) fn put(&mut self, decided: &Approval) {
        if self.answers.len() >= REMEMBERED
            && let Some((_, oldest)) = self.due.first().copied()
        {
            self.forget(oldest);
        }
        let request = request_of(decided);
        if let Some(before) = self.by_request.get(&request).copied() {
            self.forget(before);
        }
        let until_ms = decided.steady.decided_ms.saturating_add(REMEMBER_MS);
        self.by_request.insert(request, decided.id);
        self.due.insert((until_ms, decided.id));
        self.answers.insert(decided.id, Remembered { approval: decided.with_nothing_shown(), until_ms });
    }

    fn forget(&mut self, id: ApprovalId) {
        let Some(known) = self.answers.remove(&id) else { return };
        self.due.remove(&(known.until_ms, id));
        self.by_request.remove(&request_of(&known.approval));
    }

    /// Forgets everything whose time is up.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        while let Some((until_ms, id)) = self.due.first().copied()
            && until_ms <= now_ms
        {
            self.forget(id);
        }
    }

    /// Forgets every answer that may not lead to anything any more.
    pub(crate) fn withdraw(&mut self, gone: impl Fn(&Approval) -> bool) {
        let known = self.answers.values().map(|known| &known.approval);
        let forgotten: Vec<ApprovalId> = known.filter(|known| gone(known)).map(|known| known.id).collect();
        forgotten.into_iter().for_each(|id| self.forget(id));
    }
}

fn request_of(approval: &Approval) -> Request {
    (approval.session, approval.bound_to)
}

#[cfg(test)]
mod tests {
    use exchange::ports::Ask;

    use super::*;
    use crate::{
        Book, Decision,
        reference::{ask, at, operator, terms},
    };

    /// A decided question about a text.
    fn decided(text: &str, now_ms: u64) -> Approval {
        let mut book = Book::new(terms());
        let ask: Ask = ask(text, "export");
        let id = book.ask(ApprovalId::new(), &ask, at(now_ms)).unwrap().id;
        book.begin(id, Decision::Approve, &operator(), "", at(now_ms)).unwrap()
    }

    #[test]
    fn an_answer_is_forgotten_in_its_time_and_a_new_one_takes_the_place_of_the_old() {
        let mut memory = Memory::default();
        let (first, second, other) = (decided("a", 0), decided("a", 5), decided("b", 7));
        memory.put(&first);
        memory.put(&second);
        memory.put(&other);
        assert!(memory.get(first.id).is_none());
        assert_eq!(memory.of(second.session, second.bound_to), Some(second.id));
        memory.expire(REMEMBER_MS + 4);
        assert!(memory.get(second.id).is_some());
        memory.expire(REMEMBER_MS + 5);
        assert!(memory.get(second.id).is_none() && memory.of(second.session, second.bound_to).is_none());
        assert_eq!((memory.get(other.id).is_some(), memory.due.len()), (true, 1));
    }

    #[test]
    fn the_number_is_bounded() {
        let mut memory = Memory::default();
        let one = decided("a", 0);
        for number in 0..=REMEMBERED {
            let mut another = one.clone();
            (another.id, another.session) = (ApprovalId::new(), SessionId::new());
            another.steady.decided_ms = number as u64;
            memory.put(&another);
        }
        let lengths = (memory.answers.len(), memory.by_request.len(), memory.due.len());
        assert_eq!(lengths, (REMEMBERED, REMEMBERED, REMEMBERED));
        assert_eq!(memory.due.first().map(|(until_ms, _)| *until_ms), Some(REMEMBER_MS + 1), "the oldest went");
    }
}
