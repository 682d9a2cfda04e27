//! The way to an issuer or a webhook: one request, one answer, nothing else.
//!
//! What must hold: `https`, or `http` to this machine where the configuration itself says so; no redirect is followed, no
//! proxy of the environment used; a name is resolved once and dialled as resolved, never to an address that serves
//! metadata unless the configuration names that address; every answer that is read is bounded in size and time.

use std::{io, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use model::address::{is_this_machine, serves_metadata};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::{connect, tls::client_config};

/// Time for one request, from the name to the last byte of the answer, unless the client says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);
/// What documents are asked for as: some servers of keys tell nothing but `application/jwk-set+json` (RFC 7517, 8.5.2),
/// and answer 406 to who does not name it.
const DOCUMENTS: &str = "application/json, application/jwk-set+json, */*;q=0.1";
/// The longest answer, in bytes.
const ANSWER_BYTES: usize = 512 << 10;
/// The longest head of an answer, in bytes.
const HEAD_BYTES: usize = 32 << 10;

/// A request that brought no answer.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct HttpError(String);

impl HttpError {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// What is wanted of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All of it, as it stands: in no coding.
    Document,
    /// Status and headers.
    Head,
}

/// The client for one issuer, or for one webhook.
pub struct Http {
    tls: TlsConnector,
    /// Hosts that stand in the configuration.
    named: Vec<Host<String>>,
    /// Whether the configuration has an `http` URL of this machine.
    plain: bool,
    /// Time for one request.
    deadline: Duration,
}

impl Http {
    /// For the hosts of these URLs, and those that they lead to; `authorities` as for [`client_config`].
    ///
    /// # Errors
    /// A sentence about the configuration.
    pub fn new<'u>(authorities: Option<&Path>, urls: impl IntoIterator<Item = &'u String>) -> Result<Self, String> {
        let mut config = client_config(authorities, None).map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http =
            Self { tls: TlsConnector::from(Arc::new(config)), named: Vec::new(), plain: false, deadline: DEADLINE };
        for url in urls {
            let parsed = Url::parse(url).map_err(|error| format!("`{url}` is not a URL: {error}"))?;
            let host = parsed.host().ok_or_else(|| format!("`{url}` has no host"))?.to_owned();
            http.plain |= parsed.scheme() == "http" && is_this_machine(&host.to_string());
            http.named.push(host);
            http.check(&parsed).map_err(|error| format!("`{url}` {error}"))?;
        }
        Ok(http)
    }

    /// The same, with this time for each request.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether a URL may be asked at all.
    ///
    /// # Errors
    /// What is wrong with it, to be put after it.
    pub fn check(&self, url: &Url) -> Result<(), HttpError> {
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(HttpError::new("holds user information or a fragment"));
        }
        let Some(host) = url.host() else { return Err(HttpError::new("has no host")) };
        let host = host.to_owned();
        match url.scheme() {
            "https" => {}
            "http" if self.plain && is_this_machine(&host.to_string()) => {}
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
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&self, url: &Url) -> Result<Response<Vec<u8>>, HttpError> {
        let request = Request::get(url.as_str()).header(header::ACCEPT, DOCUMENTS);
        self.send(request.body(Vec::new()).map_err(|error| HttpError::new(error.to_string()))?).await
    }

    /// Sends a request to wherever its URI says.
    ///
    /// # Errors
    /// When no whole answer came in time, or none may be asked for there.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        self.ask(request, Wanted::Document).await
    }

    /// As [`Self::send`], for who wants the head of the answer only: whatever its body is, it is not read.
    ///
    /// # Errors
    /// When no head of an answer came in time, or none may be asked for there.
    pub async fn tell(&self, request: Request<Vec<u8>>) -> Result<Response<()>, HttpError> {
        Ok(self.ask(request, Wanted::Head).await?.map(drop))
    }

    async fn ask(&self, request: Request<Vec<u8>>, wanted: Wanted) -> Result<Response<Vec<u8>>, HttpError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|error| HttpError::new(error.to_string()))?;
        self.check(&url).map_err(|error| HttpError(format!("{url} {error}")))?;
        let answer = timeout(self.deadline, self.exchange(&url, request, wanted)).await;
        answer
            .map_err(|_| HttpError::new("it took too long"))
            .and_then(|answer| answer)
            .map_err(|error| HttpError(format!("{}: {error}", url.origin().ascii_serialization())))
    }

    async fn exchange(
        &self,
        url: &Url,
        request: Request<Vec<u8>>,
        wanted: Wanted,
    ) -> Result<Response<Vec<u8>>, HttpError> {
        let stream = self.connect(url).await?;
        if url.scheme() == "http" {
            return speak(stream, url, request, wanted).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(io::Error::other),
            Some(Host::Ipv4(address)) => Ok(ServerName::from(std::net::IpAddr::from(address))),
            Some(Host::Ipv6(address)) => Ok(ServerName::from(std::net::IpAddr::from(address))),
            None => Err(io::Error::other("no host")),
        };
        let name = name.map_err(|error| HttpError::new(error.to_string()))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| HttpError(format!("TLS: {error}")))?;
        speak(stream, url, request, wanted).await
    }

    async fn connect(&self, url: &Url) -> Result<TcpStream, HttpError> {
        let port = url.port_or_known_default().ok_or_else(|| HttpError::new("no port"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        // A literal was looked at in `check`; what a name leads to is looked at when it is dialled.
        let plain = url.scheme() == "http";
        let may = |to: std::net::IpAddr| !plain || to.to_canonical().is_loopback();
        connect(host, port, may).await.map_err(|error| HttpError(error.to_string()))
    }
}

async fn speak<S>(
    stream: S,
    url: &Url,
    request: Request<Vec<u8>>,
    wanted: Wanted,
) -> Result<Response<Vec<u8>>, HttpError>
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
        if wanted == Wanted::Head {
            return Ok(answer.map(|_unread| Vec::new()));
        }
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
///
/// # Errors
/// The status of an answer that holds none.
pub fn found(answer: Response<Vec<u8>>) -> Result<Vec<u8>, StatusCode> {
    if answer.status() == StatusCode::OK { Ok(answer.into_body()) } else { Err(answer.status()) }
}

#[cfg(test)]
mod tests;
