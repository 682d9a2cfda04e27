//! One run of text through one policy: what is pending, what is shown, what goes through.

use crate::{Decision, Edit, Hit, Hooks, Policy, Substitute, Verdict, Window};

use super::{End, Outcome, Rig, exchange, hits::Found};

/// How much of the end the host keeps by itself while more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Only what a match that is not over needs.
    Least,
    /// Everything: the host may join any number of pieces.
    Most,
}

/// A run under way. Offsets count bytes of the whole text.
pub(super) struct Stream<'a, P> {
    rig: &'a Rig<P>,
    keep: Keep,
    /// Whether a fresh instance takes over at each piece.
    swap: bool,
    instance: Option<P>,
    hits: Vec<Found>,
    released: usize,
    /// Up to where the instance has seen the text.
    shown: usize,
    /// Whether the policy is done with this exchange.
    done: bool,
    tokens: Vec<(String, String)>,
    outcome: Outcome,
}

impl<'a, P: Policy> Stream<'a, P> {
    pub(super) fn new(rig: &'a Rig<P>, keep: Keep, swap: bool) -> Self {
        Self {
            rig,
            keep,
            swap,
            instance: None,
            hits: Vec::new(),
            released: 0,
            shown: 0,
            done: false,
            tokens: Vec::new(),
            outcome: Outcome {
                text: String::new(),
                end: End::Complete,
                reasons: Vec::new(),
                spans: Vec::new(),
                calls: 0,
            },
        }
    }

    pub(super) fn run(mut self, pieces: &[&str]) -> Outcome {
        let whole = pieces.concat();
        self.hits = self.rig.matcher.find(&whole);
        let mut seen = 0;
        for (index, piece) in pieces.iter().enumerate() {
            seen += piece.len();
            if let Err(end) = self.piece(&whole, seen, index + 1 == pieces.len()) {
                self.outcome.end = end;
                break;
            }
        }
        self.outcome
    }

    /// Whether the plan asks for this text at all.
    fn wanted(&self) -> bool {
        let plan = self.rig.plan.as_raw();
        let names = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        !self.done
            && self.rig.plan.hooks().contains(Hooks::TEXT)
            && (plan.directions.is_empty() || plan.directions.contains(&self.rig.direction))
            && names(&plan.channels, &self.rig.channel)
            && names(&plan.speakers, &self.rig.speaker)
    }

    fn piece(&mut self, whole: &str, seen: usize, last: bool) -> Result<(), End> {
        if !self.wanted() {
            self.release(whole, seen, &[]);
            return Ok(());
        }
        let free = self.free(seen, last);
        let visible: Vec<Hit> = self
            .hits
            .iter()
            .filter(|hit| hit.start >= self.released && hit.end <= free)
            .map(|hit| Hit {
                pattern: hit.pattern.clone(),
                start: offset(hit.start - self.released),
                end: offset(hit.end - self.released),
            })
            .collect();
        if self.rig.plan.as_raw().only_on_hit && visible.is_empty() {
            self.release(whole, free, &[]);
            return Ok(());
        }
        let decision = self.call(whole, seen, last, visible)?;
        let pending = &whole[self.released..seen];
        obeys(&decision, pending, last).map_err(End::Failed)?;
        match decision.verdict {
            Verdict::Allow => {}
            Verdict::Done => self.done = true,
            Verdict::Block(refusal) => return Err(End::Blocked(refusal)),
            Verdict::Ask(question) => return Err(End::Asked(question)),
        }
        let held = seen - whole.floor_char_boundary(seen - decision.hold_back as usize);
        let until = whole.floor_char_boundary(free.min(seen - held));
        self.release(whole, until, &decision.edits);
        Ok(())
    }

    /// Up to where text may go as far as the host is concerned: no match that is not over is cut, and one that ends where
    /// the text does is not over, since a mark may follow.
    fn free(&self, seen: usize, last: bool) -> usize {
        if last {
            return seen;
        }
        if self.keep == Keep::Most {
            return self.released;
        }
        let mut free = seen;
        let open = |hit: &&Found, free: usize| hit.start < free && (hit.end > free || hit.end == seen);
        while let Some(cut) = self.hits.iter().filter(|hit| open(hit, free)).map(|hit| hit.start).min() {
            free = cut;
        }
        free
    }

    fn call(&mut self, whole: &str, seen: usize, last: bool, hits: Vec<Hit>) -> Result<Decision, End> {
        if self.swap || self.instance.is_none() {
            let mut fresh = self.rig.instance();
            let mut exchange = exchange();
            exchange.resumed = self.outcome.calls > 0;
            match fresh.open(&exchange).map_err(End::Failed)? {
                Verdict::Allow | Verdict::Done => {}
                Verdict::Block(refusal) => return Err(End::Blocked(refusal)),
                Verdict::Ask(question) => return Err(End::Asked(question)),
            }
            self.instance = Some(fresh);
            self.shown = 0;
        }
        let behind = self.released.saturating_sub(self.rig.plan.as_raw().look_behind as usize);
        let window = Window {
            direction: self.rig.direction,
            channel: self.rig.channel.clone(),
            speaker: self.rig.speaker.clone(),
            part: 0,
            before: whole[whole.floor_char_boundary(behind)..self.released].to_owned(),
            pending: whole[self.released..seen].to_owned(),
            fresh: offset(self.shown.saturating_sub(self.released)),
            last,
            hits,
            extra: Vec::new(),
        };
        self.shown = seen;
        self.outcome.calls += 1;
        match &mut self.instance {
            Some(policy) => policy.on_text(&window).map_err(End::Failed),
            None => Err(End::Failed("no instance".to_owned())),
        }
    }

    /// Lets the text through up to `until`, edited. An edit is never cut: if one crosses, all of it stays.
    fn release(&mut self, whole: &str, until: usize, edits: &[Edit]) {
        let base = self.released;
        let span = |edit: &Edit| (base + edit.start as usize, base + edit.end as usize);
        let crossing = edits.iter().map(span).find(|(start, end)| *start < until && *end > until);
        let until = crossing.map_or(until, |(start, _)| start);
        let mut at = base;
        for edit in edits {
            let (start, end) = span(edit);
            if end > until {
                break;
            }
            self.outcome.text.push_str(&whole[at..start]);
            let substitute = self.substitute(&edit.by, &whole[start..end]);
            self.outcome.text.push_str(&substitute);
            self.outcome.reasons.push(edit.reason.clone());
            self.outcome.spans.push(start..end);
            at = end;
        }
        self.outcome.text.push_str(&whole[at..until]);
        self.released = until;
    }

    fn substitute(&mut self, by: &Substitute, value: &str) -> String {
        match by {
            Substitute::Literal(text) => text.clone(),
            Substitute::Token(kind) => {
                let same = self.tokens.iter().filter(|(other, _)| other == kind);
                let known = same.clone().position(|(_, other)| other == value);
                let number = known.unwrap_or(same.count()) + 1;
                if known.is_none() {
                    self.tokens.push((kind.clone(), value.to_owned()));
                }
                format!("[{kind}_{number}]")
            }
        }
    }
}

/// The rules of `types.decision`.
fn obeys(decision: &Decision, pending: &str, last: bool) -> Result<(), String> {
    if last && decision.hold_back > 0 {
        return Err("holds text back although nothing follows".to_owned());
    }
    if decision.hold_back as usize > pending.len() {
        return Err("holds back more than there is".to_owned());
    }
    let mut at = 0;
    for Edit { start, end, reason, .. } in &decision.edits {
        let (start, end) = (*start as usize, *end as usize);
        if start < at || end < start {
            return Err(format!("the edit {start}..{end} ({reason}) overlaps or is out of order"));
        }
        if pending.get(start..end).is_none() {
            return Err(format!("the edit {start}..{end} ({reason}) is out of bounds or cuts a character"));
        }
        at = end;
    }
    Ok(())
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
