//! The table of the fold is what the Unicode data and the list of look-alikes say, for every character there is.
//!
//! `FOLD_TABLE=write cargo test -p fold --test table` writes it anew, after a change of the list or of the Unicode data.

use std::{collections::HashMap, env, fmt::Write as _, fs};

use fold::{Fold, fold_char};
use regex::Regex;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/table.rs");
const LOOK_ALIKES: &str = include_str!("../src/look-alikes.txt");

/// Longest run: what its count can say.
const LONGEST: usize = 4096;

/// What becomes of a character, or `None` when it stays.
type Becomes = Option<String>;

struct Sources {
    look_alikes: HashMap<char, char>,
    /// For each character that is a decimal digit, its value.
    digits: HashMap<char, char>,
    space: Regex,
    line_end: Regex,
    dash: Regex,
    gone: Regex,
    /// Signs that enclose the digits behind them; they are seen.
    enclosing: Regex,
    /// Letters of which an accented or styled form is told apart in writing, but not here.
    lettered: Regex,
}

impl Sources {
    fn new() -> Self {
        let regex = |class: &str| Regex::new(&format!(r"\A{class}\z")).expect("a class");
        let mut look_alikes = HashMap::new();
        for line in LOOK_ALIKES.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            let mut words = line.split(' ').map(|word| {
                let mut chars = word.chars();
                let only = chars.next().expect("one space between look-alikes");
                assert_eq!(chars.next(), None, "{word} is no single character");
                only
            });
            let target = words.next().expect("a line says what is read");
            assert!(target.is_ascii(), "{target}");
            for word in words {
                assert!(!word.is_ascii(), "{word}");
                assert!(look_alikes.insert(word, target).is_none(), "{word} stands twice");
            }
        }
        // Unicode keeps the ten digits of a kind together, from zero on.
        let decimal = regex(r"\p{Nd}");
        let mut digits = HashMap::new();
        let mut value = 0;
        for char in '\u{80}'..=char::MAX {
            if decimal.is_match(char.encode_utf8(&mut [0; 4])) {
                digits.insert(char, char::from(b'0' + value));
                value = (value + 1) % 10;
            } else {
                assert_eq!(value, 0, "a set of digits ends before {char:?}");
            }
        }
        Self {
            look_alikes,
            digits,
            space: regex(r"[\p{Zs}\u{2800}]"),
            line_end: regex(r"[\u{85}\u{2028}\u{2029}]"),
            dash: regex(r"\p{Pd}"),
            gone: regex(r"[\p{M}\p{Cf}\p{Cc}\p{Default_Ignorable_Code_Point}]"),
            enclosing: regex(r"\p{Prepended_Concatenation_Mark}"),
            lettered: regex(r"[\p{Greek}\p{Cyrillic}\p{Armenian}\p{Hebrew}\p{Georgian}]"),
        }
    }

    fn becomes(&self, char: char) -> Becomes {
        let mut bytes = [0; 4];
        let text = &*char.encode_utf8(&mut bytes);
        // What ends lines and parts words stays.
        if char.is_ascii() && (!char.is_ascii_control() || ('\t'..='\r').contains(&char)) {
            return None;
        }
        if let Some(ascii) = self.digits.get(&char).or_else(|| self.look_alikes.get(&char)) {
            return Some(ascii.to_string());
        }
        for (class, ascii) in [(&self.line_end, "\n"), (&self.space, " "), (&self.dash, "-")] {
            if class.is_match(text) {
                return Some(ascii.to_owned());
            }
        }
        // What belongs to the character before it would otherwise stay behind, without it.
        let attached = ["1", text].concat().graphemes(true).count() == 1;
        if (attached || self.gone.is_match(text)) && !self.enclosing.is_match(text) {
            return Some(String::new());
        }
        self.decomposed(char)
    }

    /// The folded parts of a character, if they are ASCII, or one letter.
    fn decomposed(&self, char: char) -> Becomes {
        let parts: Vec<char> = char.nfkd().collect();
        if parts == [char] {
            return None;
        }
        let folded: String = parts.iter().map(|part| self.becomes(*part).unwrap_or_else(|| part.to_string())).collect();
        let letter = self.lettered.is_match(&folded);
        (!folded.is_empty() && (folded.is_ascii() || letter)).then_some(folded)
    }
}

#[derive(Default)]
struct Table {
    /// First character, count, ASCII, step.
    runs: Vec<(char, usize, u8, u8)>,
    others: Vec<(char, char)>,
    words: Vec<(char, String)>,
}

impl Table {
    fn add(&mut self, char: char, folded: String) {
        match folded.as_bytes() {
            [] => self.add_run(char, 0),
            [ascii] => self.add_run(char, *ascii),
            _ if folded.is_ascii() => self.words.push((char, folded)),
            _ => self.others.push((char, folded.chars().next().expect("not empty"))),
        }
    }

    fn add_run(&mut self, char: char, ascii: u8) {
        if let Some((first, count, from, step)) = self.runs.last_mut()
            && *first as usize + *count == char as usize
            && *count < LONGEST
        {
            let next = if *count == 1 { ascii.wrapping_sub(*from) } else { *step };
            // What goes has 0 for all.
            let fits = next <= 1 && usize::from(*from) + *count * usize::from(next) == usize::from(ascii);
            if fits && (ascii != 0) == (*from != 0) {
                *step = next;
                *count += 1;
                return;
            }
        }
        self.runs.push((char, 1, ascii, 0));
    }

    fn source(&self) -> String {
        let mut out = String::from(
            "//! What becomes of characters. Generated by `tests/table.rs`, from the Unicode data and `look-alikes.txt`.\n\n\
             use super::Run;\n\n",
        );
        let row = |first: char, count: usize, ascii: u8, step: u8| {
            format!("run({:#x}, {count}, {ascii}, {step}),", u32::from(first))
        };
        let runs = self.runs.iter().map(|(first, count, ascii, step)| row(*first, *count, *ascii, *step));
        write_rows(&mut out, &format!("RUNS: [Run; {}]", self.runs.len()), runs);
        let others =
            self.others.iter().map(|(from, to)| format!("('{}', '{}'),", from.escape_unicode(), to.escape_unicode()));
        write_rows(&mut out, &format!("OTHERS: [(char, char); {}]", self.others.len()), others);
        let words = self.words.iter().map(|(from, to)| format!("('{}', {to:?}),", from.escape_unicode()));
        write_rows(&mut out, &format!("WORDS: [(char, &str); {}]", self.words.len()), words);
        out += "const fn run(first: u32, count: u16, ascii: u8, step: u8) -> Run {\n    Run { first, count, ascii, step }\n}\n";
        out
    }
}

/// Rows as many to a line as fit: the file is long enough.
fn write_rows(out: &mut String, declared: &str, rows: impl Iterator<Item = String>) {
    let _ = write!(out, "#[rustfmt::skip]\npub(crate) static {declared} = [");
    let mut width = usize::MAX;
    for row in rows {
        if width.saturating_add(row.len()) > 116 {
            *out += "\n   ";
            width = 3;
        }
        let _ = write!(out, " {row}");
        width += row.len() + 1;
    }
    *out += "\n];\n\n";
}

#[test]
fn every_character_folds_as_the_sources_say() {
    let sources = Sources::new();
    let mut table = Table::default();
    let mut wrong = Vec::new();
    for char in '\0'..=char::MAX {
        let expected = sources.becomes(char);
        let mut folded = String::new();
        fold_char(char).push(char, &mut folded);
        if folded != expected.clone().unwrap_or_else(|| char.to_string()) {
            wrong.push(char);
        }
        if let Some(expected) = expected {
            table.add(char, expected);
        }
    }
    if env::var_os("FOLD_TABLE").is_some_and(|how| how == "write") {
        fs::write(TABLE, table.source()).expect("the table can be written");
        return;
    }
    assert!(wrong.is_empty(), "{} characters, such as {:?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert_eq!(fs::read_to_string(TABLE).expect("the table"), table.source(), "the table holds more than it must");
}

#[test]
fn what_continues_a_grapheme_clings_and_nothing_else_but_marks() {
    let mark = Regex::new(r"\A\p{M}\z").expect("a class");
    for char in '\0'..=char::MAX {
        let text = format!("1{char}");
        let one = text.graphemes(true).count() == 1;
        assert!(fold::clings(char) == (one || mark.is_match(&text[1..])), "{char:?}");
    }
}

#[test]
fn folding_twice_changes_nothing() {
    for char in '\0'..=char::MAX {
        let mut once = String::new();
        fold_char(char).push(char, &mut once);
        assert_eq!(fold::fold(&once), once, "{char:?}");
        // What is seen of ASCII is what everything else is compared with.
        assert!(!char.is_ascii_graphic() || fold_char(char) == Fold::Same);
    }
}
