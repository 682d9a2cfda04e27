//! A connection whose writes must go on: when the other end takes no byte for so long, it is closed, whoever it is.

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

/// Time in which a byte of an answer must be taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream whose writes wait for so long and no longer.
pub(crate) struct Patient<S> {
    stream: S,
    /// Runs while a write waits.
    waiting: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> Patient<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, waiting: Box::pin(tokio::time::sleep(PATIENCE)), waits: false }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = false;
            return written;
        }
        if !self.waits {
            self.waits = true;
            self.waiting.as_mut().reset(Instant::now() + PATIENCE);
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no byte of the answer is taken");
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
        let mut patient = Patient::new(near);
        patient.write_all(b"1234").await.unwrap();
        let _far = reader.await.unwrap();
        assert_eq!(patient.write_all(b"56").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
