//! What the tests with a real provider stand on besides the provider itself: a clock that can be moved, issuers that are
//! kept fresh, and a gate (`gate.rs`).

#![expect(dead_code, reason = "no test uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

pub(crate) mod gate;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use identity::{Clock as Milliseconds, Issuer, Issuers};
use openid_provider::{AUDIENCE, Provider};

/// This provider as the gate trusts it.
pub(crate) fn terms(provider: &Provider) -> Issuer {
    Issuer::new(&provider.issuer, [AUDIENCE])
}

/// A clock that can be moved.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn shift(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn read(&self) -> Milliseconds {
        let shift = Arc::clone(&self.0);
        Arc::new(move || now().saturating_add_signed(shift.load(Ordering::SeqCst)) * 1000)
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// These issuers, kept fresh by a task of the test.
pub(crate) fn keep(issuers: impl IntoIterator<Item = Issuer>, clock: &Clock) -> Arc<Issuers> {
    let issuers = Arc::new(Issuers::with_clock(issuers, clock.read()).unwrap());
    let kept = Arc::clone(&issuers);
    tokio::spawn(async move { kept.keep().await });
    issuers
}
