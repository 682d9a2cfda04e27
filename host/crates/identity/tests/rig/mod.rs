//! What the tests with a real provider stand on: the provider (npm `oidc-provider`) as a child process, and a browser
//! that is no more than a cookie jar.

#![expect(dead_code, reason = "no test uses all of it")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

pub(crate) mod gate;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use identity::{Clock as Milliseconds, Issuer, Issuers};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
};
use url::Url;

/// The audience of the provider's access tokens.
pub(crate) const AUDIENCE: &str = "urn:gate";

/// The provider. Gone with the value.
pub(crate) struct Provider {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) issuer: String,
}

impl Provider {
    /// Starts one whose clock differs by these seconds.
    pub(crate) async fn start(redirect: &str, shift: i64) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        assert!(folder.join("node_modules/oidc-provider").is_dir(), "the provider is not installed: run tests/setup");
        let mut child = Command::new("node")
            .args(["provider.js", "0", redirect, &shift.to_string()])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node can't be started: run tests/setup");
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = output.next_line().await.unwrap().expect("the provider says that it listens");
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let issuer = ready["issuer"].as_str().unwrap().to_owned();
        Self { _child: child, input, output, issuer }
    }

    /// One command; its answer.
    pub(crate) async fn tell(&mut self, what: &str) -> Value {
        self.input.write_all(format!("{}\n", json!({ "do": what })).as_bytes()).await.unwrap();
        serde_json::from_str(&self.output.next_line().await.unwrap().unwrap()).unwrap()
    }

    /// An access token for the workload `ci`, as it gets one itself.
    pub(crate) async fn token(&self) -> String {
        let form = "grant_type=client_credentials&scope=use&client_id=ci&client_secret=ci-secret";
        let answer = Browser::default().post(&format!("{}/token", self.issuer), form).await;
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// This provider as the gate trusts it.
    pub(crate) fn terms(&self) -> Issuer {
        Issuer::new(&self.issuer, [AUDIENCE])
    }
}

/// A clock that can be moved.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn shift(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn read(&self) -> Milliseconds {
        let shift = Arc::clone(&self.0);
        Arc::new(move || now().saturating_add_signed(shift.load(Ordering::SeqCst)) * 1000)
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// These issuers, kept fresh by a task of the test.
pub(crate) fn keep(issuers: impl IntoIterator<Item = Issuer>, clock: &Clock) -> Arc<Issuers> {
    let issuers = Arc::new(Issuers::with_clock(issuers, clock.read()).unwrap());
    let kept = Arc::clone(&issuers);
    tokio::spawn(async move { kept.keep().await });
    issuers
}

/// Sends requests as a browser does: one host's cookies are kept and sent, redirects are answers.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn get(&mut self, url: &str) -> Response<Bytes> {
        self.ask(Method::GET, url, String::new()).await
    }

    pub(crate) async fn post(&mut self, url: &str, form: &str) -> Response<Bytes> {
        self.ask(Method::POST, url, form.to_owned()).await
    }

    async fn ask(&mut self, method: Method, url: &str, form: String) -> Response<Bytes> {
        let url = Url::parse(url).unwrap();
        let place = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let stream = TcpStream::connect(&place).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .method(method.clone())
            .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .header(header::HOST, &place);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(form))).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        self.keep_cookies(&parts.headers);
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    /// Keeps what `set-cookie` says; a cookie that is set to nothing is gone.
    pub(crate) fn keep_cookies(&mut self, headers: &http::HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Where a redirect leads.
pub(crate) fn location(answer: &Response<Bytes>) -> String {
    let place = answer.headers().get(header::LOCATION);
    let told = || format!("no redirect: {} {}", answer.status(), String::from_utf8_lossy(answer.body()));
    place.unwrap_or_else(|| panic!("{}", told())).to_str().unwrap().to_owned()
}
