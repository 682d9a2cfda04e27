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
        let stream = timeout_at(deadline, outbound::connect(&self.host, self.port, |to| self.may(to)))
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

    /// Whether an address may be dialled that the name leads to.
    fn may(&self, to: IpAddr) -> bool {
        !self.stays_here || to.to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(tls: bool, authority: &str) -> Dialer {
        let upstream = Upstream { tls, authority: authority.to_owned(), base_path: String::new() };
        Dialer::new(&upstream, None, &Limits::default()).unwrap()
    }

    #[tokio::test]
    async fn a_name_of_this_machine_in_clear_that_leads_elsewhere_is_not_dialled() {
        for (tls, authority, stays_here) in [
            (false, "localhost:11434", true),
            (false, "LOCALHOST", true),
            (false, "127.0.0.1:1", true),
            (false, "[::1]:1", true),
            (true, "localhost", false),
            (false, "models.example", false),
        ] {
            let dialer = dialer(tls, authority);
            for (to, here) in [
                ("127.0.0.1", true),
                ("127.8.9.1", true),
                ("::1", true),
                ("::ffff:127.0.0.1", true),
                ("10.0.0.1", false),
                ("192.0.2.1", false),
                ("2001:db8::1", false),
                ("::ffff:192.0.2.1", false),
            ] {
                assert_eq!(dialer.may(to.parse().unwrap()), here || !stays_here, "{authority}: {to}");
            }
        }
        // As if the name led there.
        let astray = Dialer { host: "192.0.2.1".to_owned(), ..dialer(false, "localhost") };
        let Err(Failed::Unsendable(why)) = astray.dial().await else { panic!("it was dialled") };
        assert!(why.contains("may not be dialled"), "{why}");
    }
}
