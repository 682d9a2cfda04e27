//! What the operator may choose.

use std::collections::BTreeMap;

use policy_sdk::{Direction, Pattern, Problem};
use serde::Deserialize;

use crate::{
    check::Check,
    recognisers::{self, Recogniser},
};

/// Longest match of an own pattern, in bytes, when the settings do not say.
const DEFAULT_MAX_LENGTH: u32 = 256;

/// The settings; the defaults find everything, everywhere, and put labels in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Names or kinds of recognisers; empty: all.
    pub only: Vec<String>,
    /// Names or kinds of recognisers to leave out.
    pub except: Vec<String>,
    /// Empty: both.
    pub directions: Vec<Direction>,
    /// Empty: all.
    pub channels: Vec<String>,
    /// What comes in place of a value.
    pub substitute: By,
    /// The same for single names or kinds.
    pub substitutes: BTreeMap<String, By>,
    /// Own patterns.
    pub patterns: Vec<Own>,
}

/// What comes in place of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// `[SSN]`
    #[default]
    Label,
    /// `[SSN_1]`, the same for the same value in a session; made by the host.
    Token,
    /// This text.
    Text(String),
}

/// A pattern of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Own {
    /// Its name.
    pub name: String,
    /// Syntax of Rust's `regex` crate.
    pub regex: String,
    /// The host's check: `luhn`, `iban`, `entropy:3.5`; empty: none.
    #[serde(default)]
    pub check: String,
    /// Longest match in bytes that must not be missed when it is split.
    #[serde(default = "default_max_length")]
    pub max_length: u32,
    /// The label without its brackets; empty: the name in capitals.
    #[serde(default)]
    pub label: String,
}

fn default_max_length() -> u32 {
    DEFAULT_MAX_LENGTH
}

/// A recogniser as chosen: what finds it and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For the record: `mask.ssn`.
    pub reason: String,
    /// Without brackets.
    pub label: String,
    /// What takes the place.
    pub by: By,
    /// The check made here.
    pub check: Check,
    /// As in [`Recogniser::tail`].
    pub tail: u32,
}

impl Settings {
    /// The rules, by priority, and the pattern of each. Own patterns come first: the operator's word is the closer one.
    ///
    /// # Errors
    /// Names that nothing has, and own patterns that can't be.
    pub fn rules(self) -> Result<Vec<(Pattern, Rule)>, Vec<Problem>> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut rules = Vec::with_capacity(self.patterns.len() + recognisers::ALL.len());
        rules.extend(self.patterns.iter().map(|own| self.own(own)));
        rules.extend(
            recognisers::ALL
                .iter()
                .filter(|each| self.wants(each))
                .map(|each| self.shipped(each)),
        );
        if rules.is_empty() {
            return Err(vec![Problem::new(
                "",
                "nothing is left to mask: `except` takes away all that `only` names",
            )]);
        }
        Ok(rules)
    }

    fn wants(&self, recogniser: &Recogniser) -> bool {
        let named = |names: &[String]| names.iter().any(|name| is(recogniser, name));
        (self.only.is_empty() || named(&self.only)) && !named(&self.except)
    }

    fn by(&self, name: &str, kind: &str) -> By {
        self.substitutes
            .get(name)
            .or_else(|| self.substitutes.get(kind))
            .unwrap_or(&self.substitute)
            .clone()
    }

    fn shipped(&self, each: &Recogniser) -> (Pattern, Rule) {
        let pattern = Pattern {
            id: each.name.into(),
            regex: each.regex.into(),
            check: each.host_check.into(),
            max_length: each.max_length,
        };
        let rule = Rule {
            reason: ["mask.", each.name].concat(),
            label: each.label.into(),
            by: self.by(each.name, each.kind),
            check: each.check,
            tail: each.tail,
        };
        (pattern, rule)
    }

    fn own(&self, own: &Own) -> (Pattern, Rule) {
        let pattern = Pattern {
            id: own.name.clone(),
            regex: own.regex.clone(),
            check: own.check.clone(),
            max_length: own.max_length,
        };
        let label = if own.label.is_empty() {
            own.name.to_ascii_uppercase()
        } else {
            own.label.clone()
        };
        let rule = Rule {
            reason: ["mask.", own.name.as_str()].concat(),
            label,
            by: self.by(&own.name, &own.name),
            check: Check::None,
            tail: 0,
        };
        (pattern, rule)
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (list, names) in [("only", &self.only), ("except", &self.except)] {
            for (index, name) in names.iter().enumerate() {
                if !shipped(name) {
                    problems.push(Problem::new(
                        ["/", list, "/", &index.to_string()].concat(),
                        unknown(name),
                    ));
                }
            }
        }
        for name in self.substitutes.keys() {
            if !shipped(name) && !self.patterns.iter().any(|own| own.name == *name) {
                problems.push(Problem::new(["/substitutes/", name].concat(), unknown(name)));
            }
        }
        for (index, own) in self.patterns.iter().enumerate() {
            let at = |field: &str| ["/patterns/", &index.to_string(), "/", field].concat();
            if own.name.is_empty() {
                problems.push(Problem::new(at("name"), "must not be empty"));
            } else if shipped(&own.name) || self.patterns[..index].iter().any(|other| other.name == own.name) {
                problems.push(Problem::new(
                    at("name"),
                    ["`", own.name.as_str(), "` is taken"].concat(),
                ));
            }
            if own.regex.is_empty() {
                problems.push(Problem::new(at("regex"), "must not be empty"));
            }
            if own.max_length == 0 {
                problems.push(Problem::new(at("max-length"), "must be at least 1"));
            }
        }
        problems
    }
}

fn is(recogniser: &Recogniser, name: &str) -> bool {
    recogniser.name == name || recogniser.kind == name
}

fn shipped(name: &str) -> bool {
    recognisers::ALL.iter().any(|each| is(each, name))
}

fn unknown(name: &str) -> String {
    let mut kinds: Vec<&str> = recognisers::ALL.iter().map(|each| each.kind).collect();
    kinds.dedup();
    [
        "no recogniser has the name or kind `",
        name,
        "`; kinds: ",
        &kinds.join(", "),
    ]
    .concat()
}
