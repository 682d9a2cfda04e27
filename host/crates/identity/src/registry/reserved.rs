//! Places of tokens that are being written: they count as if the tokens were there already, or many that are asked for at
//! once would find the same place free.
//!
//! What must hold: a place is given back whatever becomes of its token, also where nobody waits for it any more.

use std::collections::{HashMap, hash_map::Entry};

use super::{Registry, view::Owner};

/// All of them.
#[derive(Debug, Default)]
pub(super) struct ToCome {
    all: usize,
    by_caller: HashMap<Owner, usize>,
}

impl ToCome {
    /// How many there are, and how many of one caller.
    pub(super) fn of(&self, owner: &Owner) -> (usize, usize) {
        (self.all, self.by_caller.get(owner).copied().unwrap_or_default())
    }

    pub(super) fn begin(&mut self, owner: Owner) {
        self.all += 1;
        *self.by_caller.entry(owner).or_default() += 1;
    }

    fn end(&mut self, owner: &Owner) {
        self.all -= 1;
        count_out(&mut self.by_caller, owner);
    }
}

/// One place.
pub(super) struct Reserved {
    pub(super) registry: Registry,
    pub(super) owner: Owner,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.registry.state().to_come.end(&self.owner);
    }
}

/// One fewer of a caller's; who has none is forgotten.
fn count_out(by_caller: &mut HashMap<Owner, usize>, owner: &Owner) {
    if let Entry::Occupied(mut count) = by_caller.entry(owner.clone()) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}
