//! A new connection to an upstream.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use model::{Upstream, address::serves_metadata};
use rustls_pki_types::ServerName;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::live::{Failed, Live};
use crate::tls::client_config;

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
            let mut config = client_config(authorities, None)?;
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
        let stream = timeout_at(deadline, self.connect()).await.map_err(|_| late("connecting to"))??;
        let Some((connector, name)) = &self.tls else {
            return Live::begin(TokioIo::new(stream)).await;
        };
        let stream = timeout_at(deadline, connector.connect(name.clone(), stream))
            .await
            .map_err(|_| late("the TLS handshake with"))?
            .map_err(|error| Failed::Other(format!("TLS handshake with {}: {error}", self.host)))?;
        Live::begin(TokioIo::new(stream)).await
    }

    async fn connect(&self) -> Result<TcpStream, Failed> {
        let place = format!("{}:{}", self.host, self.port);
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| Failed::Other(format!("{place}: {error}")))?
            .collect();
        let by_address = self.host.parse::<IpAddr>().is_ok();
        let mut cause = format!("{place}: the name has no address");
        for address in addresses {
            if !by_address && serves_metadata(address.ip()) {
                cause = format!(
                    "{place}: resolves to the link-local or metadata address {}, which must be named itself",
                    address.ip()
                );
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(|error| Failed::Other(format!("{place}: {error}")))?;
                    return Ok(stream);
                }
                Err(error) => cause = format!("{place}: {error}"),
            }
        }
        Err(Failed::Other(cause))
    }
}
