//! A connection to an upstream that is polled by the exchange that uses it, not by a task of its own. So everything
//! that has arrived is decoded in one go and becomes one batch (a task per connection hands over chunk by chunk, with
//! two task switches for each), and a dropped exchange closes its connection.
//!
//! What must hold: only a connection whose answer was read to its end, with nothing behind it, and that is idle, goes back
//! to the pool.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use exchange::{BodyError, ForwardError};
use front::Refusal;
use futures_util::{FutureExt, Stream, future::BoxFuture};
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    pool::Pool,
    strict::{Answers, Strict},
};

/// Bytes that hyper may hold of what it reads, which is what it holds by itself: a batch is made of them.
const BUFFER: usize = 408 << 10;

/// Why there is no answer.
pub(super) enum Failed {
    /// The connection was closed before a byte of the request was sent: it may be sent again.
    Unsent(Box<Request<Full<Bytes>>>),
    /// What came is no answer that may be read.
    Unreadable(Refusal),
    /// It can't be sent: nothing of it was.
    Unsendable(String),
    /// It may have been sent.
    Other(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(_) => f.write_str("the upstream closed the connection before the request was sent"),
            Self::Unreadable(refusal) => fmt::Display::fmt(refusal, f),
            Self::Unsendable(cause) | Self::Other(cause) => f.write_str(cause),
        }
    }
}

impl Failed {
    fn of(error: &hyper::Error) -> Self {
        match refusal_in(error) {
            Some(refusal) => Self::Unreadable(refusal),
            None => Self::Other(format!("HTTP with the upstream: {}", chain(error))),
        }
    }
}

impl From<Failed> for ForwardError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unreadable(refusal) => Self::Unreadable(refusal.to_string()),
            Failed::Unsent(_) | Failed::Unsendable(_) => Self::Unsent(failed.to_string()),
            Failed::Other(cause) => Self::Unreachable(cause),
        }
    }
}

/// An open connection.
pub(super) struct Live {
    sender: SendRequest<Full<Bytes>>,
    answers: Answers,
    /// `None` once it has ended.
    connection: Option<BoxFuture<'static, Result<(), hyper::Error>>>,
}

impl Live {
    /// `head_bytes`: of each response's head.
    pub(super) async fn begin<I>(io: I, head_bytes: usize) -> Result<Self, Failed>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answers = Answers::new(head_bytes);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER.max(head_bytes))
            .handshake(TokioIo::new(Strict::new(io, answers.clone())))
            .await
            .map_err(|error| Failed::Unsendable(format!("HTTP with the upstream: {error}")))?;
        Ok(Self { sender, answers, connection: Some(connection.boxed()) })
    }

    /// Lets the connection do what it can. True once it has ended.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(connection) = self.connection.as_mut()
            && connection.as_mut().poll(cx).is_ready()
        {
            self.connection = None;
        }
        self.connection.is_none()
    }

    /// Whether it can take another request: looks whether the upstream has closed it meanwhile.
    pub(super) fn is_usable(&mut self) -> bool {
        let ended = poll_fn(|cx| Poll::Ready(self.drive(cx))).now_or_never().unwrap_or(true);
        !ended && self.sender.is_ready() && self.answers.are_complete()
    }

    /// Whether the answer that comes ends with the connection, so that one that was cut looks like a whole one.
    pub(super) fn ends_with_answer(&self) -> bool {
        self.answers.end_with_connection()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(mut self, request: Request<Full<Bytes>>) -> Result<(Self, Response<Incoming>), Failed> {
        self.answers.expect(request.method() == Method::HEAD);
        let answer = {
            let mut answer = std::pin::pin!(self.sender.try_send_request(request));
            poll_fn(|cx| {
                if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                    return Poll::Ready(answer);
                }
                if let Some(connection) = self.connection.as_mut()
                    && connection.as_mut().poll(cx).is_ready()
                {
                    self.connection = None;
                }
                answer.as_mut().poll(cx)
            })
            .await
        };
        match answer {
            Ok(response) => Ok((self, response)),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Failed::Unsent(Box::new(request)),
                None => Failed::of(&error.into_error()),
            }),
        }
    }
}

/// The body of an answer, and the connection it comes from.
pub(super) struct AnswerBody {
    live: Option<Live>,
    body: Incoming,
    pool: Arc<Pool>,
}

impl AnswerBody {
    pub(super) fn new(live: Live, body: Incoming, pool: Arc<Pool>) -> Self {
        Self { live: Some(live), body, pool }
    }

    /// The body's next data, driving the connection when there is none yet.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    if let Some(live) = self.live.as_mut() {
                        live.drive(cx);
                    }
                    ready!(Pin::new(&mut self.body).poll_frame(cx))
                }
            };
            match frame.transpose()?.map(hyper::body::Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Ok(data)) => return Poll::Ready(Some(Ok(data))),
                // Trailers are dropped: nothing behind the gate may speak past the body.
                Some(Err(_)) => {}
            }
        }
    }
}

impl Stream for AnswerBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.poll_data(cx)) {
            Some(Ok(data)) => Poll::Ready(Some(Ok(data))),
            Some(Err(error)) => {
                self.live = None;
                Poll::Ready(Some(Err(BodyError(chain(&error)))))
            }
            None => {
                if let Some(mut live) = self.live.take()
                    && !live.drive(cx)
                {
                    self.pool.give(live);
                }
                Poll::Ready(None)
            }
        }
    }
}

/// What was refused of the upstream's bytes, where that is the cause.
fn refusal_in(error: &(dyn std::error::Error + 'static)) -> Option<Refusal> {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let mut io = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref());
    io.find_map(|inner| inner.downcast_ref::<Refusal>().copied())
}

/// An error with all its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
