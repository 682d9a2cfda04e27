//! From the configuration to the terms of each crate: the same values, under the names that each crate has for them.

use std::time::Duration;

use approvals::Terms;
use engine::RuntimeConfig;
use store::StoreConfig;

use super::millis;
use crate::{
    config::{self, Config},
    reload,
};

/// Of the store.
pub(super) fn store(config: &Config) -> StoreConfig {
    let mut settings = StoreConfig::new(&config.store.path);
    settings.durability = config.store.durability;
    settings.limits.window = config.store.loss_window;
    settings
}

/// Places for instances of policies: enough for three in JavaScript, or nine in Rust or C, in each exchange. Each takes 4 GiB
/// of address space, of which a process has 128 TiB, and memory only while it is used.
pub(super) fn runtime(limits: &config::Limits) -> RuntimeConfig {
    const EACH: usize = 9;
    const MOST: u32 = 12_000;
    let least = RuntimeConfig::default();
    let places = u32::try_from(limits.exchanges.saturating_mul(EACH)).unwrap_or(u32::MAX);
    RuntimeConfig { memories: places.clamp(least.memories, MOST), ..least }
}

/// Of looking at the policy folder.
pub(super) fn reload_times(config: &Config) -> reload::Times {
    reload::Times { settle: config.policies.settle, rescan: config.policies.rescan }
}

/// Of questions to people.
pub(super) fn approvals(config: &Config) -> Terms {
    let config::Approvals { default_timeout, approvers, pending, pending_per_caller, .. } = &config.approvals;
    Terms {
        default_timeout_ms: millis(*default_timeout),
        approvers: approvers.clone(),
        pending: *pending,
        pending_per_caller: *pending_per_caller,
        ..Terms::default()
    }
}

/// Of what callers, and tokens that were issued here, may use; 0 in the configuration is no limit.
pub(super) fn registry(limits: &config::Limits) -> identity::Terms {
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let some = |count: usize| u64::try_from(count).ok().filter(|count| *count > 0);
    let rate = |count, per| some(count).map(|count| identity::Rate { count, per });
    identity::Terms {
        tokens: limits.tokens,
        caller_tokens: limits.caller_tokens,
        sessions: limits.sessions,
        grace: limits.expiry_grace,
        caller: identity::Limits {
            requests: rate(limits.caller_requests, MINUTE),
            streams: some(limits.caller_streams),
            tokens: rate(limits.caller_usage, DAY),
        },
        token: identity::Limits {
            requests: rate(limits.token_requests, MINUTE),
            streams: some(limits.token_streams),
            tokens: rate(limits.token_usage, DAY),
        },
    }
}

/// Of the path.
pub(super) fn limits(config: &Config) -> exchange::Limits {
    let limits = &config.limits;
    exchange::Limits {
        wire: wire::Limits {
            body_bytes: limits.body_bytes,
            event_bytes: limits.event_bytes,
            held_bytes: limits.held_bytes,
            json_depth: limits.json_depth,
        },
        coding: coding::Limits {
            zstd_window: limits.zstd_window,
            decode_ratio: limits.decode_ratio,
            decode_bytes: limits.decode_bytes,
        },
        batch_bytes: limits.batch_bytes,
        body_idle: limits.body_idle,
        body_rate: limits.body_rate as u64,
        upstream_first_byte: limits.upstream_first_byte,
        upstream_idle: limits.upstream_idle,
        approval_wait: config.approvals.wait,
        heartbeat: config.approvals.heartbeat,
        session_gap: limits.session_gap,
        sessions: limits.sessions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_places_for_policies_of_all_exchanges() {
        let places = |exchanges| runtime(&config::Limits { exchanges, ..config::Limits::default() }).memories;
        assert_eq!((places(1), places(1024), places(1 << 20)), (2_000, 9_216, 12_000));
    }
}
