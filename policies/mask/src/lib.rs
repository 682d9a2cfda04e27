//! Takes personal data and secrets out of text, in both directions.
//!
//! The host looks for the patterns of [`recognisers`]; this policy is called only when one has a hit, and turns hits
//! into edits. It decides nothing but what is replaced: the verdict is always `allow`.
//!
//! What must hold: where hits overlap, all of what they cover goes, under the name of the one that begins first, of
//! those the longest, of those the first by priority. So the result depends on the text alone, and no tail of a
//! weaker hit stays.

pub mod check;
pub mod recognisers;
mod settings;
pub mod value;

use core::ops::Range;

use policy_sdk::{Decision, Folded, Hooks, Metadata, Plan, Policy, Problem, Substitute, Window, fold};

pub use settings::{By, Rule, Settings};

/// The policy.
pub struct Mask {
    /// Id of its pattern and the rule itself, by priority.
    rules: Vec<(String, Rule)>,
}

/// A hit that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    start: u32,
    end: u32,
    rule: usize,
}

impl Policy for Mask {
    type Settings = Settings;

    fn describe() -> Metadata {
        Metadata::new("mask", env!("CARGO_PKG_VERSION"), "takes personal data and secrets out of text")
            .schema(include_str!("../settings.schema.json"))
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        let directions = settings.directions.clone();
        let channels = settings.channels.clone();
        let (mut patterns, mut rules) = (Vec::new(), Vec::new());
        for (pattern, rule) in settings.rules()? {
            rules.push((pattern.id.clone(), rule));
            patterns.push(pattern);
        }
        let plan = Plan::new(Hooks::TEXT)
            .directions(directions)
            .channels(channels)
            .patterns(patterns)
            .look_behind(check::CONTEXT_BYTES)
            .only_on_hit();
        Ok((Self { rules }, plan))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let mut found = Vec::with_capacity(window.hits.len());
        for hit in &window.hits {
            let rule = self.rules.iter().position(|(id, _)| *id == hit.pattern);
            let rule = rule.ok_or("the host reports a pattern that was not declared")?;
            found.extend(self.value(window, rule, hit.start, hit.end));
        }
        Ok(merged(found).into_iter().fold(Decision::allow(), |decision, each| {
            let (_, rule) = &self.rules[each.rule];
            decision.edit(each.start, each.end, rule.substitute(), rule.reason.as_str())
        }))
    }
}

impl Mask {
    /// The span of the value inside a hit, if it passes the rule's own check.
    fn value(&self, window: &Window, rule: usize, start: u32, end: u32) -> Option<Found> {
        // The host saw the text as it reads, and so must the check.
        let text = window.slice(start, end);
        let before = context(window, start);
        let within = |found: Folded| self.within(rule, &before, &found);
        let span = within(Folded::new(text)).or_else(|| within(Folded::with_tags(text)?))?;
        // Spans are within a window, whose offsets are 32 bits wide.
        let at = |place: usize| Some(start + u32::try_from(place).ok()?);
        let (start, end) = (at(span.start)?, at(span.end)?);
        Some(Found { start, end, rule })
    }

    /// The same, within what was found as it reads, and not empty.
    fn within(&self, rule: usize, before: &str, found: &Folded) -> Option<Range<usize>> {
        let (_, Rule { check, value, .. }) = &self.rules[rule];
        let value = value.within(found.text());
        let before = [fold(before).as_ref(), &found.text()[..value.start]].concat();
        let counts = check.passes(&before, &found.text()[value.clone()])?;
        Some(found.span(value.start + counts.start..value.start + counts.end)).filter(|span| !span.is_empty())
    }
}

/// The text directly before a place in the window: always as much, however much of it has been released already.
fn context(window: &Window, at: u32) -> String {
    const BYTES: usize = check::CONTEXT_BYTES as usize;
    let tail = |text: &str, bytes: usize| text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..].to_owned();
    let near = tail(window.slice(0, at), BYTES);
    let missing = BYTES.saturating_sub(at as usize);
    if missing == 0 { near } else { tail(&window.before, missing) + &near }
}

impl Rule {
    fn substitute(&self) -> Substitute {
        match &self.by {
            By::Label => Substitute::Literal(["[", self.label.as_str(), "]"].concat()),
            By::Token => Substitute::Token(self.label.clone()),
            By::Text(text) => Substitute::Literal(text.clone()),
        }
    }
}

/// In order and apart: what overlaps becomes one span, named by its first, longest, most important part.
fn merged(found: Vec<Found>) -> Vec<Found> {
    let order = |each: &Found| (each.start, std::cmp::Reverse(each.end), each.rule);
    // Hits come almost in order already.
    let mut sorted: Vec<Found> = Vec::with_capacity(found.len());
    for each in found {
        sorted.insert(sorted.partition_point(|other| order(other) <= order(&each)), each);
    }
    let mut out: Vec<Found> = Vec::with_capacity(sorted.len());
    for each in sorted {
        match out.last_mut() {
            Some(last) if each.start < last.end => last.end = last.end.max(each.end),
            _ => out.push(each),
        }
    }
    out
}

policy_sdk::export!(Mask: text);
