//! Every metric: its name, its labels, what it says. `host/docs/metrics.md` lists the same.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// Labels and their values.
pub(crate) type Labels<const N: usize> = [(&'static str, String); N];

pub(crate) type Counters<const N: usize> = Family<Labels<N>, Counter>;
pub(crate) type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;
pub(crate) type GaugeF = Gauge<f64, AtomicU64>;

/// What is long: whole exchanges, answers of models. 5 ms to 5.5 minutes.
fn long() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 17))
}

/// What is short: the gate's own work. 25 µs to 0.8 s.
fn short() -> Histogram {
    Histogram::new(exponential_buckets(0.000_025, 2.0, 16))
}

macro_rules! families {
    ($($field:ident: $type:ty = $make:expr, $name:literal, $help:literal;)*) => {
        pub(crate) struct Families { $(pub(crate) $field: $type),* }

        impl Families {
            fn made() -> Self {
                Self { $($field: $make),* }
            }

            fn register(&self, registry: &mut Registry) {
                $(registry.register($name, $help, self.$field.clone());)*
            }

            /// Every name, for the comparison with the documentation.
            #[cfg(test)]
            pub(crate) const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

families! {
    build: Family<Labels<1>, Gauge> = Family::default(), "build_info", "1, with the version of the host";
    exchanges: Counters<3> = Family::default(), "exchanges", "Exchanges that are over, by how they ended";
    running: Family<Labels<1>, Gauge> = Family::default(), "exchanges_running", "Exchanges that run";
    seconds: Histograms<1> = Family::new_with_constructor(long), "exchange_seconds", "Time from the head of a request to the end of its exchange";
    judge: Histograms<2> = Family::new_with_constructor(short), "judge_seconds", "Time that decoding and policies take: of a whole request, of a batch of a response";
    record: Histograms<1> = Family::new_with_constructor(short), "record_seconds", "Time that a cleared request waits until it is durable";
    upstream: Histograms<1> = Family::new_with_constructor(long), "upstream_head_seconds", "Time from sending a request to the head of the upstream's answer";
    answers: Counters<2> = Family::default(), "upstream_answers", "Answers of upstreams, by class of status; none where there was no answer";
    tokens: Counters<2> = Family::default(), "tokens", "Tokens of usage, as providers count them";
    refused: Counters<1> = Family::default(), "requests_refused", "Requests that were refused before there was an exchange, by the refusal's code";
    calls: Counters<1> = Family::default(), "policy_calls", "Calls of a policy's hooks";
    blocks: Counters<2> = Family::default(), "policy_blocks", "Exchanges that a policy stopped";
    holds: Counters<2> = Family::default(), "policy_holds", "Questions to a person that a policy asked";
    edits: Counters<2> = Family::default(), "policy_edits", "Places that a policy masked or changed";
    failures: Counters<2> = Family::default(), "policy_failures", "Calls with no verdict, by kind";
    approvals: Counters<1> = Family::default(), "approvals", "Questions to people that came to this state";
    approvals_pending: Gauge = Gauge::default(), "approvals_pending", "Questions to people that nobody has decided";
    revocations: Gauge = Gauge::default(), "revocations", "Revocations in force";
    set_generation: Gauge = Gauge::default(), "policy_set_generation", "Number of the policy set in force";
    set_policies: Gauge = Gauge::default(), "policy_set_policies", "Policies in force";
    set_problems: Gauge = Gauge::default(), "policy_set_problems", "Files that are not in force as they stand; above 0 the set is degraded";
    store_failed: Gauge = Gauge::default(), "store_failed", "1 when nothing more can be recorded";
    control_log_failed: Gauge = Gauge::default(), "control_log_failed", "1 when no token and no revocation is kept until the host is restarted";
    store_appended: Counter = Counter::default(), "store_appended_bytes", "Bytes that were given to the store since it was made";
    store_unwritten: Gauge = Gauge::default(), "store_unwritten_bytes", "Bytes that are not in the operating system's hands yet";
    store_undurable: Gauge = Gauge::default(), "store_undurable_bytes", "Bytes that are not on the disk yet";
    store_uningested: Gauge = Gauge::default(), "store_uningested_bytes", "Bytes on the disk that can't be read back yet";
    panics: Counter = Counter::default(), "panics", "Faults of the host's own, each of which ended what it was at";
    alerts: Counters<1> = Family::default(), "alerts", "Alerts that were raised, by rule";
    deliveries: Counters<2> = Family::default(), "webhook_deliveries", "Attempts to tell a webhook of an alert";
    deliveries_pending: Family<Labels<1>, Gauge> = Family::default(), "webhook_pending", "Alerts of which a webhook is still to be told";
    log_dropped: Counter = Counter::default(), "log_lines_dropped", "Lines of the log that were dropped, since nobody read it in time";
    certificate_expiry: Family<Labels<1>, Gauge> = Family::default(), "certificate_expiry_timestamp_seconds", "When the certificate that callers are shown expires, since 1970-01-01T00:00:00Z; none where they are shown none";
    uptime: GaugeF = GaugeF::default(), "uptime_seconds", "Time since the host started";
}

impl Families {
    pub(crate) fn new(registry: &mut Registry, version: &str) -> Self {
        let families = Self::made();
        families.register(registry);
        families.build.get_or_create(&[("version", version.to_owned())]).set(1);
        families
    }
}
