//! Frames: the bytes that are in and not out, and where in them the text stands.
//!
//! ```text
//!   raw bytes   data: {"choices":[{"delta":{"content":"Hello"}}]}⏎⏎ data: …
//!   frame       [                                               ][
//!   slot                                          [text  ]
//!                                                  ╰── bytes a..b of part 3
//! ```
//!
//! A whole body is one frame, an event stream is many: both take the same way out. What must hold: frames leave in
//! order, each when all text in it may; a frame in which nothing changed leaves byte for byte, but for characters in its
//! JSON that end a line for some clients.

use std::{collections::VecDeque, ops::Range};

use bytes::{Buf, BytesMut};

use crate::{
    anew::Waiting,
    breaks,
    json::{literal, number},
    parts::{Parts, Run, Source},
};

/// What stands in a slot, and so how a change is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string literal with its quotes.
    Text,
    /// The inside of something that is nearly a string literal: escapes count where they are valid.
    Loose,
    /// A number; changed, it becomes a string.
    Number,
    /// A value that is worth nothing once the text it repeats is changed: becomes `null`, or a list an empty one.
    Null,
    /// A value that is worth nothing once anything of its source was changed, in this frame or in one that has left;
    /// becomes what [`Kind::Null`] does.
    Void,
    /// A value that is the text itself.
    Raw,
    /// The rest of a line that is not JSON.
    Line,
    /// Never leaves: this does in its place.
    Put(&'static str),
    /// No text; only waits for its source.
    Hold,
    /// The place behind an object's `{` where a member of this name goes if text is to be added.
    Member {
        /// Its name.
        name: &'static str,
        /// Whether the object has no members.
        alone: bool,
        /// Whether the text is a value by itself, and not what a string says.
        raw: bool,
    },
    /// A value that stands as long as its source has no text: what is added to that takes its place.
    StandIn,
    /// The place in front of a stream's frame where an event of its own goes if text is to be added; its number.
    Extra(u32),
}

/// A place in a frame where text stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// Whose text; `None` only for [`Kind::Put`].
    pub(crate) source: Option<Source>,
    /// What stands there.
    pub(crate) kind: Kind,
    /// First byte in the frame.
    pub(crate) at: u32,
    /// One past the last byte.
    pub(crate) end: u32,
    /// Which text of the source.
    pub(crate) from: u64,
    /// One past it.
    pub(crate) to: u64,
    /// Whether what is added behind the end of the source's text goes here.
    pub(crate) tail: bool,
}

/// What was decided of a slot; of a frame, the last of these that one of its slots is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stands {
    /// It has no text of its own: it may wait, and nothing of it is decided.
    Empty,
    /// All of its text is decided, or the call that it belongs to.
    Decided,
    /// Some of its text is not.
    Open,
}

/// Bytes of a frame that something else takes the place of, whatever text stands in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    /// Which bytes.
    pub(crate) range: Range<usize>,
    /// What comes instead.
    pub(crate) by: String,
}

/// A change as it falls on one slot: bytes of the slot's text, and what takes their place there.
type Edit<'a> = (Range<usize>, &'a str);

/// A change that reaches into a slot, before it is cut to it.
#[derive(Debug)]
struct Reach<'a> {
    /// Where it begins and ends, counted from the start of the slot's text.
    span: Range<i64>,
    /// What takes its place in this slot.
    by: &'a str,
}

impl Slot {
    /// A place where this leaves, whatever stands there.
    pub(crate) fn put(range: Range<usize>, text: &'static str) -> Self {
        let (at, end) = (range.start as u32, range.end as u32);
        Self { source: None, kind: Kind::Put(text), at, end, from: 0, to: 0, tail: false }
    }

    /// Whether everything in it is decided.
    fn ready(&self, parts: &mut Parts) -> bool {
        let Some(source) = self.source else { return true };
        if let Source::Call(call) = source {
            parts.settle_when_decided(call);
        }
        parts.run(source).is_none_or(|run| match source {
            Source::Call(_) => run.closed,
            Source::Part(_) => {
                // Where more text has come, what is added behind the end goes there.
                let waits = self.tail && run.len <= self.to && !run.settled() && run.passed < self.to.max(1);
                run.released >= self.to && !waits && parts.echoes_released(run, self.from..self.to)
            }
        })
    }

    /// What was decided of it so far.
    fn stands(&self, parts: &Parts) -> Stands {
        let Some(source) = self.source else { return Stands::Empty };
        match (source, parts.run(source)) {
            (_, None) => Stands::Decided,
            (Source::Call(_), Some(run)) if run.closed => Stands::Decided,
            (Source::Call(_), Some(_)) => Stands::Empty,
            (Source::Part(_), Some(_)) if self.from == self.to => Stands::Empty,
            (Source::Part(_), Some(run)) => {
                let whole = run.released >= self.to && parts.echoes_released(run, self.from..self.to);
                if whole { Stands::Decided } else { Stands::Open }
            }
        }
    }

    /// Whether both hold the same text for different sources, so that what either changes of it must be written.
    fn is_twin(&self, other: &Self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Line | Kind::Loose)
            && (self.kind, self.at, self.end) == (other.kind, other.at, other.end)
            && self.to - self.from == other.to - other.from
    }

    /// What falls on it. A replacement's text goes where its span begins; from there on its span is only taken away.
    pub(crate) fn edits<'a>(&self, parts: &'a Parts) -> Vec<Edit<'a>> {
        self.cut(self.reaches(parts))
    }

    /// Changes cut to the slot's text.
    fn cut<'a>(&self, reaches: Vec<Reach<'a>>) -> Vec<Edit<'a>> {
        let len = self.local(self.to);
        let local = |at: i64| at.clamp(0, len) as usize;
        reaches.into_iter().map(|Reach { span, by }| (local(span.start)..local(span.end), by)).collect()
    }

    /// What reaches into it.
    fn reaches<'a>(&self, parts: &'a Parts) -> Vec<Reach<'a>> {
        let Some(run) = self.source.and_then(|source| parts.run(source)) else { return Vec::new() };
        if self.kind == Kind::Void && parts.is_touched(run) {
            return vec![Reach { span: 0..0, by: "" }];
        }
        if matches!(self.kind, Kind::Hold | Kind::Void) {
            return Vec::new();
        }
        let own = self.own(run);
        let echoed = self.echoed(run, parts);
        if echoed.is_empty() { own } else { joined(own, echoed) }
    }

    /// A place of the source, counted from the start of the slot's text.
    fn local(&self, at: u64) -> i64 {
        at.cast_signed() - self.from.cast_signed()
    }

    /// What is changed where its text is told again. What is only added there is added by itself as well.
    fn echoed<'a>(&self, run: &Run, parts: &'a Parts) -> Vec<Reach<'a>> {
        let mut reaches = Vec::new();
        for echo in run.echoes_of(self.from..self.to) {
            let Some(other) = parts.run(Source::Part(echo.part)) else { continue };
            // The slot's text, as the other part has it.
            let (from, to) = (echo.until(self.from.max(echo.at)), echo.until(self.to));
            let first = other.changes.partition_point(|change| change.span.end <= from);
            for change in other.changes.range(first..).take_while(|change| change.span.start < to) {
                let (start, end) = (echo.place(change.span.start), echo.place(change.span.end));
                if start.max(self.from) < end.min(self.to) {
                    let begins = echo.begins(change.span.start) && start >= self.from;
                    let by = if begins { change.by.as_str() } else { "" };
                    reaches.push(Reach { span: self.local(start)..self.local(end), by });
                }
            }
        }
        reaches
    }

    fn own<'a>(&self, run: &'a Run) -> Vec<Reach<'a>> {
        if run.changes.is_empty() {
            return Vec::new();
        }
        let first = run.changes.partition_point(|change| change.span.end < self.from);
        let last = self.tail && self.to == run.len;
        run.changes
            .iter()
            .skip(first)
            .take_while(|change| change.span.start <= self.to)
            .filter_map(|change| {
                let begins = change.span.start >= self.from
                    && (change.span.start < self.to || (last && change.span.start == self.to));
                let overlaps = change.span.start < self.to && change.span.end > self.from;
                let span = self.local(change.span.start)..self.local(change.span.end);
                (begins || overlaps).then_some(Reach { span, by: if begins { change.by.as_str() } else { "" } })
            })
            .collect()
    }

    /// Hands out the raw bytes that change and what is to stand there.
    fn rewrite(&self, raw: &str, edits: &[Edit<'_>], parts: &Parts, mut put: impl FnMut(Range<usize>, BytesMut)) {
        let at = self.at as usize;
        let whole = at..self.end as usize;
        let mut by = BytesMut::new();
        match self.kind {
            Kind::Text | Kind::Loose => {
                let quote = usize::from(self.kind == Kind::Text);
                let mut locator = literal::Locator::new(&raw[whole.start + quote..whole.end - quote]);
                for (range, text) in edits {
                    let start = locator.raw(range.start, false);
                    let end = locator.raw(range.end, true);
                    literal::escape(text, &mut by);
                    put(at + quote + start..at + quote + end, by.split());
                }
            }
            Kind::Number => {
                by.extend_from_slice(b"\"");
                literal::escape(&edited(&number::spelled(&raw[whole.clone()]), edits), &mut by);
                by.extend_from_slice(b"\"");
                put(whole, by);
            }
            Kind::Null | Kind::Void => {
                let list = raw[whole.clone()].starts_with('[');
                by.extend_from_slice(if list { b"[]".as_slice() } else { b"null" });
                put(whole, by);
            }
            Kind::Raw => edits.iter().for_each(|(range, text)| {
                put(at + range.start..at + range.end, text.as_bytes().into());
            }),
            Kind::Line => {
                let line = edited(&raw[whole.clone()], edits);
                by.extend_from_slice(line.replace(|end| breaks::is_end(end) || end == '\0', " ").as_bytes());
                put(whole, by);
            }
            Kind::Put(text) => put(whole, text.as_bytes().into()),
            Kind::Hold => {}
            // A change that only reaches over this place adds nothing to it.
            Kind::Extra(_) if edits.iter().all(|(_, text)| text.is_empty()) => {}
            Kind::Extra(id) => {
                let Some(extra) = parts.extras.get(id) else { return };
                extra.begin(parts, &mut by);
                edits.iter().for_each(|(_, text)| literal::escape(text, &mut by));
                extra.end(parts, &mut by);
                put(whole, by);
            }
            Kind::Member { name, raw: true, .. } => {
                by.extend_from_slice(format!("\"{name}\":").as_bytes());
                edits.iter().for_each(|(_, text)| by.extend_from_slice(text.as_bytes()));
                put(whole, by);
            }
            Kind::Member { name, .. } => {
                by.extend_from_slice(format!("\"{name}\":\"").as_bytes());
                edits.iter().for_each(|(_, text)| literal::escape(text, &mut by));
                by.extend_from_slice(b"\"");
                put(whole, by);
            }
            Kind::StandIn => {
                edits.iter().for_each(|(_, text)| by.extend_from_slice(text.as_bytes()));
                put(whole, by);
            }
        }
    }
}

/// What two sources change of the same text; where both do, the one that begins first has its say about what takes the
/// place of all, wherever that is: how a text is cut into slots makes no difference.
fn joined<'a>(mut one: Vec<Reach<'a>>, other: Vec<Reach<'a>>) -> Vec<Reach<'a>> {
    one.extend(other);
    one.sort_by_key(|reach| (reach.span.start, std::cmp::Reverse(reach.span.end)));
    let mut out: Vec<Reach<'a>> = Vec::with_capacity(one.len());
    for Reach { span, by } in one {
        match out.last_mut() {
            Some(last) if span.start < last.span.end => last.span.end = last.span.end.max(span.end),
            _ => out.push(Reach { span, by }),
        }
    }
    out
}

/// `text` after `edits`.
fn edited(text: &str, edits: &[Edit<'_>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (range, by) in edits {
        out.push_str(text.get(from..range.start).unwrap_or_default());
        out.push_str(by);
        from = range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// What is to change in `raw`: ranges in order that do not overlap, and what comes instead.
pub(crate) fn replacements<'a>(
    raw: &str,
    slots: impl Iterator<Item = &'a Slot>,
    parts: &Parts,
) -> Vec<(Range<usize>, BytesMut)> {
    let mut out: Vec<(Range<usize>, BytesMut)> = Vec::new();
    let mut slots = slots.peekable();
    while let Some(slot) = slots.next() {
        let mut reaches = slot.reaches(parts);
        while let Some(twin) = slots.next_if(|next| slot.is_twin(next)) {
            reaches = joined(reaches, twin.reaches(parts));
        }
        let edits = slot.cut(reaches);
        if edits.is_empty() && !matches!(slot.kind, Kind::Put(_)) {
            continue;
        }
        // A value that became `null` takes what stood in it along.
        if out.last().is_some_and(|(last, _)| (slot.at as usize) < last.end) {
            continue;
        }
        let again = out.last().is_some_and(|(last, _)| last.is_empty() && last.start == slot.at as usize);
        slot.rewrite(raw, &edits, parts, |range, mut by| {
            if let Kind::Member { alone, .. } = slot.kind {
                if !alone {
                    by.extend_from_slice(b",");
                } else if again {
                    by = [b",".as_slice(), &by].concat().as_slice().into();
                }
            }
            out.push((range, by));
        });
    }
    out
}

/// Writes `raw` with its slots as decided.
pub(crate) fn write<'a>(
    raw: &str,
    slots: impl Iterator<Item = &'a Slot>,
    splices: Vec<Splice>,
    parts: &Parts,
    out: &mut BytesMut,
) {
    let mut all: Vec<(Range<usize>, BytesMut)> =
        splices.into_iter().map(|splice| (splice.range, splice.by.as_bytes().into())).collect();
    let spliced = !all.is_empty();
    all.extend(replacements(raw, slots, parts));
    if spliced {
        // Where two begin at the same place the longer one goes first, and takes the other along.
        all.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    }
    let mut from = 0;
    for (range, by) in all {
        if range.start < from {
            continue;
        }
        out.extend_from_slice(&raw.as_bytes()[from..range.start]);
        out.extend_from_slice(&by);
        from = range.end;
    }
    out.extend_from_slice(&raw.as_bytes()[from..]);
}

/// What stands in a frame beside its slots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside {
    /// Something that has no slot, since it was decided to leave as it is.
    pub(crate) spared: bool,
    /// JSON that clients read line by line: characters that end a line for some of them leave as escapes.
    pub(crate) lines: bool,
    /// There are such characters in it.
    pub(crate) breaks: bool,
}

/// A frame in the queue.
#[derive(Clone, Copy, Debug)]
struct Frame {
    len: u32,
    slots: u32,
    beside: Beside,
}

/// Bytes that are in and not out.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    raw: BytesMut,
    /// Bytes at the front of `raw` that belong to complete frames.
    framed: usize,
    frames: VecDeque<Frame>,
    slots: VecDeque<Slot>,
    /// Slots of the first frame that were found ready.
    ready: usize,
    /// Bytes of all frames so far, also of those that have left.
    came: u64,
}

impl Queue {
    /// Takes bytes in.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
    }

    /// The bytes that are not framed yet.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.raw[self.framed..]
    }

    /// The same, to write over them.
    pub(crate) fn rest_mut(&mut self) -> &mut [u8] {
        &mut self.raw[self.framed..]
    }

    /// Bytes that are in and not out.
    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether a frame waits.
    pub(crate) fn waits(&self) -> bool {
        !self.frames.is_empty()
    }

    /// The next `len` bytes are a frame with these slots.
    pub(crate) fn frame(&mut self, len: usize, slots: &mut Vec<Slot>, beside: Beside) {
        if !slots.is_sorted_by_key(|slot| slot.at) {
            slots.sort_by_key(|slot| slot.at);
        }
        self.frames.push_back(Frame { len: len as u32, slots: slots.len() as u32, beside });
        self.slots.extend(slots.drain(..));
        self.framed += len;
        self.came += len as u64;
    }

    /// Bytes of all frames so far.
    pub(crate) fn came(&self) -> u64 {
        self.came
    }

    /// Bytes of the frames that have left, as they came.
    pub(crate) fn left(&self) -> u64 {
        self.came - self.framed as u64
    }

    /// Whether a frame waits in which something is decided that can't be told again, and no text is open, so that it waits
    /// for other frames.
    pub(crate) fn keeps_decided(&self, parts: &Parts) -> bool {
        let waiting = self.waiting();
        let mut slots = self.slots.iter();
        self.frames.iter().any(|frame| {
            let slots = slots.by_ref().take(frame.slots as usize);
            let stands = |slot: &Slot| match slot.stands(parts) {
                Stands::Decided
                    if !frame.beside.spared && slot.source.is_some_and(|source| waiting.tells(source, parts)) =>
                {
                    Stands::Empty
                }
                stands => stands,
            };
            slots.map(stands).max() == Some(Stands::Decided)
        })
    }

    /// Others judge from here on: all that can be is told to them.
    pub(crate) fn tell_again(&mut self, parts: &mut Parts) {
        self.ready = 0;
        parts.tell_again(self.waiting());
    }

    /// The texts in the frames that wait.
    fn waiting(&self) -> Waiting {
        let (mut waiting, mut slots, mut at) = (Waiting::default(), self.slots.iter(), 0);
        for frame in &self.frames {
            let raw = &self.raw[at..at + frame.len as usize];
            waiting.note(slots.by_ref().take(frame.slots as usize), raw);
            at += frame.len as usize;
        }
        waiting
    }

    /// Whether the first frame may leave.
    fn first_is_ready(&mut self, frame: Frame, parts: &mut Parts) -> bool {
        while self.ready < frame.slots as usize {
            if !self.slots[self.ready].ready(parts) {
                return false;
            }
            self.ready += 1;
        }
        true
    }

    /// Moves the frames that may leave to the end of `out`. `splices` are asked for a frame's own changes.
    pub(crate) fn take(
        &mut self,
        parts: &mut Parts,
        mut splices: impl FnMut(&[u8]) -> Vec<Splice>,
        out: &mut BytesMut,
    ) {
        // Neighbours in which nothing changed leave in one copy.
        let mut plain = 0;
        while let Some(&frame) = self.frames.front() {
            if !self.first_is_ready(frame, parts) {
                break;
            }
            let slots = self.slots.iter().take(frame.slots as usize);
            let raw = &self.raw[plain..plain + frame.len as usize];
            let own = splices(raw);
            if own.is_empty() && !frame.beside.breaks && !slots.clone().any(|slot| slot.changed(parts)) {
                plain += frame.len as usize;
            } else {
                out.extend_from_slice(&self.raw[..plain]);
                // A frame with text in it was read as UTF-8, so nothing is lost here.
                let begin = out.len();
                write(&String::from_utf8_lossy(raw), slots, own, parts, out);
                if frame.beside.lines && breaks::in_json(&out[begin..]) {
                    let written = out.split_off(begin);
                    breaks::escape(&written, out);
                }
                self.raw.advance(plain + frame.len as usize);
                self.framed -= plain + frame.len as usize;
                plain = 0;
            }
            self.retire(frame, parts);
        }
        out.extend_from_slice(&self.raw[..plain]);
        self.raw.advance(plain);
        self.framed -= plain;
    }

    fn retire(&mut self, frame: Frame, parts: &mut Parts) {
        self.frames.pop_front();
        self.ready = 0;
        for slot in self.slots.drain(..frame.slots as usize) {
            if let Kind::Extra(id) = slot.kind {
                parts.extras.left(id);
            }
            if let Some(source) = slot.source {
                parts.left(source, slot.to);
            }
        }
    }
}

impl Slot {
    fn changed(&self, parts: &Parts) -> bool {
        self.source.is_none() || !self.edits(parts).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use model::{Channel, Speaker};

    use super::*;
    use crate::Change;

    #[test]
    fn each_slot_sees_its_own_of_many_changes_of_what_tells_its_text_again() {
        const BYTES: u64 = 400_000;
        let mut parts = Parts::default();
        let text = "a".repeat(BYTES as usize);
        let [part, other] = ["", "before "].map(|before| {
            let part = parts.begin(Channel::Content, Speaker::User);
            parts.say(part, |out| out.push_str(&format!("{before}{text}")));
            part
        });
        parts.echo(part, 0..BYTES, other, 7);
        let change = |at: u64| Change { span: 7 + at..8 + at, by: at.to_string() };
        parts.release(other, 7 + BYTES, (0..BYTES).filter(|at| at % 2 == 0).map(change).collect());
        for at in 0..BYTES {
            let source = Some(Source::Part(part));
            let slot = Slot { source, kind: Kind::Text, at: 0, end: 3, from: at, to: at + 1, tail: false };
            let by = at.to_string();
            let expected = if at % 2 == 0 { vec![(0..1, by.as_str())] } else { Vec::new() };
            assert_eq!(slot.edits(&parts), expected);
        }
    }
}
