//! The way out to the caller. The path runs as one future that says the head and then chunks through an [`Outlet`];
//! the caller's side polls that future through [`Reply`]. No task is spawned: when the caller goes away, `Reply` is
//! dropped, and with it the whole exchange, its upstream connection included.
//!
//! What must hold: a reply that was cut ends in an error, never like a complete one.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, future::BoxFuture};
use http::{HeaderMap, Response, StatusCode};
use thiserror::Error;

use crate::{head::content_type, ports::Lease};

/// The reply ended before it was complete: the connection must be closed abnormally.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the reply was cut")]
pub struct Cut;

/// How the path's future ended.
pub(crate) enum End {
    /// The reply is complete.
    Complete,
    /// It is not, and the caller must see that.
    Cut,
}

/// The path's side.
#[derive(Clone)]
pub(crate) struct Outlet(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    lease: Option<Lease>,
    head: Option<(StatusCode, HeaderMap)>,
    began: bool,
    /// The content type that the head said.
    content_type: String,
    /// Something other than white space was said behind the head.
    spoke: bool,
    /// The last line that was said ended with CRLF.
    crlf: bool,
    /// The last byte that was said is a CR.
    cr: bool,
    chunk: Option<Bytes>,
}

impl Slot {
    /// Notes how lines end. An LF may come in another chunk than its CR.
    fn note_ends(&mut self, chunk: &[u8]) {
        if let Some(lf) = memchr::memrchr(b'\n', chunk) {
            self.crlf = lf.checked_sub(1).map_or(self.cr, |before| chunk[before] == b'\r');
        }
        self.cr = chunk.last() == Some(&b'\r');
    }
}

impl Outlet {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says the head, once; later heads are not said.
    pub(crate) fn head(&self, status: StatusCode, headers: HeaderMap) {
        let mut slot = self.slot();
        if !slot.began {
            slot.began = true;
            content_type(&headers).clone_into(&mut slot.content_type);
            slot.head = Some((status, headers));
        }
    }

    /// The credential that the reply depends on.
    pub(crate) fn watch(&self, lease: &Lease) {
        self.slot().lease = Some(lease.clone());
    }

    /// Whether the head has been said.
    pub(crate) fn began(&self) -> bool {
        self.slot().began
    }

    /// The content type that the head said, and whether anything but white space was said behind it.
    pub(crate) fn said(&self) -> (String, bool) {
        let slot = self.slot();
        (slot.content_type.clone(), slot.spoke)
    }

    /// The gate's own words, whose lines end with LF, with the ends that lines had so far: some clients look for two of the
    /// same, and know no others than those that the stream began with.
    pub(crate) fn lines(&self, words: Vec<u8>) -> Vec<u8> {
        if !self.slot().crlf {
            return words;
        }
        let mut lines = words.split(|&byte| byte == b'\n');
        let mut out = lines.next().unwrap_or_default().to_vec();
        for line in lines {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(line);
        }
        out
    }

    /// Hands a chunk on; ready when there is room, that is: when the one before has been taken.
    pub(crate) async fn send(&self, chunk: Bytes) {
        let mut chunk = Some(chunk).filter(|chunk| !chunk.is_empty());
        // No waker is kept: the only one who makes room is the one who polls this future again.
        poll_fn(|_| {
            let mut slot = self.slot();
            if chunk.is_some() && slot.chunk.is_some() {
                return Poll::Pending;
            }
            if let Some(chunk) = chunk.take() {
                slot.spoke = slot.spoke || !chunk.trim_ascii_start().is_empty();
                slot.note_ends(&chunk);
                slot.chunk = Some(chunk);
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// The body of the response to the caller: polls the exchange that makes it.
pub struct Reply {
    run: Option<BoxFuture<'static, End>>,
    outlet: Outlet,
    cut: bool,
}

impl Reply {
    /// The lease of the credential that this reply depends on. Who writes the reply watches it too: a caller that takes no
    /// byte keeps the exchange from being polled, and must not keep its connection either.
    #[must_use]
    pub fn lease(&self) -> Option<Lease> {
        self.outlet.slot().lease.clone()
    }
}

impl Stream for Reply {
    type Item = Result<Bytes, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(chunk) = self.outlet.slot().chunk.take() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        if let Some(run) = self.run.as_mut()
            && let Poll::Ready(end) = run.as_mut().poll(cx)
        {
            self.run = None;
            self.cut = matches!(end, End::Cut);
        }
        if let Some(chunk) = self.outlet.slot().chunk.take() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        match (&self.run, self.cut) {
            (Some(_), _) => Poll::Pending,
            (None, true) => {
                self.cut = false;
                Poll::Ready(Some(Err(Cut)))
            }
            (None, false) => Poll::Ready(None),
        }
    }
}

/// Runs the path until it has said the head; the rest of it runs as the reply's body is polled.
pub(crate) async fn run<F, R>(path: F) -> Response<Reply>
where
    F: FnOnce(Outlet) -> R,
    R: Future<Output = End> + Send + 'static,
{
    let outlet = Outlet(Arc::default());
    let mut run: BoxFuture<'static, End> = Box::pin(path(outlet.clone()));
    let mut ended = None;
    let (status, headers) = poll_fn(|cx| {
        if let Poll::Ready(end) = run.as_mut().poll(cx) {
            ended = Some(end);
        }
        match (outlet.slot().head.take(), &ended) {
            (Some(head), _) => Poll::Ready(head),
            // A path that ends with no head has lost its answer: the caller gets an error, not a success.
            (None, Some(_)) => Poll::Ready((StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new())),
            (None, None) => Poll::Pending,
        }
    })
    .await;
    let cut = matches!(ended, Some(End::Cut));
    let run = ended.is_none().then_some(run);
    let mut response = Response::new(Reply { run, outlet, cut });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn chunks_come_in_order_and_the_end_is_an_end() {
        let mut response = run(|out| async move {
            out.head(StatusCode::OK, HeaderMap::new());
            for word in ["a", "b", "c"] {
                out.send(Bytes::from_static(word.as_bytes())).await;
                tokio::task::yield_now().await;
            }
            End::Complete
        })
        .await;
        let chunks: Vec<_> = response.body_mut().collect().await;
        assert_eq!(chunks, ["a", "b", "c"].map(|word| Ok(Bytes::from_static(word.as_bytes()))));
    }

    #[tokio::test]
    async fn a_cut_is_an_error_after_the_last_chunk() {
        let mut response = run(|out| async move {
            out.head(StatusCode::OK, HeaderMap::new());
            out.send(Bytes::from_static(b"part")).await;
            End::Cut
        })
        .await;
        let chunks: Vec<_> = response.body_mut().collect().await;
        assert_eq!(chunks, [Ok(Bytes::from_static(b"part")), Err(Cut)]);
    }

    #[tokio::test]
    async fn the_gates_own_lines_end_as_the_last_one_did() {
        let words = |chunks: &'static [&'static str]| async move {
            let outlet = Outlet(Arc::default());
            for chunk in chunks {
                outlet.send(Bytes::from_static(chunk.as_bytes())).await;
                outlet.slot().chunk = None;
            }
            String::from_utf8(outlet.lines(b"event: error\ndata: {}\n\nx".to_vec()))
        };
        let (lf, crlf) = ("event: error\ndata: {}\n\nx", "event: error\r\ndata: {}\r\n\r\nx");
        for (chunks, expected) in [
            (&[][..], lf),
            (&["data: 1\n\n"], lf),
            (&["data: 1\r\n\r\n"], crlf),
            (&["data: 1\r\n\r\nda"], crlf),
            (&["data: 1\r\n\r", "\n"], crlf),
            (&["data: 1\r\n\r\n", "data: 2"], crlf),
            (&["data: 1\n\r", "data\n"], lf),
            // A sign of life was said before the upstream's first word.
            (&[": waiting\n\n", "data: 1\r\n\r\n"], crlf),
        ] {
            assert_eq!(words(chunks).await.as_deref(), Ok(expected), "{chunks:?}");
        }
    }

    #[tokio::test]
    async fn a_path_with_no_head_is_an_error() {
        let response = run(|_| async { End::Cut }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
