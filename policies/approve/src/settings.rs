//! What the operator may choose.

use policy_sdk::{Direction, Pattern, Problem, pattern};
use serde::Deserialize;

/// The settings; the defaults ask about `export`, `delete` and `reset` in what a user says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Words and phrases, whole and in any case.
    pub words: Vec<String>,
    /// Own patterns.
    pub patterns: Vec<Own>,
    /// Globs of tool names: a proposed call of one of them is asked about.
    pub tools: Vec<String>,
    /// Of text; empty: both.
    pub directions: Vec<Direction>,
    /// Of text; empty: all.
    pub speakers: Vec<String>,
    /// One line; `{found}` stands for the words or the tool.
    pub title: String,
    /// Put before what was found; empty: nothing.
    pub summary: String,
    /// Groups of which one member must approve; empty: the operator's default.
    pub approvers: Vec<String>,
    /// 0: the operator's default.
    pub timeout_seconds: u32,
    /// What is asked only once in a session.
    pub remember: Remember,
}

/// What is asked only once in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remember {
    /// Nothing.
    Never,
    /// The same text, the same call: a conversation that is sent again with each turn is not asked about again.
    #[default]
    Text,
    /// The same words, the same tool: whatever else the text says.
    Words,
}

/// A pattern of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Own {
    /// Its name, as approvers see it.
    pub name: String,
    /// Syntax of Rust's `regex` crate.
    pub regex: String,
    /// Longest match in bytes that must not be missed when it is split.
    #[serde(default = "default_max_length")]
    pub max_length: u32,
}

fn default_max_length() -> u32 {
    256
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            words: ["export", "delete", "reset"].map(str::to_owned).into(),
            patterns: Vec::new(),
            tools: Vec::new(),
            directions: vec![Direction::Request],
            speakers: vec!["user".to_owned()],
            title: "May this go on? ({found})".to_owned(),
            summary: String::new(),
            approvers: Vec::new(),
            timeout_seconds: 0,
            remember: Remember::default(),
        }
    }
}

impl Settings {
    /// # Errors
    /// What can't be.
    pub(crate) fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        for (list, texts) in [("words", &self.words), ("tools", &self.tools)] {
            for (index, text) in texts.iter().enumerate() {
                if text.trim().is_empty() {
                    problems.push(Problem::new(
                        ["/", list, "/", &index.to_string()].concat(),
                        "must not be empty",
                    ));
                }
            }
        }
        for (index, own) in self.patterns.iter().enumerate() {
            let at = |field: &str| ["/patterns/", &index.to_string(), "/", field].concat();
            if own.name.is_empty() {
                problems.push(Problem::new(at("name"), "must not be empty"));
            }
            if own.regex.is_empty() {
                problems.push(Problem::new(at("regex"), "must not be empty"));
            }
            if own.max_length == 0 {
                problems.push(Problem::new(at("max-length"), "must be at least 1"));
            }
        }
        if self.title.trim().is_empty() {
            problems.push(Problem::new("/title", "must not be empty"));
        }
        if self.words.is_empty() && self.patterns.is_empty() && self.tools.is_empty() {
            problems.push(Problem::new(
                "",
                "there is nothing to ask about: no words, no patterns, no tools",
            ));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The patterns to declare. Their ids are their places: two may have the same name.
    pub(crate) fn declared(&self) -> Vec<Pattern> {
        let words = self
            .words
            .iter()
            .enumerate()
            .map(|(index, word)| pattern::word(&id('w', index), word));
        let own = self.patterns.iter().enumerate();
        words
            .chain(own.map(|(index, own)| pattern::regex(&id('p', index), &own.regex, own.max_length)))
            .collect()
    }

    /// The word or name behind an id that [`Settings::declared`] gave.
    pub(crate) fn name(&self, id: &str) -> &str {
        let index = id.get(1..).and_then(|digits| digits.parse::<usize>().ok());
        let name = match (id.as_bytes().first(), index) {
            (Some(b'w'), Some(index)) => self.words.get(index),
            (Some(b'p'), Some(index)) => self.patterns.get(index).map(|own| &own.name),
            _ => None,
        };
        name.map_or("?", String::as_str)
    }
}

fn id(kind: char, index: usize) -> String {
    let mut id = index.to_string();
    id.insert(0, kind);
    id
}
