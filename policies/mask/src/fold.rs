//! A match as its reader sees it: digits of other scripts and full-width characters become ASCII, what is not seen goes.
//!
//! The host matches on such a form of the text and reports the place in the text itself; the checks of this policy must
//! see what the host's pattern saw. The place of each character is kept, so that the answer names the text itself.

use core::ops::Range;

/// A folded text and where its characters came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    text: String,
    /// For each byte of `text`, where the character that it is from began and ended; empty: nothing was folded.
    from: Vec<(u32, u32)>,
}

/// Zeros of the scripts whose ten digits follow one another, in the order of Unicode: the general category Nd.
const ZEROS: &[u32] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
    0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450,
    0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11c50, 0x11d50, 0x16a60, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2,
    0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

impl Folded {
    /// Folds a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self { text: text.to_owned(), from: Vec::new() };
        }
        let mut folded = Self { text: String::with_capacity(text.len()), from: Vec::with_capacity(text.len()) };
        for (at, character) in text.char_indices() {
            let Some(seen) = fold(character) else { continue };
            folded.text.push(seen);
            // Windows are far smaller than what 32 bits count.
            let place = (at as u32, (at + character.len_utf8()) as u32);
            folded.from.resize(folded.text.len(), place);
        }
        folded
    }

    /// The text as it is seen.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a span of the folded text, which must not be empty, is in the text itself.
    #[must_use]
    pub fn source(&self, span: Range<usize>) -> Option<Range<u32>> {
        if self.from.is_empty() {
            let within = span.start < span.end && span.end <= self.text.len();
            return within.then_some(span.start as u32..span.end as u32);
        }
        let (start, _) = self.from.get(span.start)?;
        let (_, end) = self.from.get(span.end.checked_sub(1)?)?;
        (start < end).then_some(*start..*end)
    }
}

/// What a character is seen as; `None`: it is not seen.
fn fold(character: char) -> Option<char> {
    let code = u32::from(character);
    match code {
        0..=0x7f => Some(character),
        // Soft hyphen, combining marks, fillers, zero-width and direction marks, variation selectors, tags.
        0xad
        | 0x300..=0x36f
        | 0x61c
        | 0x115f..=0x1160
        | 0x17b4..=0x17b5
        | 0x180b..=0x180f
        | 0x200b..=0x200f
        | 0x202a..=0x202e
        | 0x2060..=0x206f
        | 0x3164
        | 0xfe00..=0xfe0f
        | 0xfeff
        | 0xffa0
        | 0xe0000..=0xe0fff => None,
        0xff01..=0xff5e => char::from_u32(code - 0xff01 + 0x21),
        0xa0 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => Some(' '),
        0x2010..=0x2015 | 0x2212 | 0xfe58 | 0xfe63 => Some('-'),
        0x3002 | 0xff61 => Some('.'),
        _ => Some(digit(code).unwrap_or(character)),
    }
}

fn digit(code: u32) -> Option<char> {
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= code)].last()?;
    char::from_digit(code - zero, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> String {
        Folded::new(text).text().to_owned()
    }

    #[test]
    fn what_looks_like_a_number_is_read_as_one() {
        for text in [
            "4111-1111",
            "４１１１－１１１１",
            "4\u{200b}111\u{2011}11\u{200d}11",
            "٤١١١-١١١١",
            "𝟒𝟏𝟏𝟏-𝟏𝟏𝟏𝟏",
            "४१११-११११",
        ] {
            assert_eq!(seen(text), "4111-1111", "{text:?}");
        }
        assert_eq!(seen("Ünï 号码 a"), "Ünï 号码 a");
        assert_eq!(seen("٣٣"), "33");
        assert_eq!(seen("ؠ"), "ؠ");
    }

    #[test]
    fn every_place_leads_back() {
        let text = "x\u{200b}４１\u{200d}２é";
        let folded = Folded::new(text);
        assert_eq!(folded.text(), "x412é");
        let span = folded.source(1..4).expect("inside");
        assert_eq!(&text[span.start as usize..span.end as usize], "４１\u{200d}２");
        assert_eq!(folded.source(0..1), Some(0..1));
        assert_eq!(folded.source(2..2), None);
        assert_eq!(folded.source(0..9), None);
        assert_eq!(Folded::new("abc").source(1..3), Some(1..3));
        assert_eq!(Folded::new("abc").source(1..4), None);
        assert_eq!(Folded::new("").source(0..0), None);
    }

    #[test]
    fn scripts_are_in_order_and_apart() {
        assert!(ZEROS.windows(2).all(|pair| pair[0] + 10 <= pair[1]));
    }
}
