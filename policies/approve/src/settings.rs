//! What the operator may choose.

use policy_sdk::{
    Direction, Problem,
    terms::{NamedPattern, Terms, blank},
};
use serde::Deserialize;

/// The settings; the defaults ask about `export`, `delete` and `reset` in what a user says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Words and phrases, whole and in any case.
    pub words: Vec<String>,
    /// Own patterns.
    pub patterns: Vec<NamedPattern>,
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
    /// Groups of which a member should approve, shown to whoever decides; empty: the operator's default.
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
    /// Nothing: an approval lets one request pass, once.
    #[default]
    Never,
    /// The same request, all of it as the host judged it; one that differs in anything is asked about. Every tool call
    /// is.
    Request,
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
    /// What is looked for in text.
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms { words: &self.words, patterns: &self.patterns }
    }

    /// # Errors
    /// What can't be.
    pub(crate) fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = self.terms().problems();
        problems.extend(blank("/tools", &self.tools));
        if self.title.trim().is_empty() {
            problems.push(Problem::new("/title", "must not be empty"));
        }
        if self.terms().is_empty() && self.tools.is_empty() {
            problems.push(Problem::new("", "there is nothing to ask about: no words, no patterns, no tools"));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}
