//! An upstream that plays a script.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use exchange::{Answered, BodyError, Forward, ForwardError, Outbound, Secrets};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::mpsc;

/// What an upstream says next; taken by the request that it is the answer to.
pub(crate) type Body = Arc<Mutex<Option<mpsc::UnboundedReceiver<Result<Bytes, BodyError>>>>>;

/// An upstream whose body is what a test sends; remembers what it received.
pub(crate) struct Script {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) received: Arc<Mutex<Vec<Bytes>>>,
    /// Targets of what it received.
    pub(crate) targets: Arc<Mutex<Vec<String>>>,
    /// It never begins to answer.
    pub(crate) silent: bool,
    /// Requests that wait for the head of their answer.
    pub(crate) waiting: Arc<AtomicU32>,
    pub(crate) heads: Arc<Mutex<Vec<HeaderMap>>>,
    /// Values of headers that the gate is said to have sent it.
    pub(crate) credentials: Vec<HeaderValue>,
    /// Its bodies end when the connection does.
    pub(crate) ends_with_connection: bool,
}

/// Counts one as long as it is there.
pub(super) struct Counted(Arc<AtomicU32>);

impl Counted {
    pub(super) fn on(counter: &Arc<AtomicU32>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Forward for Script {
    fn forward(&self, outbound: Outbound) -> BoxFuture<'_, Result<Answered, ForwardError>> {
        async move {
            self.targets.lock().unwrap().push(outbound.target);
            self.received.lock().unwrap().push(outbound.body.into_inner());
            self.heads.lock().unwrap().push(outbound.headers);
            let _waiting = Counted::on(&self.waiting);
            if self.silent {
                return std::future::pending().await;
            }
            let body =
                self.body.lock().unwrap().take().ok_or_else(|| ForwardError::Unsent("connection refused".into()))?;
            let body = futures_util::stream::unfold(body, |mut body| async { body.recv().await.map(|c| (c, body)) });
            let (status, headers) = (self.status, self.headers.clone());
            let secrets = Secrets::of(&self.credentials);
            let ends_with_connection = self.ends_with_connection;
            Ok(Answered { status, headers, body: body.boxed(), ends_with_connection, secrets })
        }
        .boxed()
    }
}
