//! Those who watch the path: detection and metrics, joined to what they watch and to what they tell besides.

use std::{sync::Arc, time::Instant};

use admin::Metrics;
use alerts::{Alerts, Standing};
use approvals::Approvals;
use exchange::{
    Watched,
    ports::{PolicySet, Watch},
};
use identity::{Access, Registry};
use meters::{Facts, Meters, StoreFacts, WebhookFacts};
use store::Store;
use tokio::sync::watch;

use crate::{
    config::{self, Config},
    telemetry::{self, Lines},
};

/// The file beside the records in which callers' habits are kept.
const HABITS: &str = "habits.json";

/// Detection and metrics.
pub(super) struct Observers {
    pub(super) alerts: Alerts,
    meters: Meters,
}

impl Observers {
    /// Detection goes on with what the store has of it; metrics begin at 0.
    pub(super) fn open(config: &Config, store: &Arc<Store>) -> anyhow::Result<Self> {
        let webhooks = config.webhooks.iter().cloned().map(|config::Webhook { name, url, secrets, rules, tls_ca }| {
            let told = alerts::Webhook::new(name.clone(), url, secrets, rules, tls_ca.as_deref());
            told.map_err(|wrong| anyhow::anyhow!("the webhook {name} can't be told: {wrong}"))
        });
        let webhooks = webhooks.collect::<anyhow::Result<Vec<_>>>()?;
        let habits = config.store.path.join(HABITS);
        let alerts = Alerts::open(config.alerts.clone(), webhooks, Arc::clone(store) as Arc<_>, Some(habits))?;
        Ok(Self { alerts, meters: Meters::new(env!("CARGO_PKG_VERSION")) })
    }

    /// The same, watched by both.
    pub(super) fn watch<T: ?Sized>(&self, inner: Arc<T>) -> Arc<Watched<T>> {
        let watchers: Vec<Arc<dyn Watch>> = vec![Arc::new(self.meters.clone()), Arc::new(self.alerts.clone())];
        Arc::new(Watched::new(inner, watchers))
    }

    /// What is told when metrics are asked for.
    pub(super) fn metrics(&self, others: Others, certificate_expires: Option<i64>, log: Lines) -> Metrics {
        let (alerts, meters, started) = (self.alerts.clone(), self.meters.clone(), Instant::now());
        let render = move || {
            let facts = facts(&others, &alerts, started);
            meters.render(&Facts { log_lines_dropped: log.dropped(), certificate_expires, ..facts })
        };
        Metrics { content_type: meters::CONTENT_TYPE, render: Box::new(render) }
    }
}

/// Those who know what no watcher sees.
pub(super) struct Others {
    pub(super) policies: watch::Receiver<Arc<PolicySet>>,
    pub(super) approvals: Approvals,
    pub(super) registry: Registry,
    pub(super) access: Access,
    pub(super) store: Arc<Store>,
}

fn facts(others: &Others, alerts: &Alerts, started: Instant) -> Facts {
    let set = Arc::clone(&others.policies.borrow());
    let store = others.store.status();
    let webhook =
        |Standing { webhook, delivered, failed, pending }| WebhookFacts { name: webhook, delivered, failed, pending };
    Facts {
        uptime: started.elapsed().as_secs_f64(),
        generation: set.generation.0,
        policies: set.policies.len(),
        problems: set.problems.len(),
        approvals_pending: others.approvals.pending(),
        revocations: others.registry.revocations().len(),
        panics: telemetry::panics(),
        store: StoreFacts {
            failed: store.failed.is_some(),
            control_failed: store.control_failed.is_some(),
            appended: store.appended,
            written: store.written,
            durable: store.durable,
            ingested: store.ingested,
        },
        alerts: alerts.raised(),
        webhooks: alerts.standing().into_iter().map(webhook).collect(),
        ..Facts::default()
    }
}
