//! A JSON array that is streamed: its items are told one by one while the array is still open (Gemini's streams, when
//! they are not asked for as events).
//!
//! ```text
//!   body    [{"a":1}␤,␤{"a":2}␤]␤
//!   frame   [       ][        ][ ]
//! ```
//!
//! An item's frame begins with what stands before it, so that what has left is the begin of a valid array at any time.
//! What must hold: each byte belongs to exactly one frame; items are objects; nothing follows the array.

use crate::{Malformed, sse::Event};

/// What may stand where the scan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The array's bracket.
    #[default]
    Open,
    /// The first item, or the end.
    First,
    /// An item.
    Item,
    /// Inside of an item.
    Inside,
    /// Inside of a string in an item.
    Text,
    /// The character behind a backslash.
    Escape,
    /// A comma, or the end.
    Next,
    /// Nothing but white space.
    Over,
}

/// Finds items.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    place: Place,
    /// Bytes of the frame that were looked at.
    scanned: usize,
    /// Where the item begins.
    item: usize,
    /// Brackets of the item that are open.
    depth: usize,
    frame: Event,
}

impl Framer {
    /// Whether a body that begins with `rest` is an array; `None` as long as it can't be told.
    pub(crate) fn is_array(&self, rest: &[u8]) -> Option<bool> {
        if self.place != Place::Open {
            return Some(true);
        }
        rest.iter().skip(self.scanned).find(|byte| !is_space(**byte)).map(|byte| *byte == b'[')
    }

    /// The next frame in `rest`, which begins where the last one ended.
    ///
    /// # Errors
    /// [`Malformed::Json`] where something stands that does not belong there, [`Malformed::Truncated`] when the body
    /// ends before the array does.
    pub(crate) fn find(&mut self, rest: &[u8], end: bool) -> Result<Option<&Event>, Malformed> {
        while let Some(&byte) = rest.get(self.scanned) {
            if self.place == Place::Text {
                let Some(found) = memchr::memchr2(b'"', b'\\', &rest[self.scanned..]) else {
                    self.scanned = rest.len();
                    break;
                };
                self.scanned += found + 1;
                self.place = if rest[self.scanned - 1] == b'"' { Place::Inside } else { Place::Escape };
                continue;
            }
            let ended = self.step(byte)?;
            self.scanned += 1;
            if ended {
                let item = if self.place == Place::Next { self.item..self.scanned } else { 0..0 };
                return Ok(Some(self.frame(item)));
            }
        }
        match self.place {
            Place::Over if self.scanned > 0 => Ok(Some(self.frame(0..0))),
            Place::Over => Ok(None),
            _ if end => Err(Malformed::Truncated { within: "a JSON array" }),
            _ => Ok(None),
        }
    }

    /// Takes one byte outside of strings; true when a frame ends with it.
    fn step(&mut self, byte: u8) -> Result<bool, Malformed> {
        match (self.place, byte) {
            (Place::Inside, b'{' | b'[') => self.depth += 1,
            (Place::Inside, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.place = Place::Next;
                    return Ok(true);
                }
            }
            (Place::Inside, b'"') => self.place = Place::Text,
            (Place::Inside, _) => {}
            (Place::Escape, _) => self.place = Place::Text,
            (_, byte) if is_space(byte) => {}
            (Place::Open, b'[') => self.place = Place::First,
            (Place::First | Place::Item, b'{') => {
                (self.place, self.item, self.depth) = (Place::Inside, self.scanned, 1);
            }
            (Place::First | Place::Next, b']') => {
                self.place = Place::Over;
                return Ok(true);
            }
            (Place::Next, b',') => self.place = Place::Item,
            (Place::Open, _) => return self.wrong("an array must stand here"),
            (Place::First | Place::Item, _) => return self.wrong("an object must stand here"),
            (Place::Next, _) => return self.wrong("a comma or the end of the array must stand here"),
            (Place::Over | Place::Text, _) => return self.wrong("nothing may follow the array"),
        }
        Ok(false)
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed::Json { at: self.scanned, what })
    }

    fn frame(&mut self, item: std::ops::Range<usize>) -> &Event {
        self.frame.one(std::mem::take(&mut self.scanned), item);
        &self.frame
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The items of a body that comes in these pieces, and all of its frames.
    fn items(pieces: &[&str]) -> Result<(Vec<String>, String), Malformed> {
        let (mut framer, mut rest) = (Framer::default(), Vec::new());
        let (mut found, mut all) = (Vec::new(), Vec::new());
        for (count, piece) in pieces.iter().chain([&""]).enumerate() {
            rest.extend_from_slice(piece.as_bytes());
            while let Some(frame) = framer.find(&rest, count == pieces.len())? {
                let data = frame.data.first().cloned().unwrap_or_default();
                let len = frame.len;
                if !data.is_empty() {
                    found.push(String::from_utf8(rest[data].to_vec()).unwrap());
                }
                all.extend(rest.drain(..len));
            }
        }
        assert!(rest.is_empty());
        Ok((found, String::from_utf8(all).unwrap()))
    }

    #[test]
    fn items_come_one_by_one_with_what_stands_before_them() {
        let body = " [ {\"a\":\"]}\\\"{\"}\n,\r\n{\"b\":[{}]} , {} ]\n \n";
        let (found, all) = items(&[body]).unwrap();
        assert_eq!(found, ["{\"a\":\"]}\\\"{\"}", "{\"b\":[{}]}", "{}"]);
        assert_eq!(all, body);
        assert_eq!(items(&["[]"]).unwrap().0, Vec::<String>::new());
    }

    #[test]
    fn what_is_no_array_of_objects_is_refused() {
        for body in ["", "[", "[{}", "[{}]x", "[{},]", "[1]", "[,{}]", "{}", "[{}{}]", "[{}]]", "\u{feff}[]"] {
            assert!(items(&[body]).is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_no_array_is_known_by_its_first_byte() {
        let framer = Framer::default();
        assert_eq!(framer.is_array(b" \n"), None);
        assert_eq!(framer.is_array(b" ["), Some(true));
        assert_eq!(framer.is_array(b" {"), Some(false));
    }

    proptest! {
        #[test]
        fn a_split_changes_nothing(
            texts in prop::collection::vec("[a\"\\\\{}\\[\\],é\n]{0,6}", 0..4),
            cuts in prop::array::uniform2(any::<prop::sample::Index>()),
        ) {
            let written = serde_json::to_string_pretty(
                &texts.iter().map(|text| serde_json::json!({ "t": text, text: [{}] })).collect::<Vec<_>>(),
            ).unwrap();
            let mut cuts = cuts.map(|cut| cut.index(written.len() + 1));
            cuts.sort_unstable();
            let [one, two] = cuts.map(|cut| (0..=cut).rev().find(|&cut| written.is_char_boundary(cut)).unwrap_or(0));
            let split = items(&[&written[..one], &written[one..two], &written[two..]]).unwrap();
            prop_assert_eq!(&split.1, &written);
            prop_assert_eq!(split.0.len(), texts.len());
            prop_assert_eq!(split, items(&[&written]).unwrap());
        }
    }
}
