//! Which host a command talks to: a running one over its control listener, or the store of one that does not run.
//!
//! What must hold: the control token goes only where its user, or who administers the machine, has said: a configuration that
//! somebody else may have put into the current folder says nothing.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{found, show::line_of};
use crate::config;

/// Configurations that are looked for when none is named, in this order.
const DEFAULT_CONFIGS: [&str; 2] = [found::DEFAULT, "portcullis-demo/portcullis.toml"];
/// Time for a connection to the control listener.
const CONNECT: Duration = Duration::from_secs(2);
/// The port of a URL that names none.
const HTTP_PORT: u16 = 80;
/// Time for an answer.
const ANSWER: Duration = Duration::from_secs(60);
/// Bytes of an answer: a page of a record fits, of one entry of the longest kind with each byte escaped.
const ANSWER_BYTES: usize = 512 << 20;

/// Which host.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which host")]
pub(super) struct HostArgs {
    /// The host's configuration file; without it ./portcullis.toml, then ./portcullis-demo/portcullis.toml, where it is your own
    /// (or root's) and nobody else may write it.
    #[arg(long, short, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// URL of its control listener, where it is another than the configuration says.
    #[arg(long, env = "PORTCULLIS_CONTROL", value_name = "URL")]
    control: Option<String>,
    /// File with its control token, where it is another than <store>/admin.token.
    #[arg(long, env = "PORTCULLIS_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Where a host is.
pub(super) struct Place {
    control: Uri,
    token_file: PathBuf,
    /// Its store, where a configuration says so.
    pub(super) store: Option<PathBuf>,
    /// That configuration's file.
    pub(super) config: Option<PathBuf>,
}

/// Why a host gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Nothing listens there.
    #[error("no host answers at {0}; is it running?")]
    NotRunning(Uri),
    /// It answered with an error.
    #[error("{detail}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The error's code, where it said one.
        code: Option<String>,
        /// What it said.
        detail: String,
    },
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl HostArgs {
    /// Where the host is, by what was named, else by what is found in the current folder. Of a configuration only the two
    /// places are read: a host is reached also while its file, or what that names, is not in order.
    pub(super) fn place(&self) -> anyhow::Result<Place> {
        let (file, told) = match (&self.control, &self.token_file, &self.config) {
            (_, _, Some(named)) => (Some(named.clone()), Some(config::whereabouts(named))),
            (Some(_), Some(_), None) => (None, None),
            _ => match found()? {
                Some((path, file)) => (Some(path.to_owned()), Some(config::whereabouts_of(path, file))),
                None => (None, None),
            },
        };
        let found = match told {
            // Both places are named: what the file would say is not needed.
            Some(Err(_)) if self.control.is_some() && self.token_file.is_some() => None,
            found => found.transpose()?,
        };
        let control = match (&self.control, &found) {
            (Some(url), _) => control_uri(url)?,
            (None, Some(found)) => control_uri(&format!("http://{}", reachable(found.control)))?,
            (None, None) => {
                bail!("which host? Name its configuration with --config FILE, or --control URL and --token-file FILE")
            }
        };
        let token_file = self.token_file.clone().or_else(|| found.as_ref().map(config::Whereabouts::admin_token));
        let token_file =
            token_file.context("which token? Name its file with --token-file FILE, or the host's --config FILE")?;
        Ok(Place { control, token_file, store: found.map(|found| found.store), config: file })
    }
}

/// The configuration in the current folder, if there is one.
fn found() -> anyhow::Result<Option<(&'static Path, File)>> {
    let Some(path) = DEFAULT_CONFIGS.iter().map(Path::new).find(|path| path.is_file()) else { return Ok(None) };
    Ok(Some((path, found::open(path)?)))
}

/// Of a listener on all addresses, one that can be dialled.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn control_uri(url: &str) -> anyhow::Result<Uri> {
    let uri: Uri = url.trim_end_matches('/').parse().with_context(|| format!("`{url}` is not a URL"))?;
    let plain = uri.scheme_str() == Some("http")
        && uri.authority().is_some()
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none();
    if !plain {
        bail!("`{url}` is not the URL of a control listener; it looks like http://127.0.0.1:9440");
    }
    Ok(uri)
}

impl Place {
    /// Asks for something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unanswered> {
        self.send(Method::GET, path, None).await
    }

    /// Changes something.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Unanswered> {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Unanswered> {
        let request = match self.request(method, path, body) {
            Ok(request) => request,
            // No token opens anything there; and the copy of a store has none.
            Err(_) if !self.is_listened_at().await => return Err(Unanswered::NotRunning(self.control.clone())),
            Err(error) => return Err(error.into()),
        };
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        let answer = tokio::time::timeout(ANSWER, async {
            let response = client.request(request).await.map_err(|error| {
                if error.is_connect() {
                    Unanswered::NotRunning(self.control.clone())
                } else {
                    Unanswered::Other(anyhow!(error).context(format!("talking to {}", self.control)))
                }
            })?;
            let status = response.status();
            if let Some(behind) = response.headers().get(admin::BEHIND) {
                warn(&String::from_utf8_lossy(behind.as_bytes()));
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| Unanswered::Other(anyhow!(error).context("the answer broke off")))?;
            Ok::<_, Unanswered>((status, body.to_bytes()))
        });
        let (status, body) = answer.await.map_err(|_| anyhow!("{} gave no answer in {ANSWER:?}", self.control))??;
        if !status.is_success() {
            return Err(refused(status, &body));
        }
        let parsed = serde_json::from_slice(&body);
        Ok(parsed
            .with_context(|| format!("the answer of {} is not understood; is it of another version?", self.control))?)
    }

    /// Whether anybody listens there.
    async fn is_listened_at(&self) -> bool {
        let Some(authority) = self.control.authority() else { return false };
        let port = authority.port_u16().unwrap_or(HTTP_PORT);
        // Brackets and all, where it is an IPv6 address.
        let connecting = tokio::net::TcpStream::connect(format!("{}:{port}", authority.host()));
        tokio::time::timeout(CONNECT, connecting).await.is_ok_and(|connected| connected.is_ok())
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Request<Full<Bytes>>> {
        let token = read_token(&self.token_file)?;
        let uri = format!("http://{}{path}", self.control.authority().map_or("", |authority| authority.as_str()));
        let mut authorization = header::HeaderValue::from_str(&format!("Bearer {}", token.as_str()))
            .context("the control token is malformed")?;
        authorization.set_sensitive(true);
        let mut request = Request::builder().method(method).uri(uri).header(header::AUTHORIZATION, authorization);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        Ok(request.body(Full::new(Bytes::from(body)))?)
    }
}

/// Says on standard error that what is shown is not all.
pub(super) fn warn(missing: &str) {
    // Nobody is left to tell when it is gone.
    let _ = writeln!(io::stderr(), "warning: {}", line_of(missing));
}

fn read_token(path: &Path) -> anyhow::Result<zeroize::Zeroizing<String>> {
    let text = fs::read_to_string(path).with_context(|| {
        format!("can't read the control token `{}`; it is made when the host starts for the first time", path.display())
    })?;
    Ok(zeroize::Zeroizing::new(text.trim().to_owned()))
}

fn refused(status: StatusCode, body: &[u8]) -> Unanswered {
    let problem: Option<Value> = serde_json::from_slice(body).ok();
    let text = |name: &str| problem.as_ref().and_then(|problem| problem.get(name)?.as_str());
    let detail = text("detail").map_or_else(|| format!("the host answered {status}"), line_of);
    Unanswered::Refused { status, code: text("code").map(str::to_owned), detail }
}
