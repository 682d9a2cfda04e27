//! What the log is told of by the clock, and by no exchange.

use std::{future::pending, time::Duration};

use admin::{Expiring, HostFacts};

use super::now_ms;

/// Time between two words on one certificate.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);
/// Time for which strangers are counted that are not told one by one.
const STRANGERS: Duration = Duration::from_secs(60);

/// Tells each day that the certificate which callers are shown expires soon, or has.
pub(super) async fn certificate(host: HostFacts) {
    if host.certificate_expires.is_none() {
        return pending().await;
    }
    loop {
        match host.certificate(i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX)) {
            Some(Expiring::Soon(told)) => tracing::warn!("the listener's certificate {told}"),
            Some(Expiring::Expired(told)) => tracing::error!("the listener's certificate {told}"),
            None => {}
        }
        tokio::time::sleep(DAILY).await;
    }
}

/// Tells how many strangers were left out of the log, also where no other comes to be told of.
pub(super) async fn strangers() {
    loop {
        tokio::time::sleep(STRANGERS).await;
        exchange::record::tell_of_strangers(false);
    }
}
