//! Seams: where one text ends and another begins that a client, or a model, puts directly behind it.
//!
//! ```text
//!   "content":[{"text":"ssn 078-05-"},{"text":"1120 ok"}]
//!                       ╰─ part 1 ─╯          ╰ part 2 ╯      each alone
//!                       ╰──────────── part 3 ──────────╯      the two joined, as an echo
//! ```
//!
//! Nobody here knows whether they are read as one. What must hold: text on both sides of a seam is judged joined and
//! alone; what either changes is changed. Far from a seam it is told once.

use std::ops::Range;

use model::{Channel, MATCH_BYTES, PartId, Speaker};

use crate::{parts::Parts, sheet::Sheet};

/// Bytes of text on each side of a seam that are told joined as well: as many as a match can have.
const SEAM: usize = MATCH_BYTES;

/// The same of texts that are told joined from end to end, and alone as well: all of a match is seen joined, and only what
/// stands close to the seam reads otherwise alone.
const ALONE: usize = 4096;

/// Bytes of a word that are told whole where a text is cut in it.
const WORD: usize = 1024;

/// The last of a text.
#[derive(Debug)]
struct Tail {
    text: String,
    /// Where in its part it ends.
    end: u64,
    /// Bytes that it has at least, where there are as many.
    reach: usize,
}

impl Tail {
    fn of(reach: usize) -> Self {
        Self { text: String::new(), end: 0, reach }
    }

    fn note(&mut self, text: &str, end: u64) {
        self.end = end;
        // Cut rarely: only when twice as much has gathered.
        if text.len() > 2 * self.reach {
            text[behind(text, self.reach)..].clone_into(&mut self.text);
            return;
        }
        self.text.push_str(text);
        if self.text.len() > 2 * self.reach {
            self.text.drain(..behind(&self.text, self.reach));
        }
    }

    fn range(&self) -> Range<u64> {
        self.end - self.text.len() as u64..self.end
    }
}

/// Where the last `reach` bytes of a text begin: before the word in which they do, where that is short. Never later, so
/// that no match that ends at the seam is cut.
fn behind(text: &str, reach: usize) -> usize {
    let at = text.floor_char_boundary(text.len() - reach);
    let from = text.ceil_char_boundary(at.saturating_sub(WORD));
    text[from..at].rfind(char::is_whitespace).map_or(at, |space| from + space)
}

/// The begin of a text that is told with what stands before it: to the end of a word, where there is one.
fn near(text: &str, left: usize) -> &str {
    if text.len() <= left {
        return text;
    }
    let at = text.floor_char_boundary(left);
    let word = text[at..].find(char::is_whitespace).filter(|&word| word < ALONE);
    &text[..at + word.unwrap_or(0)]
}

/// Texts of one kind, each a part of its own, that are told joined as well.
#[derive(Debug)]
pub(crate) struct Seam {
    channel: Channel,
    speaker: Speaker,
    /// The text before: what may be joined with the next one, and its part, where that can still change.
    before: Option<(Option<PartId>, Tail)>,
    joined: Option<PartId>,
    /// Bytes that the joined part may still take.
    left: usize,
}

impl Seam {
    /// Of this kind.
    pub(crate) fn new(channel: Channel, speaker: Speaker) -> Self {
        Self { channel, speaker, before: None, joined: None, left: 0 }
    }

    /// A part says more; the text before it is complete.
    pub(crate) fn say(&mut self, parts: &mut Parts, part: PartId, text: &str, range: Range<u64>) {
        let before = self.before.as_ref().and_then(|(before, _)| *before);
        if let Some(before) = before.filter(|before| *before != part && !text.is_empty()) {
            parts.end(before);
        }
        self.join(parts, part, text, range);
    }

    /// The same, of a text that may be complete long since, or come again.
    fn join(&mut self, parts: &mut Parts, part: PartId, text: &str, range: Range<u64>) {
        if text.is_empty() || parts.overflowed() {
            return;
        }
        if let Some((before, tail)) = self.before.take_if(|(before, _)| *before != Some(part)) {
            let joined = *self.joined.get_or_insert_with(|| {
                let joined = parts.begin(self.channel, self.speaker);
                let told = parts.say(joined, |out| out.push_str(&tail.text));
                if let Some(before) = before {
                    parts.echo(before, tail.range(), joined, told.start);
                }
                joined
            });
            debug_assert_ne!(joined, part, "an echo has no echo");
            self.left = SEAM;
        }
        if let Some(joined) = self.joined {
            let near = near(text, self.left);
            self.left = self.left.saturating_sub(near.len());
            let told = parts.say(joined, |out| out.push_str(near));
            parts.echo(part, range.start..range.start + near.len() as u64, joined, told.start);
            if near.len() < text.len() {
                parts.end(joined);
                self.joined = None;
            }
        }
        self.before.get_or_insert_with(|| (Some(part), Tail::of(SEAM))).1.note(text, range.end);
    }

    /// A part says no more: it ends, or lingers where it could still be joined with what follows.
    pub(crate) fn stop(&self, parts: &mut Parts, part: PartId) {
        if self.joined.is_none() && self.before.as_ref().is_some_and(|(before, _)| *before == Some(part)) {
            parts.linger(part);
        } else {
            parts.end(part);
        }
    }

    /// Something else follows, which need not wait.
    pub(crate) fn pass(&self, parts: &mut Parts) {
        if let Some((Some(part), _)) = &self.before {
            parts.pass(*part);
        }
    }

    /// Something else follows that must not wait for what may come of the kind: what is complete is decided. Text that
    /// is joined with it later can change, and it can't.
    pub(crate) fn settle(&mut self, parts: &mut Parts) {
        if let Some((before, _)) = &mut self.before
            && let Some(part) = before.filter(|part| parts.is_complete(*part))
        {
            parts.end(part);
            *before = None;
        }
        if let Some(part) = self.joined.take() {
            parts.end(part);
        }
    }

    /// Nothing more of the kind comes.
    pub(crate) fn end(&mut self, parts: &mut Parts) {
        if let Some((Some(part), _)) = self.before.take() {
            parts.end(part);
        }
        if let Some(part) = self.joined.take() {
            parts.end(part);
        }
    }
}

/// Texts that come again, whole: joined only where one of them is not what was said at its place before.
#[derive(Debug)]
pub(crate) struct Again {
    seam: Seam,
    /// Whether the text before is another one than was said before.
    differs: bool,
}

impl Again {
    /// Of this kind.
    pub(crate) fn new(channel: Channel, speaker: Speaker) -> Self {
        Self { seam: Seam::new(channel, speaker), differs: false }
    }

    /// A part is said again; `differs`: for the first time, where another one was said before.
    pub(crate) fn say(&mut self, parts: &mut Parts, part: PartId, text: &str, differs: bool) {
        if self.seam.before.as_ref().is_some_and(|(before, _)| *before == Some(part)) || text.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.differs, differs) && !differs {
            self.end(parts);
        }
        self.seam.join(parts, part, text, 0..text.len() as u64);
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self, parts: &mut Parts) {
        self.seam.before = None;
        self.seam.end(parts);
    }
}

/// The texts of one list, each told as a part of its own, that whoever reads the list puts together.
#[derive(Debug, Default)]
pub(crate) struct List(Vec<Seam>);

impl List {
    /// Tells a text of the list.
    pub(crate) fn once(&mut self, sheet: &mut Sheet<'_>, node: usize, channel: Channel, speaker: Speaker) {
        let (part, range) = sheet.alone(node, channel, speaker);
        self.note(sheet, node, (channel, speaker), part, range);
    }

    /// Takes a text that was told.
    pub(crate) fn note(
        &mut self,
        sheet: &mut Sheet<'_>,
        node: usize,
        (channel, speaker): (Channel, Speaker),
        part: PartId,
        range: Range<u64>,
    ) {
        let known = self.0.iter().position(|seam| (seam.channel, seam.speaker) == (channel, speaker));
        let at = known.unwrap_or_else(|| {
            self.0.push(Seam::new(channel, speaker));
            self.0.len() - 1
        });
        self.0[at].say(sheet.parts, part, &sheet.doc.name(node), range);
    }

    /// The list is complete.
    pub(crate) fn end(mut self, parts: &mut Parts) {
        self.0.iter_mut().for_each(|seam| seam.end(parts));
    }
}

/// Texts that are one part, as clients join them, and are told each alone as well.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    /// The text that is told alone.
    alone: Option<PartId>,
    /// Bytes that it may still take.
    left: usize,
    /// The end of the text, which is told alone where not all of it is.
    tail: Option<Tail>,
    /// Nothing has been said behind the last seam.
    fresh: bool,
}

impl Apart {
    /// Another text begins.
    pub(crate) fn seam(&mut self, parts: &mut Parts) {
        if self.alone.is_some() {
            // The whole of it was told alone.
            self.tail = None;
        }
        self.end(parts);
        self.fresh = true;
    }

    /// The joined part says more.
    pub(crate) fn say(
        &mut self,
        parts: &mut Parts,
        joined: PartId,
        (channel, speaker): (Channel, Speaker),
        text: &str,
        range: Range<u64>,
    ) {
        if text.is_empty() || parts.overflowed() {
            return;
        }
        if std::mem::replace(&mut self.fresh, false) && range.start > 0 {
            if let Some(tail) = self.tail.take() {
                let (alone, told) = parts.whole(channel, speaker, &tail.text);
                parts.echo(joined, tail.range(), alone, told.start);
            }
            self.alone = Some(parts.begin(channel, speaker));
            self.left = ALONE;
        }
        self.tail.get_or_insert_with(|| Tail::of(ALONE)).note(text, range.end);
        let Some(alone) = self.alone else { return };
        let near = near(text, self.left);
        self.left = self.left.saturating_sub(near.len());
        let told = parts.say(alone, |out| out.push_str(near));
        parts.echo(joined, range.start..range.start + near.len() as u64, alone, told.start);
        if near.len() < text.len() {
            self.end(parts);
        }
    }

    /// No more of the text comes.
    pub(crate) fn end(&mut self, parts: &mut Parts) {
        if let Some(alone) = self.alone.take() {
            parts.end(alone);
        }
    }
}
