//! Tokens made by a second library: each forged one is refused, and for the reason that it was made for; each good one is
//! taken. `tests/vectors/forge.py` makes them; the keys are served by a listener of this test.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use identity::{Algorithm, Issuer, Issuers};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const VECTORS: &str = include_str!("vectors/tokens.json");

/// What threats of identity the forged tokens must cover.
const LINES: [&str; 17] = [
    "alg none",
    "HMAC with a public key",
    "ECDSA zero",
    "keys in the header",
    "kid",
    "crit",
    "b64",
    "JSON serialisation",
    "base64url",
    "names twice",
    "not JSON",
    "typ",
    "aud",
    "issuers",
    "times",
    "exp",
    "keys",
];

#[derive(Deserialize)]
struct Vectors {
    now: u64,
    issuers: Vec<Known>,
    good: Vec<Good>,
    bad: Vec<Bad>,
}

#[derive(Deserialize)]
struct Known {
    url: String,
    audiences: Vec<String>,
    keys: Vec<Value>,
    algorithms: Option<Vec<String>>,
    #[serde(default)]
    parties: Vec<String>,
}

#[derive(Deserialize)]
struct Good {
    name: String,
    token: String,
}

#[derive(Deserialize)]
struct Bad {
    line: String,
    fault: String,
    name: String,
    token: String,
}

/// Serves the key sets: `/0`, `/1`, …
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

async fn trusted(vectors: &Vectors) -> Arc<Issuers> {
    let sets = vectors.issuers.iter().map(|known| serde_json::json!({ "keys": known.keys }).to_string());
    let keys = serve(sets.collect()).await;
    let issuers = vectors.issuers.iter().enumerate().map(|(at, known)| {
        let mut issuer = Issuer::new(&known.url, &known.audiences);
        issuer.jwks = Some(format!("{keys}/{at}"));
        issuer.parties.clone_from(&known.parties);
        issuer.algorithms = match &known.algorithms {
            Some(names) => names.iter().map(|name| Algorithm::named(name).unwrap()).collect(),
            None => Algorithm::ALL.map(|(_, algorithm)| algorithm).to_vec(),
        };
        issuer
    });
    let now = vectors.now * 1000;
    let issuers = Arc::new(Issuers::with_clock(issuers, Arc::new(move || now)).unwrap());
    let kept = Arc::clone(&issuers);
    tokio::spawn(async move { kept.keep().await });
    issuers
}

/// A token that may have to wait for a newer key would wait half a minute for it: these sets are the last word, since
/// they come after every token was made.
async fn check(issuers: &Issuers, token: &str) -> Result<String, &'static str> {
    issuers.verify(token).await.map(|verified| verified.caller.issuer).map_err(identity::Fault::word)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_token_is_taken_and_no_good_one_refused() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let issuers = trusted(&vectors).await;
    let mut wrong = BTreeMap::new();
    for good in &vectors.good {
        if let Err(fault) = check(&issuers, &good.token).await {
            wrong.insert(good.name.clone(), format!("refused: {fault}"));
        }
    }
    for bad in &vectors.bad {
        match check(&issuers, &bad.token).await {
            Ok(issuer) => wrong.insert(format!("{}: {}", bad.line, bad.name), format!("TAKEN as {issuer}'s")),
            Err(fault) if fault != bad.fault => {
                wrong.insert(format!("{}: {}", bad.line, bad.name), format!("refused for {fault}, not {}", bad.fault))
            }
            Err(_) => None,
        };
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(vectors.bad.len() >= 300 && vectors.good.len() >= 50, "{} {}", vectors.bad.len(), vectors.good.len());
    let covered: BTreeSet<&str> = vectors.bad.iter().map(|bad| bad.line.as_str()).collect();
    let missing: Vec<&&str> = LINES.iter().filter(|line| !covered.contains(**line)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_taken_with_one_character_changed() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let issuers = trusted(&vectors).await;
    let good = vectors.good.iter().find(|good| good.name == "ES256").unwrap();
    assert!(check(&issuers, &good.token).await.is_ok());
    for at in 0..good.token.len() {
        let mut bytes = good.token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(check(&issuers, &changed).await.is_err(), "at {at}");
    }
}
