//! All alerts that are kept, and what is to be done about them. Pure: no clock, no I/O.
//!
//! What must hold: of one rule and subject one alert is open at a time; their number is bounded, whatever is noticed; no
//! webhook is told of an alert that nobody has tried to keep.

use std::collections::{BTreeMap, HashMap};

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
    /// When it is to be kept again.
    save_ms: Option<u64>,
    /// It was kept once, or that was tried.
    tried: bool,
}

impl Book {
    /// A book that begins with these alerts. A delivery to a webhook that there is no more is given up.
    pub(crate) fn new(quiet_ms: u64, webhooks: Vec<Wants>, alerts: Vec<Alert>, now_ms: u64) -> Self {
        let mut book =
            Self { quiet_ms, webhooks, alerts: BTreeMap::new(), open: HashMap::new(), raised: [0; Rule::ALL.len()] };
        for mut alert in alerts {
            let mut save_ms = None;
            for delivery in &mut alert.deliveries {
                let pending = matches!(delivery.state, DeliveryState::Pending { .. });
                if pending && !book.webhooks.iter().any(|(name, _)| *name == delivery.webhook) {
                    let cause = "the configuration has no such webhook any more".to_owned();
                    delivery.state = DeliveryState::GivenUp { at_ms: now_ms, cause };
                    save_ms = Some(now_ms);
                }
            }
            book.open.insert((alert.rule, alert.subject.clone()), alert.id);
            book.alerts.insert(alert.id, Kept { alert, save_ms, tried: true });
        }
        book
    }

    /// Notices once more what is open already. False when nothing is.
    pub(crate) fn repeat(&mut self, rule: Rule, subject: &Subject, now_ms: u64) -> bool {
        // A key of borrowed parts can't be looked up; a clone is made only where there is something open at all.
        if self.open.is_empty() {
            return false;
        }
        let Some(id) = self.open.get(&(rule, subject.clone())) else { return false };
        let Some(kept) = self.alerts.get_mut(id) else { return false };
        if kept.alert.last_ms.saturating_add(self.quiet_ms) < now_ms {
            return false;
        }
        kept.alert.count = kept.alert.count.saturating_add(1);
        kept.alert.last_ms = kept.alert.last_ms.max(now_ms);
        kept.save_ms.get_or_insert(now_ms.saturating_add(COUNT_SAVE_MS));
        true
    }

    /// Raises an alert, or counts it on the one that is open. True when there is a new one.
    pub(crate) fn raise(&mut self, finding: Finding, id: AlertId, now_ms: u64) -> bool {
        if self.repeat(finding.rule, &finding.subject, now_ms) {
            return false;
        }
        let finding = self.within_bounds(finding, now_ms);
        if finding.subject == Subject::others() && self.repeat(finding.rule, &finding.subject, now_ms) {
            return false;
        }
        let Finding { rule, subject, detail } = finding;
        let mut alert = Alert::new(id, rule, subject.clone(), detail, now_ms);
        let wanted = self.webhooks.iter().filter(|(_, rules)| rules.is_empty() || rules.contains(&rule));
        let pending = |(webhook, _): &Wants| Delivery {
            webhook: webhook.clone(),
            attempts: 0,
            state: DeliveryState::Pending { due_ms: now_ms },
        };
        alert.deliveries = wanted.map(pending).collect();
        self.raised[Rule::ALL.iter().position(|one| *one == rule).unwrap_or_default()] += 1;
        self.open.insert((rule, subject), id);
        self.alerts.insert(id, Kept { alert, save_ms: Some(now_ms), tried: false });
        self.forget();
        true
    }

    /// Puts what is too many of one rule under one alert.
    fn within_bounds(&mut self, finding: Finding, now_ms: u64) -> Finding {
        let (alerts, quiet_ms) = (&self.alerts, self.quiet_ms);
        self.open
            .retain(|_, id| alerts.get(id).is_some_and(|kept| kept.alert.last_ms.saturating_add(quiet_ms) >= now_ms));
        if self.open.keys().filter(|(rule, _)| *rule == finding.rule).count() < OPEN_PER_RULE {
            return finding;
        }
        let detail = format!("more than {OPEN_PER_RULE} at once; for example {}: {}", finding.subject, finding.detail);
        Finding { subject: Subject::others(), detail, ..finding }
    }

    /// Forgets the alerts that were noticed longest ago.
    fn forget(&mut self) {
        while self.alerts.len() > ALERTS_KEPT {
            let oldest = self.alerts.values().map(|kept| (kept.alert.last_ms, kept.alert.id)).min();
            let Some(gone) = oldest.and_then(|(_, id)| self.alerts.remove(&id)) else { return };
            if gone.alert.deliveries.iter().any(|delivery| matches!(delivery.state, DeliveryState::Pending { .. })) {
                tracing::warn!(alert = %gone.alert.id, "an alert is forgotten of which a webhook was not told");
            }
        }
    }

    /// Says that a person has seen it. `None`: there is no such alert.
    pub(crate) fn ack(&mut self, id: AlertId, acked: Acked) -> Option<Alert> {
        let kept = self.alerts.get_mut(&id)?;
        kept.save_ms = Some(acked.at_ms);
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

    /// What is to be kept now, and whether nobody was told of it yet.
    pub(crate) fn due_for_saving(&mut self, now_ms: u64) -> Vec<(Alert, bool)> {
        let due = self.alerts.values_mut().filter(|kept| kept.save_ms.is_some_and(|at| at <= now_ms));
        due.map(|kept| {
            kept.save_ms = None;
            (kept.alert.clone(), !kept.tried)
        })
        .collect()
    }

    /// It was kept, or could not be: webhooks are told of it from now on in either case.
    pub(crate) fn saved(&mut self, id: AlertId, kept_it: bool, now_ms: u64) {
        if let Some(kept) = self.alerts.get_mut(&id) {
            kept.tried = true;
            if !kept_it {
                kept.save_ms.get_or_insert(now_ms.saturating_add(SAVE_AGAIN_MS));
            }
        }
    }

    // ------------------------------------------------------------------ telling

    /// The alert of which this webhook is to be told next, and when.
    pub(crate) fn next_for(&self, webhook: &str) -> Option<(u64, &Alert)> {
        let told = self.alerts.values().filter(|kept| kept.tried);
        told.filter_map(|kept| Some((kept.alert.due_for(webhook)?, &kept.alert))).min_by_key(|(due, _)| *due)
    }

    /// Alerts of which this webhook is still to be told.
    pub(crate) fn pending_for(&self, webhook: &str) -> usize {
        self.alerts.values().filter(|kept| kept.alert.due_for(webhook).is_some()).count()
    }

    /// What became of an attempt.
    pub(crate) fn told(&mut self, id: AlertId, webhook: &str, state: DeliveryState, now_ms: u64) {
        let Some(kept) = self.alerts.get_mut(&id) else { return };
        if let Some(delivery) = kept.alert.deliveries.iter_mut().find(|delivery| delivery.webhook == webhook) {
            delivery.attempts = delivery.attempts.saturating_add(1);
            delivery.state = state;
            kept.save_ms = Some(now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: u64 = 1000;

    fn book(webhooks: Vec<Wants>) -> Book {
        Book::new(QUIET, webhooks, Vec::new(), 0)
    }

    fn found(rule: Rule, caller: &str) -> Finding {
        Finding { rule, subject: Subject::caller("token", caller), detail: "x".to_owned() }
    }

    fn raise(book: &mut Book, caller: &str, at: u64) -> Option<AlertId> {
        let id = AlertId::new();
        book.raise(found(Rule::FailedApprovals, caller), id, at).then_some(id)
    }

    #[test]
    fn what_goes_on_is_one_alert_until_it_has_been_quiet() {
        let mut book = book(Vec::new());
        let first = raise(&mut book, "ann", 1).unwrap();
        assert_eq!(raise(&mut book, "ann", 900), None);
        assert!(book.repeat(Rule::FailedApprovals, &Subject::caller("token", "ann"), 1800));
        assert!(!book.repeat(Rule::PolicyFailures, &Subject::caller("token", "ann"), 1800));
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
        assert!(book.raise(found(Rule::PolicyFailures, "p"), id, 5), "another rule has its own room");
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
        let saved = book.due_for_saving(5);
        assert!(matches!(&saved[..], [(alert, true)] if alert.id == id), "{saved:?}");
        book.saved(id, true, 5);
        assert_eq!(book.next_for("soc").map(|(due, alert)| (due, alert.id)), Some((5, id)));
        assert!(book.next_for("other").is_none(), "not a rule that it asked for");
        raise(&mut book, "ann", 6);
        assert_eq!(book.next_save(), Some(6 + COUNT_SAVE_MS));
        book.told(id, "soc", DeliveryState::Delivered { at_ms: 7 }, 7);
        assert_eq!((book.next_for("soc").map(|next| next.0), book.next_save()), (None, Some(7)));
        assert_eq!(book.due_for_saving(7)[0].0.deliveries[0].attempts, 1);
        book.saved(id, false, 7);
        assert_eq!(book.next_save(), Some(7 + SAVE_AGAIN_MS));
    }

    #[test]
    fn a_restart_goes_on_where_it_was() {
        let wants = || vec![("soc".to_owned(), Vec::new()), ("gone".to_owned(), Vec::new())];
        let mut before = book(wants());
        let id = raise(&mut before, "ann", 5).unwrap();
        let kept = before.due_for_saving(5).into_iter().map(|(alert, _)| alert).collect();
        let mut after = Book::new(QUIET, vec![wants().remove(0)], kept, 50);
        assert_eq!(after.next_for("soc").map(|(due, alert)| (due, alert.id)), Some((5, id)));
        assert!(matches!(after.alert(id).unwrap().deliveries[1].state, DeliveryState::GivenUp { at_ms: 50, .. }));
        assert_eq!(raise(&mut after, "ann", 60), None, "it is open still");
        let acked = Acked { at_ms: 70, by: "ann".into(), reason: String::new() };
        assert_eq!(after.ack(id, acked.clone()).unwrap().acked, Some(acked));
        assert!(after.ack(AlertId::new(), Acked { at_ms: 1, by: String::new(), reason: String::new() }).is_none());
    }
}
