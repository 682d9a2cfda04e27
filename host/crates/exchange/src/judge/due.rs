//! Which parts have something new for the policies: each once, in the order in which they came to have it.
//!
//! What must hold: to mark a part takes the same time however many are marked, for an upstream decides how many those are.

use std::collections::HashSet;

use model::PartId;

#[derive(Debug, Default)]
pub(super) struct Due {
    parts: Vec<PartId>,
    known: HashSet<PartId>,
}

impl Due {
    /// Something is new in this part.
    pub(super) fn mark(&mut self, part: PartId) {
        if self.parts.last() != Some(&part) && self.known.insert(part) {
            self.parts.push(part);
        }
    }

    pub(super) fn parts(&self) -> &[PartId] {
        &self.parts
    }

    /// All of them, after which none is due.
    pub(super) fn take(&mut self) -> Vec<PartId> {
        self.known.clear();
        std::mem::take(&mut self.parts)
    }

    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.known.clear();
    }
}

impl FromIterator<PartId> for Due {
    fn from_iter<I: IntoIterator<Item = PartId>>(parts: I) -> Self {
        let mut due = Self::default();
        parts.into_iter().for_each(|part| due.mark(part));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each were looked for among all others, this would take minutes.
    #[test]
    fn each_part_is_due_once_however_many_there_are() {
        let ids = || (0..500_000).map(PartId);
        let mut due: Due = ids().chain(ids()).collect();
        due.mark(PartId(7));
        assert_eq!(due.parts().len(), 500_000);
        assert_eq!(due.parts()[..3], [PartId(0), PartId(1), PartId(2)]);
        assert_eq!(due.take().len(), 500_000);
        due.mark(PartId(7));
        assert_eq!(due.parts(), [PartId(7)]);
    }
}
