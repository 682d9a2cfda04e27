//! A connection whose writes must go on: when the other end takes no byte for so long, it fails, and with it whatever was
//! to be written.
//!
//! What must hold: only a write that waits is timed, and each byte that is taken begins the time anew; reading takes as
//! long as it takes.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// Ready when what is written is not wanted any more.
pub type Over = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is asked whenever a write begins to wait.
type Cut = Box<dyn Fn() -> Option<Over> + Send>;

/// A stream whose writes wait for so long and no longer.
pub struct Patient<S> {
    stream: S,
    patience: Duration,
    cut: Option<Cut>,
    /// From its end on so much is left; only while a write waits.
    over: Option<Over>,
    last: Duration,
    /// Runs while a write waits.
    waiting: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> Patient<S> {
    /// Its writes wait for `patience` at most.
    pub fn new(stream: S, patience: Duration) -> Self {
        let waiting = Box::pin(tokio::time::sleep(patience));
        Self { stream, patience, cut: None, over: None, last: Duration::ZERO, waiting, waits: false }
    }

    /// A write that waits when what `cut` gives is ready waits for `last` more at most. Nobody else would see that: while a
    /// write waits, nobody polls what is behind it.
    #[must_use]
    pub fn cut_by(mut self, cut: impl Fn() -> Option<Over> + Send + 'static, last: Duration) -> Self {
        self.cut = Some(Box::new(cut));
        self.last = last;
        self
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
            self.over = self.cut.as_ref().and_then(|cut| cut());
        }
        if self.over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready()) {
            self.over = None;
            let deadline = self.waiting.deadline().min(Instant::now() + self.last);
            self.waiting.as_mut().reset(deadline);
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no byte of what is written is taken");
        self.waiting.as_mut().poll(cx).map(|()| Err(late()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
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

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_is_slow_is_served() {
        let (near, mut far) = duplex(1);
        let reader = tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(PATIENCE * 9 / 10).await;
                far.read_u8().await.unwrap();
            }
            far
        });
        let mut patient = Patient::new(near, PATIENCE);
        patient.write_all(b"1234").await.unwrap();
        let _far = reader.await.unwrap();
        let (began, late) = (Instant::now(), patient.write_all(b"56").await.unwrap_err());
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
    }
}
