//! Matches of declared patterns in a whole text, as the host's own matcher finds them.

use patterns::{PatternSpec, Patterns};

use crate::{Pattern, Problem};

/// The patterns of a plan.
pub(super) struct Matcher(Patterns);

/// A match: pattern and span in the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pattern: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Matcher {
    pub(super) fn new(declared: &[Pattern]) -> Result<Self, Problem> {
        let spec = |Pattern { id, regex, check, max_length }: &Pattern| PatternSpec {
            id: id.clone(),
            regex: regex.clone(),
            check: check.clone(),
            max_length: *max_length,
        };
        let specs: Vec<_> = declared.iter().map(spec).collect();
        Patterns::compile(&specs).map(Self).map_err(|wrong| match declared[wrong.index].id.as_str() {
            setting if setting.starts_with('/') => Problem::new(setting, wrong.message),
            id => Problem::new("", format!("pattern {id}: {}", wrong.message)),
        })
    }

    /// All matches in the text, in order.
    pub(super) fn find(&self, text: &str) -> Vec<Found> {
        let hits = self.0.find(text, &[]).into_iter();
        let mut found: Vec<_> = hits
            .map(|hit| Found { pattern: self.0.ids()[hit.pattern as usize].clone(), start: hit.start, end: hit.end })
            .collect();
        found.sort_by_key(|hit| (hit.start, hit.end));
        found
    }
}
