//! Words that came from outside, made safe for a terminal, and tables of them.
//!
//! What must hold: prompts, answers, names and reasons are hostile (threats, section 7): no control character, no
//! character that reorders or hides text reaches the terminal as itself.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::{SignedDuration, Timestamp};
use model::text::deceives;
use serde::Serialize;

fn escape(c: char, out: &mut String) {
    if deceives(c) {
        let _infallible = write!(out, "\\u{{{:x}}}", u32::from(c));
    } else {
        out.push(c);
    }
}

/// Text of several lines: line ends and tabs stay.
pub(super) fn text_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => {}
            c => escape(c, &mut out),
        }
    }
    out
}

/// Text of one line, as in a table: line ends are shown as `⏎`.
pub(super) fn line_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push('⏎'),
            '\r' => {}
            c => escape(c, &mut out),
        }
    }
    out
}

/// As [`line_of`], cut to so many characters.
pub(super) fn short(text: &str, most: usize) -> String {
    let line = line_of(text);
    if line.chars().count() <= most {
        return line;
    }
    let kept: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Bytes that come in pieces, shown as [`text_of`] shows text; a character may be cut by the end of a piece.
#[derive(Default)]
pub(super) struct Pieces {
    held: Vec<u8>,
}

impl Pieces {
    /// What can be shown with this piece.
    pub(super) fn take(&mut self, piece: &[u8]) -> String {
        self.held.extend_from_slice(piece);
        let held = std::mem::take(&mut self.held);
        let mut out = String::new();
        let mut rest = held.as_slice();
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(&text_of(text));
                    return out;
                }
                Err(error) => error,
            };
            let (good, bad) = rest.split_at(error.valid_up_to());
            out.push_str(&text_of(&String::from_utf8_lossy(good)));
            let Some(length) = error.error_len() else {
                self.held = bad.to_vec();
                return out;
            };
            let (wrong, after) = bad.split_at(length);
            wrong.iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
            rest = after;
        }
    }

    /// What is left when no more comes.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held).iter().map(|byte| format!("\\x{byte:02x}")).collect()
    }
}

/// Bytes as [`text_of`] shows text; those that are none as `\xff`.
pub(super) fn bytes_of(bytes: &[u8]) -> String {
    let mut pieces = Pieces::default();
    pieces.take(bytes) + &pieces.finish()
}

/// A JSON object that begins with a list and is printed piece by piece, as [`json_of`] would have it in one.
pub(super) struct JsonList {
    empty: bool,
}

impl JsonList {
    /// The list, and what is printed first.
    pub(super) fn begin(name: &str) -> (Self, String) {
        (Self { empty: true }, format!("{{\n  \"{name}\": ["))
    }

    /// More items of it.
    pub(super) fn items<T: Serialize>(&mut self, items: &[T]) -> anyhow::Result<String> {
        let mut out = String::new();
        for item in items {
            out.push_str(if std::mem::take(&mut self.empty) { "\n    " } else { ",\n    " });
            out.push_str(&json_of(item)?.replace('\n', "\n    "));
        }
        Ok(out)
    }

    /// Its end, and the other members: name and JSON.
    pub(super) fn end(&self, members: &[(&str, String)]) -> String {
        let mut out = if self.empty { "]" } else { "\n  ]" }.to_owned();
        for (name, json) in members {
            out.push_str(&format!(",\n  \"{name}\": {}", json.replace('\n', "\n  ")));
        }
        out + "\n}\n"
    }
}

/// JSON for programs, and for terminals too: what would deceive is written as `\uXXXX`, which is the same JSON.
pub(super) fn json_of<T: Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(undeceiving(&serde_json::to_string_pretty(value)?))
}

/// As [`json_of`], in one line.
pub(super) fn json_line_of<T: Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(undeceiving(&serde_json::to_string(value)?))
}

fn undeceiving(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && deceives(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| {
                let _infallible = write!(out, "\\u{unit:04x}");
            });
        } else {
            out.push(c);
        }
    }
    out
}

/// A table with these titles; cells are escaped by whoever adds them.
pub(super) fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(titles);
    table
}

/// A table as text, with no blanks at line ends.
pub(super) fn lines_of(table: &Table) -> String {
    let lines: Vec<String> =
        table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or_default().to_owned()).collect();
    lines.join("\n")
}

/// A time as people read it, in their time zone, with how far that is from UTC.
pub(super) fn time_of(at_ms: u64) -> String {
    let Ok(time) = i64::try_from(at_ms).map_err(drop).and_then(|ms| Timestamp::from_millisecond(ms).map_err(drop))
    else {
        return "?".to_owned();
    };
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// A length of time as people read it: `85ms`, `1.3s`, `4m 10s`.
pub(super) fn duration_of(duration_us: u64) -> String {
    match duration_us {
        us @ 0..1_000 => format!("{us}µs"),
        us @ 1_000..1_000_000 => format!("{}ms", us / 1_000),
        us @ 1_000_000..60_000_000 => format!("{:.1}s", us as f64 / 1e6),
        us => format!("{:#}", SignedDuration::from_secs(i64::try_from(us / 1_000_000).unwrap_or(i64::MAX))),
    }
}

/// Bytes as people read them.
pub(super) fn size_of(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_deceives_a_terminal_is_left() {
        let hostile = "a\x1b[2J\x1b]8;;http://x\x07\u{9b}31m\u{202e}b\u{200b}\u{e0041}\0\x7f\r\nc\td";
        let text = text_of(hostile);
        assert!(text.chars().all(|c| c == '\n' || c == '\t' || !deceives(c)), "{text:?}");
        assert!(text.starts_with("a\\u{1b}[2J\\u{1b}]8;;http://x\\u{7}\\u{9b}31m\\u{202e}b\\u{200b}\\u{e0041}"));
        assert!(text.ends_with("\nc\td"));
        assert!(!line_of(hostile).contains(['\n', '\t', '\x1b']));
        assert_eq!(text_of("äöü 漢字 🙂"), "äöü 漢字 🙂");
    }

    #[test]
    fn json_is_the_same_json_with_nothing_that_deceives() {
        let hostile = "\u{202e}\u{9b}\u{e0041}\x1b\u{2028} ok";
        for json in [json_of(&[hostile]).unwrap(), json_line_of(&[hostile]).unwrap()] {
            assert!(json.chars().all(|c| c == '\n' || !deceives(c)), "{json:?}");
            assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [hostile]);
        }
        assert!(!json_line_of(&["a\nb", hostile]).unwrap().contains('\n'));
    }

    #[test]
    fn a_list_in_pieces_is_the_same_json() {
        #[derive(Serialize)]
        struct Whole {
            items: Vec<Option<[u8; 2]>>,
            told: [&'static str; 1],
            last: Option<u8>,
        }
        for items in [vec![], vec![Some([1, 2])], vec![Some([1, 2]), None, Some([3, 4])]] {
            let (mut list, mut out) = JsonList::begin("items");
            items.chunks(2).for_each(|some| out.push_str(&list.items(some).unwrap()));
            let whole = Whole { items, told: ["x\ny"], last: None };
            out.push_str(
                &list.end(&[("told", json_of(&whole.told).unwrap()), ("last", json_of(&whole.last).unwrap())]),
            );
            assert_eq!(out, json_of(&whole).unwrap() + "\n");
        }
    }

    #[test]
    fn a_time_tells_its_zone() {
        let told = time_of(1_700_000_000_000);
        assert_eq!(told.parse::<Timestamp>().unwrap().as_second(), 1_700_000_000, "{told}");
        assert_eq!(time_of(u64::MAX), "?");
    }

    #[test]
    fn pieces_show_the_same_wherever_they_are_cut() {
        let bytes = "a€🙂\x1b[0m".as_bytes();
        for cut in 0..=bytes.len() {
            let mut pieces = Pieces::default();
            let shown = pieces.take(&bytes[..cut]) + &pieces.take(&bytes[cut..]) + &pieces.finish();
            assert_eq!(shown, "a€🙂\\u{1b}[0m", "{cut}");
        }
        let mut pieces = Pieces::default();
        assert_eq!(pieces.take(b"\xffa\xe2\x82") + &pieces.finish(), "\\xffa\\xe2\\x82");
        assert_eq!(bytes_of(b"\xffa\xe2\x82\x1b"), "\\xffa\\xe2\\x82\\u{1b}");
    }

    #[test]
    fn long_lines_are_cut_to_characters() {
        assert_eq!(short("ünïcödé", 4), "ünï…");
        assert_eq!(short("abc", 3), "abc");
    }
}
