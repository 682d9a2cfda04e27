//! Runs of characters that are not seen, kept as short as native matching looks past: a longer one could part a value that
//! its reader sees in one piece. What goes on of it goes before any policy is shown the text.
//!
//! What must hold: text gives the same wherever it is cut; a run that is short enough stays as it is.

use std::ops::Range;

use fold::{Fold, fold_char, is_plain};
use model::UNSEEN_BYTES;

/// The run in which a text ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unseen {
    bytes: usize,
}

impl Unseen {
    /// The run in which this text ends.
    pub(super) fn behind(text: &str) -> Self {
        let mut unseen = Self::default();
        unseen.excess(text);
        unseen
    }

    /// Takes more text: where in it a run is too long.
    pub(super) fn excess(&mut self, text: &str) -> Vec<Range<usize>> {
        let mut excess: Vec<Range<usize>> = Vec::new();
        if is_plain(text) {
            self.bytes = if text.is_empty() { self.bytes } else { 0 };
            return excess;
        }
        for (at, char) in text.char_indices() {
            if fold_char(char) != Fold::Gone {
                self.bytes = 0;
                continue;
            }
            let end = at + char.len_utf8();
            if self.bytes + char.len_utf8() <= UNSEEN_BYTES {
                self.bytes += char.len_utf8();
                continue;
            }
            // No shorter one that follows may fit in: what is left of the run would depend on its order.
            self.bytes = UNSEEN_BYTES;
            match excess.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => excess.push(at..end),
            }
        }
        excess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_cut_to_what_matching_looks_past_wherever_the_text_is_cut() {
        let run = "\u{200B}".repeat(100);
        let controls = "\0\u{7F}".repeat(150);
        let text = format!("a{run}b\u{301}{run}日\u{E0041}{run}c{controls}d");
        let whole = Unseen::default().excess(&text);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], 1 + UNSEEN_BYTES..1 + run.len());
        for (at, _) in text.char_indices() {
            let mut unseen = Unseen::default();
            let mut pieces = unseen.excess(&text[..at]);
            pieces.extend(unseen.excess(&text[at..]).into_iter().map(|span| span.start + at..span.end + at));
            let bytes = |spans: &[Range<usize>]| spans.iter().flat_map(Clone::clone).collect::<Vec<_>>();
            assert_eq!(bytes(&pieces), bytes(&whole), "{at}");
        }
    }

    #[test]
    fn what_is_short_stays() {
        for text in ["", "plain", "e\u{301}", "👩\u{200D}🔬", &"\u{200B}".repeat(84)] {
            assert!(Unseen::default().excess(text).is_empty(), "{text:?}");
        }
        let mut behind = Unseen::behind(&"\u{200B}".repeat(84));
        assert_eq!(behind.excess("\u{200B}x\u{200B}").first(), Some(&(0..3)));
    }
}
