//! An upstream's connection of which hyper sees only what the front door lets pass: responses to what was asked, each
//! with one framing. Between TLS and hyper.
//!
//! What must hold: a response with two meanings reaches nobody; a connection on which more came than was asked for takes
//! no other request.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use front::{Refusal, Responses};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sieve::Sieve;

/// What is asked of a connection, and what of it was answered. Clones share it.
#[derive(Clone)]
pub(super) struct Answers(Arc<Mutex<Responses>>);

impl Answers {
    /// Nothing was asked; heads have at most so many bytes.
    pub(super) fn new(head_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Responses::new(head_bytes))))
    }

    fn responses(&self) -> MutexGuard<'_, Responses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request goes out; `headless`: it has the method HEAD.
    pub(super) fn expect(&self, headless: bool) {
        self.responses().expect(headless);
    }

    /// Whether all that was asked is answered, and no more.
    pub(super) fn are_complete(&self) -> bool {
        self.responses().is_clean()
    }

    /// Whether the answer that comes ends with the connection.
    pub(super) fn end_with_connection(&self) -> bool {
        self.responses().ends_with_connection()
    }
}

/// A stream whose reads are checked.
pub(super) struct Strict<S> {
    stream: S,
    answers: Answers,
    sieve: Sieve,
    refused: Option<Refusal>,
}

impl<S> Strict<S> {
    pub(super) fn new(stream: S, answers: Answers) -> Self {
        Self { stream, answers, sieve: Sieve::default(), refused: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        loop {
            if this.sieve.hand_on(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some(refusal) = this.refused {
                // What came behind an answer leaves that whole: only nothing more comes.
                let surplus = this.answers.responses().is_surplus();
                let error = || io::Error::new(io::ErrorKind::InvalidData, refusal);
                return if surplus { Poll::Pending } else { Poll::Ready(Err(error())) };
            }
            let answers = &this.answers;
            match this.sieve.poll_read(&mut this.stream, cx, buf, |bytes| answers.responses().look(bytes)) {
                Poll::Ready(Ok(Some(seen))) => this.refused = seen.refused,
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
