//! The way to an issuer: one request, one answer, nothing else.
//!
//! What must hold: `https`, or `http` to this machine where the configuration itself says so; no redirect is followed, no
//! proxy of the environment used; a name is resolved once and dialled as resolved, never to an address that serves
//! metadata unless the configuration names that address; every answer is bounded in size and time.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use model::address::serves_metadata;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// Time for one request, from the name to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const ANSWER_BYTES: usize = 512 << 10;
/// The longest head of an answer, in bytes.
const HEAD_BYTES: usize = 32 << 10;

/// A request that brought no answer.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct HttpError(String);

impl HttpError {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// The client for one issuer.
pub(crate) struct Http {
    tls: TlsConnector,
    /// Hosts that stand in the configuration.
    named: Vec<Host<String>>,
    /// Whether the configuration has an `http` URL of this machine.
    plain: bool,
}

impl Http {
    /// For the hosts of these URLs, and those that they lead to. The error is a sentence about the configuration.
    pub(crate) fn new<'u>(
        authorities: Option<&Path>,
        urls: impl IntoIterator<Item = &'u String>,
    ) -> Result<Self, String> {
        let config = client_config(authorities).map_err(|error| error.to_string())?;
        let mut http = Self { tls: TlsConnector::from(Arc::new(config)), named: Vec::new(), plain: false };
        for url in urls {
            let parsed = Url::parse(url).map_err(|error| format!("`{url}` is not a URL: {error}"))?;
            let host = parsed.host().ok_or_else(|| format!("`{url}` has no host"))?.to_owned();
            http.plain |= parsed.scheme() == "http" && on_this_machine(&host);
            http.named.push(host);
            http.check(&parsed).map_err(|error| format!("`{url}` {error}"))?;
        }
        Ok(http)
    }

    /// Whether a URL may be asked at all.
    pub(crate) fn check(&self, url: &Url) -> Result<(), HttpError> {
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(HttpError::new("holds user information or a fragment"));
        }
        let Some(host) = url.host() else { return Err(HttpError::new("has no host")) };
        let host = host.to_owned();
        match url.scheme() {
            "https" => {}
            "http" if self.plain && on_this_machine(&host) => {}
            _ => return Err(HttpError::new("is not https")),
        }
        let address = match host {
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
            Host::Domain(_) => return Ok(()),
        };
        if serves_metadata(address) && !self.named.contains(&host) {
            return Err(HttpError::new("is a link-local or metadata address that the configuration does not name"));
        }
        Ok(())
    }

    /// Asks for a document.
    pub(crate) async fn get(&self, url: &Url) -> Result<Response<Vec<u8>>, HttpError> {
        let request = Request::get(url.as_str()).header(header::ACCEPT, "application/json");
        self.send(request.body(Vec::new()).map_err(|error| HttpError::new(error.to_string()))?).await
    }

    /// Sends a request to wherever its URI says.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|error| HttpError::new(error.to_string()))?;
        self.check(&url).map_err(|error| HttpError(format!("{url} {error}")))?;
        let answer = timeout(DEADLINE, self.exchange(&url, request)).await;
        answer
            .map_err(|_| HttpError::new("it took too long"))
            .and_then(|answer| answer)
            .map_err(|error| HttpError(format!("{}: {error}", url.origin().ascii_serialization())))
    }

    async fn exchange(&self, url: &Url, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let stream = self.connect(url).await?;
        if url.scheme() == "http" {
            return speak(stream, url, request).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(io::Error::other),
            Some(Host::Ipv4(address)) => Ok(ServerName::from(std::net::IpAddr::from(address))),
            Some(Host::Ipv6(address)) => Ok(ServerName::from(std::net::IpAddr::from(address))),
            None => Err(io::Error::other("no host")),
        };
        let name = name.map_err(|error| HttpError::new(error.to_string()))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| HttpError(format!("TLS: {error}")))?;
        speak(stream, url, request).await
    }

    async fn connect(&self, url: &Url) -> Result<TcpStream, HttpError> {
        let port = url.port_or_known_default().ok_or_else(|| HttpError::new("no port"))?;
        let addresses: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            Some(Host::Domain(name)) => {
                let found = tokio::net::lookup_host((name, port)).await;
                // A literal was looked at in `check`; what a name leads to is looked at here, and then dialled.
                found.map_err(|error| HttpError(format!("{error}")))?.filter(|to| !serves_metadata(to.ip())).collect()
            }
            None => Vec::new(),
        };
        let mut cause = HttpError::new("its name leads to no address that may be dialled");
        for address in addresses {
            if url.scheme() == "http" && !address.ip().is_loopback() {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => cause = HttpError(error.to_string()),
            }
        }
        Err(cause)
    }
}

fn on_this_machine(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

async fn speak<S>(stream: S, url: &Url, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let told = |error: hyper::Error| HttpError(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(told)?;
    let exchange = async {
        let answer = sender.send_request(on_the_wire(url, request)?).await.map_err(told)?;
        if answer.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(HttpError::new("its answer has a content-encoding that was not asked for"));
        }
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await.map_err(|error| HttpError(error.to_string()))?;
        Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
    };
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The connection may be over before the last of the answer is taken from it.
        _ = &mut connection => exchange.await,
    }
}

/// Origin form, with the host that the URL names.
fn on_the_wire(url: &Url, request: Request<Vec<u8>>) -> Result<Request<Full<Bytes>>, HttpError> {
    let told = |error: String| HttpError(error);
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let (mut parts, body) = request.into_parts();
    parts.uri = path.parse().map_err(|error| told(format!("{error}")))?;
    parts.headers.insert(header::HOST, host.parse().map_err(|error| told(format!("{error}")))?);
    parts.version = http::Version::HTTP_11;
    Ok(Request::from_parts(parts, Full::new(Bytes::from(body))))
}

/// A document that must be there.
pub(crate) fn found(answer: Response<Vec<u8>>) -> Result<Vec<u8>, StatusCode> {
    if answer.status() == StatusCode::OK { Ok(answer.into_body()) } else { Err(answer.status()) }
}

fn client_config(authorities: Option<&Path>) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder();
    let mut config = match authorities {
        None => builder.with_platform_verifier().map_err(io::Error::other)?.with_no_client_auth(),
        Some(file) => {
            let named = |error: String| io::Error::other(format!("{}: {error}", file.display()));
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| named(error.to_string()))? {
                let certificate = certificate.map_err(|error| named(error.to_string()))?;
                roots.add(certificate).map_err(|error| named(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(named("holds no certificate".into()));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests;
