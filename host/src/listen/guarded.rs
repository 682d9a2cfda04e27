//! A caller's connection that may not take its time for ever: when it takes no byte for so long, it is closed, and with
//! it the exchange whose reply it does not want. At once, when the credential of that exchange has ended: while a write
//! waits nobody polls the exchange, which would see that by itself.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use exchange::ports::Lease;
use patient::{Over, Patient};

/// Time in which a caller whose credential has ended must take what waits to be written.
const LAST_WRITE: Duration = Duration::from_millis(200);

/// The lease that what is written now depends on.
#[derive(Clone, Default)]
pub(super) struct Standing(Arc<Mutex<Option<Lease>>>);

impl Standing {
    /// What is written from now on depends on this.
    pub(super) fn set(&self, lease: Option<Lease>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }

    fn over(&self) -> Option<Over> {
        let lease = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Box::pin(async move { drop(lease.over().await) }))
    }
}

/// A stream whose writes must go on.
pub(super) fn guarded<S>(stream: S, patience: Duration, standing: Standing) -> Patient<S> {
    Patient::new(stream, patience).cut_by(move || standing.over(), LAST_WRITE)
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::{
        io::{AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stalls_keeps_nothing_open_that_was_revoked() {
        let (near, _far) = duplex(4);
        let (standing, lease) = (Standing::default(), Lease::new(None));
        standing.set(Some(lease.clone()));
        let mut stream = guarded(near, Duration::from_secs(60), standing);
        let began = Instant::now();
        let writer = tokio::spawn(async move { stream.write_all(b"more than fits").await });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!writer.is_finished());
        lease.end(exchange::ports::Ended::revoked("offboarded"));
        assert_eq!(writer.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    }
}
