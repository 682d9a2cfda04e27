//! One reading of text, however it is spelled: characters that are read as ASCII become ASCII, those that are not seen go.
//!
//! Both sides use it: the host matches patterns in the folded text, and a policy that verifies what was matched folds it
//! too. It is no normal form of Unicode, but what is left of one (compatibility decomposition without marks) when each
//! character is treated by itself, so that a text may be folded piece by piece and every place is easily found again.
//!
//! What must hold: `fold(a + b) == fold(a) + fold(b)`; folding twice changes nothing; ASCII that is seen or parts words stays
//! as it is. The table is derived, see `tests/table.rs`; what no standard says is in `look-alikes.txt`.

mod table;

use std::{borrow::Cow, ops::Range};

/// What becomes of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// It stays.
    Same,
    /// It goes: a mark, a format or control character, or another that is not seen or only changes its neighbour.
    Gone,
    /// It is read as this ASCII character.
    Ascii(u8),
    /// It is a form of this other character.
    Other(char),
    /// It is read as several ASCII characters.
    Word(&'static str),
}

impl Fold {
    /// Appends the folded form of `char`, whose fold this is.
    pub fn push(self, char: char, out: &mut String) {
        match self {
            Self::Same => out.push(char),
            Self::Gone => {}
            Self::Ascii(byte) => out.push(char::from(byte)),
            Self::Other(other) => out.push(other),
            Self::Word(word) => out.push_str(word),
        }
    }
}

/// Characters that share what becomes of them, or become neighbours.
struct Run {
    first: u32,
    count: u16,
    /// What the first becomes; 0: all go.
    ascii: u8,
    /// How much further in ASCII the next of them is.
    step: u8,
}

/// Characters of one bit of [`BUSY`].
const BLOCK: u32 = 64;
/// Words of [`BUSY`]: enough for every character.
const WORDS: usize = (char::MAX as usize + 1) / (BLOCK * u64::BITS) as usize;

/// The blocks in which any character changes, so that text in most scripts is passed over quickly.
static BUSY: [u64; WORDS] = busy();

const fn busy() -> [u64; WORDS] {
    let mut blocks = [0; WORDS];
    let mut at = 0;
    while at < table::RUNS.len() {
        let run = &table::RUNS[at];
        mark(&mut blocks, run.first, run.first + run.count as u32 - 1);
        at += 1;
    }
    at = 0;
    while at < table::OTHERS.len() {
        mark(&mut blocks, table::OTHERS[at].0 as u32, table::OTHERS[at].0 as u32);
        at += 1;
    }
    at = 0;
    while at < table::WORDS.len() {
        mark(&mut blocks, table::WORDS[at].0 as u32, table::WORDS[at].0 as u32);
        at += 1;
    }
    blocks
}

const fn mark(blocks: &mut [u64; WORDS], first: u32, last: u32) {
    let mut block = first / BLOCK;
    while block <= last / BLOCK {
        blocks[(block / u64::BITS) as usize] |= 1 << (block % u64::BITS);
        block += 1;
    }
}

/// Bytes of ASCII that [`is_plain`] looks at before it asks what it saw: whole registers of any machine.
const STRIDE: usize = 64;

/// Whether a byte is ASCII that reads as it is: all but control characters, of which white space stays.
#[must_use]
pub const fn is_plain_byte(byte: u8) -> bool {
    // One comparison each, and no branch.
    byte.wrapping_sub(b' ') < 0x5F || byte.wrapping_sub(b'\t') < 5
}

/// Whether a text is ASCII that reads as it is, whole.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    text.as_bytes().chunks(STRIDE).all(|bytes| bytes.iter().fold(true, |plain, byte| plain & is_plain_byte(*byte)))
}

/// What becomes of a character.
#[must_use]
pub fn fold_char(char: char) -> Fold {
    let code = u32::from(char);
    let block = code / BLOCK;
    if u8::try_from(code).is_ok_and(is_plain_byte)
        || BUSY[(block / u64::BITS) as usize] & (1 << (block % u64::BITS)) == 0
    {
        return Fold::Same;
    }
    let after = table::RUNS.partition_point(|run| run.first <= code);
    if let Some(run) = after.checked_sub(1).map(|at| &table::RUNS[at]) {
        let place = code - run.first;
        if place < u32::from(run.count) {
            // A run stays within ASCII.
            let further = u8::try_from(place * u32::from(run.step)).unwrap_or(0);
            return if run.ascii == 0 { Fold::Gone } else { Fold::Ascii(run.ascii + further) };
        }
    }
    if let Ok(at) = table::OTHERS.binary_search_by_key(&char, |(from, _)| *from) {
        return Fold::Other(table::OTHERS[at].1);
    }
    match table::WORDS.binary_search_by_key(&char, |(from, _)| *from) {
        Ok(at) => Fold::Word(table::WORDS[at].1),
        Err(_) => Fold::Same,
    }
}

/// Tag characters that stand for printable ASCII (Unicode, 23.9).
const TAGS: std::ops::RangeInclusive<char> = '\u{E0020}'..='\u{E007E}';

/// What becomes of a character where tags are read as the ASCII that they stand for. People don't see them, so that they
/// part nothing in [`fold_char`]'s reading; a model may read what is written in them.
#[must_use]
pub fn fold_tag(char: char) -> Fold {
    match u8::try_from(u32::from(char).wrapping_sub(0xE0000)) {
        Ok(ascii) if TAGS.contains(&char) => Fold::Ascii(ascii),
        _ => fold_char(char),
    }
}

/// Whether a text holds tag characters that can be read.
#[must_use]
pub fn has_tags(text: &str) -> bool {
    // All of them begin with this byte.
    !text.is_ascii() && text.as_bytes().contains(&0xF3) && text.chars().any(|char| TAGS.contains(&char))
}

/// Characters that go, but stand by themselves: what forms the text around them, and fillers.
const APART: &[(char, char)] = &[
    ('\0', '\u{1F}'),
    ('\u{7F}', '\u{9F}'),
    ('\u{AD}', '\u{AD}'),
    ('\u{61C}', '\u{61C}'),
    ('\u{115F}', '\u{1160}'),
    ('\u{180E}', '\u{180E}'),
    ('\u{200B}', '\u{200B}'),
    ('\u{200E}', '\u{200F}'),
    ('\u{202A}', '\u{202E}'),
    ('\u{2060}', '\u{206F}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{FEFF}', '\u{FEFF}'),
    ('\u{FFA0}', '\u{FFA0}'),
    ('\u{FFF0}', '\u{FFFB}'),
    ('\u{13430}', '\u{1343F}'),
    ('\u{1BCA0}', '\u{1BCA3}'),
    ('\u{1D173}', '\u{1D17A}'),
    ('\u{E0000}', '\u{E001F}'),
    ('\u{E0080}', '\u{E00FF}'),
    ('\u{E01F0}', '\u{E0FFF}'),
];

/// Whether a character belongs to the one before it, so that the two are not to be parted: all that continue a grapheme
/// (UAX #29), such as marks, variation selectors, joiners and tags. All of these go.
#[must_use]
pub fn clings(char: char) -> bool {
    let within = |(first, last): &(char, char)| *first <= char && char <= *last;
    fold_char(char) == Fold::Gone && !APART.iter().any(within)
}

/// The folded text.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.chars().all(|char| fold_char(char) == Fold::Same) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        fold_char(char).push(char, &mut out);
    }
    Cow::Owned(out)
}

/// A folded text that knows where its parts came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    text: String,
    /// For each byte of `text`, where in the original its character is.
    origins: Vec<Range<usize>>,
    /// Bytes of the original.
    length: usize,
}

impl Folded {
    /// Folds a text, such as what a hit covers.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::read(text, fold_char)
    }

    /// The same, with tags as the ASCII that they stand for; `None`: there are none, or none that can be read.
    #[must_use]
    pub fn with_tags(text: &str) -> Option<Self> {
        has_tags(text).then(|| Self::read(text, fold_tag))
    }

    fn read(text: &str, becomes: fn(char) -> Fold) -> Self {
        let mut folded = Self { text: String::with_capacity(text.len()), origins: Vec::new(), length: text.len() };
        for (at, char) in text.char_indices() {
            becomes(char).push(char, &mut folded.text);
            folded.origins.resize(folded.text.len(), at..at + char.len_utf8());
        }
        folded
    }

    /// The folded text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the original that a span of bytes of the folded text stands for: whole characters, with what is not
    /// seen between and directly behind them.
    #[must_use]
    pub fn span(&self, folded: Range<usize>) -> Range<usize> {
        let start = self.origins.get(folded.start).map_or(self.length, |origin| origin.start);
        if folded.is_empty() {
            return start..start;
        }
        let last = self.origins.get(folded.end - 1).map_or(self.length, |origin| origin.end);
        // A span may end within what one character became.
        let next = self.origins.get(folded.end..).unwrap_or_default().iter().find(|origin| origin.start >= last);
        start..next.map_or(self.length, |origin| origin.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_spelled_it_reads_the_same() {
        for spelled in [
            "078-05-1120",
            "０７８－０５－１１２０",
            "٠٧٨-٠٥-١١٢٠",
            "۰۷۸‐۰۵‐۱۱۲۰",
            "𝟎𝟕𝟖–𝟘𝟝–𝟏𝟣𝟤𝟢",
            "०७८—०५—११२०",
            "⓪⑦⑧−⓪⑤−①①②⓪",
            "⁰⁷⁸﹣₀₅﹣₁₁₂₀",
            "0\u{200B}7\u{AD}8-\u{2060}05-1\u{FE0F}1\u{202E}20\u{E0041}",
            "0\u{301}7\u{332}8\u{20E3}-05-1120",
            "0\u{0}7\u{1}8\u{1A}-\u{1B}0\u{7F}5-\u{80}1120",
            "⓿➆❽-⓪⓹-❶➊❷🄌",
        ] {
            assert_eq!(fold(spelled), "078-05-1120", "{spelled}");
        }
        for (spelled, read) in [
            ("раssword", "password"),
            ("ＡＫＩＡ", "AKIA"),
            ("𝒔𝒆𝒄𝒓𝒆𝒕", "secret"),
            ("ΑΚΙΑ", "AKIA"),
            ("ⅫＫ", "XIIK"),
            ("½ ﬁne №5 ㏂", "1/2 fine No5 a.m."),
            ("josé@exämple․com", "jose@example.com"),
            ("a\u{A0}b\u{2003}c\u{3000}d", "a b c d"),
            ("“it’s”", "\"it's\""),
            ("🅂🄴🄲🅁🄴🅃 🅺🅴🆈", "SECRET KEY"),
        ] {
            assert_eq!(fold(spelled), read, "{spelled}");
        }
    }

    #[test]
    fn text_in_other_scripts_stays_what_it_is() {
        for text in ["日本語のテキスト", "안녕하세요", "plain ASCII ~\t\n\u{B}\u{C}\r", "ქართული"]
        {
            assert!(matches!(fold(text), Cow::Borrowed(_)), "{text}");
        }
        // A mark or a form of a letter is not the letter's own matter.
        assert_eq!(fold("Й\u{306}"), fold("И"));
    }

    #[test]
    fn plain_text_is_what_each_of_its_bytes_is() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_plain_byte(byte), byte.is_ascii() && fold_char(char::from(byte)) == Fold::Same, "{byte}");
        }
        let long = "plain ".repeat(50);
        assert!(is_plain("") && is_plain(&long));
        for at in [0, 1, 63, 64, 65, 299, 300] {
            for odd in ["\0", "\u{1F}", "\u{7F}", "é"] {
                assert!(!is_plain(&[&long[..at], odd, &long[at..]].concat()), "{at}");
            }
        }
    }

    #[test]
    fn what_is_written_in_tags_can_be_read() {
        let tags: String = "078-05-1120 ~".chars().map(|char| char::from_u32(char as u32 + 0xE0000).unwrap()).collect();
        let text = format!("x\u{E0001}{tags}\u{E007F} ７");
        let folded = Folded::with_tags(&text).unwrap();
        assert_eq!(folded.text(), "x078-05-1120 ~ 7");
        assert_eq!(&text[folded.span(1..4)], &tags[..12]);
        assert_eq!(fold(&text), "x 7", "who sees it sees nothing");
        assert_eq!(Folded::with_tags("🏴 \u{E0001}\u{E007F}\u{E0100}"), None);
    }

    #[test]
    fn a_span_is_found_again() {
        let text = "x ０7\u{301}½\u{200B}! y";
        let folded = Folded::new(text);
        assert_eq!(folded.text(), "x 071/2! y");
        let original = |span: Range<usize>| &text[folded.span(span)];
        assert_eq!(original(2..4), "０7\u{301}");
        assert_eq!(original(3..4), "7\u{301}");
        assert_eq!(original(4..5), "½\u{200B}", "a character goes whole");
        assert_eq!(original(6..8), "½\u{200B}!");
        assert_eq!(original(0..10), text);
        assert_eq!(original(10..10), "");
    }
}
