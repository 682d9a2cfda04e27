//! Bytes of a connection that are handed on only as far as the front door lets them pass: between a socket, or TLS, and
//! hyper, towards callers (`listen/strict.rs`) and towards upstreams (`forward/strict.rs`).
//!
//! What must hold: what has not passed is not handed on. In the usual case nothing is copied: what comes whole is read
//! straight into the reader's buffer and looked at there.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use front::Seen;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that are read at once while a head has not all come.
const PIECE: usize = 4096;

/// Room for one piece. It is not cleared: each connection asks several times an exchange, and mostly nothing has come.
fn room() -> [MaybeUninit<u8>; PIECE] {
    [MaybeUninit::uninit(); PIECE]
}

/// Bytes that were read and not handed on: first what may pass, then the begin of a head.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    held: Vec<u8>,
    /// How much of it may pass.
    cleared: usize,
}

impl Sieve {
    /// Hands on what may pass of what was held. False when there is none.
    pub(crate) fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        if self.cleared == 0 {
            return false;
        }
        let count = self.cleared.min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.drain(..count);
        self.cleared -= count;
        if self.held.is_empty() {
            // A head that comes in pieces is rare: its room is not kept.
            self.held = Vec::new();
        }
        true
    }

    /// Whether a head has begun that has not all come.
    pub(crate) fn waits(&self) -> bool {
        self.held.len() > self.cleared
    }

    /// Reads what comes while nothing may pass, up to so many bytes in all; ready at the end of the stream.
    pub(crate) fn poll_keep<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<()>> {
        while self.held.len() < most {
            let mut room = room();
            let mut piece = ReadBuf::uninit(&mut room);
            let mut piece = piece.take(most - self.held.len());
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(piece.filled());
        }
        Poll::Pending
    }

    /// Lets `look` see what was held and has not passed.
    pub(crate) fn look(&mut self, look: impl FnOnce(&[u8]) -> Seen) -> Seen {
        let seen = look(&self.held);
        self.cleared = seen.passed;
        if seen.refused.is_some() {
            self.held.truncate(seen.passed);
        }
        seen
    }

    /// Reads, and lets `look` see all that has not passed. What passes is in the reader's buffer, or is handed on next.
    /// `None` at the end of the stream.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        look: impl FnOnce(&[u8]) -> Seen,
    ) -> Poll<io::Result<Option<Seen>>> {
        let stream = Pin::new(stream);
        if !self.held.is_empty() {
            return self.poll_read_on(stream, cx, look);
        }
        let before = buf.filled().len();
        ready!(stream.poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        if fresh.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let seen = look(fresh);
        if seen.refused.is_none() {
            self.held.extend_from_slice(&fresh[seen.passed..]);
        }
        buf.set_filled(before + seen.passed);
        Poll::Ready(Ok(Some(seen)))
    }

    fn poll_read_on<S: AsyncRead>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
        look: impl FnOnce(&[u8]) -> Seen,
    ) -> Poll<io::Result<Option<Seen>>> {
        let mut room = room();
        let mut piece = ReadBuf::uninit(&mut room);
        ready!(stream.poll_read(cx, &mut piece))?;
        if piece.filled().is_empty() {
            return Poll::Ready(Ok(None));
        }
        self.held.extend_from_slice(piece.filled());
        Poll::Ready(Ok(Some(self.look(look))))
    }
}
