//! Words and patterns of the operator's own, as settings name them and as the host looks for them.

use serde::Deserialize;

use crate::{Direction, Hit, Hooks, Pattern, Plan, Problem, Window, pattern};

/// Longest match of a pattern in bytes, when the settings do not say.
const DEFAULT_MAX_LENGTH: u32 = 256;

/// A pattern in the settings: `{ name = "codename", regex = "(?i)project x[0-9]+", check = "", max-length = 64 }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NamedPattern {
    /// What people call it.
    pub name: String,
    /// Syntax of Rust's `regex` crate.
    pub regex: String,
    /// The host's check: `luhn`, `iban`, `ssn`, `entropy:3.5`; empty: none.
    #[serde(default)]
    pub check: String,
    /// Longest match in bytes that must not be missed when it is split.
    #[serde(default = "default_max_length")]
    pub max_length: u32,
}

/// Where the settings have the words.
const WORDS: &str = "/words";
/// Where they have the patterns.
const PATTERNS: &str = "/patterns";

/// Bytes of the longest character: so much of the text before a word says whether it stands by itself.
const CHARACTER_BYTES: u32 = 4;

fn default_max_length() -> u32 {
    DEFAULT_MAX_LENGTH
}

impl NamedPattern {
    /// What can't be; `path` is the JSON Pointer of this pattern. Whether the regex is one, only the host can tell.
    #[must_use]
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (field, text) in [("/name", &self.name), ("/regex", &self.regex)] {
            if text.is_empty() {
                problems.push(Problem::new([path, field].concat(), "must not be empty"));
            }
        }
        if self.max_length == 0 {
            problems.push(Problem::new([path, "/max-length"].concat(), "must be at least 1"));
        }
        problems
    }

    /// As the plan declares it.
    #[must_use]
    pub fn declared(&self, id: String) -> Pattern {
        Pattern { id, regex: self.regex.clone(), check: self.check.clone(), max_length: self.max_length }
    }
}

/// Words and patterns that are looked for together. Their ids in the plan are their places in the settings (`/words/0`):
/// two may have one name, and what the host has against one is told there.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Whole words and phrases, in any case.
    pub words: &'a [String],
    /// Patterns.
    pub patterns: &'a [NamedPattern],
}

/// What a hit was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term<'a> {
    /// This word.
    Word(&'a str),
    /// The pattern of this name.
    Pattern(&'a str),
}

impl<'a> Terms<'a> {
    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.words.is_empty() && self.patterns.is_empty()
    }

    /// What can't be, under `/words` and `/patterns`.
    #[must_use]
    pub fn problems(self) -> Vec<Problem> {
        let mut problems = blank(WORDS, self.words);
        for (index, each) in self.patterns.iter().enumerate() {
            problems.extend(each.problems(&id(PATTERNS, index)));
        }
        problems
    }

    /// As the plan declares them.
    #[must_use]
    pub fn declared(self) -> Vec<Pattern> {
        let words = self.words.iter().enumerate().map(|(index, word)| pattern::word(&id(WORDS, index), word));
        let patterns = self.patterns.iter().enumerate().map(|(index, each)| each.declared(id(PATTERNS, index)));
        words.chain(patterns).collect()
    }

    /// A plan that looks for them in text of these directions and speakers (none: all), if there are any, and asks for
    /// `more` hooks.
    #[must_use]
    pub fn plan(self, more: Hooks, directions: &[Direction], speakers: &[String]) -> Plan {
        let mut hooks = more;
        hooks.set(Hooks::TEXT, !self.is_empty());
        let plan = Plan::new(hooks).directions(directions.iter().copied()).speakers(speakers.iter().cloned());
        // Without a pattern nothing can hit, and hosts refuse a plan that waits for it.
        if self.is_empty() { plan } else { plan.patterns(self.declared()).look_behind(CHARACTER_BYTES).only_on_hit() }
    }

    /// The hits of a window that count, in order, with what each is of: of words, those that stand by themselves.
    ///
    /// # Errors
    /// When the host reports a pattern that [`Terms::declared`] does not have.
    pub fn hits(self, window: &Window) -> Result<Vec<(Term<'a>, &Hit)>, String> {
        let named = window.hits.iter().map(|hit| Ok((self.of(&hit.pattern)?, hit)));
        let counts = |(term, hit): &(Term<'a>, &Hit)| match term {
            // One that does not stand alone may cover one that does.
            Term::Word(word) => repeats(word) || stands_alone(window, hit),
            Term::Pattern(_) => true,
        };
        named.filter(|found| found.as_ref().map_or(true, counts)).collect()
    }

    /// What a hit of the pattern with this id was of.
    ///
    /// # Errors
    /// When [`Terms::declared`] gave no such id.
    pub fn of(self, id: &str) -> Result<Term<'a>, String> {
        let place = |list: &str| id.strip_prefix(list)?.strip_prefix('/')?.parse::<usize>().ok();
        let word = || Some(Term::Word(self.words.get(place(WORDS)?)?));
        let pattern = || Some(Term::Pattern(&self.patterns.get(place(PATTERNS)?)?.name));
        let term = word().or_else(pattern);
        term.ok_or_else(|| ["the host reports the pattern ", id, ", which was not declared"].concat())
    }
}

impl<'a> Term<'a> {
    /// The word, or the pattern's name.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Word(name) | Self::Pattern(name) => name,
        }
    }

    /// `word` or `pattern`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Word(_) => "word",
            Self::Pattern(_) => "pattern",
        }
    }
}

/// Whether a phrase ends as it begins: matches of it may overlap, and the host tells one of these.
fn repeats(phrase: &str) -> bool {
    let words: Vec<String> = phrase.split_whitespace().map(str::to_lowercase).collect();
    (1..words.len()).any(|at| words.starts_with(&words[at..]))
}

/// Whether what a hit covers is no part of a longer word. The pattern of a word sees ASCII alone, since scripts that write no
/// spaces must hide none; this sees the letters of those that do.
///
/// What follows a hit is in the window: the host tells none that ends where the text so far does.
fn stands_alone(window: &Window, hit: &Hit) -> bool {
    let (start, end) = (hit.start as usize, hit.end as usize);
    let (before, after) = (&window.pending[..start], &window.pending[end..]);
    let word = &window.pending[start..end];
    let before = before.chars().next_back().or_else(|| window.before.chars().next_back());
    let joined = |one: Option<char>, other: Option<char>| one.is_some_and(is_spaced) && other.is_some_and(is_spaced);
    !joined(before, word.chars().next()) && !joined(word.chars().next_back(), after.chars().next())
}

/// Whether this is a letter of Latin, Greek or Cyrillic, whose words are parted by spaces.
fn is_spaced(character: char) -> bool {
    character.is_alphabetic() && matches!(character, '\0'..'\u{530}' | '\u{1e00}'..'\u{2000}')
}

/// A problem for each text of a list that says nothing; `path` is the list's JSON Pointer.
#[must_use]
pub fn blank(path: &str, texts: &[String]) -> Vec<Problem> {
    let blank = texts.iter().enumerate().filter(|(_, text)| text.trim().is_empty());
    blank.map(|(index, _)| Problem::new(id(path, index), "must not be empty")).collect()
}

/// The JSON Pointer of an item of this list.
fn id(list: &str, place: usize) -> String {
    [list, "/", &place.to_string()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_id_leads_back_to_its_term() {
        let words = ["a".to_owned(), "b".to_owned()];
        let each = NamedPattern { name: "n".into(), regex: "x".into(), check: String::new(), max_length: 1 };
        let terms = Terms { words: &words, patterns: &[each] };
        let names: Vec<_> = terms.declared().iter().map(|pattern| terms.of(&pattern.id)).collect();
        assert_eq!(names, [Ok(Term::Word("a")), Ok(Term::Word("b")), Ok(Term::Pattern("n"))]);
        for id in ["", "/words", "/words/2", "/patterns/1", "/x/0", "é", "/words/-1", "/words0"] {
            assert!(terms.of(id).is_err(), "{id}");
        }
    }
}
