//! The questions that are open, and what has to be known of all of them at once: how many there are, of whom, how much
//! they show, and which is due next. Kept up where a question comes or goes, so that no ask walks over the others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use model::{ApprovalId, AskedHead, Caller, Digest};

use crate::Approval;

/// Who asks: issuer and subject.
type Who = (String, String);

fn who(caller: &Caller) -> Who {
    (caller.issuer.clone(), caller.subject.clone())
}

/// Questions, and the bytes that they show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) questions: usize,
    pub(crate) shown: usize,
}

/// Those of one caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Own {
    sum: Sum,
    /// What they show, and how many show it: it is there once, and counts once.
    shown: HashMap<Digest, Shown>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    head: Arc<AskedHead>,
    bytes: Arc<[u8]>,
    times: usize,
}

/// Pending, approved and not used, or denied and not heard.
#[derive(Debug, Default)]
pub(crate) struct Open {
    questions: BTreeMap<ApprovalId, Approval>,
    /// When each expires. One that is being decided does not.
    due: BTreeSet<(u64, ApprovalId)>,
    all: Sum,
    /// Of each caller that has one.
    callers: HashMap<Who, Own>,
}

impl Open {
    pub(crate) fn get(&self, id: ApprovalId) -> Option<&Approval> {
        self.questions.get(&id)
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Approval> {
        self.questions.values()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Sum {
        self.all
    }

    /// Those of a caller, whatever groups it has by now.
    pub(crate) fn of(&self, caller: &Caller) -> Sum {
        self.callers.get(&who(caller)).map(|own| own.sum).unwrap_or_default()
    }

    /// Whether a question of this caller shows this request.
    pub(crate) fn shows(&self, caller: &Caller, request: Digest) -> bool {
        self.callers.get(&who(caller)).is_some_and(|own| own.shown.contains_key(&request))
    }

    /// A new question.
    pub(crate) fn put(&mut self, mut approval: Approval) {
        let own = self.callers.entry(who(&approval.caller)).or_default();
        let first = || Shown { head: Arc::clone(&approval.head), bytes: Arc::clone(&approval.shown), times: 0 };
        let shown = own.shown.entry(approval.request).or_insert_with(first);
        shown.times += 1;
        (approval.head, approval.shown) = (Arc::clone(&shown.head), Arc::clone(&shown.bytes));
        let more = if shown.times == 1 { approval.shown_bytes() } else { 0 };
        for sum in [&mut self.all, &mut own.sum] {
            sum.questions += 1;
            sum.shown += more;
        }
        self.due.extend(due(&approval));
        self.questions.insert(approval.id, approval);
    }

    /// Changes a question; who asks and what is shown stay as they are.
    pub(crate) fn change<R>(&mut self, id: ApprovalId, change: impl FnOnce(&mut Approval) -> R) -> Option<R> {
        let approval = self.questions.get_mut(&id)?;
        let before = due(approval);
        let result = change(approval);
        let after = due(approval);
        if before != after {
            self.not_due(before);
            self.due.extend(after);
        }
        Some(result)
    }

    /// Takes a question out.
    pub(crate) fn take(&mut self, id: ApprovalId) -> Option<Approval> {
        let approval = self.questions.remove(&id)?;
        self.not_due(due(&approval));
        let who = who(&approval.caller);
        let own = self.callers.get_mut(&who)?;
        let mut less = 0;
        if let Some(shown) = own.shown.get_mut(&approval.request) {
            shown.times -= 1;
            if shown.times == 0 {
                less = approval.shown_bytes();
                own.shown.remove(&approval.request);
            }
        }
        for sum in [&mut self.all, &mut own.sum] {
            sum.questions -= 1;
            sum.shown -= less;
        }
        if own.sum.questions == 0 {
            self.callers.remove(&who);
        }
        Some(approval)
    }

    fn not_due(&mut self, due: Option<(u64, ApprovalId)>) {
        if let Some(due) = due {
            self.due.remove(&due);
        }
    }

    /// When the next one expires.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.due.first().map(|(at_ms, _)| *at_ms)
    }

    /// One whose time is up.
    pub(crate) fn next_over(&self, now_ms: u64) -> Option<&Approval> {
        let (at_ms, id) = self.due.first()?;
        self.questions.get(id).filter(|_| *at_ms <= now_ms)
    }

    /// What a walk over all questions says of the sums and of what is due.
    #[cfg(test)]
    pub(crate) fn assert_sums(&self) {
        let mut anew = Self::default();
        self.iter().for_each(|approval| anew.put(approval.clone()));
        assert_eq!((anew.all, &anew.callers), (self.all, &self.callers));
        assert_eq!(self.iter().filter_map(due).collect::<BTreeSet<_>>(), self.due);
    }
}

/// When a question expires, if it may.
fn due(approval: &Approval) -> Option<(u64, ApprovalId)> {
    (!approval.deciding).then_some((approval.steady.due_ms, approval.id))
}
