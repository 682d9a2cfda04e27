//! Patterns that the host looks for natively, over any split of the text.
//!
//! A policy should declare what it looks for rather than search itself: the host's automaton is fast, keeps back a
//! possible beginning of a match by itself, and with `Plan::only_on_hit` the policy is not even called on clean text.
//!
//! Patterns are found in the text as it stands and as it reads (see [`crate::fold`]). [`decoded`] asks for encoded text.

use crate::Pattern;

/// White space between two words of a phrase in bytes, and what all gaps of it may have together beyond that.
const GAP_BYTES: u32 = 24;
const GAPS_BYTES: u32 = 1024;
/// A character may have a longer form of another case: `k` (1 byte) is also U+212A, the Kelvin sign (3 bytes).
const FOLDED_BYTES_PER_BYTE: u32 = 3;

/// A pattern in the syntax of the `regex` crate; `max_length` is the longest match, in bytes, that must not be missed
/// when it is split.
#[must_use]
pub fn regex(id: &str, regex: &str, max_length: u32) -> Pattern {
    Pattern { id: id.into(), regex: regex.into(), check: String::new(), max_length }
}

/// The same pattern under another id, looked for in what encoded text says (base64, hexadecimal digits, URL, HTML and JSON
/// escapes; one level) and only there. Its hits cover encoded text: take them as they are.
#[must_use]
pub fn decoded(id: &str, pattern: &Pattern) -> Pattern {
    Pattern { id: id.into(), check: ["decoded:", pattern.check.as_str()].concat(), ..pattern.clone() }
}

/// A word or phrase, in any case, not as a part of a longer word; white space of any sort is the gap of a phrase, up to some 1,000
/// bytes in all of its gaps.
#[must_use]
pub fn word(id: &str, word: &str) -> Pattern {
    let words: Vec<String> = word.split_whitespace().map(escape).collect();
    let edge = |character: Option<char>| character.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let trimmed = word.trim();
    // ASCII boundaries: in scripts that write no spaces the letter next door must not hide the word.
    let start = if edge(trimmed.chars().next()) { r"(?-u:\b)" } else { "" };
    let end = if edge(trimmed.chars().next_back()) { r"(?-u:\b)" } else { "" };
    let length = u32::try_from(trimmed.len()).unwrap_or(u32::MAX);
    let gaps = match u32::try_from(words.len().saturating_sub(1)).unwrap_or(u32::MAX) {
        0 => 0,
        gaps => gaps.saturating_mul(GAP_BYTES).saturating_add(GAPS_BYTES),
    };
    Pattern {
        id: id.into(),
        regex: format!(r"(?i){start}{}{end}", words.join(r"\s+")),
        check: String::new(),
        max_length: length.saturating_mul(FOLDED_BYTES_PER_BYTE).saturating_add(gaps),
    }
}

/// The text as a regex that matches exactly it.
#[must_use]
pub fn escape(text: &str) -> String {
    const MEANINGFUL: &str = r"\.+*?()|[]{}^$#&-~/";
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if MEANINGFUL.contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// Whether a name fits a glob: `*` stands for any run of characters, everything else for itself; ASCII case is ignored.
#[must_use]
pub fn glob(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where to go on when what follows the last star did not fit: after the star, one byte later in the name.
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        if glob.get(at) == Some(&b'*') {
            star = Some((at + 1, seen));
            at += 1;
        } else if glob.get(at).is_some_and(|byte| byte.eq_ignore_ascii_case(&name[seen])) {
            at += 1;
            seen += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            at = after;
            seen = from + 1;
        } else {
            return false;
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(phrase: &str, text: &str) -> bool {
        ::regex::Regex::new(&word("w", phrase).regex).expect("a word is a regex").is_match(text)
    }

    #[test]
    fn a_word_is_found_whole_and_in_any_case() {
        assert!(finds("delete", "DELETE it"));
        assert!(finds("delete", "please delete."));
        assert!(!finds("delete", "undeleted"));
        assert!(finds("drop  table", "drop\n\ttable"));
        assert!(finds("c++", "C++ code"));
        assert!(finds("reset", "请reset它"));
    }

    #[test]
    fn a_pattern_for_encoded_text_keeps_its_check() {
        let card = Pattern { check: "luhn".into(), ..regex("card", "[0-9]{16}", 16) };
        let decoded = decoded("card-decoded", &card);
        assert_eq!(
            (decoded.id.as_str(), decoded.check.as_str(), decoded.max_length),
            ("card-decoded", "decoded:luhn", 16)
        );
    }

    #[test]
    fn every_meaningful_character_stands_for_itself() {
        let odd = r"a.b*c+d?e(f)g|h[i]j{k}l^m$n\o#p&q-r~s/t";
        assert!(finds(odd, odd));
        assert!(!finds("a.b", "axb"));
    }

    #[test]
    fn the_longest_form_is_within_the_bound() {
        let pattern = word("w", "ak ka");
        let longest = format!("a\u{212a}{}\u{212a}a", "\u{2003}".repeat(349));
        assert!(finds("ak ka", &longest));
        assert!(longest.len() <= pattern.max_length as usize);
        assert_eq!(word("w", "aka").max_length, 9);
    }

    #[test]
    fn globs() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("gpt-4*", "GPT-4o-mini", true),
            ("gpt-4*", "gpt-3.5", false),
            ("*delete*", "files_delete_all", true),
            ("a*b*c", "aXXbYYbZc", true),
            ("a*b*c", "aXXbYYbZ", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }
}
