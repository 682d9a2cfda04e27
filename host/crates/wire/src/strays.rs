//! Strings that a dialect does not know, in a message that comes in pieces.
//!
//! What must hold: such a string is judged by itself, and with those that stood at the same place before it, since nobody
//! here knows whether a client joins them: nothing hides between two pieces, or between two places of a whole body that
//! have the same path. What goes on for some pieces without it is over, so that an odd one does not stop a stream; where it
//! comes once more, it is told with the end of what it said before. What is told as content, reasoning or a delta goes on
//! to the end.
//!
//! What says the same in each piece (an id, a model's name) waits for nothing. Where it says something else, that is told
//! with the end of what it said before, too.

use std::collections::HashMap;

use model::{Channel, PartId, Speaker};

use crate::{
    frame::Kind as Slot,
    json::Kind,
    parts::{Parts, Source},
    path::Path,
    sheet::Sheet,
};

/// Pieces that may lack a string before its part ends: other kinds of pieces come in between.
const GAP: u64 = 4;

/// Bytes of what a string said that are told again with what it says next: more than most matches have.
const TAIL: usize = 1024;

/// Longest literal that is known when it comes again, in bytes.
const LITERAL: usize = 512;

/// Paths at which something was said that are remembered.
const PATHS: usize = 4096;

/// Paths of the first of what comes again and again, which are looked for one after the other.
const OFTEN: usize = 8;

/// Names under which servers stream what they say, where no dialect expects it.
const SAID: [&str; 6] = ["text", "content", "response", "completion", "output", "delta"];

/// A string in progress.
#[derive(Debug)]
struct Stray {
    part: PartId,
    /// Number of the last piece that had it.
    piece: u64,
    /// The last of what it said.
    tail: String,
    /// The one place of a whole body that had it, as long as there is one.
    only: Option<usize>,
}

/// A string that mostly comes again as it was.
#[derive(Debug)]
struct Fixed {
    /// As it came; nothing when it was long.
    literal: Option<Box<str>>,
    /// The part that told it.
    part: PartId,
    /// The last of what it said.
    tail: String,
}

/// Such strings, by their paths.
#[derive(Debug, Default)]
struct Again {
    often: Vec<(Box<str>, Fixed)>,
    others: HashMap<Box<str>, Fixed>,
}

impl Again {
    fn get_mut(&mut self, path: &str) -> Option<&mut Fixed> {
        match self.often.iter().position(|(known, _)| **known == *path) {
            Some(at) => Some(&mut self.often[at].1),
            None => self.others.get_mut(path),
        }
    }

    fn insert(&mut self, path: &str, fixed: Fixed) {
        if self.often.len() < OFTEN {
            self.often.push((path.into(), fixed));
            return;
        }
        if self.others.len() > PATHS {
            self.others.clear();
        }
        self.others.insert(path.into(), fixed);
    }
}

/// A string that goes on from piece to piece.
pub(crate) trait Lasting {
    /// The part that tells it.
    fn part(&self) -> PartId;
    /// The last of what it said.
    fn into_tail(self) -> String;
}

impl Lasting for Stray {
    fn part(&self) -> PartId {
        self.part
    }

    fn into_tail(self) -> String {
        self.tail
    }
}

/// Ends the parts of the strings that are over, in their order, and keeps the last of what those said.
pub(crate) fn retire<L: Lasting>(
    known: &mut HashMap<String, L>,
    over: &mut HashMap<String, String>,
    parts: &mut Parts,
    is_over: impl Fn(&L) -> bool,
) {
    let mut ended: Vec<PartId> = known.values().filter(|lasting| is_over(lasting)).map(Lasting::part).collect();
    if ended.is_empty() {
        return;
    }
    ended.sort_unstable();
    ended.into_iter().for_each(|part| parts.end(part));
    if over.len() > PATHS {
        over.clear();
    }
    over.extend(known.extract_if(|_, lasting| is_over(lasting)).map(|(path, lasting)| (path, lasting.into_tail())));
}

/// Adds to the last of what a string said.
pub(crate) fn note(tail: &mut String, text: &str) {
    // Never more of it than stays: a text that was long once would leave its room behind.
    let text = &text[text.ceil_char_boundary(text.len().saturating_sub(TAIL))..];
    let over = (tail.len() + text.len()).saturating_sub(TAIL);
    tail.drain(..tail.ceil_char_boundary(over));
    tail.push_str(text);
}

/// The strings of one run of pieces, by their paths.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    /// Those that are over once they have not come for some time. There are no more of them than came in the last pieces.
    known: HashMap<String, Stray>,
    /// Those that only the end of all pieces ends.
    lasting: HashMap<String, Stray>,
    /// The last of what those said that are over.
    over: HashMap<String, String>,
    fixed: Again,
    pieces: u64,
}

impl Strays {
    /// A piece begins.
    pub(crate) fn piece(&mut self) {
        self.pieces += 1;
    }

    /// The piece is read: what has not come for some time is complete.
    pub(crate) fn end(&mut self, parts: &mut Parts) {
        let pieces = self.pieces;
        self.retire(parts, |stray| stray.piece + GAP < pieces);
    }

    /// No more pieces come.
    pub(crate) fn finish(&mut self, parts: &mut Parts) {
        self.known.extend(std::mem::take(&mut self.lasting));
        self.retire(parts, |_| true);
    }

    fn retire(&mut self, parts: &mut Parts, is_over: impl Fn(&Stray) -> bool) {
        retire(&mut self.known, &mut self.over, parts, is_over);
    }

    /// A value that says the same in each piece, or nearly so.
    pub(crate) fn again(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &str) {
        match sheet.doc.kind(value) {
            _ if sheet.whole => sheet.rest(value),
            Kind::Text => self.fixed(sheet, value, path),
            _ => self.walk_again(sheet, value, &mut Path::at(path)),
        }
    }

    fn walk_again(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &mut Path) {
        let doc = sheet.doc;
        match doc.kind(value) {
            Kind::Object => {
                for (key, value) in doc.members(value) {
                    sheet.key(key);
                    let name = doc.name(key);
                    if name == "type" {
                        sheet.word(value);
                        continue;
                    }
                    let above = path.enter(&name);
                    self.walk_again(sheet, value, path);
                    path.leave(above);
                }
            }
            Kind::Array => {
                sheet.bytes(value);
                for (place, item) in doc.items(value).enumerate() {
                    let above = path.enter_item(doc, place, item);
                    self.walk_again(sheet, item, path);
                    path.leave(above);
                }
            }
            Kind::Text => self.fixed(sheet, value, path),
            _ => sheet.rest(value),
        }
    }

    fn fixed(&mut self, sheet: &mut Sheet<'_>, node: usize, path: &str) {
        let doc = sheet.doc;
        let literal = Some(doc.raw(node)).filter(|literal| literal.len() <= LITERAL);
        let Some(known) = self.fixed.get_mut(path) else {
            let part = sheet.field_part(node);
            let mut tail = String::new();
            note(&mut tail, &doc.name(node));
            self.fixed.insert(path, Fixed { literal: literal.map(Box::from), part, tail });
            return;
        };
        if literal.is_some() && known.literal.as_deref() == literal {
            known.part = sheet.field_again(node, known.part);
            return;
        }
        known.part = sheet.field_part(node);
        known.literal = literal.map(Box::from);
        let text = doc.name(node);
        let (part, told) = sheet.parts.whole(Channel::Field, sheet.speaker, &[&known.tail, &*text].concat());
        sheet.slot(node, Source::Part(part), Slot::Text, known.tail.len() as u64..told.end, true);
        note(&mut known.tail, &text);
    }

    /// A value that the dialect does not know, at this path of the piece; in a whole body with the names in it as well.
    pub(crate) fn read(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &str) {
        self.walk(sheet, value, &mut Path::at(path));
        sheet.with_names(value);
    }

    fn walk(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &mut Path) {
        let doc = sheet.doc;
        match doc.kind(value) {
            Kind::Object => {
                doc.members(value).for_each(|(key, value)| self.member(sheet, key, value, path));
            }
            Kind::Array => {
                sheet.bytes(value);
                for (place, item) in doc.items(value).enumerate() {
                    let above = path.enter_item(doc, place, item);
                    self.walk(sheet, item, path);
                    path.leave(above);
                }
            }
            Kind::Text => self.text(sheet, value, path),
            _ => sheet.fields(value),
        }
    }

    /// A member of an object at this path.
    pub(crate) fn member(&mut self, sheet: &mut Sheet<'_>, key: usize, value: usize, path: &mut Path) {
        let doc = sheet.doc;
        sheet.key(key);
        let name = doc.name(key);
        let above = path.enter(&name);
        match &*name {
            "type" => sheet.word(value),
            "format" if sheet.is_word(value) => {}
            // Mostly the same, and joined by clients that join every string.
            "format" | "id" if !sheet.whole && doc.kind(value) == Kind::Text => self.fixed(sheet, value, path),
            "format" | "id" => sheet.fields(value),
            _ => self.walk(sheet, value, path),
        }
        path.leave(above);
    }

    fn text(&mut self, sheet: &mut Sheet<'_>, node: usize, path: &str) {
        if sheet.parts.overflowed() {
            return;
        }
        let channel = channel_of(path);
        let speaker = if channel == Channel::Field { sheet.speaker } else { Speaker::Assistant };
        let says = sheet.doc.raw(node).len() > 2;
        let only = sheet.whole && says;
        if !sheet.whole && says {
            // Joined with what came before, a value that comes again and again would have no begin and no end.
            sheet.field(node);
        }
        let piece = self.pieces;
        let lasts = channel != Channel::Field || path.contains(".delta/");
        let known = if lasts { &mut self.lasting } else { &mut self.known };
        let part = match known.get_mut(path) {
            Some(stray) => {
                stray.piece = piece;
                if sheet.whole && says {
                    // Only some clients would join what stands at one path of one body.
                    stray.only.take().into_iter().chain([node]).for_each(|node| sheet.once(node, channel, speaker));
                }
                note(&mut stray.tail, &sheet.doc.name(node));
                stray.part
            }
            None => {
                let part = sheet.parts.begin(channel, speaker);
                let before = self.over.remove(path).unwrap_or_default();
                if !before.is_empty() {
                    sheet.parts.say(part, |out| out.push_str(&before));
                }
                let mut tail = before;
                note(&mut tail, &sheet.doc.name(node));
                known.insert(path.to_owned(), Stray { part, piece, tail, only: only.then_some(node) });
                part
            }
        };
        sheet.say(node, part);
    }
}

/// What a string at this path is.
fn channel_of(path: &str) -> Channel {
    if path.starts_with("reasoning") || path.ends_with("thinking") {
        Channel::Reasoning
    } else if SAID.contains(&path) || (path.starts_with("content/") && path.ends_with("/text")) {
        Channel::Content
    } else {
        Channel::Field
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::read;

    #[test]
    fn the_last_of_what_was_said_takes_no_more_room_than_that() {
        let mut tail = String::new();
        let mut all = String::new();
        for piece in ["ab", &"é".repeat(700), "", &"xyz".repeat(1 << 20), "ß", &"€".repeat(300), &"q".repeat(TAIL)]
        {
            note(&mut tail, piece);
            all.push_str(piece);
            assert_eq!(tail, all[all.ceil_char_boundary(all.len().saturating_sub(TAIL))..]);
            assert!(tail.capacity() <= 2 * TAIL, "{} bytes", tail.capacity());
        }
    }

    #[test]
    fn what_lasts_is_looked_through_at_the_end_alone() {
        let (mut strays, mut parts) = (Strays::default(), Parts::default());
        let mut piece = |strays: &mut Strays, paths: &[String]| {
            strays.piece();
            read("\"a\"", &[(0, 0)], &mut parts, |sheet| {
                paths.iter().for_each(|path| strays.read(sheet, 0, path));
                strays.end(sheet.parts);
            });
        };
        let said: Vec<String> = (0..100).map(|at| format!("content/{at}/text")).collect();
        piece(&mut strays, &said);
        piece(&mut strays, &["other".to_owned()]);
        assert_eq!((strays.known.len(), strays.lasting.len()), (1, 100));
        (0..GAP + 1).for_each(|_| piece(&mut strays, &[]));
        assert_eq!((strays.known.len(), strays.lasting.len()), (0, 100));
        strays.finish(&mut parts);
        assert_eq!((strays.known.len(), strays.lasting.len()), (0, 0));
    }
}
