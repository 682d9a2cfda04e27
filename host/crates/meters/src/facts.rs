//! What others keep, and is told when it is asked for.

use std::sync::atomic::Ordering;

use model::Rule;

use crate::families::Families;

/// How the host is at the moment of a scrape. Counts are since the host started, where nothing else is said.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Seconds since the host started.
    pub uptime: f64,
    /// Number of the policy set in force.
    pub generation: u64,
    /// Its policies.
    pub policies: usize,
    /// Files that are not in force as they stand.
    pub problems: usize,
    /// Questions that nobody has decided.
    pub approvals_pending: usize,
    /// Revocations in force.
    pub revocations: usize,
    /// Panics of the host's own.
    pub panics: u64,
    /// How far the store is.
    pub store: StoreFacts,
    /// Alerts that were raised.
    pub alerts: Vec<(Rule, u64)>,
    /// Each webhook.
    pub webhooks: Vec<WebhookFacts>,
    /// Lines of the host's log that nobody read in time.
    pub log_lines_dropped: u64,
    /// When the certificate that callers are shown expires, in seconds since 1970-01-01T00:00:00Z; none where there is none.
    pub certificate_expires: Option<i64>,
}

/// How far the store is; positions in bytes since it was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreFacts {
    /// Whether it has failed.
    pub failed: bool,
    /// Whether the control log has.
    pub control_failed: bool,
    /// Given to it.
    pub appended: u64,
    /// In the operating system's hands.
    pub written: u64,
    /// On the disk.
    pub durable: u64,
    /// Readable.
    pub ingested: u64,
}

/// How telling a webhook goes.
#[derive(Clone, Debug, Default)]
pub struct WebhookFacts {
    /// Its name.
    pub name: String,
    /// Attempts that it took.
    pub delivered: u64,
    /// Attempts that it did not.
    pub failed: u64,
    /// Alerts of which it is still to be told.
    pub pending: u64,
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Bytes by which one position is behind another.
fn behind(ahead: u64, position: u64) -> i64 {
    i64::try_from(ahead.saturating_sub(position)).unwrap_or(i64::MAX)
}

impl Facts {
    pub(crate) fn put(&self, families: &Families) {
        families.uptime.set(self.uptime);
        families.set_generation.set(i64::try_from(self.generation).unwrap_or(i64::MAX));
        families.set_policies.set(count(self.policies));
        families.set_problems.set(count(self.problems));
        families.approvals_pending.set(count(self.approvals_pending));
        families.revocations.set(count(self.revocations));
        families.panics.inner().store(self.panics, Ordering::Relaxed);
        let StoreFacts { failed, control_failed, appended, written, durable, ingested } = self.store;
        families.store_failed.set(i64::from(failed));
        families.control_log_failed.set(i64::from(control_failed));
        families.store_appended.inner().store(appended, Ordering::Relaxed);
        families.store_unwritten.set(behind(appended, written));
        families.store_undurable.set(behind(appended, durable));
        families.store_uningested.set(behind(durable, ingested));
        families.log_dropped.inner().store(self.log_lines_dropped, Ordering::Relaxed);
        if let Some(expires) = self.certificate_expires {
            families.certificate_expiry.get_or_create(&[("listener", "listen".to_owned())]).set(expires);
        }
        for (rule, raised) in &self.alerts {
            let alerts = families.alerts.get_or_create(&[("rule", rule.as_str().to_owned())]);
            alerts.inner().store(*raised, Ordering::Relaxed);
        }
        for WebhookFacts { name, delivered, failed, pending } in &self.webhooks {
            let webhook = || ("webhook", name.clone());
            for (result, attempts) in [("delivered", delivered), ("failed", failed)] {
                let counted = families.deliveries.get_or_create(&[webhook(), ("result", result.to_owned())]);
                counted.inner().store(*attempts, Ordering::Relaxed);
            }
            families.deliveries_pending.get_or_create(&[webhook()]).set(i64::try_from(*pending).unwrap_or(i64::MAX));
        }
    }
}
