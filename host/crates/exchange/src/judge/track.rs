//! One part of text on its way: what each policy still keeps of it, and the raw source of all that has not left.
//!
//! What must hold: text leaves a stage only through `settle`; after `rewind` all text that has not left begins its
//! way anew from the raw source, so that what leaves was judged by exactly one set.

use std::ops::Range;

use model::{CONTEXT_BYTES, Direction, Part, PartId};
use wire::Change;

use super::{
    behind::{Behind, remember},
    strand::Strand,
    unseen::Unseen,
};
use crate::ports::{Glance, Spared, Window};

/// One part and the stages it passes.
pub(crate) struct Track {
    pub(crate) part: Part,
    pub(crate) ended: bool,
    pub(crate) stages: Vec<Stage>,
    /// Raw text that has not left; it begins at `base`.
    source: String,
    base: u64,
    /// The run of unseen characters in which the source ends.
    unseen: Unseen,
    exit: Strand,
    /// The last of what has left, as it left.
    left: String,
    told: bool,
    /// The text of the source that was glanced at last, whether nothing follows it, and what came of that.
    glanced: Option<(Range<u64>, bool, Spared)>,
}

/// A policy's place on a track.
pub(crate) struct Stage {
    /// Index of the policy in the chain.
    pub(crate) seat: usize,
    /// True for a policy that is only watched: text passes it at once.
    shadow: bool,
    look_behind: usize,
    strand: Strand,
    behind: Behind,
    /// Bytes of the strand that the guest has seen.
    seen: usize,
    /// All text has come in, and the guest knows.
    closed: bool,
}

/// What a policy decided about a window, in the host's terms.
pub(crate) struct Settlement<'e> {
    /// Bytes from the front that may go on.
    pub(crate) release: usize,
    /// Edits, in order.
    pub(crate) edits: &'e [(Range<usize>, String)],
}

/// How much of a text passes.
pub(crate) struct Reach {
    /// Bytes from the front.
    pub(crate) upto: usize,
    whole: usize,
}

impl Reach {
    /// Whether an edit of this span is made.
    pub(crate) fn makes(&self, span: &Range<usize>) -> bool {
        span.end <= self.upto && (span.start < self.upto || self.upto == self.whole)
    }
}

/// An edit that was made: which of the settlement's, and where in the source.
pub(crate) struct Made {
    pub(crate) index: usize,
    pub(crate) source: Range<u64>,
}

/// A place on a new track.
pub(crate) struct Place {
    pub(crate) seat: usize,
    pub(crate) shadow: bool,
    pub(crate) look_behind: usize,
}

impl Track {
    pub(crate) fn new(part: Part, places: impl Iterator<Item = Place>) -> Self {
        let mut track = Self {
            part,
            ended: false,
            stages: Vec::new(),
            source: String::new(),
            base: 0,
            unseen: Unseen::default(),
            exit: Strand::at(0),
            left: String::new(),
            told: false,
            glanced: None,
        };
        track.seat(places);
        track
    }

    fn seat(&mut self, places: impl Iterator<Item = Place>) {
        self.stages = places
            .map(|Place { seat, shadow, look_behind }| Stage {
                seat,
                shadow,
                look_behind: look_behind.max(CONTEXT_BYTES),
                strand: Strand::at(self.base),
                behind: Behind::of("", self.base),
                seen: 0,
                closed: false,
            })
            .collect();
    }

    /// Raw text that has not left.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Takes new raw text.
    pub(crate) fn feed(&mut self, text: String) {
        let begin = self.base + self.source.len() as u64;
        self.source.push_str(&text);
        self.begin(Strand::of_source(begin, text));
    }

    /// Raw text begins its way: what no policy could look past goes.
    fn begin(&mut self, mut strand: Strand) {
        if !self.stages.is_empty() {
            let excess = self.unseen.excess(strand.text());
            if !excess.is_empty() {
                strand.edit(excess.into_iter().map(|span| (span, "")));
            }
        }
        self.enter(0, strand);
    }

    /// Text comes to a stage, or past the last one.
    fn enter(&mut self, stage: usize, strand: Strand) {
        for stage in &mut self.stages[stage..] {
            if !stage.shadow {
                return stage.strand.append(strand);
            }
            stage.strand.append(strand.clone());
        }
        self.exit.append(strand);
    }

    /// Whether a stage has something that its policy has not seen: text, or the end.
    pub(crate) fn is_due(&self, stage: usize) -> bool {
        let Stage { strand, seen, closed, .. } = &self.stages[stage];
        !closed && (strand.text().len() > *seen || self.is_last(stage))
    }

    /// Whether nothing more can come to a stage: the part has ended and every policy before has let go.
    pub(crate) fn is_last(&self, stage: usize) -> bool {
        self.ended && self.stages[..stage].iter().all(|before| before.closed || before.shadow)
    }

    /// What the policy of a stage is shown.
    pub(crate) fn window(&self, stage: usize, direction: Direction) -> Window<'_> {
        let last = self.is_last(stage);
        let stage = &self.stages[stage];
        Window {
            direction,
            channel: self.part.channel,
            speaker: self.part.speaker,
            part: self.part.id,
            before: stage.behind.text(),
            pending: stage.strand.text(),
            fresh: stage.seen,
            last,
            hits: &[],
        }
    }

    /// What a glance at the text before a stage says. Of text that policies leave as it came one glance does for all of
    /// them; where no other follows that could use it, none is taken.
    pub(crate) fn glance(&mut self, stage: usize, glance: &dyn Glance) -> Spared {
        let Some(source) = self.stages[stage].strand.as_it_came() else { return Spared::default() };
        let last = self.is_last(stage);
        match &self.glanced {
            Some((known, whole, spared)) if *known == source && *whole == last => *spared,
            _ if stage + 1 == self.stages.len() => Spared::default(),
            _ => {
                let spared = glance.spares(self.stages[stage].strand.text(), last);
                self.glanced = Some((source, last, spared));
                spared
            }
        }
    }

    /// How much of a stage's text may pass when so much of it is released, and which edits, in order, are made then. One that
    /// reaches beyond is not made now: its text stays, and is shown again.
    pub(crate) fn reach(
        &self,
        stage: usize,
        release: usize,
        edits: impl DoubleEndedIterator<Item = Range<usize>>,
    ) -> Reach {
        let strand = &self.stages[stage].strand;
        let whole = strand.text().len();
        let mut upto = if self.is_last(stage) { whole } else { strand.floor(release.min(whole)) };
        // Never cut an edit; a cut that moves may meet another replacement or another edit, further in front.
        for span in edits.rev() {
            if span.start < upto && span.end > upto {
                upto = strand.floor(span.start);
            }
        }
        Reach { upto, whole }
    }

    /// Lets text pass a stage, with its edits as far as they [`Self::reach`]. Answers those that were made.
    pub(crate) fn settle(&mut self, stage: usize, settlement: &Settlement<'_>) -> Vec<Made> {
        let last = self.is_last(stage);
        let reach = self.reach(stage, settlement.release, settlement.edits.iter().map(|(span, _)| span.clone()));
        let Stage { strand, .. } = &mut self.stages[stage];
        let release = reach.upto;
        let mut front = strand.split_to(release);
        let Stage { behind, look_behind, .. } = &mut self.stages[stage];
        if !last {
            behind.note(&front, *look_behind, self.base);
        }
        let made: Vec<usize> =
            (0..settlement.edits.len()).filter(|index| reach.makes(&settlement.edits[*index].0)).collect();
        let edits = made.iter().map(|index| (settlement.edits[*index].0.clone(), settlement.edits[*index].1.as_str()));
        let sources = if made.is_empty() { Vec::new() } else { front.edit(edits) };
        let Stage { strand, seen, closed, shadow, .. } = &mut self.stages[stage];
        *seen = strand.text().len();
        *closed = last;
        if !*shadow {
            self.enter(stage + 1, front);
        }
        made.into_iter().zip(sources).map(|(index, source)| Made { index, source }).collect()
    }

    /// Rewrites text that stays where it is (a request's parts, edited by `on-request`).
    pub(crate) fn rewrite(&mut self, stage: usize, edits: &[(Range<usize>, String)]) -> Vec<Range<u64>> {
        self.stages[stage].strand.edit(edits.iter().map(|(span, by)| (span.clone(), by.as_str())))
    }

    /// Lets the text of a complete part leave as it stands before a seat, past the policies from there on.
    pub(crate) fn leave_before(&mut self, seat: usize) {
        let first = self.stages.iter().position(|stage| stage.seat >= seat).unwrap_or(self.stages.len());
        // It is all at one stage: the first that does not only watch, or past the last.
        if let Some(stage) = self.stages.drain(first..).find(|stage| !stage.shadow) {
            self.exit.append(stage.strand);
        }
    }

    /// The text as it stands before a stage.
    pub(crate) fn text(&self, stage: usize) -> &str {
        self.stages[stage].strand.text()
    }

    /// Whether all text has passed all stages.
    pub(crate) fn is_through(&self) -> bool {
        self.ended && self.stages.iter().all(|stage| stage.closed || stage.shadow)
    }

    /// Text that has passed all stages and not left.
    pub(crate) fn passed(&self) -> &str {
        self.exit.text()
    }

    /// Lets what has passed all stages leave: up to where in the source, and with what changes. `None` when nothing did.
    pub(crate) fn leave(&mut self) -> Option<(PartId, u64, Vec<Change>)> {
        self.leave_but(0).map(|front| (self.part.id, front.end(), front.changes()))
    }

    /// Lets what has passed all stages leave, but for at least `keep` bytes of its end, which stay until more has
    /// passed. All leaves that is complete.
    pub(crate) fn leave_but(&mut self, keep: usize) -> Option<Strand> {
        let through = self.is_through();
        let whole = self.exit.text().len();
        let cut = if through || keep == 0 { whole } else { self.exit.floor(whole.saturating_sub(keep)) };
        let front = self.exit.split_to(cut);
        let finished = through && !self.told;
        if !finished && front == Strand::at(self.base) {
            return None;
        }
        self.told |= finished;
        if !finished {
            let look_behind = self.stages.iter().map(|stage| stage.look_behind).max().unwrap_or(CONTEXT_BYTES);
            remember(&mut self.left, front.text(), look_behind);
        }
        self.source.drain(..(front.end() - self.base) as usize);
        self.base = front.end();
        Some(front)
    }

    /// Whether all text has left.
    pub(crate) fn is_over(&self) -> bool {
        self.told
    }

    /// Takes new stages: all raw text that has not left begins its way anew, behind what each place was shown before.
    pub(crate) fn rewind(&mut self, places: impl Iterator<Item = Place>) {
        let old = std::mem::take(&mut self.stages);
        self.seat(places);
        for (at, stage) in self.stages.iter_mut().enumerate() {
            // At its place what had left was seen so; behind more policies than there were, as it left.
            let seen = old.get(at).and_then(|old| old.behind.before(self.base));
            stage.behind = Behind::of(seen.unwrap_or(&self.left), self.base);
        }
        self.unseen = Unseen::behind(self.stages.first().map_or("", |first| first.behind.text()));
        self.exit = Strand::at(self.base);
        // The policies are others.
        self.glanced = None;
        self.begin(Strand::of_source(self.base, self.source.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use model::{Channel, Speaker};

    use super::*;

    fn track(stages: usize) -> Track {
        let part = Part { id: PartId(0), channel: Channel::Content, speaker: Speaker::Assistant };
        Track::new(part, (0..stages).map(|seat| Place { seat, shadow: false, look_behind: 0 }))
    }

    fn pass(track: &mut Track, stage: usize, release: usize, edits: &[(Range<usize>, String)]) -> usize {
        track.settle(stage, &Settlement { release, edits }).len()
    }

    /// A request with many small texts has one for each of them and each policy.
    #[test]
    fn a_stage_takes_little_room() {
        assert!(size_of::<Stage>() <= 168, "{} bytes", size_of::<Stage>());
    }

    #[test]
    fn text_waits_at_the_stage_that_keeps_it() {
        let mut track = track(2);
        track.feed("my ssn is 078-".into());
        pass(&mut track, 0, 10, &[]);
        assert_eq!(track.window(1, Direction::Response).pending, "my ssn is ");
        pass(&mut track, 1, 10, &[]);
        assert_eq!(track.leave(), Some((PartId(0), 10, vec![])));
        assert_eq!(track.leave(), None);
        track.feed("05-1120 ok".into());
        assert_eq!(track.window(0, Direction::Response).pending, "078-05-1120 ok");
        assert_eq!(track.window(0, Direction::Response).fresh, 4);
        pass(&mut track, 0, 14, &[(0..11, "[SSN]".into())]);
        pass(&mut track, 1, 8, &[]);
        assert_eq!(track.leave(), Some((PartId(0), 24, vec![Change { span: 10..21, by: "[SSN]".into() }])));
    }

    /// Spares what it is shown, and counts how often it looks.
    struct Counted(AtomicUsize);

    impl Glance for Counted {
        fn spares(&self, pending: &str, last: bool) -> Spared {
            self.0.fetch_add(1, Ordering::Relaxed);
            Spared(pending.len() as u64 * 2 + u64::from(last))
        }
    }

    #[test]
    fn one_glance_does_for_all_stages_that_are_shown_the_same() {
        let glance = Counted(AtomicUsize::new(0));
        let looks = || glance.0.load(Ordering::Relaxed);
        let mut track = track(3);
        track.feed("clean text".into());
        assert_eq!((track.glance(0, &glance), looks()), (Spared(20), 1));
        pass(&mut track, 0, 10, &[]);
        assert_eq!((track.glance(1, &glance), looks()), (Spared(20), 1));
        pass(&mut track, 1, 6, &[]);
        assert_eq!((track.glance(2, &glance), looks()), (Spared(0), 1), "other text, and nobody else looks at it");
        track.feed(" more".into());
        assert_eq!((track.glance(0, &glance), looks()), (Spared(10), 2));
        pass(&mut track, 0, 5, &[(1..3, "XY".into())]);
        assert_eq!((track.glance(1, &glance), looks()), (Spared(0), 2), "edited text is not the source's");
    }

    #[test]
    fn a_glance_is_not_that_of_other_policies_or_of_text_that_goes_on() {
        let glance = Counted(AtomicUsize::new(0));
        let mut track = track(2);
        track.feed("text".into());
        assert_eq!(track.glance(0, &glance), Spared(8));
        track.ended = true;
        assert_eq!(track.glance(0, &glance), Spared(9), "now it is the last");
        track.rewind((0..2).map(|seat| Place { seat, shadow: false, look_behind: 0 }));
        assert_eq!((track.glance(0, &glance), glance.0.load(Ordering::Relaxed)), (Spared(9), 3));
    }

    #[test]
    fn an_edit_beyond_the_release_is_asked_for_again() {
        let mut track = track(1);
        track.feed("abcdef".into());
        assert_eq!(pass(&mut track, 0, 3, &[(2..5, "X".into())]), 0);
        assert_eq!(track.leave(), Some((PartId(0), 2, vec![])));
        assert_eq!(track.window(0, Direction::Response).pending, "cdef");
    }

    #[test]
    fn the_end_reaches_every_stage() {
        let mut track = track(2);
        track.feed("ab".into());
        track.ended = true;
        assert!(track.is_due(0) && track.is_last(0) && !track.is_last(1));
        pass(&mut track, 0, 0, &[]);
        assert!(track.is_last(1) && !track.is_over());
        pass(&mut track, 1, 2, &[]);
        assert_eq!(track.leave(), Some((PartId(0), 2, vec![])));
        assert!(track.is_over());
        assert!(!track.is_due(0) && !track.is_due(1));
    }

    #[test]
    fn after_a_rewind_only_raw_text_remains() {
        let mut track = track(2);
        track.feed("one two three".into());
        pass(&mut track, 0, 8, &[(4..7, "2".into())]);
        pass(&mut track, 1, 4, &[]);
        assert_eq!(track.leave(), Some((PartId(0), 4, vec![])));
        track.rewind((0..1).map(|seat| Place { seat, shadow: false, look_behind: 0 }));
        let window = track.window(0, Direction::Response);
        assert_eq!((window.before, window.pending, window.fresh), ("one ", "two three", 0));
        pass(&mut track, 0, 9, &[]);
        assert_eq!(track.leave(), Some((PartId(0), 13, vec![])));
    }

    #[test]
    fn a_stage_is_shown_what_it_saw_and_the_next_what_it_made_of_it() {
        let mut track = track(2);
        track.feed("my ssn is 078-05-1120, ".into());
        let edit = [(10..21, "[SSN]".to_owned())];
        pass(&mut track, 0, 23, &edit);
        pass(&mut track, 1, 17, &[(0..2, "MY".to_owned())]);
        assert_eq!(track.leave().map(|(_, upto, _)| upto), Some(23));
        let before = |track: &Track, stage| track.window(stage, Direction::Response).before.to_owned();
        assert_eq!(before(&track, 0), "my ssn is 078-05-1120, ");
        assert_eq!(before(&track, 1), "my ssn is [SSN], ");
        track.feed("is it ".into());
        pass(&mut track, 0, 6, &[]);
        // What the second keeps is shown anew to whoever takes its place, and is not what stands before it.
        track.rewind((0..3).map(|seat| Place { seat, shadow: false, look_behind: 0 }));
        assert_eq!(track.window(0, Direction::Response).pending, "is it ");
        assert_eq!(before(&track, 0), "my ssn is 078-05-1120, ");
        assert_eq!(before(&track, 1), "my ssn is [SSN], ");
        assert_eq!(before(&track, 2), "MY ssn is [SSN], ");
    }

    #[test]
    fn what_left_past_no_policy_stands_before_what_the_first_one_is_shown() {
        let mut track = track(0);
        track.feed("no. ".into());
        assert_eq!(track.leave(), Some((PartId(0), 4, vec![])));
        track.rewind([Place { seat: 0, shadow: false, look_behind: 0 }].into_iter());
        track.feed("7".into());
        let window = track.window(0, Direction::Response);
        assert_eq!((window.before, window.pending), ("no. ", "7"));
    }

    #[test]
    fn what_goes_on_of_a_long_unseen_run_does_not_leave() {
        let mut track = track(1);
        for piece in ["078-05", &"\u{200B}".repeat(80), &"\u{200B}".repeat(80), "-1120"] {
            track.feed(piece.to_string());
        }
        let text = format!("078-05{}-1120", "\u{200B}".repeat(84));
        assert_eq!(track.window(0, Direction::Response).pending, text);
        track.rewind([Place { seat: 0, shadow: false, look_behind: 0 }].into_iter());
        assert_eq!(track.window(0, Direction::Response).pending, text);
        pass(&mut track, 0, text.len(), &[]);
        assert_eq!(track.leave(), Some((PartId(0), 491, vec![Change { span: 258..486, by: String::new() }])));
    }

    #[test]
    fn a_shadow_holds_nothing_up() {
        let part = Part { id: PartId(3), channel: Channel::Content, speaker: Speaker::Assistant };
        let mut track = Track::new(part, [Place { seat: 0, shadow: true, look_behind: 0 }].into_iter());
        track.feed("secret".into());
        assert_eq!(track.leave(), Some((PartId(3), 6, vec![])));
        assert_eq!(track.window(0, Direction::Response).pending, "secret");
        assert_eq!(pass(&mut track, 0, 6, &[(0..6, "x".into())]), 1);
        assert_eq!(track.leave(), None);
    }
}
