//! Text on its way through the chain of policies, and where each piece of it stands in the source.
//!
//! What must hold: the pieces' sources follow each other with no gap and no overlap, whatever was edited, so that the
//! flow can be told in source offsets what leaves.

use std::ops::Range;

use smallvec::SmallVec;
use wire::Change;

/// A run of text with its origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strand {
    text: String,
    /// Text that nobody edited is one piece.
    pieces: SmallVec<[Piece; 1]>,
    /// Where in the source the next piece begins.
    end: u64,
}

/// `len` bytes of text that stand for `source`. Text that was not edited is as long as its source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    len: usize,
    source: Range<u64>,
    edited: bool,
}

impl Piece {
    fn is_insertion(&self) -> bool {
        self.edited && self.source.is_empty()
    }
}

impl Strand {
    /// An empty strand whose text will begin at this source offset.
    pub(crate) fn at(end: u64) -> Self {
        Self { text: String::new(), pieces: SmallVec::new(), end }
    }

    /// The text as it stands.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where in the source the text begins.
    fn begin(&self) -> u64 {
        self.pieces.first().map_or(self.end, |piece| piece.source.start)
    }

    /// Where in the source the text ends.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Which text of the source this is, where it is just that, as it came; `None` when it is empty.
    pub(crate) fn as_it_came(&self) -> Option<Range<u64>> {
        match self.pieces.as_slice() {
            [piece] if !piece.edited => Some(piece.source.clone()),
            _ => None,
        }
    }

    /// How long its pieces are, and what they stand for.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, Range<u64>)> {
        self.pieces.iter().map(|piece| (piece.len, piece.source.clone()))
    }

    /// Text as it came from the source, from this source offset on.
    pub(crate) fn of_source(begin: u64, text: String) -> Self {
        let end = begin + text.len() as u64;
        let pieces = match text.len() {
            0 => SmallVec::new(),
            len => SmallVec::from_buf([Piece { len, source: begin..end, edited: false }]),
        };
        Self { text, pieces, end }
    }

    fn push(&mut self, text: &str, source: Range<u64>, edited: bool) {
        debug_assert_eq!(source.start, self.end, "pieces follow each other");
        self.end = source.end;
        self.text.push_str(text);
        match self.pieces.last_mut() {
            Some(last) if !last.edited && !edited => {
                last.len += text.len();
                last.source.end = source.end;
            }
            _ if text.is_empty() && source.is_empty() => {}
            _ => self.pieces.push(Piece { len: text.len(), source, edited }),
        }
    }

    /// Appends all of another strand.
    pub(crate) fn append(&mut self, other: Self) {
        if self.pieces.is_empty() {
            debug_assert_eq!(other.begin(), self.end, "strands follow each other");
            *self = other;
            return;
        }
        let mut at = 0;
        for piece in &other.pieces {
            self.push(&other.text[at..at + piece.len], piece.source.clone(), piece.edited);
            at += piece.len;
        }
    }

    /// The nearest offset at or before `at` where the strand can be cut: never within what took another text's place,
    /// and never before an insertion, whose place in the source would be gone.
    pub(crate) fn floor(&self, at: usize) -> usize {
        let (mut start, mut safe) = (0, 0);
        for (index, piece) in self.pieces.iter().enumerate() {
            let end = start + piece.len;
            if start > at {
                break;
            }
            if !piece.is_insertion() {
                safe = start;
            }
            if !piece.edited && at < end {
                return at;
            }
            if !piece.edited && at == end && self.pieces.get(index + 1).is_some_and(Piece::is_insertion) {
                return self.text[..at].char_indices().next_back().map_or(0, |(before, _)| before);
            }
            start = end;
            if start == at && self.pieces.get(index + 1).is_none_or(|next| !next.is_insertion()) {
                return at;
            }
        }
        if at >= self.text.len() { self.text.len() } else { safe }
    }

    /// Cuts off the text before `at`, which must be a `floor`.
    pub(crate) fn split_to(&mut self, at: usize) -> Self {
        if at == self.text.len() {
            return std::mem::replace(self, Self::at(self.end));
        }
        let mut front = Self::at(self.begin());
        let mut walk = Walk::new(self);
        walk.copy_to(at, &mut front);
        let mut rest = Self::at(front.end);
        walk.copy_rest(&mut rest);
        rest.end = self.end;
        *self = rest;
        front
    }

    /// Replaces spans (in order, not overlapping, on character boundaries). Answers the source span of each.
    pub(crate) fn edit<'e>(&mut self, edits: impl Iterator<Item = (Range<usize>, &'e str)>) -> Vec<Range<u64>> {
        let mut edited = Self::at(self.begin());
        let mut walk = Walk::new(self);
        let mut spans = Vec::new();
        for (span, by) in edits {
            walk.copy_to(span.start, &mut edited);
            let source = walk.skip_to(span.end);
            edited.push(by, source.clone(), true);
            spans.push(source);
        }
        walk.copy_rest(&mut edited);
        *self = edited;
        spans
    }

    /// Whether the text in a span is the source's own: no part of it was edited, and nothing was taken out within it.
    pub(crate) fn is_as_it_came(&self, span: &Range<usize>) -> bool {
        let mut at = 0;
        self.pieces.iter().all(|piece| {
            let begin = at;
            at += piece.len;
            !piece.edited || at <= span.start || begin >= span.end
        })
    }

    /// What the flow must be told about this text.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let mut at = 0;
        let mut changes = Vec::new();
        for piece in &self.pieces {
            if piece.edited {
                changes.push(Change { span: piece.source.clone(), by: self.text[at..at + piece.len].to_owned() });
            }
            at += piece.len;
        }
        changes
    }
}

/// Reads a strand from front to back, in pieces and parts of pieces.
struct Walk<'s> {
    strand: &'s Strand,
    piece: usize,
    /// Bytes of this piece that are behind.
    within: usize,
    /// Bytes of the text that are behind.
    at: usize,
}

impl<'s> Walk<'s> {
    fn new(strand: &'s Strand) -> Self {
        Self { strand, piece: 0, within: 0, at: 0 }
    }

    /// Where in the source the walk stands. The first part of an edited piece takes all of its source with it.
    fn source(&self) -> u64 {
        match self.strand.pieces.get(self.piece) {
            None => self.strand.end,
            Some(piece) if self.within == 0 => piece.source.start,
            Some(piece) if piece.edited => piece.source.end,
            Some(piece) => piece.source.start + self.within as u64,
        }
    }

    /// Goes on to the text offset `to`, or to the piece's end where that is nearer. False when there is no way to go.
    fn step(&mut self, to: usize) -> Option<(&'s str, Range<u64>, bool)> {
        let piece = self.strand.pieces.get(self.piece)?;
        let left = piece.len - self.within;
        let take = left.min(to - self.at);
        if take == 0 && left > 0 {
            return None;
        }
        let begin = self.source();
        let text = &self.strand.text[self.at..self.at + take];
        self.at += take;
        self.within += take;
        if self.within == piece.len {
            self.piece += 1;
            self.within = 0;
        }
        let end = if self.within == 0 { piece.source.end } else { self.source() };
        Some((text, begin..end, piece.edited))
    }

    fn copy_to(&mut self, to: usize, into: &mut Strand) {
        while let Some((text, source, edited)) = self.step(to) {
            into.push(text, source, edited);
        }
    }

    fn copy_rest(&mut self, into: &mut Strand) {
        self.copy_to(self.strand.text.len(), into);
    }

    fn skip_to(&mut self, to: usize) -> Range<u64> {
        let begin = self.source();
        let mut end = begin;
        while let Some((_, source, _)) = self.step(to) {
            end = source.end;
        }
        begin..end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strand(text: &str) -> Strand {
        Strand::of_source(100, text.to_owned())
    }

    /// What the flow makes of the changes.
    fn applied(source: &str, base: u64, strands: &[Strand]) -> String {
        let (mut out, mut at) = (String::new(), base);
        for strand in strands {
            for Change { span, by } in strand.changes() {
                out.push_str(&source[(at - base) as usize..(span.start - base) as usize]);
                out.push_str(&by);
                at = span.end;
            }
            out.push_str(&source[(at - base) as usize..(strand.end() - base) as usize]);
            at = strand.end();
        }
        out
    }

    #[test]
    fn an_edit_knows_its_source() {
        let mut strand = strand("my ssn is 078-05-1120 ok");
        assert_eq!(strand.edit([(10..21, "[SSN]")].into_iter()).first(), Some(&(110..121)));
        assert_eq!(strand.text(), "my ssn is [SSN] ok");
        assert_eq!(strand.changes(), [Change { span: 110..121, by: "[SSN]".into() }]);
    }

    #[test]
    fn an_edit_of_an_edit_covers_what_the_first_covered() {
        let mut strand = strand("call 555-1234 now");
        strand.edit([(5..13, "[PHONE]")].into_iter());
        strand.edit([(0..8, "x")].into_iter());
        assert_eq!(strand.text(), "xONE] now");
        assert_eq!(applied("call 555-1234 now", 100, &[strand]), "xONE] now");
    }

    #[test]
    fn edited_text_is_not_as_it_came() {
        let mut strand = strand("ab[X]cd[Y]ef");
        strand.edit([(0..1, "A"), (8..8, "!"), (11..11, "")].into_iter());
        assert_eq!(strand.text(), "Ab[X]cd[!Y]ef");
        assert!(strand.is_as_it_came(&(2..5)));
        assert!(!strand.is_as_it_came(&(7..11)));
        assert!(!strand.is_as_it_came(&(0..2)));
        let mut strand = self::strand("[EMxAIL]");
        strand.edit([(3..4, "")].into_iter());
        assert_eq!(strand.text(), "[EMAIL]");
        assert!(!strand.is_as_it_came(&(0..7)), "a deletion is an edit");
    }

    #[test]
    fn a_cut_never_parts_a_replacement() {
        let mut strand = strand("abcdef");
        strand.edit([(2..4, "XYZ")].into_iter());
        assert_eq!(strand.text(), "abXYZef");
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(|at| strand.floor(at)), [0, 1, 2, 2, 2, 5, 6, 7]);
        let front = strand.split_to(2);
        assert_eq!((front.text(), front.end(), strand.text()), ("ab", 102, "XYZef"));
    }

    #[test]
    fn a_deletion_leaves_with_its_neighbour() {
        let mut strand = strand("abc");
        strand.edit([(0..3, "")].into_iter());
        assert_eq!(strand.text(), "");
        let front = strand.split_to(0);
        assert_eq!(front.end(), 103);
        assert_eq!(front.changes(), [Change { span: 100..103, by: String::new() }]);
    }

    fn spans(cuts: &[usize], len: usize) -> Vec<Range<usize>> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (len + 1)).collect();
        cuts.sort_unstable();
        cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect()
    }

    proptest! {
        /// However often text is edited and wherever it is cut: the changes, applied to the source, give the text.
        #[test]
        fn changes_make_the_text(
            source in "[a-z]{0,40}",
            rounds in prop::collection::vec((prop::collection::vec(0usize..99, 0..6), "[A-Z]{0,4}"), 0..4),
            cuts in prop::collection::vec(0usize..99, 0..4),
        ) {
            let mut strand = strand(&source);
            let mut plain = source.clone();
            for (cuts, by) in &rounds {
                let spans = spans(cuts, plain.len());
                for span in spans.iter().rev() {
                    plain.replace_range(span.clone(), by);
                }
                strand.edit(spans.iter().map(|span| (span.clone(), by.as_str())));
                prop_assert_eq!(strand.text(), plain.as_str());
            }
            let mut strands = Vec::new();
            for cut in &cuts {
                let at = strand.floor(cut % (strand.text().len() + 1));
                strands.push(strand.split_to(at));
            }
            strands.push(strand);
            prop_assert_eq!(strands.iter().map(Strand::text).collect::<String>(), plain.clone());
            prop_assert_eq!(applied(&source, 100, &strands), plain);
        }
    }
}
