//! What all recognisers together find and flag in `quality/sample.json`, a part of the texts that `quality/run` measures:
//! a change that finds less, or more than there is, fails here.

use std::{collections::BTreeMap, ops::Range};

use mask::{Mask, recognisers};
use policy_sdk::rig::{End, Rig};
use serde::Deserialize;

/// Least part of the values that must be found, and of what is found that must be a value: per thousand.
const LEAST: usize = 990;

/// Values of each recogniser, at least, and how many of ten of them must be found: pooled, one could find nothing at all.
const FEW: usize = 4;
const OF_TEN: usize = 9;

/// Kinds of recognisers whose values have a form, a range or a check digit of their own, and must each be as good.
const STRUCTURED: &[&str] = &["card", "iban", "ssn", "private-key", "api-key"];

#[derive(Deserialize)]
struct Sample {
    /// With `{{0}}`, `{{1}}`, … where the values are.
    text: String,
    /// Kind, and the value backwards.
    values: Vec<(String, String)>,
}

/// A text with its values in place.
struct Text {
    whole: String,
    values: Vec<(String, Range<usize>)>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    all: usize,
    right: usize,
}

impl Count {
    fn add(&mut self, right: bool) {
        self.all += 1;
        self.right += usize::from(right);
    }

    fn is_good(self) -> bool {
        self.right * 1000 >= self.all * LEAST
    }
}

fn texts() -> Vec<Text> {
    let samples: Vec<Sample> = serde_json::from_str(include_str!("../quality/sample.json")).expect("sample.json");
    samples.into_iter().map(Sample::filled).collect()
}

impl Sample {
    fn filled(self) -> Text {
        let (mut whole, mut rest) = (String::new(), self.text.as_str());
        let mut values = Vec::new();
        for (at, (kind, backwards)) in self.values.into_iter().enumerate() {
            let (before, after) = rest.split_once(&format!("{{{{{at}}}}}")).expect("a place for each value");
            whole.push_str(before);
            let start = whole.len();
            whole.extend(backwards.chars().rev());
            values.push((kind, start..whole.len()));
            rest = after;
        }
        Text { whole: whole + rest, values }
    }
}

/// The kind of a recogniser.
fn kind(name: &str) -> &'static str {
    recognisers::ALL.iter().find(|each| each.name == name).map_or("", |each| each.kind)
}

#[test]
fn at_least_99_in_100_are_found_and_right() {
    let rig = Rig::<Mask>::new("").expect("defaults");
    let (mut recall, mut precision) = ([Count::default(); 6], [Count::default(); 6]);
    let place = |kind: &str| STRUCTURED.iter().position(|each| *each == kind);
    let mut wrong = Vec::new();
    let mut each: BTreeMap<String, Count> = BTreeMap::new();
    for Text { whole, values } in texts() {
        let outcome = rig.run(&[&whole]);
        assert_eq!(outcome.end, End::Complete);
        for (name, value) in &values {
            // Two recognisers may share a value that is next to another: every byte must be covered by some of them.
            let found = value.clone().all(|at| outcome.spans.iter().any(|span| span.contains(&at)));
            each.entry(name.clone()).or_default().add(found);
            place(kind(name)).into_iter().chain([5]).for_each(|place| recall[place].add(found));
            if !found {
                wrong.push(format!("missed {name}: {:?}", &whole[value.clone()]));
            }
        }
        for (span, reason) in outcome.spans.iter().zip(&outcome.reasons) {
            let right = values.iter().any(|(_, value)| value.start < span.end && span.start < value.end);
            let kind = kind(reason.strip_prefix("mask.").unwrap_or(reason));
            place(kind).into_iter().chain([5]).for_each(|place| precision[place].add(right));
            if !right {
                wrong.push(format!("{reason}: {:?}", &whole[span.clone()]));
            }
        }
    }
    for name in recognisers::ALL.iter().map(|recogniser| recogniser.name) {
        let Count { all, right } = each.get(name).copied().unwrap_or_default();
        assert!(all >= FEW, "{name}: {all} values in the sample");
        assert!(right * 10 >= all * OF_TEN, "{name}: {wrong:#?}");
    }
    for (at, name) in STRUCTURED.iter().chain(&["everything"]).enumerate() {
        assert!(recall[at].all >= 4, "{name}: too few values to say anything");
        assert!(recall[at].is_good() && precision[at].is_good(), "{name}: {wrong:#?}");
    }
}
