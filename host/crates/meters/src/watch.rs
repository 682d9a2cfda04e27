//! What the path tells, and what is counted for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use exchange::ports::{Follow, Stage, TurnedAway, Watch};
use model::{
    Entry, Event, Outcome,
    record::{Closed, Judged, JudgedVerdict, Opened},
};

use crate::{
    Inner, Meters,
    handles::{ConnectionHandles, Outcomes, PolicyHandles},
};

impl Inner {
    fn connection(&self, name: &str) -> Arc<ConnectionHandles> {
        self.handles.connections.get(name, |name| ConnectionHandles::new(&self.families, name))
    }

    fn policy(&self, name: &str) -> Arc<PolicyHandles> {
        self.handles.policies.get(name, |name| PolicyHandles::new(&self.families, name))
    }
}

impl Watch for Meters {
    fn opened(&self, opened: &Opened) -> Box<dyn Follow> {
        let inner = Arc::clone(&self.0);
        let connection = inner.connection(&opened.connection);
        let outcomes = connection.outcomes(&inner.families, &opened.dialect);
        connection.running.inc();
        Box::new(Follower { inner, connection, outcomes, began: Instant::now(), outcome: Outcome::Cancelled })
    }

    fn turned_away(&self, refused: &TurnedAway<'_>) {
        let Inner { handles, families, .. } = &*self.0;
        let made = |code: &str| families.refused.get_or_create_owned(&[("reason", code.to_owned())]);
        handles.refused.get(refused.code, made).inc();
    }

    fn answered(&self, connection: &str, status: Option<u16>, took: Duration) {
        let handles = self.0.connection(connection);
        let class = match status {
            None => "none",
            Some(100..=199) => "1xx",
            Some(200..=299) => "2xx",
            Some(300..=399) => "3xx",
            Some(400..=499) => "4xx",
            Some(_) => "5xx",
        };
        let labels = |class: &str| [("connection", connection.to_owned()), ("status", class.to_owned())];
        handles.answers.get(class, |class| self.0.families.answers.get_or_create_owned(&labels(class))).inc();
        if status.is_some() {
            handles.upstream.observe(took.as_secs_f64());
        }
    }

    fn event(&self, event: &Event) {
        if let Event::Approval { state, .. } = event {
            let Inner { handles, families, .. } = &*self.0;
            let made = |state: &str| families.approvals.get_or_create_owned(&[("state", state.to_owned())]);
            handles.approvals.get(state, made).inc();
        }
    }
}

/// Follows one exchange.
struct Follower {
    inner: Arc<Inner>,
    connection: Arc<ConnectionHandles>,
    outcomes: Arc<Outcomes>,
    began: Instant,
    /// How it ends, as far as is known: one that is dropped was left by its caller.
    outcome: Outcome,
}

impl Follower {
    fn judged(&self, judged: &Judged) {
        let policy = self.inner.policy(&judged.policy);
        let verdicts = if judged.shadow { &policy.shadow } else { &policy.enforced };
        verdicts.edits.inc_by(judged.edits.len() as u64);
        match &judged.verdict {
            JudgedVerdict::Block(_) => drop(verdicts.blocks.inc()),
            JudgedVerdict::Ask(_) => drop(verdicts.holds.inc()),
            JudgedVerdict::Failed { kind, .. } => drop(policy.failures(&self.inner.families, kind).inc()),
            JudgedVerdict::Allow | JudgedVerdict::Done | JudgedVerdict::Skipped(_) => {}
        }
    }

    fn closed(&mut self, closed: &Closed) {
        self.outcome = closed.outcome;
        self.connection.input_tokens.inc_by(closed.usage.input_tokens.into());
        self.connection.output_tokens.inc_by(closed.usage.output_tokens.into());
        for tally in &closed.policies {
            self.inner.policy(&tally.policy).calls.inc_by(tally.calls.into());
        }
    }
}

impl Follow for Follower {
    fn saw(&mut self, entry: &Entry) {
        match entry {
            Entry::Judged(judged) => self.judged(judged),
            Entry::Closed(closed) => self.closed(closed),
            _ => {}
        }
    }

    fn timed(&mut self, stage: Stage, took: Duration) {
        let meter = match stage {
            Stage::JudgeRequest => &self.connection.judge_request,
            Stage::JudgeResponse => &self.connection.judge_response,
            Stage::Record => &self.connection.record,
        };
        meter.observe(took.as_secs_f64());
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.connection.running.dec();
        self.connection.seconds.observe(self.began.elapsed().as_secs_f64());
        self.outcomes.of(self.outcome).inc();
    }
}
