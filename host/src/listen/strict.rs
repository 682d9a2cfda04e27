//! A caller's connection of which hyper sees only what the front door lets pass: whole heads with one meaning, bodies in
//! their framing. Between TLS and hyper.
//!
//! What must hold: not one byte of a head that is refused reaches hyper; a body that is refused ends in an error, never
//! like a whole one; a head has its deadline, and a connection with no request its own. hyper notices that a caller went
//! away only as long as it holds no byte behind the request: so the next head is kept here until the exchange is over.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use front::{Place, Refusal, Requests, Seen};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Semaphore,
    time::{Instant, Sleep},
};

use super::course::Course;
use crate::sieve::Sieve;

/// Time in which a caller that was refused may go on sending before its connection is closed, so that it can read why:
/// unread bytes would make the system take back what was sent.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are thrown away meanwhile, and how many of them at once.
const LINGER_BYTES: usize = 256 << 10;
const PIECE: usize = 4096;

/// Bounds of what callers send (`head_bytes`, `head_deadline`, `keep_alive`).
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) head_bytes: usize,
    pub(super) head_deadline: Duration,
    pub(super) keep_alive: Duration,
    /// Places for connections: when none is left, one with no request makes room as soon as a slow head.
    pub(super) places: Arc<Semaphore>,
}

/// A stream whose reads are checked. `R` makes the answer to what is refused before any request was taken of it.
pub(super) struct Strict<S, R> {
    stream: S,
    terms: Terms,
    course: Course,
    requests: Requests,
    sieve: Sieve,
    /// Requests whose heads have passed.
    requested: u64,
    /// Since when a head is awaited whose first byte has come, or the first head of all.
    head_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    over: Option<Over>,
    refuse: R,
    /// The caller takes no byte at the moment.
    blocked: bool,
    leaving: Leaving,
}

/// Why nothing more is handed on.
#[derive(Clone, Copy, Debug)]
enum Over {
    Refused(Refusal),
    /// No request came.
    Idle,
}

/// How the connection is closed.
enum Leaving {
    Plainly,
    /// An answer of the gate's own is said first.
    Saying {
        answer: Vec<u8>,
        said: usize,
    },
    Closing,
    Lingering {
        taken: usize,
    },
    Left,
}

impl<S, R> Strict<S, R>
where
    R: FnMut(Refusal) -> Vec<u8>,
{
    pub(super) fn new(stream: S, terms: Terms, course: Course, refuse: R) -> Self {
        let now = Instant::now();
        Self {
            stream,
            course,
            requests: Requests::new(terms.head_bytes),
            sieve: Sieve::default(),
            requested: 0,
            head_since: Some(now),
            timer: Box::pin(tokio::time::sleep_until(now + terms.head_deadline)),
            terms,
            over: None,
            refuse,
            blocked: false,
            leaving: Leaving::Plainly,
        }
    }

    /// Takes note of what became of bytes; `head`: the first of them was a head's.
    fn note(&mut self, seen: Seen, head: bool) {
        if seen.passed > 0 {
            self.head_since = None;
            self.requested += u64::from(head);
        }
        if let Some(refusal) = seen.refused {
            self.end(Over::Refused(refusal));
        } else if self.sieve.waits() && self.head_since.is_none() {
            self.head_since = Some(Instant::now());
        }
    }

    fn end(&mut self, over: Over) {
        if let Over::Refused(refusal) = over {
            if refusal.place == Place::Body {
                self.course.break_off();
            }
            self.leaving = Leaving::Closing;
            tracing::debug!(status = refusal.status, why = refusal.why, "a caller's bytes are refused");
        }
        self.over = Some(over);
    }

    /// What the reader is told when nothing more comes: the end; of a body an error.
    fn tell(&mut self, over: Over) -> io::Result<()> {
        match over {
            Over::Refused(refusal) if refusal.place == Place::Body => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, refusal));
            }
            Over::Refused(refusal) if matches!(self.leaving, Leaving::Closing) && !self.blocked => {
                self.leaving = Leaving::Saying { answer: (self.refuse)(refusal), said: 0 };
            }
            Over::Refused(_) | Over::Idle => {}
        }
        Ok(())
    }

    /// When what is awaited must have come; none while an exchange runs.
    fn due(&self) -> Option<Instant> {
        let Terms { head_deadline, keep_alive, .. } = self.terms;
        if let Some(since) = self.head_since {
            return Some(since + head_deadline);
        }
        let crowded = self.terms.places.available_permits() == 0;
        self.course.idle_since().map(|since| since + if crowded { head_deadline.min(keep_alive) } else { keep_alive })
    }

    /// Waits for more. True when the time for it is over.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            // What is due later is looked at when the timer runs out: no exchange sets it anew.
            if let Some(due) = self.due().filter(|due| *due < self.timer.deadline()) {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            let now = Instant::now();
            let due = self.due();
            if due.is_some_and(|due| due <= now) {
                return true;
            }
            let again = now + self.terms.head_deadline;
            self.timer.as_mut().reset(due.map_or(again, |due| due.min(again)));
        }
    }

    fn late(&mut self) {
        const LATE: Refusal = Refusal { status: 408, why: "the head did not come in time", place: Place::Head };
        self.end(if self.sieve.waits() { Over::Refused(LATE) } else { Over::Idle });
    }
}

impl<S, R> AsyncRead for Strict<S, R>
where
    S: AsyncRead + Unpin,
    R: FnMut(Refusal) -> Vec<u8> + Unpin,
{
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        loop {
            if this.sieve.hand_on(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some(over) = this.over {
                return Poll::Ready(this.tell(over));
            }
            let head = this.requests.expects_head();
            if head && this.course.wait(this.requested, cx) {
                // Its time begins when it is looked at.
                this.head_since = None;
                return this.sieve.poll_keep(&mut this.stream, cx, this.terms.head_bytes);
            }
            let requests = &mut this.requests;
            if this.sieve.waits() {
                let seen = this.sieve.look(|bytes| requests.look_at_one(bytes));
                this.note(seen, head);
                if seen.passed > 0 || seen.refused.is_some() {
                    continue;
                }
            }
            let requests = &mut this.requests;
            match this.sieve.poll_read(&mut this.stream, cx, buf, |bytes| requests.look_at_one(bytes)) {
                Poll::Ready(Ok(Some(seen))) => this.note(seen, head),
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // Only where a head is awaited: a body has its time from the exchange.
                Poll::Pending if this.requests.expects_head() && this.is_late(cx) => this.late(),
                Poll::Pending => return Poll::Pending,
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S, R> AsyncWrite for Strict<S, R>
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: FnMut(Refusal) -> Vec<u8> + Unpin,
{
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.blocked = written.is_pending();
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.blocked = written.is_pending();
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut stream = Pin::new(&mut this.stream);
        loop {
            match &mut this.leaving {
                Leaving::Plainly => return stream.poll_shutdown(cx),
                Leaving::Saying { answer, said } if *said < answer.len() => {
                    *said += ready!(stream.as_mut().poll_write(cx, &answer[*said..]))?;
                }
                Leaving::Saying { .. } => {
                    ready!(stream.as_mut().poll_flush(cx))?;
                    this.leaving = Leaving::Closing;
                }
                Leaving::Closing => {
                    ready!(stream.as_mut().poll_shutdown(cx))?;
                    this.timer.as_mut().reset(Instant::now() + LINGER);
                    this.leaving = Leaving::Lingering { taken: 0 };
                }
                Leaving::Lingering { taken } => {
                    if this.timer.as_mut().poll(cx).is_ready() {
                        this.leaving = Leaving::Left;
                        continue;
                    }
                    let mut piece = [0; PIECE];
                    let mut buf = ReadBuf::new(&mut piece);
                    let read = ready!(stream.as_mut().poll_read(cx, &mut buf));
                    *taken += buf.filled().len();
                    if read.is_err() || buf.filled().is_empty() || *taken > LINGER_BYTES {
                        this.leaving = Leaving::Left;
                    }
                }
                Leaving::Left => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests;
