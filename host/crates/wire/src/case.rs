//! Names that some readers take for others: Go's JSON reader, which servers of every family are built on, does not look
//! at case, and of two names that it takes for one the last counts.
//!
//! What must hold: what is judged is what any of them reads. So a name is spelled as the dialect knows it, or is another.

use crate::json::Doc;

/// A name as Go's JSON reader compares it: case does not count, nor do the two letters beyond ASCII that fold into it.
pub(crate) fn folded(name: &str) -> String {
    name.chars()
        .map(|char| match char {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            char => char.to_ascii_lowercase(),
        })
        .collect()
}

/// What should stand where [`is_odd`] finds something.
pub(crate) const EXPECTED: &str = "an object whose members' names are spelled as the API has them (case counts)";

/// Whether a member of an object has a name that is one of the dialect's only for those who do not look at case.
/// `known`: whether the dialect has this name; `folds`: whether it has one that folds to this.
pub(crate) fn is_odd(doc: Doc<'_>, object: usize, known: fn(&str) -> bool, folds: fn(&str) -> bool) -> bool {
    doc.members(object).any(|(key, _)| {
        let name = doc.name(key);
        !known(&name) && folds(&folded(&name))
    })
}
