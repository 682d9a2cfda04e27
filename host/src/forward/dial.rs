//! A new connection to an upstream.

use std::{io, path::Path, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use model::Upstream;
use rustls_pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::live::{Failed, Live};

/// Dials one upstream.
pub(super) struct Dialer {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    deadline: Duration,
}

impl Dialer {
    pub(super) fn new(upstream: &Upstream, authorities: Option<&Path>, deadline: Duration) -> io::Result<Self> {
        let authority: http::uri::Authority = upstream.authority.parse().map_err(io::Error::other)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if upstream.tls { 443 } else { 80 });
        let tls = if upstream.tls {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let mut config = outbound::tls::client_config(authorities, None)?;
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self { host, port, tls, deadline })
    }

    /// Resolves once, dials what was resolved, and shakes hands.
    pub(super) async fn dial(&self) -> Result<Live, Failed> {
        let deadline = Instant::now() + self.deadline;
        let late = |what: &str| Failed::Other(format!("{what} {}:{} took too long", self.host, self.port));
        let stream = timeout_at(deadline, outbound::connect(&self.host, self.port, |_| true))
            .await
            .map_err(|_| late("connecting to"))?
            .map_err(|error| Failed::Other(error.to_string()))?;
        let Some((connector, name)) = &self.tls else {
            return Live::begin(TokioIo::new(stream)).await;
        };
        let stream = timeout_at(deadline, connector.connect(name.clone(), stream))
            .await
            .map_err(|_| late("the TLS handshake with"))?
            .map_err(|error| Failed::Other(format!("TLS handshake with {}: {error}", self.host)))?;
        Live::begin(TokioIo::new(stream)).await
    }
}
