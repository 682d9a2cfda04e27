//! The routes over a real store and a real desk; then once over a socket.

use std::{
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use ::alerts::Alerts;
use ::approvals::{Approvals, Terms};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use exchange::ports::{About, Ask, ControlLog, Desk, Guest, Policy, PolicySet, Problem, Recorder, Rulings, Ticket};
use http_body_util::BodyExt;
use identity::{Access, AccessTerms, Grants, Registry};
use model::{
    AskedHead, Attribute, Caller, Digest, Direction, Entry, ExchangeId, FailureMode, Generation, Mode, Outcome, Plan,
    PolicyInfo, PolicyLimits, Question, Scan, SessionId, Usage,
    record::{Chunk, Closed, Opened, Request as Sent, ResponseHead, SetRef},
};
use serde_json::Value;
use store::{Store, StoreConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{AdminToken, Control, HostFacts, Names, Phase, serve::router};

mod access;
mod alerts;
mod behind;
mod credentials;
mod events;
mod strangers;

struct Rig {
    dir: tempfile::TempDir,
    control: Arc<Control>,
    token: String,
    phase: watch::Sender<Phase>,
    policies: watch::Sender<Arc<PolicySet>>,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::new(dir.path().join("store"))).unwrap();
        let approvals = Approvals::new(Terms::default(), Arc::clone(&store) as Arc<dyn Recorder>);
        let alerts = Alerts::open(::alerts::Terms::default(), Vec::new(), store.clone(), None).unwrap();
        let registry = Registry::open(store.clone(), identity::Terms::default()).unwrap();
        let log: Arc<dyn ControlLog> = store.clone();
        let grants = Arc::new(Grants::default());
        let access = Access::open(log, grants, AccessTerms::default(), registry.clone()).unwrap();
        let path = dir.path().join("store/admin.token");
        let token = AdminToken::load_or_make(&path).unwrap();
        let problem = Problem { file: "bad.wasm".to_owned(), stage: "validate", message: "not Wasm".to_owned() };
        let set = PolicySet {
            generation: Generation(3),
            digest: Digest([7; 32]),
            policies: Vec::new(),
            problems: vec![problem],
            glance: None,
        };
        let (policies, in_force) = watch::channel(Arc::new(set));
        let (phase, phases) = watch::channel(Phase::Ready);
        let host = HostFacts {
            version: "0.1.0".to_owned(),
            proxy: "http://127.0.0.1:1".to_owned(),
            started_ms: 1,
            started: std::time::Instant::now(),
            connections: vec![("openai".to_owned(), model::Family::Openai)],
            durability: "strict".to_owned(),
            certificate_expires: Some(1),
        };
        let control = Control {
            token,
            hosts: vec!["gate.internal".to_owned()],
            host,
            names: Names {
                tokens: vec!["ci".to_owned()],
                issuers: vec!["idp".to_owned()],
                connections: vec!["openai".to_owned()],
            },
            phase: phases,
            policies: in_force,
            approvals,
            alerts,
            registry,
            access,
            store,
            metrics: None,
        };
        let token = std::fs::read_to_string(path).unwrap().trim().to_owned();
        Self { dir, control: Arc::new(control), token, phase, policies }
    }

    fn router(&self) -> Router {
        router(Arc::clone(&self.control))
    }

    async fn send(&self, request: axum::http::request::Builder, body: &str) -> Answer {
        let response = self.router().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1:9440")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path), "").await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(self.request("POST", path).header(header::CONTENT_TYPE, "application/json"), body).await
    }

    async fn ask(&self, caller: &str) -> Box<dyn Ticket> {
        self.ask_about(caller, b"delete it").await
    }

    async fn ask_about(&self, caller: &str, shown: &[u8]) -> Box<dyn Ticket> {
        let caller = Caller { subject: caller.to_owned(), ..Caller::default() };
        let begun = About::begun(ExchangeId::new(), SessionId::new(), caller, "openai", "openai-chat");
        let about = About { model: "m".into(), ..begun };
        let question = Question {
            title: "May this go on?".to_owned(),
            summary: String::new(),
            approvers: Vec::new(),
            timeout_seconds: 0,
            remember_key: String::new(),
        };
        let policy = ("approve".to_owned(), Digest([1; 32]));
        let head = Arc::new(AskedHead {
            direction: Direction::Request,
            method: "DELETE".to_owned(),
            target: "/v1/jobs/production?force=true".to_owned(),
            headers: vec![Attribute { name: "x-run-as".into(), value: "root".into() }],
        });
        let (about, bound_to) = (Arc::new(about), Digest([2; 32]));
        let ask = Ask { about, policy, question, shown: shown.into(), head, bound_to };
        self.control.approvals.ask(vec![ask]).await.unwrap()
    }

    /// Records one whole exchange; answers its session and its id.
    fn record(&self) -> (SessionId, ExchangeId) {
        let (session, exchange) = (SessionId::new(), ExchangeId::new());
        let opened = Opened {
            exchange,
            session,
            at_ms: 1_700_000_000_000,
            caller: Caller { subject: "ann".to_owned(), ..Caller::default() }.into(),
            connection: "openai".into(),
            dialect: "openai-chat".into(),
            method: "POST".into(),
            path: "/v1/chat/completions".into(),
            headers: vec![Attribute { name: "accept".into(), value: "*/*".into() }],
            set: SetRef::default(),
        };
        let mut tape = self.control.store.open(opened).unwrap();
        let sent = Sent { at: 1, model: "m".into(), streaming: true, body: b"{}".to_vec(), forwarded: true };
        tape.append(Entry::Request(sent)).unwrap();
        tape.append(Entry::ResponseHead(ResponseHead { at: 2, status: 200, headers: Vec::new() })).unwrap();
        tape.append(Entry::Chunk(Chunk { at: 3, data: b"data: hi\n\n".to_vec() })).unwrap();
        tape.append(Entry::Closed(Closed {
            at: 4,
            outcome: Outcome::Completed,
            detail: String::new(),
            usage: Usage::default(),
            policies: Vec::new(),
        }))
        .unwrap();
        (session, exchange)
    }
}

#[tokio::test]
async fn nothing_is_told_without_the_token() {
    let rig = Rig::new();
    for path in [
        "/v1/status",
        "/v1/policies",
        "/v1/approvals",
        "/v1/sessions",
        "/v1/events",
        "/metrics",
        "/readyz?verbose",
        "/x",
    ] {
        for credential in [None, Some("Bearer wrong"), Some("Basic eDp5"), Some("Bearer ")] {
            let mut request = Request::builder().uri(path).header(header::HOST, "localhost");
            if let Some(credential) = credential {
                request = request.header(header::AUTHORIZATION, credential);
            }
            let answer = rig.send(request, "").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {credential:?}");
            assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
            assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
        }
    }
    let twice = rig.request("GET", "/v1/status").header(header::AUTHORIZATION, "Bearer x");
    assert_eq!(rig.send(twice, "").await.status, StatusCode::UNAUTHORIZED, "two credentials");
    for path in ["/livez", "/readyz"] {
        let open = Request::builder().uri(path).header(header::HOST, "[::1]:9440");
        assert_eq!(rig.send(open, "").await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_request_for_another_host_is_refused() {
    let rig = Rig::new();
    for (host, fits) in [
        ("127.0.0.1:9440", true),
        ("[::1]", true),
        ("LOCALHOST:9440", true),
        ("gate.internal", true),
        ("evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("gate.internal.evil.example:9440", false),
        ("", false),
    ] {
        let request = Request::builder()
            .uri("/v1/status")
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, format!("Bearer {}", rig.token));
        let answer = rig.send(request, "").await;
        let wanted = if fits { StatusCode::OK } else { StatusCode::MISDIRECTED_REQUEST };
        assert_eq!(answer.status, wanted, "{host}");
    }
    let none = Request::builder().uri("/livez");
    assert_eq!(rig.send(none, "").await.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn a_web_page_can_not_decide() {
    let rig = Rig::new();
    let ticket = rig.ask("ann").await;
    let path = format!("/v1/approvals/{}/approve", ticket.approvals()[0]);
    assert_eq!(rig.get(&path).await.status, StatusCode::METHOD_NOT_ALLOWED, "GET never decides");
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=application/json"]
    {
        let request = rig.request("POST", &path).header(header::CONTENT_TYPE, content_type);
        assert_eq!(rig.send(request, "{}").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let answer = rig.send(rig.request("OPTIONS", &path).header("origin", "http://evil.example"), "").await;
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
    assert_eq!(rig.get("/v1/approvals").await.json()["approvals"][0]["state"], "pending");
}

#[tokio::test]
async fn an_approver_decides_once_and_never_on_its_own_request() {
    let rig = Rig::new();
    let mut ticket = rig.ask("ann").await;
    let path = format!("/v1/approvals/{}", ticket.approvals()[0]);
    let own = rig.post(&format!("{path}/approve"), r#"{"by":"ann"}"#).await;
    assert_eq!((own.status, own.json()["code"].as_str()), (StatusCode::FORBIDDEN, Some("not_allowed")));
    assert_eq!(rig.get(&path).await.json()["shown"], "delete it");
    let approved = rig.post(&format!("{path}/approve"), r#"{"reason":"agreed"}"#).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    assert_eq!(approved.json()["by"], "admin");
    let again = rig.post(&format!("{path}/deny"), "{}").await;
    assert_eq!((again.status, again.json()["code"].as_str()), (StatusCode::CONFLICT, Some("not_pending")));
    let rulings = ticket.decided(Duration::ZERO).await;
    assert!(matches!(rulings, Some(Rulings::Approved(rulings)) if rulings[0].reason == "agreed"));
}

#[tokio::test]
async fn an_approver_sees_every_byte_also_where_they_are_no_text() {
    let rig = Rig::new();
    let ticket = rig.ask_about("ann", b"delete \xff").await;
    let path = format!("/v1/approvals/{}", ticket.approvals()[0]);
    assert_eq!(rig.get(&path).await.json()["shown"], serde_json::json!({ "base64": "ZGVsZXRlIP8=" }));
}

#[tokio::test]
async fn an_approver_sees_where_it_goes_and_with_which_headers() {
    let rig = Rig::new();
    let ticket = rig.ask("ann").await;
    let shown = rig.get(&format!("/v1/approvals/{}", ticket.approvals()[0])).await.json();
    let told = ["direction", "method", "target"].map(|member| shown[member].as_str().unwrap_or_default());
    assert_eq!(told, ["request", "DELETE", "/v1/jobs/production?force=true"], "{shown}");
    assert_eq!(shown["headers"], serde_json::json!([{ "name": "x-run-as", "value": "root" }]));
}

#[tokio::test]
async fn a_list_of_questions_is_short() {
    let rig = Rig::new();
    let ticket = rig.ask_about("ann", &vec![b'x'; 1 << 20]).await;
    let listed = rig.get("/v1/approvals").await;
    assert!(listed.text.len() < 2_000, "{}", listed.text.len());
    let listed = listed.json();
    assert_eq!(listed["approvals"][0]["state"], "pending");
    assert_eq!((listed["approvals"][0].get("shown"), listed["approvals"][0].get("headers")), (None, None));
    assert_eq!(listed["approvals"][0]["target"], "/v1/jobs/production?force=true");
    let one = rig.get(&format!("/v1/approvals/{}", ticket.approvals()[0])).await.json();
    assert_eq!(one["shown"].as_str().map(str::len), Some(1 << 20));
}

#[tokio::test]
async fn what_can_not_be_meant_is_a_problem_with_a_reason() {
    let rig = Rig::new();
    let unknown = format!("/v1/approvals/{}/deny", ExchangeId::new());
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(5000));
    for (path, body, status) in [
        (unknown.as_str(), "{}", StatusCode::NOT_FOUND),
        ("/v1/approvals/x/deny", "{}", StatusCode::BAD_REQUEST),
        (&unknown, "[1]", StatusCode::BAD_REQUEST),
        (&unknown, r#"{"why":"x"}"#, StatusCode::BAD_REQUEST),
        (&unknown, &long, StatusCode::BAD_REQUEST),
        (&unknown, &"x".repeat(70_000), StatusCode::PAYLOAD_TOO_LARGE),
        ("/v1/approvals/%ff/deny", "{}", StatusCode::BAD_REQUEST),
        ("/v1/nothing", "{}", StatusCode::NOT_FOUND),
    ] {
        let answer = rig.post(path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
        assert!(
            answer.json()["code"].is_string()
                && answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty())
        );
    }
    for query in ["?limit=0", "?limit=1000000", "?since_ms=x", "?nothing=1", "?before=x"] {
        assert_eq!(rig.get(&format!("/v1/sessions{query}")).await.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn records_are_read_as_they_were_written() {
    let rig = Rig::new();
    let (session, exchange) = rig.record();
    let sessions = rig.get("/v1/sessions?caller=ann&limit=5").await.json();
    assert_eq!(sessions["sessions"][0]["session"], session.0.to_string());
    assert_eq!(rig.get("/v1/sessions?caller=bob").await.json()["sessions"].as_array().map(Vec::len), Some(0));
    let shown = rig.get(&format!("/v1/sessions/{session}")).await.json();
    assert_eq!(shown["exchanges"][0]["exchange"], exchange.0.to_string());
    let shown = rig.get(&format!("/v1/exchanges/{exchange}")).await.json();
    assert_eq!(shown["entries"].as_array().map(Vec::len), Some(5));
    assert_eq!(shown["entries"][3]["entry"]["Chunk"]["data"], "data: hi\n\n");
    let root = shown["root"].as_str().unwrap();
    assert_eq!((root.len(), shown["next"].is_null()), (64, true), "one page is all of it");
    let again = rig.get(&format!("/v1/exchanges/{exchange}?from=0-0-0-{}", "0".repeat(64))).await.json();
    assert_eq!(again, shown, "from the first entry on");
    for (what, id) in [("exchanges", exchange.0), ("sessions", session.0)] {
        for query in ["?from=1", "?from=1-1-1", "?after=x", "?limit=0", "?limit=10001", "?nothing=1"] {
            let refused = rig.get(&format!("/v1/{what}/{}{query}", id.simple())).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{what}{query}");
        }
    }
    let exchanges = rig.get("/v1/exchanges?outcome=completed").await.json();
    assert_eq!(exchanges["exchanges"].as_array().map(Vec::len), Some(1));
    assert_eq!(rig.get(&format!("/v1/exchanges/{}", ExchangeId::new())).await.status, StatusCode::NOT_FOUND);
}

#[test]
fn a_certificate_is_told_of_from_two_weeks_before_it_expires() {
    let day = 24 * 60 * 60;
    let said = |days: i64| crate::Expiring::of(1_000_000_000, 1_000_000_000 - days * day);
    assert_eq!(said(15), None);
    assert!(matches!(said(14), Some(crate::Expiring::Soon(told)) if told.starts_with("expires in 14 day(s)")));
    assert!(matches!(said(-3), Some(crate::Expiring::Expired(told)) if told.starts_with("has expired 3 day(s) ago")));
}

#[tokio::test]
async fn readiness_follows_the_phase_and_tells_of_a_degraded_set() {
    let rig = Rig::new();
    let verbose = rig.get("/readyz?verbose").await;
    assert_eq!(verbose.status, StatusCode::OK);
    assert!(verbose.text.contains("[-] policies degraded: 1 file(s)"), "{}", verbose.text);
    // Long ago.
    assert!(verbose.text.contains("[-] certificate has expired "), "{}", verbose.text);
    let policies = rig.get("/v1/policies").await.json();
    assert_eq!((policies["generation"].as_u64(), policies["degraded"].as_bool()), (Some(3), Some(true)));
    assert_eq!(rig.get("/v1/status").await.json()["policy_set"]["degraded"], true);
    rig.phase.send_replace(Phase::Draining);
    assert_eq!(rig.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rig.get("/livez").await.status, StatusCode::OK);
}

/// A policy that never gets to judge anything.
struct Placed {
    info: PolicyInfo,
    plan: Plan,
    stands_in: bool,
}

impl Placed {
    fn policy(id: &str, mode: Mode, connections: &[&str], stands_in: bool) -> Arc<dyn Policy> {
        let connections = connections.iter().map(|name| (*name).to_owned()).collect();
        let info = PolicyInfo {
            id: id.to_owned(),
            name: id.to_owned(),
            version: String::new(),
            summary: String::new(),
            digest: Digest::default(),
            wasm_digest: Digest::default(),
            order: 0,
            mode,
            on_failure: FailureMode::Closed,
            connections,
            limits: PolicyLimits::default(),
        };
        Arc::new(Self { info, plan: Plan::default(), stands_in })
    }
}

impl Policy for Placed {
    fn info(&self) -> &PolicyInfo {
        &self.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn stands_in(&self) -> bool {
        self.stands_in
    }

    fn scan(&self, _: &str, _: &str, _: bool) -> Scan {
        Scan::default()
    }

    fn guest(&self, _: &Arc<About>) -> Box<dyn Guest> {
        unreachable!("no exchange runs in these tests")
    }
}

#[tokio::test]
async fn readiness_ends_when_a_policy_that_was_never_loaded_refuses_everything() {
    let rig = Rig::new();
    let put = |policies: Vec<Arc<dyn Policy>>| {
        rig.policies.send_modify(|set| {
            let PolicySet { generation, digest, problems, .. } = &**set;
            let (generation, digest, problems) = (*generation, *digest, problems.clone());
            *set = Arc::new(PolicySet { generation, digest, policies, problems, glance: None });
        });
    };
    let shadow = || Placed::policy("10-mask", Mode::Shadow, &[], false);
    for (connections, status) in [
        (&[][..], StatusCode::SERVICE_UNAVAILABLE),
        (&["openai", "other"][..], StatusCode::SERVICE_UNAVAILABLE),
        (&["other"][..], StatusCode::OK),
    ] {
        put(vec![shadow(), Placed::policy("20-block", Mode::Enforce, connections, true)]);
        assert_eq!(rig.get("/readyz").await.status, status, "{connections:?}");
        let told = rig.get("/readyz?verbose").await.text;
        let refused = told.contains("[-] policies every exchange is refused: 20-block could not be loaded");
        assert_eq!(refused, status != StatusCode::OK, "{told}");
        assert!(told.contains("[!] policies") && told.contains("policy 10-mask has mode"), "{told}");
        assert_eq!(
            told.contains("connection openai: no policy in force guards it"),
            status == StatusCode::OK,
            "{told}"
        );
    }
    put(vec![shadow()]);
    let told = rig.get("/readyz?verbose").await.text;
    assert!(told.contains("[-] policies degraded: 1 file(s)") && told.contains("[!] policies "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_a_thread_of_its_own_until_it_is_told_to_stop() {
    let rig = Rig::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let thread = crate::on_own_thread(listener, Arc::clone(&rig.control), shutdown.clone()).unwrap();
    let talk = move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET /livez HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = tokio::task::spawn_blocking(talk).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
    assert!(answer.contains("content-security-policy: default-src 'none'"));
    shutdown.cancel();
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err(), "nothing listens any more");
    drop(rig.dir);
}

/// A body of which no more comes.
struct Half;

impl axum::body::HttpBody for Half {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_known_has_a_time_for_its_body_too() {
    let rig = Rig::new();
    let request = rig.request("POST", "/v1/revoke").header(header::CONTENT_TYPE, "application/json");
    let sent = rig.router().oneshot(request.body(Body::new(Half)).unwrap());
    let answer = tokio::time::timeout(Duration::from_secs(60), sent).await.expect("an answer in time").unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.headers()[header::CONNECTION], "close");
}
