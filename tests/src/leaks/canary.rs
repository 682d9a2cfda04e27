//! What must not pass: a canary of each kind, and the ways in which one can be spelled so that it reads the same.

use crate::rig::Dice;

/// A secret, and what must stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// What it is.
    pub name: &'static str,
    /// As it is known.
    pub text: &'static str,
    /// What takes its place.
    pub label: &'static str,
}

/// Every kind. The numbers are the known ones for trying filters; nobody has them.
pub(super) const KINDS: [Kind; 7] = [
    Kind { name: "ssn", text: "078-05-1120", label: "[SSN]" },
    Kind { name: "card", text: "4111 1111 1111 1111", label: "[CARD]" },
    Kind { name: "iban", text: "DE89 3704 0044 0532 0130 00", label: "[IBAN]" },
    Kind { name: "email", text: "jane.roe@heron-mail.net", label: "[EMAIL]" },
    Kind { name: "key", text: "sk-proj-Zq7Lw2Xk9Vb4Nt6Hs1Pm3Rd8", label: "[OPENAI_KEY]" },
    Kind { name: "pattern", text: "EMP-204816", label: "[EMPLOYEE]" },
    Kind { name: "canary", text: "Blue-Heron/42?x", label: "[CANARY]" },
];

/// The place of cards in [`KINDS`]: what can be a number.
pub(super) const CARD: usize = 1;
/// The card as a number.
pub(super) const CARD_NUMBER: &str = "4111111111111111";
/// The place of the exact canary in [`KINDS`]: it is also found in encoded text.
const EXACT: usize = 6;

/// Settings of `mask` that find all kinds.
pub(super) const SETTINGS: &str = r#"[settings]
only = ["ssn", "card", "iban", "email", "api-key"]
canaries = ["Blue-Heron/42?x"]
[[settings.patterns]]
name = "employee"
regex = "EMP-[0-9]{6}"
"#;

/// How a canary is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As it is.
    Plain,
    /// U+FF01 to U+FF5E.
    FullWidth,
    /// Arabic-Indic and Devanagari digits.
    OtherDigits,
    /// Mathematical digits and letters, outside of the basic plane.
    Mathematical,
    /// With characters between that are not seen.
    Unseen,
    /// With combining marks.
    Marks,
    /// With other spaces and dashes.
    Separators,
    /// With Cyrillic letters that look the same.
    LookAlikes,
    /// With any of these, character by character.
    Mixed,
    /// In base64.
    Base64,
    /// In base64, somewhere in a longer run.
    Base64Within,
    /// In hexadecimal digits.
    Hex,
    /// In escapes of URLs.
    Url,
    /// In HTML's.
    Html,
    /// In JSON's, as text.
    Json,
    /// From its end to its beginning.
    Backwards,
}

/// Those that read the same.
const READ_THE_SAME: [Spelling; 9] = [
    Spelling::Plain,
    Spelling::FullWidth,
    Spelling::OtherDigits,
    Spelling::Mathematical,
    Spelling::Unseen,
    Spelling::Marks,
    Spelling::Separators,
    Spelling::LookAlikes,
    Spelling::Mixed,
];

/// Those that must be decoded.
const ENCODED: [Spelling; 7] = [
    Spelling::Base64,
    Spelling::Base64Within,
    Spelling::Hex,
    Spelling::Url,
    Spelling::Html,
    Spelling::Json,
    Spelling::Backwards,
];

/// Characters that are not seen.
const UNSEEN: [char; 12] = [
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{2060}',
    '\u{feff}',
    '\u{ad}',
    '\u{fe0f}',
    '\u{e0041}',
    '\u{202a}',
    '\u{2066}',
    '\u{180e}',
    '\u{34f}',
];
const MANY: usize = 120;
const MARKS: [char; 3] = ['\u{301}', '\u{336}', '\u{20e3}'];
const SPACES: [char; 4] = ['\u{a0}', '\u{2007}', '\u{202f}', '\u{2009}'];
const DASHES: [char; 7] = ['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}'];
/// Latin letters and Cyrillic ones that look the same.
pub(super) const LOOK_ALIKES: [(char, char); 21] = [
    ('a', 'а'),
    ('e', 'е'),
    ('o', 'о'),
    ('p', 'р'),
    ('c', 'с'),
    ('x', 'х'),
    ('y', 'у'),
    ('i', 'і'),
    ('j', 'ј'),
    ('s', 'ѕ'),
    ('A', 'А'),
    ('B', 'В'),
    ('E', 'Е'),
    ('H', 'Н'),
    ('K', 'К'),
    ('M', 'М'),
    ('O', 'О'),
    ('P', 'Р'),
    ('C', 'С'),
    ('T', 'Т'),
    ('X', 'Х'),
];

impl Spelling {
    /// The ways in which this kind can be spelled.
    pub(super) fn of(kind: usize) -> impl Iterator<Item = Self> {
        let encoded = if kind == EXACT { &ENCODED[..] } else { &[] };
        let changes =
            move |how: &Self| *how == Self::Plain || how.write(KINDS[kind].text, &mut Dice::new(1)) != KINDS[kind].text;
        READ_THE_SAME.into_iter().filter(changes).chain(encoded.iter().copied())
    }

    /// Whether what it writes must be decoded to be read.
    #[must_use]
    pub(super) fn encodes(self) -> bool {
        ENCODED.contains(&self)
    }

    /// Writes `text`.
    pub(super) fn write(self, text: &str, dice: &mut Dice) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Base64 => base64(text.as_bytes()),
            Self::Base64Within => {
                let before = "~".repeat(1 + dice.below(3));
                base64(format!("{before}{text}~").as_bytes())
            }
            Self::Hex => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            Self::Url => text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            Self::Html => text.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
            Self::Json => text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
            Self::Backwards => text.chars().rev().collect(),
            _ => self.by_character(text, dice),
        }
    }

    fn by_character(self, text: &str, dice: &mut Dice) -> String {
        let mut out = String::new();
        let last = text.chars().count() - 1;
        for (at, c) in text.chars().enumerate() {
            let how = if self == Self::Mixed { *dice.pick(&READ_THE_SAME[..8]) } else { self };
            out.push(how.character(c, dice));
            // Nothing stands behind the last one, so that what must be left over is known.
            if at < last && how == Self::Unseen {
                // Now and then so many that no matcher would look past all of them.
                let count = if text.len() > 8 && dice.below(60) == 0 { MANY } else { 1 };
                (0..count).for_each(|_| out.push(*dice.pick(&UNSEEN)));
            } else if at < last && how == Self::Marks && c.is_ascii_alphanumeric() {
                out.push(*dice.pick(&MARKS));
            }
        }
        out
    }

    fn character(self, c: char, dice: &mut Dice) -> char {
        let at = |base: u32, first: char| char::from_u32(base + u32::from(c) - u32::from(first)).unwrap_or(c);
        match (self, c) {
            (Self::FullWidth, '!'..='~') => at(0xff01, '!'),
            (Self::OtherDigits, '0'..='9') => at(*dice.pick(&[0x660, 0x966, 0x6f0]), '0'),
            (Self::Mathematical, '0'..='9') => at(*dice.pick(&[0x1d7ce, 0x1d7d8, 0x1d7f6]), '0'),
            (Self::Mathematical, 'A'..='Z') => at(0x1d400, 'A'),
            (Self::Mathematical, 'a'..='z') => at(0x1d41a, 'a'),
            (Self::Separators, ' ') => *dice.pick(&SPACES),
            (Self::Separators, '-') => *dice.pick(&DASHES),
            (Self::LookAlikes, _) => {
                LOOK_ALIKES.iter().find(|(latin, _)| *latin == c).map_or(c, |(_, cyrillic)| *cyrillic)
            }
            _ => c,
        }
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = char::from(ALPHABET[bits >> (18 - 6 * place) & 63]);
            out.push(if place <= three.len() { digit } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_what_they_say() {
        let write = |how: Spelling, text| how.write(text, &mut Dice::new(7));
        assert_eq!(write(Spelling::FullWidth, "0-9"), "０－９");
        assert_eq!(write(Spelling::Base64, "Man is"), "TWFuIGlz");
        assert_eq!(write(Spelling::Base64, "Man"), "TWFu");
        assert_eq!(write(Spelling::Base64, "M"), "TQ==");
        assert_eq!(write(Spelling::Url, "a/"), "%61%2F");
        assert_eq!(write(Spelling::LookAlikes, "ace"), "асе");
        assert!(write(Spelling::Unseen, "12").chars().count() == 3);
        assert_eq!(Spelling::of(0).filter(|how| how.encodes()).count(), 0);
        assert_eq!(Spelling::of(EXACT).count(), READ_THE_SAME.len() + ENCODED.len());
    }
}
