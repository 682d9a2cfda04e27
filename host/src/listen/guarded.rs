//! A caller's connection that may not take its time for ever: when it takes no byte for so long, it is closed, and with
//! it the exchange whose reply it does not want. At once, when the credential of that exchange has ended: while a write
//! waits nobody polls the exchange, which would see that by itself.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use exchange::ports::Lease;
use futures_util::{FutureExt, future::BoxFuture};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

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

    fn over(&self) -> Option<BoxFuture<'static, ()>> {
        let lease = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(async move { lease.over().map(drop).await }.boxed())
    }
}

/// A stream whose writes must go on.
pub(super) struct Guarded<S> {
    stream: S,
    standing: Standing,
    /// Ready when the lease ends; only while a write waits.
    over: Option<BoxFuture<'static, ()>>,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, patience: Duration, standing: Standing) -> Self {
        let waiting = Box::pin(tokio::time::sleep(patience));
        Self { stream, standing, over: None, patience, waiting, waits: false }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = false;
            self.over = None;
            return written;
        }
        if !self.waits {
            self.waits = true;
            self.waiting.as_mut().reset(Instant::now() + self.patience);
            self.over = self.standing.over();
        }
        if self.over.as_mut().is_some_and(|over| over.poll_unpin(cx).is_ready()) {
            self.over = None;
            let deadline = self.waiting.deadline().min(Instant::now() + LAST_WRITE);
            self.waiting.as_mut().reset(deadline);
        }
        match self.waiting.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes no byte of its reply")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stalls_is_given_up() {
        let (near, _far) = duplex(4);
        let mut guarded = Guarded::new(near, Duration::from_secs(60), Standing::default());
        let error = guarded.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_served() {
        let (near, mut far) = duplex(1);
        let mut guarded = Guarded::new(near, Duration::from_secs(60), Standing::default());
        let reader = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                far.read_exact(&mut byte).await.unwrap();
            }
        });
        guarded.write_all(b"12345").await.unwrap();
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stalls_keeps_nothing_open_that_was_revoked() {
        let (near, _far) = duplex(4);
        let (standing, lease) = (Standing::default(), Lease::new(None));
        standing.set(Some(lease.clone()));
        let mut guarded = Guarded::new(near, Duration::from_secs(60), standing);
        let began = Instant::now();
        let writer = tokio::spawn(async move { guarded.write_all(b"more than fits").await });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!writer.is_finished());
        lease.end(exchange::ports::Ended::revoked("offboarded"));
        assert_eq!(writer.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    }
}
