//! The gate as its callers reach it: the token endpoint on the data listener (`host/docs/identity.md`).
//!
//! What must hold: a token goes only where it was said to go, over TLS or on this machine; no redirect is followed, no
//! proxy of the environment used; no token is in an error.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use model::address::is_this_machine;
use outbound::{Http, tls::client_config};
use serde_json::Value;

use super::{kept::Kept, show::line_of};

/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for an answer; the gate may wait half a minute for an issuer's keys.
const ANSWER: Duration = Duration::from_secs(90);
/// Bytes of an answer.
const ANSWER_BYTES: usize = 1 << 20;

/// Which gate.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which gate")]
pub(super) struct GateArgs {
    /// URL of its data listener, such as https://gate.example.com; without it, the one that you are signed in at.
    #[arg(long, env = "PORTCULLIS_URL", value_name = "URL")]
    url: Option<String>,
    /// PEM file of the authorities that vouch for it, in place of the system's.
    #[arg(long, env = "PORTCULLIS_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file of a client certificate to show; tokens are bound to it (RFC 8705).
    #[arg(long, env = "PORTCULLIS_CERT", requires = "key", value_name = "FILE")]
    cert: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(long, env = "PORTCULLIS_KEY", requires = "cert", value_name = "FILE")]
    key: Option<PathBuf>,
}

/// A gate.
pub(super) struct Gate {
    /// Scheme, host and port.
    pub(super) url: String,
    reached: Reached,
}

/// How a gate is reached.
enum Reached {
    /// Over TLS.
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
    /// In clear: what its name leads to must be this machine, too.
    Here(Http),
}

/// Why a gate gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unserved {
    /// It can't be reached; another try may help.
    #[error("no gate answers at {0}: {1}")]
    Unreached(String, String),
    /// It said no, in the terms of RFC 6749.
    #[error("the gate refused: {description} ({error})")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The error's code.
        error: String,
        /// A sentence for people.
        description: String,
    },
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Unserved {
    /// The error's code, where the gate said one.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { error, .. } => Some(error),
            Self::Unreached(..) | Self::Other(_) => None,
        }
    }
}

impl GateArgs {
    /// The gate that was named, else the one that the user is signed in at.
    pub(super) fn gate(&self) -> anyhow::Result<Gate> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => match Kept::read()? {
                Some(kept) => kept.url,
                None => bail!("which gate? Name it with --url https://… (or PORTCULLIS_URL)"),
            },
        };
        let url = origin(&url)?;
        let own = self.cert.as_deref().zip(self.key.as_deref());
        let config = client_config(self.ca.as_deref(), own)?;
        if url.starts_with("http://") {
            let http = Http::new(None, [&url]).map_err(anyhow::Error::msg)?.within(ANSWER);
            return Ok(Gate { url, reached: Reached::Here(http) });
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().wrap_connector(connector);
        Ok(Gate { url, reached: Reached::Tls(Client::builder(TokioExecutor::new()).build(connector)) })
    }
}

/// Scheme, host and port of a gate's URL.
fn origin(url: &str) -> anyhow::Result<String> {
    let wrong = || format!("`{}` is not the URL of a gate; it looks like https://gate.example.com", line_of(url));
    let uri: Uri = url.trim_end_matches('/').parse().with_context(wrong)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { bail!(wrong()) };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
        bail!(wrong());
    }
    let host = authority.host();
    match scheme {
        "https" => {}
        "http" if is_this_machine(host) => {}
        "http" => bail!("tokens don't go to `{host}` in clear: name the gate by https://"),
        _ => bail!(wrong()),
    }
    Ok(format!("{scheme}://{authority}"))
}

impl Gate {
    /// Sends a form; the answer, when it is a good one. `bearer`: a credential to show.
    pub(super) async fn ask(&self, path: &str, form: &[(&str, &str)], bearer: Option<&str>) -> Result<Value, Unserved> {
        let mut request = Request::post(format!("{}{path}", self.url))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::from_str(&format!("Bearer {bearer}")).context("the token is malformed")?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.body(encoded(form).into_bytes()).context("the request can't be made")?;
        let (status, body) = self.send(request).await?;
        let parsed: Option<Value> =
            if body.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&body).ok() };
        match parsed {
            Some(answer) if status.is_success() => Ok(answer),
            Some(answer) if answer["error"].is_string() => Err(refused(status, &answer)),
            _ if status == StatusCode::NOT_FOUND || status == StatusCode::UNAUTHORIZED => Err(Unserved::Other(
                anyhow::anyhow!("{} has no token endpoint: its configuration needs `[oauth]`", self.url),
            )),
            _ => Err(Unserved::Other(anyhow::anyhow!("{} answered {status}; is it a gate?", self.url))),
        }
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<(StatusCode, Bytes), Unserved> {
        let unreached = |error: String| Unserved::Unreached(self.url.clone(), error);
        let client = match &self.reached {
            Reached::Tls(client) => client,
            Reached::Here(http) => {
                let answer = http.send(request).await.map_err(|error| unreached(error.to_string()))?;
                return Ok((answer.status(), Bytes::from(answer.into_body())));
            }
        };
        let answer = tokio::time::timeout(ANSWER, async {
            let request = request.map(|body| Full::new(Bytes::from(body)));
            let answer = client.request(request).await.map_err(|error| unreached(chain(&error)))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
            Ok((status, body.map_err(|error| unreached(format!("the answer broke off: {error}")))?.to_bytes()))
        });
        answer.await.map_err(|_| unreached(format!("no answer in {ANSWER:?}")))?
    }
}

/// What went wrong, down to its cause: the client's own words name only the outermost.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn refused(status: StatusCode, answer: &Value) -> Unserved {
    let text = |name: &str| line_of(answer[name].as_str().unwrap_or_default());
    Unserved::Refused { status, error: text("error"), description: text("error_description") }
}

/// A form (WHATWG URL, 5.2): every byte that is not surely plain is escaped.
fn encoded(form: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        let each = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        });
        each.collect()
    };
    form.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_named_by_its_origin_and_reached_in_clear_only_here() {
        for (url, right) in [
            ("https://gate.example.com", Some("https://gate.example.com")),
            ("https://gate.example.com:8443/", Some("https://gate.example.com:8443")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://[::1]:8080/", Some("http://[::1]:8080")),
            ("http://localhost:1", Some("http://localhost:1")),
            ("http://127.0.0.2:1", Some("http://127.0.0.2:1")),
            ("http://gate.example.com", None),
            ("http://127.0.0.1.example.com", None),
            ("https://gate.example.com/v1", None),
            ("https://gate.example.com/?x", None),
            ("https://ann:x@gate.example.com", None),
            ("ftp://gate.example.com", None),
            ("gate.example.com", None),
            ("", None),
        ] {
            assert_eq!(origin(url).ok().as_deref(), right, "{url}");
        }
    }

    #[test]
    fn a_form_carries_any_text() {
        assert_eq!(encoded(&[("a", "x y&z=é+/"), ("b", "")]), "a=x%20y%26z%3D%C3%A9%2B%2F&b=");
    }
}
