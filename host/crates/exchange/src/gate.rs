//! What all exchanges of a host share: the ports, the connections, the limits.

use std::{net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, future::BoxFuture};
use http::{HeaderMap, StatusCode};
use model::{Connection, Digest};
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    echo::Secrets,
    placeholder::Placeholders,
    ports::{Desk, Identify, PolicySet, Recorder},
    record::Outbound,
    session::Sessions,
};

/// A body as it comes in: chunks, in order; an error ends it.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// A body broke off.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BodyError(pub String);

/// SHA-256 of the client certificate (DER) that a request's connection was made with: an extension of the request, put
/// there by the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCertificate(pub Digest);

/// The network address that a request's connection was made from: an extension of the request, put there by the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// What all exchanges of a host share.
pub struct Gate {
    /// Who a credential belongs to.
    pub identify: Arc<dyn Identify>,
    /// Where requests may go; looked up by longest path prefix.
    pub connections: Vec<Arc<Connection>>,
    /// The policy set in force.
    pub policies: watch::Receiver<Arc<PolicySet>>,
    /// Where exchanges are recorded.
    pub recorder: Arc<dyn Recorder>,
    /// Where questions to people go.
    pub desk: Arc<dyn Desk>,
    /// The way to the upstreams.
    pub forward: Arc<dyn Forward>,
    /// Every bound of the path.
    pub limits: Limits,
    sessions: Sessions,
    placeholders: Arc<Placeholders>,
    /// Whether every exchange that still runs is to end now.
    stopped: watch::Sender<bool>,
}

impl Gate {
    /// A gate from its ports.
    pub fn new(
        identify: Arc<dyn Identify>,
        connections: Vec<Arc<Connection>>,
        policies: watch::Receiver<Arc<PolicySet>>,
        recorder: Arc<dyn Recorder>,
        desk: Arc<dyn Desk>,
        forward: Arc<dyn Forward>,
        limits: Limits,
    ) -> Arc<Self> {
        let mut connections = connections;
        connections.sort_by_key(|connection| std::cmp::Reverse(connection.path_prefix.len()));
        Arc::new(Self {
            identify,
            connections,
            policies,
            recorder,
            desk,
            forward,
            sessions: Sessions::new(limits.session_gap, limits.sessions),
            placeholders: Arc::new(Placeholders::new(limits.sessions)),
            stopped: watch::Sender::new(false),
            limits,
        })
    }

    /// Ends every exchange, those that come from now on too: each is told in its dialect, and recorded. For a host that
    /// stops and waits no longer.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Ready when every exchange is to end.
    pub(crate) async fn stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        stopped.wait_for(|stopped| *stopped).await.map(drop).expect("the sender is in this gate");
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn placeholders(&self) -> &Arc<Placeholders> {
        &self.placeholders
    }
}

/// The way to the upstreams. Takes nothing but what was recorded.
pub trait Forward: Send + Sync {
    /// Sends a request and waits for the head of the answer.
    fn forward(&self, request: Outbound) -> BoxFuture<'_, Result<Answered, ForwardError>>;
}

/// An upstream's answer.
pub struct Answered {
    /// HTTP status.
    pub status: StatusCode,
    /// Its headers, as they came.
    pub headers: HeaderMap,
    /// Its body, content encoding as it came.
    pub body: Incoming,
    /// Whether nothing but the end of the connection ends the body: then one that was cut looks like a whole one.
    pub ends_with_connection: bool,
    /// Credentials of the gate's own that the upstream was sent, with this request or before the last change: what it says
    /// of them back goes to nobody.
    pub secrets: Secrets,
}

/// Why there is no answer of an upstream.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ForwardError {
    /// It can't be reached, and nothing of the request was sent.
    #[error("{0}")]
    Unsent(String),
    /// It can't be reached any more; some of the request may have been sent.
    #[error("{0}")]
    Unreachable(String),
    /// It answers with a head that may be read in two ways, or goes beyond its bounds; the sentence repeats nothing of it.
    #[error("{0}")]
    Unreadable(String),
}

/// Every bound of the path, by the name that it has in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bounds of the flows (`body_bytes`, `event_bytes`, `held_bytes`, `json_depth`).
    pub wire: wire::Limits,
    /// Bounds of compressed bodies (`zstd_window`, `decode_ratio`, `decode_bytes`).
    pub coding: coding::Limits,
    /// Bytes that are worked on at once when more has arrived.
    pub batch_bytes: usize,
    /// Time between two pieces of a request's body.
    pub body_idle: Duration,
    /// Bytes a second, as they come, that a request's body has at least, from `body_idle` behind its head on; 0: no bound.
    pub body_rate: u64,
    /// Time in which the upstream must begin to answer.
    pub upstream_first_byte: Duration,
    /// Time that may pass between two chunks of an answer.
    pub upstream_idle: Duration,
    /// Time that a caller of a whole answer waits for an approval before it is told to come again.
    pub approval_wait: Duration,
    /// Time between two signs of life on a stream that waits.
    pub heartbeat: Duration,
    /// A caller's exchanges on a connection belong to one session until this much time passes between two.
    pub session_gap: Duration,
    /// Sessions whose placeholders and times are remembered.
    pub sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wire: wire::Limits::default(),
            coding: coding::Limits::default(),
            batch_bytes: 256 << 10,
            body_idle: Duration::from_secs(30),
            body_rate: 1 << 10,
            upstream_first_byte: Duration::from_secs(300),
            upstream_idle: Duration::from_secs(300),
            approval_wait: Duration::from_secs(50),
            heartbeat: Duration::from_secs(5),
            session_gap: Duration::from_secs(30 * 60),
            sessions: 10_000,
        }
    }
}
