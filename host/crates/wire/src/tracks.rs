//! Texts that come in pieces: each kind of them is one part, from its first piece to the end of the answer.
//!
//! ```text
//!   pieces     "content":"a"   "content":"b"   "reasoning":"hm"   "content":"c"
//!   content    ╰─────────────────── one part: "abc" ──────────────────────────╯
//!   alone      ╰─────────── "ab" ──────────╯                      ╰── "c" ────╯
//! ```
//!
//! Some clients join all pieces of a kind, others begin a new text where another kind spoke in between, or a call came.
//! What must hold: both are judged, and in whatever order the client reads what comes in one piece. Some servers say all
//! so far in each piece, and clients take the last: such a piece is judged alone as well.

use std::ops::Range;

use model::{Channel, PartId, Speaker};

use crate::{openai::logprobs::Spoken, parts::Parts, seams::Apart, sheet::Sheet};

/// A kind of text that goes on from piece to piece.
pub(crate) trait Track: Copy + PartialEq {
    /// What it is told as. Kinds that are told as the same are other forms of one text, and do not part each other.
    fn channel(self) -> Channel;
}

/// One kind, once it has come.
#[derive(Debug)]
struct Line<T> {
    track: T,
    part: PartId,
    apart: Apart,
    /// What it says next is another text.
    fresh: bool,
    /// What the last piece said.
    last: String,
}

impl<T: Track> Line<T> {
    /// Tells a piece alone that takes the place of the one before, or may, since it begins with it.
    fn say_alone(&mut self, sheet: &mut Sheet<'_>, spoken: &Spoken, replaces: bool) {
        let text = sheet.doc.name(spoken.node);
        if text.is_empty() {
            return;
        }
        let goes_on = !self.last.is_empty() && text.len() > self.last.len() && text.starts_with(&self.last);
        if replaces || goes_on {
            let (alone, told) = sheet.parts.whole(self.track.channel(), Speaker::Assistant, &text);
            sheet.parts.echo(self.part, spoken.range.clone(), alone, told.start);
        }
        self.last.clear();
        self.last.push_str(&text);
    }
}

/// What one kind said in the piece that is read.
#[derive(Debug)]
struct Said {
    /// Number of its line.
    line: usize,
    node: usize,
    range: Range<u64>,
    fresh: bool,
}

/// The kinds of one answer, or of one choice.
#[derive(Debug)]
pub(crate) struct Tracks<T> {
    lines: Vec<Line<T>>,
    said: Vec<Said>,
    /// Something else came in the piece that is read.
    beside: bool,
    /// What spoke last, where nothing came beside it.
    last: Option<Channel>,
    /// Each piece takes the place of the one before.
    replaces: bool,
}

impl<T> Default for Tracks<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), said: Vec::new(), beside: false, last: None, replaces: false }
    }
}

impl<T: Track> Tracks<T> {
    /// The kinds that have come, and their parts.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (T, PartId)> {
        self.lines.iter().map(|line| (line.track, line.part))
    }

    /// The part of a kind.
    pub(crate) fn part(&mut self, parts: &mut Parts, track: T) -> PartId {
        let line = self.line(parts, track);
        self.lines[line].part
    }

    fn line(&mut self, parts: &mut Parts, track: T) -> usize {
        if let Some(known) = self.lines.iter().position(|line| line.track == track) {
            return known;
        }
        let part = parts.begin(track.channel(), Speaker::Assistant);
        self.lines.push(Line { track, part, apart: Apart::default(), fresh: false, last: String::new() });
        self.lines.len() - 1
    }

    /// More text of a kind.
    pub(crate) fn say(&mut self, sheet: &mut Sheet<'_>, node: usize, track: T) -> Spoken {
        let at = self.line(sheet.parts, track);
        let line = &mut self.lines[at];
        let range = sheet.say(node, line.part);
        if !range.is_empty() {
            let fresh = std::mem::take(&mut line.fresh);
            self.said.push(Said { line: at, node, range: range.clone(), fresh });
        }
        Spoken { node, part: line.part, range }
    }

    /// What was said is all so far to clients that know their server, or may be, since it begins with the piece before.
    pub(crate) fn so_far(&mut self, sheet: &mut Sheet<'_>, track: T, spoken: &Spoken) {
        let replaces = self.replaces;
        if let Some(line) = self.lines.iter_mut().find(|line| line.track == track && !sheet.whole) {
            line.say_alone(sheet, spoken, replaces);
        }
    }

    /// Each piece is all so far.
    pub(crate) fn replace(&mut self) {
        self.replaces = true;
    }

    /// The next item of a list begins: what each kind says from there on may be another text.
    pub(crate) fn apart(&mut self) {
        self.lines.iter_mut().for_each(|line| line.fresh = true);
    }

    /// Something that is no text comes in this piece: what is said before it and behind it may be two texts.
    pub(crate) fn beside(&mut self) {
        self.beside = true;
    }

    /// The piece is read. What came in it beside a text may be read before it, or behind it.
    pub(crate) fn turn(&mut self, sheet: &mut Sheet<'_>) {
        let beside = std::mem::take(&mut self.beside);
        let mut spoke = self.said.iter().map(|said| self.lines[said.line].track.channel());
        let voice = match spoke.next() {
            Some(first) => Some(first).filter(|first| !beside && spoke.all(|other| other == *first)),
            None if beside => None,
            None => return,
        };
        if voice.is_none() || voice != self.last {
            self.lines.iter_mut().for_each(|line| line.apart.seam(sheet.parts));
        }
        self.last = voice;
        for Said { line, node, range, fresh } in self.said.drain(..) {
            let Line { track, part, apart, .. } = &mut self.lines[line];
            if fresh {
                apart.seam(sheet.parts);
            }
            let voice = (track.channel(), Speaker::Assistant);
            apart.say(sheet.parts, *part, voice, &sheet.doc.name(node), range);
        }
    }

    /// No more of them comes.
    pub(crate) fn end(&mut self, parts: &mut Parts) {
        for mut line in self.lines.drain(..) {
            parts.end(line.part);
            line.apart.end(parts);
        }
        self.last = None;
    }
}
