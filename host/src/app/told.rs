//! What the log is told of by the clock, and by no exchange.

use std::{future::pending, time::Duration};

use admin::Expiring;
use exchange::record;

use super::now_ms;

/// Time between two words on one certificate.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// Tells each day that the certificate which callers are shown expires soon, or has: at this time, in seconds since
/// 1970-01-01T00:00:00Z.
pub(super) async fn certificate(expires: Option<i64>) {
    let Some(expires) = expires else { return pending().await };
    loop {
        match Expiring::of(expires, i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX)) {
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
        tokio::time::sleep(record::STRANGERS_WINDOW).await;
        record::tell_of_strangers(false);
    }
}
