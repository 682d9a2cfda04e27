//! Every threshold of detection. The configuration's defaults are these.

use model::Rule;

/// What is looked for, and how much of it is too much. A rule that is `None` is switched off.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// [`Rule::UnusualVolume`].
    pub unusual_volume: Option<Volume>,
    /// [`Rule::RefusedCredentials`], of one credential, address or caller.
    pub refused_credentials: Option<Burst>,
    /// [`Rule::RevokedCredentials`], of one credential or caller.
    pub revoked_credentials: Option<Burst>,
    /// [`Rule::FailedApprovals`], of one caller.
    pub failed_approvals: Option<Burst>,
    /// [`Rule::PolicyFailures`], of one policy.
    pub policy_failures: Option<Burst>,
    /// [`Rule::UpstreamCredentials`], of one connection.
    pub upstream_credentials: Option<Burst>,
    /// An alert is over when nothing more was noticed for so many milliseconds; what comes then is another one.
    pub quiet_ms: u64,
    /// Callers whose habits are known, and subjects of each other rule that are counted; the least recently seen go first.
    pub subjects: usize,
}

/// More than so many in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The one with which it is an alert; at least 1.
    pub count: usize,
    /// Within so many milliseconds.
    pub window_ms: u64,
}

/// When a caller asks more often than it uses to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Volume {
    /// Requests are counted in intervals of so many milliseconds.
    pub interval_ms: u64,
    /// A caller has habits once it has been known for so many intervals.
    pub history: u64,
    /// Fewer requests in an interval are never unusual.
    pub floor: u64,
    /// Standard deviations above the mean that are unusual.
    pub deviations: f64,
    /// What was seen so many intervals ago counts half.
    pub half_life: u64,
}

const MINUTE: u64 = 60_000;

impl Default for Volume {
    fn default() -> Self {
        Self { interval_ms: MINUTE, history: 60, floor: 100, deviations: 6.0, half_life: 24 * 60 }
    }
}

impl Default for Terms {
    fn default() -> Self {
        let burst = |count, minutes| Some(Burst { count, window_ms: minutes * MINUTE });
        Self {
            unusual_volume: Some(Volume::default()),
            refused_credentials: burst(20, 5),
            revoked_credentials: burst(1, 5),
            failed_approvals: burst(5, 10),
            policy_failures: burst(3, 5),
            upstream_credentials: burst(3, 5),
            quiet_ms: 15 * MINUTE,
            subjects: 10_000,
        }
    }
}

impl Terms {
    /// The threshold of a rule that counts; `None` for one that is off, or that goes by habits.
    pub(crate) fn burst(&self, rule: Rule) -> Option<Burst> {
        match rule {
            Rule::UnusualVolume => None,
            Rule::RefusedCredentials => self.refused_credentials,
            Rule::RevokedCredentials => self.revoked_credentials,
            Rule::FailedApprovals => self.failed_approvals,
            Rule::PolicyFailures => self.policy_failures,
            Rule::UpstreamCredentials => self.upstream_credentials,
        }
    }
}
