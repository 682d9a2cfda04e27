//! What a flow has told and what was decided about it: one [`Run`] for each part, and the steps not yet fetched.
//!
//! A run that is kept ([`Parts::keep`]) can be repeated: a later place with the same text changes as the run did, and
//! is not told again. Text that can be read in two ways is told twice: by the run that it stands in, and by an [`Echo`].
//!
//! What must hold: text is released only by a decision; the changes of a run are in order and do not overlap; a run
//! is forgotten only when nothing of it is left in the queue; a repeat is one only if it is the same text; what is told
//! twice leaves when both ways are decided, with what either changed; what one set of policies decided is no answer to
//! another's.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
};

use model::{Channel, Part, PartId, Speaker};

use crate::{Change, Malformed, Step, ToolCall, ToolCallId, extra::Extras, frame::Slot, nested::Nested};

/// Distinct values of fields that a flow remembers, so that an `id` in every event of a stream is told once.
const REMEMBERED_FIELDS: usize = 256;

/// Runs of text that may wait for a decision at the same time.
const RUNS: usize = 100_000;

/// Longest literal that is remembered, in bytes.
pub(crate) const REMEMBERED_BYTES: usize = 512;

/// Bytes of text that one flow keeps to know repeats by. What is said beyond is told each time it comes.
const REPEATABLE_BYTES: usize = 16 << 20;

/// Where the text of a slot belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A part that is told.
    Part(PartId),
    /// The arguments of a tool call: not told as they are, but by the strings in them.
    Call(ToolCallId),
}

/// One run of text: how much of it there is, how much may leave, and with which changes.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Bytes of text so far.
    pub(crate) len: u64,
    /// Bytes that may leave.
    pub(crate) released: u64,
    /// No more text comes.
    pub(crate) ended: bool,
    /// The last decision was made.
    pub(crate) closed: bool,
    /// What changes: in order, not overlapping, as far as the queue still holds text for it.
    pub(crate) changes: VecDeque<Change>,
    /// Something of it was changed, whether or not the queue still holds text for it.
    pub(crate) touched: bool,
    /// Slots in the queue, and runs that this one is an echo of.
    pub(crate) live: u32,
    /// Text of it that another part tells as well, in the order in which it ends.
    pub(crate) echoes: Vec<Echo>,
    /// What has come of it is all that its own place says, but it ends only when it is known what follows.
    pub(crate) lingers: bool,
    /// Up to here nothing waits for what may be added behind its end.
    pub(crate) passed: u64,
    /// What it is told as; nothing of a call.
    pub(crate) voice: Option<(Channel, Speaker)>,
    /// Some of it has left.
    pub(crate) gone: bool,
    /// Its changes stay until the flow ends, since the same text may come again.
    kept: bool,
    /// It was kept, and the same text is told again where it comes: its changes stay until all of it has left.
    let_go: bool,
    /// It told a literal that is remembered.
    remembered: bool,
    /// Number of the `Step::Text` that still waits to be fetched.
    queued: Option<u64>,
}

impl Run {
    /// Whether no text of it can wait for a decision.
    pub(crate) fn settled(&self) -> bool {
        self.closed || (self.ended && self.len == 0)
    }

    /// Whether it was decided, and leaves as it is.
    pub(crate) fn left_alone(&self) -> bool {
        self.settled() && self.changes.is_empty()
    }

    /// Whether it told a field that may come again, whole.
    pub(crate) fn is_field(&self) -> bool {
        self.remembered || self.let_go
    }

    /// Nothing of it was decided after all.
    pub(crate) fn take_back(&mut self) {
        (self.released, self.closed, self.touched) = (0, false, false);
        self.changes.clear();
        self.queued = None;
    }

    fn finished(&self) -> bool {
        self.ended && self.live == 0 && (!self.kept || self.let_go) && self.settled()
    }
}

/// Text of a run that another part tells as well: beside what stands before or behind it, or alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    /// The part that tells it again.
    pub(crate) part: PartId,
    /// Where in the run the text begins.
    pub(crate) at: u64,
    /// Where it ends.
    pub(crate) end: u64,
    /// Where in the other part it begins.
    from: u64,
}

impl Echo {
    /// A place of the other part, as one of the run.
    pub(crate) fn place(&self, at: u64) -> u64 {
        (self.at + at.saturating_sub(self.from)).clamp(self.at, self.end)
    }

    /// Whether text of the other part begins here.
    pub(crate) fn begins(&self, at: u64) -> bool {
        at >= self.from && at - self.from < self.end - self.at
    }

    /// How far the other part must have come so that the run's text up to here may leave.
    pub(crate) fn until(&self, to: u64) -> u64 {
        self.from + (to.min(self.end) - self.at)
    }
}

impl Run {
    /// The echoes of the text in a range.
    pub(crate) fn echoes_of(&self, text: Range<u64>) -> impl Iterator<Item = &Echo> {
        let first = self.echoes.partition_point(|echo| echo.end <= text.start);
        self.echoes.iter().skip(first).filter(move |echo| echo.at < text.end)
    }
}

/// All runs of a flow.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    runs: BTreeMap<Source, Run>,
    steps: VecDeque<Step>,
    /// Steps that were fetched.
    fetched: u64,
    next_part: u32,
    next_call: u32,
    pub(crate) calls: BTreeMap<ToolCallId, Nested>,
    fields: HashMap<Box<str>, PartId>,
    /// What was said of the sources that are kept.
    said: BTreeMap<Source, String>,
    said_bytes: usize,
    /// Whether the body is a stream, so that events can be added to it.
    pub(crate) streamed: bool,
    /// Events that may be added to it.
    pub(crate) extras: Extras,
    /// Places in the frame that is being read which say what was decided to leave as it is.
    spared: Vec<Slot>,
    /// Calls that were told, and whether their arguments stand in their frame as a value.
    proposed: BTreeMap<ToolCallId, (ToolCall, bool)>,
    /// The bound that what came is beyond, and what it is.
    overflow: Option<(&'static str, usize)>,
}

impl Parts {
    /// A new part.
    pub(crate) fn begin(&mut self, channel: Channel, speaker: Speaker) -> PartId {
        let id = PartId(self.next_part);
        self.next_part += 1;
        if self.is_full() {
            return id;
        }
        self.runs.insert(Source::Part(id), Run { voice: Some((channel, speaker)), ..Run::default() });
        self.steps.push_back(Step::Begin(Part { id, channel, speaker }));
        id
    }

    /// More text of a part, appended by `write`; the answer is its range.
    pub(crate) fn say(&mut self, part: PartId, write: impl FnOnce(&mut String)) -> Range<u64> {
        let Some(run) = self.runs.get_mut(&Source::Part(part)) else {
            return 0..0;
        };
        let waiting = run.queued.and_then(|number| usize::try_from(number.checked_sub(self.fetched)?).ok());
        let at = waiting.unwrap_or_else(|| {
            run.queued = Some(self.fetched + self.steps.len() as u64);
            self.steps.push_back(Step::Text { part, text: String::new() });
            self.steps.len() - 1
        });
        let start = run.len;
        if let Some(Step::Text { text, .. }) = self.steps.get_mut(at) {
            let before = text.len();
            write(text);
            run.len += (text.len() - before) as u64;
            note(&mut self.said, &mut self.said_bytes, Source::Part(part), &text[before..]);
        }
        start..run.len
    }

    /// Text of a part is told by another one as well, where it stands at `from`.
    pub(crate) fn echo(&mut self, part: PartId, text: Range<u64>, by: PartId, from: u64) {
        if text.is_empty() || !self.runs.contains_key(&Source::Part(by)) {
            return;
        }
        let Some(run) = self.runs.get_mut(&Source::Part(part)) else { return };
        if let Some(last) = run.echoes.last_mut()
            && (last.part, last.end, last.until(last.end)) == (by, text.start, from)
        {
            last.end = text.end;
            return;
        }
        let place = run.echoes.partition_point(|echo| echo.end <= text.end);
        run.echoes.insert(place, Echo { part: by, at: text.start, end: text.end, from });
        if let Some(echo) = self.runs.get_mut(&Source::Part(by)) {
            echo.live += 1;
        }
    }

    /// Whether all echoes of a text are decided.
    pub(crate) fn echoes_released(&self, run: &Run, text: Range<u64>) -> bool {
        run.echoes_of(text.clone())
            .all(|echo| self.run(Source::Part(echo.part)).is_none_or(|other| other.released >= echo.until(text.end)))
    }

    /// Whether anything of a run was changed, by itself or by what tells it again.
    pub(crate) fn is_touched(&self, run: &Run) -> bool {
        let echoed = |echo: &Echo| self.run(Source::Part(echo.part)).is_some_and(|other| other.touched);
        run.touched || run.echoes.iter().any(echoed)
    }

    /// A part says no more by itself. It ends once it is known what follows it.
    pub(crate) fn linger(&mut self, part: PartId) {
        if let Some(run) = self.runs.get_mut(&Source::Part(part)) {
            run.lingers = true;
        }
    }

    /// Whether a part says no more by itself.
    pub(crate) fn is_complete(&self, part: PartId) -> bool {
        self.run(Source::Part(part)).is_none_or(|run| run.ended || run.lingers)
    }

    /// Something else follows on what was said of a part so far, and need not wait for its end.
    pub(crate) fn pass(&mut self, part: PartId) {
        if let Some(run) = self.runs.get_mut(&Source::Part(part)) {
            run.passed = run.len;
        }
    }

    /// All that is said of a source from now on may be repeated.
    pub(crate) fn keep(&mut self, source: Source) {
        if let Some(run) = self.runs.get_mut(&source) {
            run.kept = true;
            self.said.insert(source, String::new());
        }
    }

    /// Whether `text` is all that was said of a source that is kept.
    pub(crate) fn repeats(&self, source: Source, text: &str) -> bool {
        self.said.get(&source).is_some_and(|said| said == text)
    }

    /// All that was said of a source that is kept.
    pub(crate) fn said_of(&self, source: Source) -> &str {
        self.said.get(&source).map_or("", String::as_str)
    }

    /// Whether a source may be repeated.
    pub(crate) fn is_kept(&self, source: Source) -> bool {
        self.said.contains_key(&source)
    }

    /// Notes text of a call's arguments, in case it is repeated.
    pub(crate) fn note_call(&mut self, call: ToolCallId, text: &str) {
        note(&mut self.said, &mut self.said_bytes, Source::Call(call), text);
    }

    /// The part is complete.
    pub(crate) fn end(&mut self, part: PartId) {
        if let Some(run) = self.runs.get_mut(&Source::Part(part))
            && !run.ended
        {
            run.ended = true;
            run.queued = None;
            self.steps.push_back(Step::End(part));
        }
        self.forget(Source::Part(part));
    }

    /// A part that is told with its whole text.
    pub(crate) fn whole(&mut self, channel: Channel, speaker: Speaker, text: &str) -> (PartId, Range<u64>) {
        let part = self.begin(channel, speaker);
        let range = if text.is_empty() { 0..0 } else { self.say(part, |out| out.push_str(text)) };
        if let Some(run) = self.runs.get_mut(&Source::Part(part)) {
            run.ended = true;
            self.steps.push_back(Step::End(part));
        }
        (part, range)
    }

    /// Whether more came than may wait: the flow must not go on, and what is read of the document need not be kept.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflow.is_some()
    }

    /// What came is beyond this bound.
    pub(crate) fn overflow(&mut self, bound: &'static str, limit: usize) {
        self.overflow.get_or_insert((bound, limit));
    }

    /// # Errors
    /// [`Malformed::TooLarge`] when more came than may wait.
    pub(crate) fn bounded(&self) -> Result<(), Malformed> {
        self.overflow.map_or(Ok(()), |(bound, limit)| Err(Malformed::TooLarge { bound, limit }))
    }

    /// Whether one more run is too many.
    fn is_full(&mut self) -> bool {
        if self.runs.len() >= RUNS {
            self.overflow("parts", RUNS);
        }
        self.overflowed()
    }

    /// The part that told this literal before; it was told whole.
    pub(crate) fn remembered(&self, literal: &str) -> Option<(PartId, &Run)> {
        let part = *self.fields.get(literal)?;
        Some((part, self.runs.get(&Source::Part(part))?))
    }

    /// Whether a literal is remembered that this part told.
    pub(crate) fn remembers(&self, part: PartId) -> bool {
        self.runs.get(&Source::Part(part)).is_some_and(|run| run.remembered)
    }

    /// Remembers a part that told this literal whole.
    pub(crate) fn remember(&mut self, literal: &str, part: PartId) {
        if self.fields.len() >= REMEMBERED_FIELDS || literal.len() > REMEMBERED_BYTES {
            return;
        }
        if let Some(run) = self.runs.get_mut(&Source::Part(part)) {
            (run.kept, run.remembered) = (true, true);
            self.fields.insert(literal.into(), part);
        }
    }

    /// Others judge from here on: no literal is remembered any more, whatever was decided about it.
    pub(crate) fn forget_fields(&mut self) {
        for part in std::mem::take(&mut self.fields).into_values() {
            self.let_go(Source::Part(part));
        }
    }

    /// What a source said is no repeat of it any more where it comes again.
    pub(crate) fn let_go(&mut self, source: Source) {
        if let Some(known) = self.said.remove(&source) {
            self.said_bytes = self.said_bytes.saturating_sub(known.len());
        }
        if let Some(run) = self.runs.get_mut(&source) {
            (run.let_go, run.remembered) = (true, false);
        }
        self.forget(source);
    }

    /// A new tool call, whose arguments nothing has decided about.
    pub(crate) fn begin_call(&mut self, nested: Nested) -> ToolCallId {
        let call = ToolCallId(self.next_call);
        self.next_call += 1;
        if self.is_full() {
            return call;
        }
        self.runs.insert(Source::Call(call), Run::default());
        self.calls.insert(call, nested);
        call
    }

    /// Tells a step.
    pub(crate) fn tell(&mut self, step: Step) {
        if let Step::ToolCall(told) = &step {
            self.proposed.insert(told.call, (told.clone(), false));
        }
        self.steps.push_back(step);
    }

    /// A call that was told, and whether its arguments stand in their frame as a value.
    pub(crate) fn proposed(&self, call: ToolCallId) -> Option<&(ToolCall, bool)> {
        self.proposed.get(&call)
    }

    /// A call that was told leaves with its arguments as a value, or not.
    pub(crate) fn proposed_as(&mut self, call: ToolCallId, json: bool) {
        if let Some((_, as_json)) = self.proposed.get_mut(&call) {
            *as_json = json;
        }
    }

    /// A place that says what was decided to leave as it is needs no slot, as long as its frame leaves at once.
    pub(crate) fn spare(&mut self, slot: Slot) {
        self.spared.push(slot);
    }

    /// The frame is read: what was spared gets its slots after all where the frame may wait, and others may come to judge it.
    /// The answer is whether any did not. `waits`: one before it does.
    pub(crate) fn settle_spared(&mut self, waits: bool, slots: &mut Vec<Slot>) -> bool {
        if self.spared.is_empty() {
            return false;
        }
        if !waits && self.calls.is_empty() {
            self.spared.clear();
            return true;
        }
        for slot in self.spared.drain(..) {
            if let Some(run) = slot.source.and_then(|source| self.runs.get_mut(&source)) {
                run.live += 1;
                slots.push(slot);
            }
        }
        false
    }

    /// The next step to be fetched.
    pub(crate) fn next(&mut self) -> Option<Step> {
        let step = self.steps.pop_front()?;
        self.fetched += 1;
        Some(step)
    }

    /// The run of a source.
    pub(crate) fn run(&self, source: Source) -> Option<&Run> {
        self.runs.get(&source)
    }

    /// The run of a source, to be changed.
    pub(crate) fn run_mut(&mut self, source: Source) -> Option<&mut Run> {
        self.runs.get_mut(&source)
    }

    /// A decision about a part. What lies outside of the order that [`crate::Flow::release`] asks for is put right
    /// in the way that lets less pass.
    pub(crate) fn release(&mut self, part: PartId, upto: u64, changes: Vec<Change>) {
        let Some(run) = self.runs.get_mut(&Source::Part(part)) else {
            return;
        };
        let mut from = run.changes.back().map_or(run.released, |last| last.span.end.max(run.released));
        for mut change in changes {
            change.span.start = change.span.start.clamp(from, run.len.max(from));
            change.span.end = change.span.end.clamp(change.span.start, run.len.max(change.span.start));
            from = change.span.end;
            run.changes.push_back(change);
            run.touched = true;
        }
        run.released = run.released.max(upto.min(run.len));
        run.closed |= run.ended && run.released == run.len;
        self.forget(Source::Part(part));
    }

    /// A slot of this source has left, with all changes before `upto`.
    pub(crate) fn left(&mut self, source: Source, upto: u64) {
        let Some(run) = self.runs.get_mut(&source) else { return };
        run.live = run.live.saturating_sub(1);
        run.gone |= upto > 0 || matches!(source, Source::Call(_));
        let mut past = Vec::new();
        if !run.kept {
            while run.changes.front().is_some_and(|change| change.span.start < upto && change.span.end <= upto) {
                run.changes.pop_front();
            }
            let count = run.echoes.partition_point(|echo| echo.end <= upto);
            past.extend(run.echoes.drain(..count));
        }
        if run.finished() {
            self.forget(source);
        }
        let touched = past.iter().fold(false, |touched, echo| self.silence(echo) | touched);
        if let Some(run) = self.runs.get_mut(&source) {
            run.touched |= touched;
        }
    }

    /// The text of an echo waits for it no more; the answer is whether anything was changed there.
    fn silence(&mut self, echo: &Echo) -> bool {
        let source = Source::Part(echo.part);
        let Some(run) = self.runs.get_mut(&source) else { return false };
        run.live = run.live.saturating_sub(1);
        let touched = run.touched;
        self.forget(source);
        touched
    }

    /// Whether this literal was told as a field and left as it is.
    pub(crate) fn left_alone(&self, literal: &str) -> bool {
        self.remembered(literal).is_some_and(|(_, run)| run.left_alone())
    }

    fn forget(&mut self, source: Source) {
        if !self.runs.get(&source).is_some_and(Run::finished) {
            return;
        }
        if let Source::Call(call) = source {
            self.proposed.remove(&call);
        }
        for echo in self.runs.remove(&source).map(|run| run.echoes).unwrap_or_default() {
            self.silence(&echo);
        }
    }
}

/// Adds to what is known of a source that is kept. Past the bound it is no more known, and so never repeated.
fn note(said: &mut BTreeMap<Source, String>, bytes: &mut usize, source: Source, text: &str) {
    let Some(known) = said.get_mut(&source) else { return };
    *bytes += text.len();
    if *bytes > REPEATABLE_BYTES {
        *bytes -= known.len() + text.len();
        said.remove(&source);
    } else {
        known.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_among_the_runs_that_may_wait() {
        let mut parts = Parts::default();
        for _ in 0..RUNS {
            parts.begin_call(Nested::proposed());
        }
        assert!(parts.bounded().is_ok());
        parts.begin_call(Nested::proposed());
        assert!(matches!(parts.bounded(), Err(Malformed::TooLarge { bound: "parts", limit: RUNS })));
        assert_eq!((parts.runs.len(), parts.calls.len()), (RUNS, RUNS));
    }
}
