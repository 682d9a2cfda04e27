//! Security events made by a second library: each forged one is refused, and for the reason that it was made for; each
//! good one ends what it says, and no more. `tests/vectors/forge_events.py` makes them; the keys are served by a listener
//! of this test.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use exchange::ports::{ControlLog, RecordError};
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode, header};
use identity::{Issuer, Issuers, Registry, Signals, SubjectFormat, Terms, Transmitter, digest};
use model::{ControlEvent, Target};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const VECTORS: &str = include_str!("vectors/events.json");
const PROVIDER: &str = "https://a.example";
const OTHER: &str = "https://b.example";
const TRANSMITTER: &str = "https://signals.example/tenant/1";
/// The audience of tokens.
const GATE: &str = "gate";

/// What the forged ones must cover.
const LINES: [&str; 16] = [
    "alg none",
    "HMAC with a public key",
    "ECDSA zero",
    "typ",
    "aud",
    "iss",
    "keys",
    "changed",
    "claims of tokens",
    "iat",
    "jti",
    "events",
    "subjects",
    "names twice",
    "not JSON",
    "a token as an event",
];

#[derive(Deserialize)]
struct Vectors {
    now: u64,
    audience: String,
    keys: BTreeMap<String, Vec<Value>>,
    good: Vec<Good>,
    bad: Vec<Bad>,
    tokens: Vec<Token>,
}

#[derive(Deserialize)]
struct Good {
    name: String,
    /// `nothing`, `caller`, or a second.
    ends: Value,
    issuer: String,
    subject: String,
    event: String,
}

#[derive(Deserialize)]
struct Bad {
    line: String,
    error: String,
    name: String,
    event: String,
}

/// Shown as a token.
#[derive(Deserialize)]
struct Token {
    name: String,
    taken: bool,
    token: String,
}

/// Keeps nothing: what is in force is asked of the registry.
struct Nowhere;

impl ControlLog for Nowhere {
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError> {
        Ok(Vec::new())
    }

    fn append(&self, _event: ControlEvent) -> BoxFuture<'_, Result<(), RecordError>> {
        async { Ok(()) }.boxed()
    }
}

/// Serves the key sets: `/` and the issuer's place in them.
async fn serve(sets: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let size = stream.read(&mut head).await.unwrap();
            let path = std::str::from_utf8(&head[..size]).unwrap().split(' ').nth(1).unwrap();
            let body = &sets[path[1..].parse::<usize>().unwrap()];
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

struct Gate {
    vectors: Vectors,
    issuers: Arc<Issuers>,
    /// Where each issuer's keys are.
    keys: BTreeMap<String, String>,
}

impl Gate {
    async fn start() -> Self {
        let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
        let sets = vectors.keys.values().map(|keys| serde_json::json!({ "keys": keys }).to_string());
        let place = serve(sets.collect()).await;
        let named = vectors.keys.keys().enumerate().map(|(at, issuer)| (issuer.clone(), format!("{place}/{at}")));
        let keys: BTreeMap<String, String> = named.collect();
        let trusted = [PROVIDER, OTHER].map(|url| {
            let mut issuer = Issuer::new(url, [GATE]);
            issuer.jwks = Some(keys[url].clone());
            issuer
        });
        let now = vectors.now * 1000;
        let issuers = Arc::new(Issuers::with_clock(trusted, Arc::new(move || now)).unwrap());
        let kept = Arc::clone(&issuers);
        tokio::spawn(async move { kept.keep().await });
        Self { vectors, issuers, keys }
    }

    /// A receiver at which nothing has arrived.
    fn receiver(&self) -> (Arc<Signals>, Registry) {
        let now = self.vectors.now * 1000;
        let registry = Registry::open_at(Arc::new(Nowhere), Terms::default(), Arc::new(move || now)).unwrap();
        let mut other = Transmitter::new(TRANSMITTER, [&self.vectors.audience]);
        other.about = vec![OTHER.into()];
        other.formats = SubjectFormat::ALL.map(|(_, format)| format).into();
        other.jwks = Some(self.keys[TRANSMITTER].clone());
        let transmitters = [Transmitter::new(PROVIDER, [&self.vectors.audience]), other];
        let signals = Arc::new(Signals::new(transmitters, Arc::clone(&self.issuers), registry.clone()).unwrap());
        let kept = Arc::clone(&signals);
        tokio::spawn(async move { kept.keep().await });
        (signals, registry)
    }
}

async fn post(signals: &Signals, event: &str) -> Response<Bytes> {
    let request = Request::post("/ssf/events").header(header::CONTENT_TYPE, "application/secevent+jwt");
    signals.answer(request.body(Bytes::from(event.to_owned())).unwrap()).await
}

/// The error's code.
fn error(answer: &Response<Bytes>) -> String {
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers()[header::CONTENT_LANGUAGE], "en");
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert!(!body["description"].as_str().unwrap().is_empty());
    body["err"].as_str().unwrap().to_owned()
}

fn ended(registry: &Registry) -> Vec<(Target, Option<u64>)> {
    registry.revocations().iter().map(|revoked| (revoked.target.clone(), revoked.issued_before_ms)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_good_event_ends_what_it_says_and_no_more() {
    let gate = Gate::start().await;
    let mut wrong = BTreeMap::new();
    for good in &gate.vectors.good {
        let (signals, registry) = gate.receiver();
        let target = Target::Caller { issuer: good.issuer.clone(), subject: good.subject.clone() };
        let expected = match &good.ends {
            Value::Number(second) => vec![(target, Some((second.as_u64().unwrap() + 1) * 1000))],
            Value::String(all) if all == "caller" => vec![(target, None)],
            _ => Vec::new(),
        };
        for _ in 0..2 {
            let answer = post(&signals, &good.event).await;
            let found = (answer.status(), ended(&registry));
            if found != (StatusCode::ACCEPTED, expected.clone()) || !answer.body().is_empty() {
                wrong.insert(&good.name, format!("{found:?} {}", String::from_utf8_lossy(answer.body())));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_event_ends_anything() {
    let gate = Gate::start().await;
    let (signals, registry) = gate.receiver();
    let mut wrong = BTreeMap::new();
    for bad in &gate.vectors.bad {
        let answer = post(&signals, &bad.event).await;
        if answer.status() == StatusCode::ACCEPTED {
            wrong.insert(format!("{}: {}", bad.line, bad.name), "TAKEN".to_owned());
            continue;
        }
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{}: {}", bad.line, bad.name);
        let code = error(&answer);
        if code != bad.error {
            wrong.insert(format!("{}: {}", bad.line, bad.name), format!("refused with {code}, not {}", bad.error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(ended(&registry), []);
    let covered: BTreeSet<&str> = gate.vectors.bad.iter().map(|bad| bad.line.as_str()).collect();
    assert_eq!(covered, BTreeSet::from(LINES));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_a_token_and_no_token_an_event() {
    let gate = Gate::start().await;
    for shown in &gate.vectors.tokens {
        let taken = gate.issuers.verify(&shown.token).await;
        assert_eq!(taken.is_ok(), shown.taken, "{}: {:?}", shown.name, taken.err());
    }
    for good in &gate.vectors.good {
        assert!(gate.issuers.verify(&good.event).await.is_err(), "{}", good.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_as_one_and_from_who_was_let_in() {
    let gate = Gate::start().await;
    let (_, registry) = gate.receiver();
    let mut terms = Transmitter::new(PROVIDER, [&gate.vectors.audience]);
    terms.authorization = Some(digest("Bearer of-the-transmitter"));
    let signals = Signals::new([terms], Arc::clone(&gate.issuers), registry.clone()).unwrap();
    let event = &gate.vectors.good[0].event;
    let ask = async |headers: &[(&'static str, &'static str)]| {
        let mut request = Request::post("/ssf/events");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        signals.answer(request.body(Bytes::from(event.clone())).unwrap()).await
    };
    const KIND: (&str, &str) = ("content-type", "application/secevent+jwt");
    for wrong in [
        &[][..],
        &[("content-type", "application/jwt")],
        &[("content-type", "application/json")],
        &[KIND, KIND],
        &[("content-type", "application/secevent+jwt, application/json")],
    ] {
        assert_eq!(error(&ask(wrong).await), "invalid_request", "{wrong:?}");
    }
    for wrong in
        [&[KIND][..], &[KIND, ("authorization", "Bearer other")], &[KIND, ("authorization", "of-the-transmitter")]]
    {
        assert_eq!(error(&ask(wrong).await), "authentication_failed", "{wrong:?}");
    }
    assert_eq!(ended(&registry), []);
    let answer = ask(&[KIND, ("authorization", "Bearer of-the-transmitter")]).await;
    assert_eq!((answer.status(), ended(&registry).len()), (StatusCode::ACCEPTED, 1));
}
