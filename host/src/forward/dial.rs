//! A new connection to an upstream.

use std::{io, net::IpAddr, path::Path, sync::Arc, time::Duration};

use model::{Upstream, address::is_this_machine};
use rustls_pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::live::{Failed, Live};
use crate::config::Limits;

/// Dials one upstream.
pub(super) struct Dialer {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Whether it is this machine, in clear: a name that leads elsewhere is not dialled.
    stays_here: bool,
    deadline: Duration,
    /// Of each response.
    head_bytes: usize,
}

impl Dialer {
    pub(super) fn new(upstream: &Upstream, authorities: Option<&Path>, limits: &Limits) -> io::Result<Self> {
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
        let stays_here = !upstream.tls && is_this_machine(&host);
        Ok(Self { host, port, tls, stays_here, deadline: limits.upstream_connect, head_bytes: limits.head_bytes })
    }

    /// Resolves once, dials what was resolved, and shakes hands.
    pub(super) async fn dial(&self) -> Result<Live, Failed> {
        let deadline = Instant::now() + self.deadline;
        let late = |what: &str| {
            Failed::Unsendable(format!("{what} {}:{} took too long (`upstream_connect`)", self.host, self.port))
        };
        let may = |to: IpAddr| !self.stays_here || to.to_canonical().is_loopback();
        let stream = timeout_at(deadline, outbound::connect(&self.host, self.port, may))
            .await
            .map_err(|_| late("connecting to"))?
            .map_err(|error| Failed::Unsendable(error.to_string()))?;
        let Some((connector, name)) = &self.tls else {
            return Live::begin(stream, self.head_bytes).await;
        };
        let stream = timeout_at(deadline, connector.connect(name.clone(), stream))
            .await
            .map_err(|_| late("the TLS handshake with"))?
            .map_err(|error| Failed::Unsendable(format!("TLS handshake with {}: {error}", self.host)))?;
        Live::begin(stream, self.head_bytes).await
    }
}
