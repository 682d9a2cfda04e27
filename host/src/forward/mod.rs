//! The way to the upstreams: HTTP/1.1 over TCP or TLS, with credentials of the host's own.
//!
//! ```text
//!   Outbound ──▶ take an idle connection or dial one ──▶ send ──▶ Answered, whose body polls the connection itself
//! ```
//!
//! What must hold: nothing goes up but a recorded request; the caller's credential is never in it; no redirect is
//! followed and no proxy of the environment used; a connection whose answer was not read to its end is never used
//! again.

mod credential;
mod dial;
mod live;
mod pool;
mod strict;

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use exchange::{Answered, Forward, ForwardError, Outbound};
use futures_util::future::{BoxFuture, join_all};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;

use self::{
    credential::Rotating,
    dial::Dialer,
    live::{AnswerBody, Failed, Live},
    pool::Pool,
};
use crate::{
    burst::Bursts,
    config::{Limits, Route},
};

/// Connections that may turn out to be stale before a fresh one is dialled.
const STALE_TRIES: usize = 3;

/// All upstreams, by connection.
pub(crate) struct Forwarder {
    upstreams: HashMap<String, Upstream>,
}

struct Upstream {
    dialer: Dialer,
    pool: Arc<Pool>,
    host: HeaderValue,
    base_path: String,
    accept_encoding: HeaderValue,
    credential: Option<Rotating>,
    bursts: Bursts,
}

impl Forwarder {
    /// The upstreams of these connections.
    ///
    /// # Errors
    /// When an authority's file can't be read or the system has no trusted authorities.
    pub(crate) fn new(routes: &[Route], limits: &Limits, bursts: Bursts) -> io::Result<Self> {
        let upstreams = routes
            .iter()
            .map(|route| Ok((route.connection.name.clone(), Upstream::new(route, limits, bursts)?)))
            .collect::<io::Result<_>>()?;
        Ok(Self { upstreams })
    }

    /// Looks for the credentials that only a command tells.
    ///
    /// # Errors
    /// When one can't be had: its connection would serve nobody.
    pub(crate) async fn fetch(&self) -> io::Result<()> {
        for credential in self.credentials() {
            credential.fetch().await?;
        }
        Ok(())
    }

    /// Looks for credentials that have changed and closes connections that nobody uses, until it is dropped.
    pub(crate) async fn keep(&self) {
        let reap = async {
            let mut times = tokio::time::interval(REAP);
            loop {
                times.tick().await;
                self.upstreams.values().for_each(|upstream| upstream.pool.reap());
            }
        };
        tokio::join!(join_all(self.credentials().map(Rotating::keep)), reap);
    }

    fn credentials(&self) -> impl Iterator<Item = &Rotating> {
        self.upstreams.values().filter_map(|upstream| upstream.credential.as_ref())
    }
}

impl Upstream {
    fn new(route: &Route, limits: &Limits, bursts: Bursts) -> io::Result<Self> {
        let upstream = &route.connection.upstream;
        let host = HeaderValue::from_str(&upstream.authority)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the upstream's authority is not a host"))?;
        Ok(Self {
            dialer: Dialer::new(upstream, route.tls_ca.as_deref(), limits)?,
            pool: Arc::new(Pool::new(limits.upstream_pool)),
            host,
            base_path: upstream.base_path.clone(),
            accept_encoding: route.accept_encoding.clone(),
            credential: route.credential.as_ref().map(|own| Rotating::new(&route.connection.name, own)),
            bursts,
        })
    }

    async fn send(&self, outbound: Outbound) -> Result<Answered, Failed> {
        let mut request = self.request(outbound)?;
        self.bursts.with_others().await;
        for _ in 0..STALE_TRIES {
            let Some(live) = self.pool.take() else { break };
            match live.send(request).await {
                Ok(answer) => return Ok(self.answered(answer)),
                // The upstream closed the connection while it rested: not one byte of the request was sent.
                Err(Failed::Unsent(unsent)) => request = *unsent,
                Err(failed) => return Err(failed),
            }
        }
        let live = self.dialer.dial().await?;
        live.send(request).await.map(|answer| self.answered(answer))
    }

    fn answered(&self, (live, response): (Live, http::Response<hyper::body::Incoming>)) -> Answered {
        let (parts, body) = response.into_parts();
        let ends_with_connection = live.ends_with_answer();
        let body = Box::pin(AnswerBody::new(live, body, Arc::clone(&self.pool)));
        let secrets = self.credential.as_ref().map(Rotating::secrets).unwrap_or_default();
        Answered { status: parts.status, headers: parts.headers, body, ends_with_connection, secrets }
    }

    fn request(&self, outbound: Outbound) -> Result<Request<Full<bytes::Bytes>>, Failed> {
        let target = format!("{}{}", self.base_path, outbound.target);
        let target: Uri = target.parse().map_err(|error| Failed::Unsendable(format!("target {target}: {error}")))?;
        let mut request = Request::new(Full::new(outbound.body.into_inner()));
        *request.method_mut() = outbound.method;
        *request.uri_mut() = target;
        *request.headers_mut() = outbound.headers;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::ACCEPT_ENCODING, self.accept_encoding.clone());
        if let Some(credential) = &self.credential {
            credential.put(headers).map_err(Failed::Unsendable)?;
        }
        Ok(request)
    }
}

impl Forward for Forwarder {
    fn forward(&self, outbound: Outbound) -> BoxFuture<'_, Result<Answered, ForwardError>> {
        Box::pin(async move {
            let name = &outbound.connection.name;
            let upstream =
                self.upstreams.get(name).ok_or_else(|| ForwardError::Unsent(format!("no upstream for {name}")))?;
            upstream.send(outbound).await.map_err(ForwardError::from)
        })
    }
}

/// Time that an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// How often idle connections are looked at.
const REAP: Duration = Duration::from_secs(10);
