//! All alerts that are kept, and what is to be done about them. Pure: no clock, no I/O. Times are of the clock that never
//! jumps; in an alert itself they are times of day.
//!
//! What must hold: of one rule and subject one alert is open at a time; their number is bounded, whatever is noticed; no
//! webhook is told of an alert that nobody has tried to keep; what is to be kept stays to be kept until it is.

use std::collections::{BTreeMap, HashMap};

use exchange::Now;
use model::{
    Alert, AlertId, Rule, Subject,
    alert::{Acked, Delivery, DeliveryState},
    control::ALERTS_KEPT,
};

use crate::detector::Finding;

/// Open alerts of one rule that are told one by one; what else the rule notices is one alert about all others.
const OPEN_PER_RULE: usize = 100;
/// Counts that have grown are kept again after so many milliseconds: a flood of them must not be one of writes.
const COUNT_SAVE_MS: u64 = 30_000;
/// What could not be kept is tried again after so many milliseconds.
const SAVE_AGAIN_MS: u64 = 30_000;

/// Which rules a webhook is told of.
pub(crate) type Wants = (String, Vec<Rule>);

pub(crate) struct Book {
    quiet_ms: u64,
    webhooks: Vec<Wants>,
    alerts: BTreeMap<AlertId, Kept>,
    /// The last alert of each rule and subject, while it is open.
    open: HashMap<(Rule, Subject), AlertId>,
    /// Alerts that were raised, by rule, in the order of [`Rule::ALL`].
    raised: [u64; Rule::ALL.len()],
}

struct Kept {
    alert: Alert,
    /// When it was noticed last.
    noticed_ms: u64,
    /// When each of its deliveries is due, where it is pending.
    due_ms: Vec<u64>,
    /// When it is to be kept again.
    save_ms: Option<u64>,
    /// It is being kept: where that is broken off, it is to be kept still.
    saving: bool,
    /// Somebody has taken it in hand to keep it.
    taken: bool,
    /// It was kept once, or that was tried.
    tried: bool,
}

impl Kept {
    fn new(alert: Alert, now: Now) -> Self {
        let due = |delivery: &Delivery| match delivery.state {
            DeliveryState::Pending { due_ms } => now.steady(due_ms),
            DeliveryState::Delivered { .. } | DeliveryState::GivenUp { .. } => u64::MAX,
        };
        let due_ms = alert.deliveries.iter().map(due).collect();
        let noticed_ms = now.steady(alert.last_ms).min(now.steady_ms);
        Self { alert, noticed_ms, due_ms, save_ms: None, saving: false, taken: false, tried: false }
    }

    /// When this webhook is to be told of it next; `None`: it is not.
    fn due_for(&self, webhook: &str) -> Option<u64> {
        self.alert.due_for(webhook)?;
        let mut deliveries = self.alert.deliveries.iter().zip(&self.due_ms);
        deliveries.find(|(delivery, _)| delivery.webhook == webhook).map(|(_, due_ms)| *due_ms)
    }

    fn is_open(&self, quiet_ms: u64, now: Now) -> bool {
        self.noticed_ms.saturating_add(quiet_ms) >= now.steady_ms
    }
}

impl Book {
    /// A book that begins with these alerts. A delivery to a webhook that there is no more is given up.
    pub(crate) fn new(quiet_ms: u64, webhooks: Vec<Wants>, alerts: Vec<Alert>, now: Now) -> Self {
        let mut book =
            Self { quiet_ms, webhooks, alerts: BTreeMap::new(), open: HashMap::new(), raised: [0; Rule::ALL.len()] };
        for mut alert in alerts {
            let mut save_ms = None;
            for delivery in &mut alert.deliveries {
                let pending = matches!(delivery.state, DeliveryState::Pending { .. });
                if pending && !book.webhooks.iter().any(|(name, _)| *name == delivery.webhook) {
                    let cause = "the configuration has no such webhook any more".to_owned();
                    delivery.state = DeliveryState::GivenUp { at_ms: now.wall_ms, cause };
                    save_ms = Some(now.steady_ms);
                }
            }
            book.open.insert((alert.rule, alert.subject.clone()), alert.id);
            let kept = Kept { save_ms, taken: true, tried: true, ..Kept::new(alert, now) };
            book.alerts.insert(kept.alert.id, kept);
        }
        book
    }

    /// Notices once more what is open already. False when nothing is.
    pub(crate) fn repeat(&mut self, rule: Rule, subject: &Subject, now: Now) -> bool {
        // A key of borrowed parts can't be looked up; a clone is made only where there is something open at all.
        if self.open.is_empty() {
            return false;
        }
        let Some(id) = self.open.get(&(rule, subject.clone())) else { return false };
        let Some(kept) = self.alerts.get_mut(id) else { return false };
        if !kept.is_open(self.quiet_ms, now) {
            return false;
        }
        kept.alert.count = kept.alert.count.saturating_add(1);
        kept.alert.last_ms = kept.alert.first_ms.max(now.wall_ms);
        kept.noticed_ms = now.steady_ms;
        kept.save_ms.get_or_insert(now.steady_ms.saturating_add(COUNT_SAVE_MS));
        true
    }

    /// Raises an alert, or counts it on the one that is open. True when there is a new one.
    pub(crate) fn raise(&mut self, finding: Finding, id: AlertId, now: Now) -> bool {
        if self.repeat(finding.rule, &finding.subject, now) {
            return false;
        }
        let finding = self.within_bounds(finding, now);
        if finding.subject == Subject::others() && self.repeat(finding.rule, &finding.subject, now) {
            return false;
        }
        let Finding { rule, subject, detail } = finding;
        let mut alert = Alert::new(id, rule, subject.clone(), detail, now.wall_ms);
        let wanted = self.webhooks.iter().filter(|(_, rules)| rules.is_empty() || rules.contains(&rule));
        let pending = |(webhook, _): &Wants| Delivery {
            webhook: webhook.clone(),
            attempts: 0,
            state: DeliveryState::Pending { due_ms: now.wall_ms },
        };
        alert.deliveries = wanted.map(pending).collect();
        self.raised[Rule::ALL.iter().position(|one| *one == rule).unwrap_or_default()] += 1;
        self.open.insert((rule, subject), id);
        self.alerts.insert(id, Kept { save_ms: Some(now.steady_ms), ..Kept::new(alert, now) });
        self.forget();
        true
    }

    /// Puts what is too many of one rule under one alert.
    fn within_bounds(&mut self, finding: Finding, now: Now) -> Finding {
        let (alerts, quiet_ms) = (&self.alerts, self.quiet_ms);
        self.open.retain(|_, id| alerts.get(id).is_some_and(|kept| kept.is_open(quiet_ms, now)));
        if self.open.keys().filter(|(rule, _)| *rule == finding.rule).count() < OPEN_PER_RULE {
            return finding;
        }
        let detail = format!("more than {OPEN_PER_RULE} at once; for example {}: {}", finding.subject, finding.detail);
        Finding { subject: Subject::others(), detail, ..finding }
    }

    /// Forgets the alerts that were noticed longest ago.
    fn forget(&mut self) {
        while self.alerts.len() > ALERTS_KEPT {
            let oldest = self.alerts.values().map(|kept| (kept.noticed_ms, kept.alert.id)).min();
            let Some(gone) = oldest.and_then(|(_, id)| self.alerts.remove(&id)) else { return };
            if gone.alert.deliveries.iter().any(|delivery| matches!(delivery.state, DeliveryState::Pending { .. })) {
                tracing::warn!(alert = %gone.alert.id, "an alert is forgotten of which a webhook was not told");
            }
        }
    }

    /// Says that a person has seen it. `None`: there is no such alert.
    pub(crate) fn ack(&mut self, id: AlertId, acked: Acked, now_ms: u64) -> Option<Alert> {
        let kept = self.alerts.get_mut(&id)?;
        kept.save_ms = Some(now_ms);
        kept.alert.acked.get_or_insert(acked);
        Some(kept.alert.clone())
    }

    /// All of them, the one that was raised last first.
    pub(crate) fn list(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().rev().map(|kept| &kept.alert)
    }

    pub(crate) fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(&id).map(|kept| &kept.alert)
    }

    /// Alerts that were raised since the book was opened, by rule.
    pub(crate) fn raised(&self) -> impl Iterator<Item = (Rule, u64)> {
        Rule::ALL.into_iter().zip(self.raised)
    }

    // ------------------------------------------------------------------ keeping

    /// When something is to be kept.
    pub(crate) fn next_save(&self) -> Option<u64> {
        self.alerts.values().filter_map(|kept| kept.save_ms).min()
    }

    /// What is to be kept now, with what was being kept when that was broken off.
    pub(crate) fn due_for_saving(&self, now_ms: u64) -> Vec<AlertId> {
        let due = |kept: &&Kept| kept.saving || kept.save_ms.is_some_and(|at| at <= now_ms);
        self.alerts.values().filter(due).map(|kept| kept.alert.id).collect()
    }

    /// Takes an alert in hand to keep it, until it is [`saved`](Self::saved); and whether nobody has done so before. `None`:
    /// it is forgotten.
    pub(crate) fn begin_saving(&mut self, id: AlertId) -> Option<(Alert, bool)> {
        let kept = self.alerts.get_mut(&id)?;
        kept.save_ms = None;
        kept.saving = true;
        Some((kept.alert.clone(), !std::mem::replace(&mut kept.taken, true)))
    }

    /// It was kept, or could not be: webhooks are told of it from now on in either case. Whether they were not before.
    pub(crate) fn saved(&mut self, id: AlertId, kept_it: bool, now_ms: u64) -> bool {
        let Some(kept) = self.alerts.get_mut(&id) else { return false };
        kept.saving = false;
        if !kept_it {
            kept.save_ms.get_or_insert(now_ms.saturating_add(SAVE_AGAIN_MS));
        }
        !std::mem::replace(&mut kept.tried, true)
    }

    // ------------------------------------------------------------------ telling

    /// The alert of which this webhook is to be told next, and when.
    pub(crate) fn next_for(&self, webhook: &str) -> Option<(u64, &Alert)> {
        let told = self.alerts.values().filter(|kept| kept.tried);
        told.filter_map(|kept| Some((kept.due_for(webhook)?, &kept.alert))).min_by_key(|(due, _)| *due)
    }

    /// Alerts of which this webhook is still to be told.
    pub(crate) fn pending_for(&self, webhook: &str) -> usize {
        self.alerts.values().filter(|kept| kept.due_for(webhook).is_some()).count()
    }

    /// What became of telling a webhook, after so many attempts.
    pub(crate) fn told(&mut self, id: AlertId, webhook: &str, attempts: u32, state: DeliveryState, now: Now) {
        let Some(kept) = self.alerts.get_mut(&id) else { return };
        let mut deliveries = kept.alert.deliveries.iter_mut().zip(&mut kept.due_ms);
        if let Some((delivery, due)) = deliveries.find(|(delivery, _)| delivery.webhook == webhook) {
            if let DeliveryState::Pending { due_ms } = state {
                *due = now.steady(due_ms);
            }
            delivery.attempts = attempts;
            delivery.state = state;
            kept.save_ms = Some(now.steady_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: u64 = 1000;

    /// A time at which both clocks agree.
    fn at(ms: u64) -> Now {
        Now { steady_ms: ms, wall_ms: ms }
    }

    fn book(webhooks: Vec<Wants>) -> Book {
        Book::new(QUIET, webhooks, Vec::new(), at(0))
    }

    fn found(rule: Rule, caller: &str) -> Finding {
        Finding { rule, subject: Subject::caller("token", caller), detail: "x".to_owned() }
    }

    fn raise(book: &mut Book, caller: &str, ms: u64) -> Option<AlertId> {
        let id = AlertId::new();
        book.raise(found(Rule::FailedApprovals, caller), id, at(ms)).then_some(id)
    }

    /// Takes all in hand that is to be kept.
    fn saving(book: &mut Book, ms: u64) -> Vec<(Alert, bool)> {
        book.due_for_saving(ms).into_iter().filter_map(|id| book.begin_saving(id)).collect()
    }

    #[test]
    fn what_goes_on_is_one_alert_until_it_has_been_quiet() {
        let mut book = book(Vec::new());
        let first = raise(&mut book, "ann", 1).unwrap();
        assert_eq!(raise(&mut book, "ann", 900), None);
        assert!(book.repeat(Rule::FailedApprovals, &Subject::caller("token", "ann"), at(1800)));
        assert!(!book.repeat(Rule::PolicyFailures, &Subject::caller("token", "ann"), at(1800)));
        let alert = book.alert(first).unwrap();
        assert_eq!((alert.count, alert.first_ms, alert.last_ms), (3, 1, 1800));
        assert!(raise(&mut book, "bob", 1801).is_some(), "another subject");
        let second = raise(&mut book, "ann", 1800 + QUIET + 1).unwrap();
        assert_eq!(book.list().map(|alert| alert.id).next(), Some(second), "the newest first");
    }

    #[test]
    fn more_subjects_than_can_be_told_are_one_alert() {
        let mut book = book(Vec::new());
        let raised = (0..10_000).filter(|n| raise(&mut book, &format!("c{n}"), 5).is_some()).count();
        assert_eq!(raised, OPEN_PER_RULE + 1);
        let others: Vec<_> = book.list().filter(|alert| alert.subject == Subject::others()).collect();
        assert!(matches!(others[..], [one] if one.count == 10_000 - OPEN_PER_RULE as u64), "{others:?}");
        let id = AlertId::new();
        assert!(book.raise(found(Rule::PolicyFailures, "p"), id, at(5)), "another rule has its own room");
    }

    #[test]
    fn the_number_of_alerts_is_bounded() {
        let mut book = book(Vec::new());
        for at in 0..ALERTS_KEPT as u64 + 50 {
            raise(&mut book, "ann", at * (QUIET + 1) + 1);
        }
        assert_eq!(book.list().count(), ALERTS_KEPT);
        assert!(book.list().all(|alert| alert.first_ms > 49 * (QUIET + 1)), "the oldest are gone");
        assert!(book.open.len() <= 1);
    }

    #[test]
    fn nobody_is_told_before_it_is_kept_and_counts_are_kept_in_their_time() {
        let mut book = book(vec![("soc".into(), Vec::new()), ("other".into(), vec![Rule::PolicyFailures])]);
        let id = raise(&mut book, "ann", 5).unwrap();
        assert_eq!((book.next_for("soc").map(|next| next.0), book.pending_for("soc")), (None, 1));
        let saved = saving(&mut book, 5);
        assert!(matches!(&saved[..], [(alert, true)] if alert.id == id), "{saved:?}");
        assert!(book.saved(id, true, 5), "from now on it may be told");
        assert_eq!(book.next_for("soc").map(|(due, alert)| (due, alert.id)), Some((5, id)));
        assert!(book.next_for("other").is_none(), "not a rule that it asked for");
        raise(&mut book, "ann", 6);
        assert_eq!(book.next_save(), Some(6 + COUNT_SAVE_MS));
        book.told(id, "soc", 1, DeliveryState::Delivered { at_ms: 7 }, at(7));
        assert_eq!((book.next_for("soc").map(|next| next.0), book.next_save()), (None, Some(7)));
        assert_eq!(saving(&mut book, 7)[0].0.deliveries[0].attempts, 1);
        assert!(!book.saved(id, false, 7));
        assert_eq!(book.next_save(), Some(7 + SAVE_AGAIN_MS));
    }

    #[test]
    fn a_restart_goes_on_where_it_was() {
        let wants = || vec![("soc".to_owned(), Vec::new()), ("gone".to_owned(), Vec::new())];
        let mut before = book(wants());
        let id = raise(&mut before, "ann", 5).unwrap();
        let kept = saving(&mut before, 5).into_iter().map(|(alert, _)| alert).collect();
        let mut after = Book::new(QUIET, vec![wants().remove(0)], kept, at(50));
        assert_eq!(after.next_for("soc").map(|(due, alert)| (due, alert.id)), Some((5, id)));
        assert!(matches!(after.alert(id).unwrap().deliveries[1].state, DeliveryState::GivenUp { at_ms: 50, .. }));
        assert_eq!(raise(&mut after, "ann", 60), None, "it is open still");
        let acked = Acked { at_ms: 70, by: "ann".into(), reason: String::new() };
        assert_eq!(after.ack(id, acked.clone(), 70).unwrap().acked, Some(acked.clone()));
        assert!(after.ack(AlertId::new(), acked, 70).is_none());
    }

    #[test]
    fn what_was_being_kept_and_is_not_is_to_be_kept_still() {
        let mut book = book(Vec::new());
        let id = raise(&mut book, "ann", 5).unwrap();
        assert!(matches!(&saving(&mut book, 5)[..], [(_, true)]));
        // Nobody says what became of it.
        assert!(matches!(&saving(&mut book, 5)[..], [(alert, false)] if alert.id == id), "told of once");
        raise(&mut book, "ann", 6);
        book.saved(id, true, 6);
        assert_eq!(book.next_save(), Some(6 + COUNT_SAVE_MS), "what came meanwhile is to be kept, too");
    }

    #[test]
    fn a_clock_that_is_set_moves_what_is_told_and_nothing_that_is_due() {
        const HOUR: u64 = 3_600_000;
        let mut book = book(vec![("soc".into(), Vec::new())]);
        let now = |steady_ms: u64| Now { steady_ms, wall_ms: steady_ms + HOUR };
        let id = AlertId::new();
        assert!(book.raise(found(Rule::FailedApprovals, "ann"), id, now(5)));
        assert_eq!(book.alert(id).unwrap().first_ms, HOUR + 5);
        assert_eq!(saving(&mut book, 5).len(), 1);
        book.saved(id, true, 5);
        assert_eq!(book.next_for("soc").map(|(due, _)| due), Some(5));
        book.told(id, "soc", 1, DeliveryState::Pending { due_ms: HOUR + 105 }, now(5));
        assert_eq!(book.next_for("soc").map(|(due, _)| due), Some(105));
        // It is set back by two hours.
        let now = |steady_ms: u64| Now { steady_ms, wall_ms: 1 };
        assert!(book.repeat(Rule::FailedApprovals, &Subject::caller("token", "ann"), now(5 + QUIET)));
        assert!(!book.repeat(Rule::FailedApprovals, &Subject::caller("token", "ann"), now(6 + 2 * QUIET)));
        let alert = book.alert(id).unwrap();
        assert_eq!((alert.first_ms, alert.last_ms), (HOUR + 5, HOUR + 5), "never before the first");
    }
}
