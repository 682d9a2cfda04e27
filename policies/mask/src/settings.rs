//! What the operator may choose.

use std::ops::RangeInclusive;

use policy_sdk::{ByName, Direction, Pattern, Problem, pattern, terms::NamedPattern};
use serde::Deserialize;

use crate::{
    check::Check,
    recognisers::{self, Recogniser},
    value::Value,
};

/// What canaries are called, in reasons and substitutes.
const CANARY: &str = "canary";

/// Characters of a canary, as the schema says.
const CANARY_LENGTH: RangeInclusive<usize> = 8..=120;

/// Longest match in decoded text: what is decoded must be kept until it is decided. It holds the longest canary.
const MAX_DECODED_BYTES: u32 = 512;

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
    pub substitutes: ByName<By>,
    /// Own patterns; the label is the name in capitals.
    pub patterns: Vec<NamedPattern>,
    /// Exact secrets; found as they are, backwards, and in encoded text.
    pub canaries: Vec<String>,
    /// Whether all is also looked for in encoded text: one level of base64, hexadecimal digits, and the escapes of URLs,
    /// HTML and JSON.
    pub decode: bool,
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
        if let Some((pattern, rule)) = self.canary() {
            rules.push(decoded(&pattern, &rule));
            rules.push((pattern, rule));
        }
        let canaries = rules.len();
        for (index, own) in self.patterns.iter().enumerate() {
            rules.push(self.own(["/patterns/", &index.to_string()].concat(), own));
        }
        for each in recognisers::ALL {
            if self.wants(each) {
                rules.push(self.shipped(each));
            }
        }
        if rules.is_empty() {
            return Err(vec![Problem::new("", "nothing is left to mask: `except` takes away all that `only` names")]);
        }
        if self.decode {
            for at in canaries..rules.len() {
                let (pattern, rule) = &rules[at];
                if rule.check.is_lasting() {
                    rules.push(decoded(pattern, rule));
                }
            }
        }
        Ok(rules)
    }

    /// All canaries in one pattern, the longest first: one may begin another.
    fn canary(&self) -> Option<(Pattern, Rule)> {
        let backwards = self.canaries.iter().map(|canary| canary.chars().rev().collect());
        let mut texts: Vec<String> = Vec::new();
        for text in self.canaries.iter().cloned().chain(backwards) {
            texts.insert(texts.partition_point(|other| other.len() >= text.len()), text);
        }
        let longest = u32::try_from(texts.first()?.len()).unwrap_or(u32::MAX);
        let regex = texts.iter().map(|text| pattern::escape(text)).collect::<Vec<_>>().join("|");
        let rule = Rule {
            reason: ["mask.", CANARY].concat(),
            label: CANARY.to_ascii_uppercase(),
            by: self.by(CANARY, CANARY),
            check: Check::None,
            value: Value::Whole,
        };
        // Folded characters may have several bytes.
        Some((pattern::regex("/canaries", &regex, longest.saturating_mul(4)), rule))
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

    /// An own pattern. Its id is its place in the settings, where the host tells what it has against it.
    fn own(&self, id: String, own: &NamedPattern) -> (Pattern, Rule) {
        let rule = Rule {
            reason: ["mask.", own.name.as_str()].concat(),
            label: own.name.to_ascii_uppercase().replace('-', "_"),
            by: self.by(&own.name, &own.name),
            check: Check::None,
            value: Value::Whole,
        };
        (own.declared(id), rule)
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
        for (index, canary) in self.canaries.iter().enumerate() {
            if !CANARY_LENGTH.contains(&canary.chars().count()) {
                let message = "must have 8 to 120 characters: a shorter one stands in ordinary text by chance";
                problems.push(Problem::new(["/canaries/", &index.to_string()].concat(), message));
            }
        }
        for name in self.substitutes.names() {
            if !shipped(name) && name != CANARY && !self.patterns.iter().any(|own| own.name == name) {
                problems.push(Problem::new(["/substitutes/", name].concat(), unknown(name)));
            }
        }
        for (index, own) in self.patterns.iter().enumerate() {
            let path = ["/patterns/", &index.to_string()].concat();
            problems.extend(own.problems(&path));
            if shipped(&own.name)
                || own.name == CANARY
                || self.patterns[..index].iter().any(|other| other.name == own.name)
            {
                let message = ["`", own.name.as_str(), "` is taken"].concat();
                problems.push(Problem::new(path + "/name", message));
            }
        }
        problems
    }
}

/// The same in encoded text. What the host found there covers the encoded characters, of which no part is the value.
fn decoded(declared: &Pattern, rule: &Rule) -> (Pattern, Rule) {
    let mut encoded = pattern::decoded(&[declared.id.as_str(), "/decoded"].concat(), declared);
    encoded.max_length = encoded.max_length.min(MAX_DECODED_BYTES);
    (encoded, Rule { check: Check::None, value: Value::Whole, ..rule.clone() })
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
