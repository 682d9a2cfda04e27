//! What the operator may choose.

use std::collections::BTreeMap;

use policy_sdk::{Direction, Pattern, Problem, terms::NamedPattern};
use serde::Deserialize;

use crate::{
    check::Check,
    recognisers::{self, Recogniser},
    value::Value,
};

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
    /// Own patterns; the label is the name in capitals.
    pub patterns: Vec<NamedPattern>,
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
    /// Which part of a match is the value.
    pub value: Value,
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
        rules.extend(recognisers::ALL.iter().filter(|each| self.wants(each)).map(|each| self.shipped(each)));
        if rules.is_empty() {
            return Err(vec![Problem::new("", "nothing is left to mask: `except` takes away all that `only` names")]);
        }
        Ok(rules)
    }

    fn wants(&self, recogniser: &Recogniser) -> bool {
        let named = |names: &[String]| names.iter().any(|name| is(recogniser, name));
        (self.only.is_empty() || named(&self.only)) && !named(&self.except)
    }

    fn by(&self, name: &str, kind: &str) -> By {
        self.substitutes.get(name).or_else(|| self.substitutes.get(kind)).unwrap_or(&self.substitute).clone()
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
            value: each.value,
        };
        (pattern, rule)
    }

    fn own(&self, own: &NamedPattern) -> (Pattern, Rule) {
        let rule = Rule {
            reason: ["mask.", own.name.as_str()].concat(),
            label: own.name.to_ascii_uppercase().replace('-', "_"),
            by: self.by(&own.name, &own.name),
            check: Check::None,
            value: Value::Whole,
        };
        (own.declared(own.name.clone()), rule)
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (list, names) in [("only", &self.only), ("except", &self.except)] {
            for (index, name) in names.iter().enumerate() {
                if !shipped(name) {
                    problems.push(Problem::new(["/", list, "/", &index.to_string()].concat(), unknown(name)));
                }
            }
        }
        for name in self.substitutes.keys() {
            if !shipped(name) && !self.patterns.iter().any(|own| own.name == *name) {
                problems.push(Problem::new(["/substitutes/", name].concat(), unknown(name)));
            }
        }
        for (index, own) in self.patterns.iter().enumerate() {
            let path = ["/patterns/", &index.to_string()].concat();
            problems.extend(own.problems(&path));
            if shipped(&own.name) || self.patterns[..index].iter().any(|other| other.name == own.name) {
                let message = ["`", own.name.as_str(), "` is taken"].concat();
                problems.push(Problem::new(path + "/name", message));
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
    ["no recogniser has the name or kind `", name, "`; kinds: ", &kinds.join(", ")].concat()
}
