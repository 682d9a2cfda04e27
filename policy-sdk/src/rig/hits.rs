//! Matches of declared patterns in a whole text, as the host finds them: leftmost, not overlapping within a pattern; a
//! match that fails its check gives way to shorter ones at the same place, then to later ones.

use std::collections::HashMap;

use regex::Regex;

use crate::{Pattern, Problem};

/// One declared pattern.
pub(super) struct Matcher {
    id: String,
    regex: Regex,
    /// The pattern as it must match to its end: finds out whether it can be shorter.
    whole: Regex,
    check: Check,
    max_length: usize,
}

/// A match: pattern and span in the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pattern: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

enum Check {
    None,
    Luhn,
    Iban,
    Entropy(f64),
}

impl Matcher {
    pub(super) fn new(pattern: &Pattern) -> Result<Self, Problem> {
        let wrong = |message: String| Problem::new("", format!("pattern {}: {message}", pattern.id));
        let compile = |regex: &str| Regex::new(regex).map_err(|error| wrong(error.to_string()));
        let regex = compile(&pattern.regex)?;
        if regex.is_match("") {
            return Err(wrong("matches the empty text".to_owned()));
        }
        let check = match pattern.check.as_str() {
            "" => Check::None,
            "luhn" => Check::Luhn,
            "iban" => Check::Iban,
            other => match other.strip_prefix("entropy:").and_then(|bits| bits.parse().ok()) {
                Some(bits) => Check::Entropy(bits),
                None => return Err(wrong(format!("no check has the name {other:?}"))),
            },
        };
        Ok(Self {
            id: pattern.id.clone(),
            regex,
            whole: compile(&format!(r"\A(?:{})\z", pattern.regex))?,
            check,
            max_length: pattern.max_length as usize,
        })
    }

    /// All matches in the text.
    pub(super) fn find(&self, text: &str) -> Vec<Found> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(candidate) = self.regex.find_at(text, from) {
            let (start, end) = (candidate.start(), candidate.end());
            match (start + 1..=end).rev().find(|end| self.counts(text, start, *end, candidate.end())) {
                Some(end) => {
                    found.push(Found { pattern: self.id.clone(), start, end });
                    from = end;
                }
                None => from = text.ceil_char_boundary(start + 1),
            }
            debug_assert!(from > start && from <= text.len().max(end), "the search goes on");
        }
        found
    }

    fn counts(&self, text: &str, start: usize, end: usize, longest: usize) -> bool {
        text.is_char_boundary(end)
            && end - start <= self.max_length
            && (end == longest || self.whole.is_match(&text[start..end]))
            && self.check.passes(&text[start..end])
    }
}

impl Check {
    fn passes(&self, text: &str) -> bool {
        match self {
            Self::None => true,
            Self::Luhn => luhn(text),
            Self::Iban => iban(text),
            Self::Entropy(least) => entropy(text) >= *least,
        }
    }
}

/// ISO/IEC 7812-1, annex B, over the digits; zeros alone mean nothing.
fn luhn(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, doubled) => doubled / 10 + doubled % 10,
        })
        .sum();
    digits.len() > 1 && sum > 0 && sum.is_multiple_of(10) && text.ends_with(|c: char| c.is_ascii_digit())
}

/// ISO 13616: moved by four, letters as two digits, the remainder modulo 97 is 1. The host also knows the countries'
/// lengths; the rig leaves them out.
fn iban(text: &str) -> bool {
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let Some((front, rest)) = letters.split_at_checked(4) else {
        return false;
    };
    let remainder = rest.chars().chain(front.chars()).filter_map(|c| c.to_digit(36)).fold(0, |remainder, digit| {
        let base = if digit < 10 { 10 } else { 100 };
        (remainder * base + digit) % 97
    });
    (15..=34).contains(&letters.len()) && remainder == 1
}

/// Bits per character, by the frequencies of the characters.
fn entropy(text: &str) -> f64 {
    let mut counts: HashMap<char, u32> = HashMap::new();
    text.chars().for_each(|c| *counts.entry(c).or_default() += 1);
    let total: f64 = counts.values().copied().map(f64::from).sum();
    counts.values().map(|count| f64::from(*count) / total).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(regex: &str, check: &str, text: &str) -> Vec<String> {
        let pattern = Pattern { id: "p".into(), regex: regex.into(), check: check.into(), max_length: 64 };
        let matcher = Matcher::new(&pattern).expect("compiles");
        matcher.find(text).iter().map(|found| text[found.start..found.end].to_owned()).collect()
    }

    #[test]
    fn a_failed_check_hides_nothing() {
        let card = r"\b(?:[0-9][ -]?){12,18}[0-9]\b";
        for text in ["4111 1111 1111 1111", "12 4111 1111 1111 1111", "4111-1111-1111-1111 12", "x 4111111111111111."] {
            assert_eq!(found(card, "luhn", text).len(), 1, "{text}");
        }
        assert!(found(card, "luhn", "4111 1111 1111 1112").is_empty());
    }

    #[test]
    fn checks() {
        assert!(iban("GB82 WEST 1234 5698 7654 32") && iban("de89370400440532013000"));
        assert!(!iban("GB82 WEST 1234 5698 7654 33") && !iban(""));
        assert!(luhn("378282246310005") && !luhn("378282246310006") && !luhn("0000") && !luhn(""));
        assert_eq!(found("[a-z]+", "entropy:1.9", "aaaa abcd"), ["abcd"]);
    }

    #[test]
    fn what_the_host_refuses_is_refused_here() {
        for (regex, check) in [("a*", ""), ("(", ""), ("a", "lhun")] {
            let pattern = Pattern { id: "p".into(), regex: regex.into(), check: check.into(), max_length: 9 };
            assert!(Matcher::new(&pattern).is_err(), "{regex} {check}");
        }
    }
}
