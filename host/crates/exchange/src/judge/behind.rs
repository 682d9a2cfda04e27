//! What a policy was shown of a part and let pass, as far as it is shown once more: the text before what comes next.
//!
//! What must hold: it says what the policy saw and not what it made of that, so that what a policy makes of a text is the
//! same wherever it is cut; what has not left is told apart, since after a switch it is shown anew.

use std::ops::Range;

use super::strand::Strand;

/// The last of what passed.
#[derive(Debug, Default)]
pub(super) struct Behind {
    text: String,
    /// The pieces at its end that may not have left: their bytes, and their source.
    pieces: Vec<(usize, Range<u64>)>,
    /// Where in the source it ends.
    end: u64,
}

impl Behind {
    /// Text that has left, up to this place in the source.
    pub(super) fn of(text: &str, end: u64) -> Self {
        Self { text: text.to_owned(), pieces: Vec::new(), end }
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// More passed, of which at least so many bytes are kept; what stands before `left` in the source has left.
    pub(super) fn note(&mut self, passed: &Strand, bytes: usize, left: u64) {
        remember(&mut self.text, passed.text(), bytes);
        self.end = passed.end();
        self.pieces.retain(|(_, source)| source.end > left);
        for (len, source) in passed.places() {
            match self.pieces.last_mut() {
                Some((bytes, last)) if is_plain(*bytes, last) && is_plain(len, &source) => {
                    *bytes += len;
                    last.end = source.end;
                }
                _ => self.pieces.push((len, source)),
            }
        }
    }

    /// What of it stands before this place in the source, up to which all has left; `None` where that is not known.
    pub(super) fn before(&self, at: u64) -> Option<&str> {
        let beyond = |(len, source): &(usize, Range<u64>)| match source.start {
            start if start >= at => *len,
            _ => usize::try_from(source.end.saturating_sub(at)).map_or(*len, |more| more.min(*len)),
        };
        let beyond: usize = self.pieces.iter().map(beyond).sum();
        let len = self.text.len().checked_sub(beyond).filter(|len| *len > 0 && self.end >= at)?;
        Some(&self.text[..self.text.floor_char_boundary(len)])
    }
}

/// Whether text is as long as its source, as text that nobody edited is.
fn is_plain(len: usize, source: &Range<u64>) -> bool {
    source.end - source.start == len as u64
}

/// Keeps the end of what has passed.
pub(super) fn remember(before: &mut String, passed: &str, bytes: usize) {
    if passed.len() >= bytes {
        before.clear();
        before.push_str(&passed[passed.floor_char_boundary(passed.len() - bytes)..]);
        return;
    }
    before.push_str(passed);
    // Cut rarely: only when twice as much has gathered.
    if before.len() > bytes * 2 {
        before.drain(..before.floor_char_boundary(before.len() - bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_left_is_told_apart() {
        let mut behind = Behind::default();
        let mut strand = Strand::of_source(0, "one two three".to_owned());
        strand.edit([(4..7, "2")].into_iter());
        behind.note(&strand, 100, 0);
        assert_eq!(behind.text(), "one 2 three");
        assert_eq!(
            [0, 2, 4, 7, 10, 13].map(|at| behind.before(at)),
            [None, Some("on"), Some("one "), Some("one 2"), Some("one 2 th"), Some("one 2 three")]
        );
        behind.note(&Strand::of_source(13, " four".to_owned()), 100, 10);
        assert_eq!(
            [10, 13, 18].map(|at| behind.before(at)),
            [Some("one 2 th"), Some("one 2 three"), Some("one 2 three four")]
        );
        assert_eq!(behind.before(19), None, "so far it does not go");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut behind = Behind::default();
        for at in 0..1000 {
            let mut strand = Strand::of_source(at * 4, "abcd".to_owned());
            strand.edit([(1..3, "")].into_iter());
            behind.note(&strand, 10, at * 4);
        }
        assert!(behind.text().len() <= 20 && behind.pieces.len() <= 4, "{behind:?}");
        behind.note(&Strand::of_source(4000, "abcdefghijklmn".to_owned()), 10, 0);
        assert_eq!((behind.text(), behind.before(4000)), ("efghijklmn", None));
    }
}
