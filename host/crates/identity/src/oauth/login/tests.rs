//! What an answer of the issuer must be; and a whole sign-in at an issuer that puts any nonce into its token.

use std::{
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::Issuer;

const ISSUER: &str = "https://idp";

fn about(names_itself: bool) -> Metadata {
    let document = serde_json::json!({
        "issuer": ISSUER,
        "authorization_response_iss_parameter_supported": names_itself,
    });
    serde_json::from_value(document).unwrap()
}

fn code(query: &str, names_itself: bool) -> Option<String> {
    accept(&CsrfToken::new("s3".into()), &about(names_itself), ISSUER, &Form::read(query).unwrap()).ok()
}

#[test]
fn an_answer_belongs_to_what_was_sent() {
    assert_eq!(code("code=c&state=s3", false).as_deref(), Some("c"));
    assert_eq!(code("code=c&state=s3&iss=https%3A%2F%2Fidp", true).as_deref(), Some("c"));
    assert_eq!(code("code=c&state=s3&iss=https%3A%2F%2Fidp", false).as_deref(), Some("c"));
}

#[test]
fn every_other_answer_is_refused() {
    for query in [
        "",
        "code=c",
        "code=c&state=",
        "code=c&state=s",
        "code=c&state=s34",
        "code=c&state=S3",
        "state=s3",
        "code=&state=s3",
        "error=access_denied&state=s3",
        "code=c&error=access_denied&state=s3",
        "code=c&state=s3&iss=https%3A%2F%2Fevil",
        "code=c&state=s3&iss=https%3A%2F%2Fidp%2F",
    ] {
        assert_eq!(code(query, false), None, "{query}");
    }
    assert_eq!(code("code=c&state=s3", true), None, "an issuer that names itself, and did not");
    assert_eq!(code("code=c&state=s3&iss=", true), None);
    assert!(Form::read("code=c&code=d&state=s3").is_err());
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An issuer on this machine; its next ID token has this `nonce`, or none.
struct Idp {
    url: String,
    pair: EcdsaKeyPair,
    nonce: Mutex<Option<Value>>,
}

impl Idp {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let idp = Arc::new(Self { url, pair, nonce: Mutex::default() });
        let serving = Arc::clone(&idp);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 8192];
                let size = stream.read(&mut head).await.unwrap();
                let path = std::str::from_utf8(&head[..size]).unwrap().split(' ').nth(1).unwrap().to_owned();
                let body = serving.document(&path).to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        idp
    }

    fn document(&self, path: &str) -> Value {
        let url = &self.url;
        match path {
            "/keys" => {
                let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
                json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "kid": "k" }] })
            }
            "/token" => json!({ "access_token": "a", "token_type": "Bearer", "id_token": self.id_token() }),
            _ => json!({
                "issuer": url,
                "jwks_uri": format!("{url}/keys"),
                "authorization_endpoint": format!("{url}/auth"),
                "token_endpoint": format!("{url}/token"),
            }),
        }
    }

    fn id_token(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({ "iss": self.url, "aud": "gate", "sub": "ann", "iat": now, "exp": now + 60 });
        if let Some(nonce) = self.nonce.lock().unwrap().clone() {
            claims["nonce"] = nonce;
        }
        let head = encode(json!({ "alg": "ES256", "kid": "k" }).to_string());
        let signed = format!("{head}.{}", encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }
}

#[tokio::test]
async fn an_id_token_with_another_nonce_or_none_signs_nobody_in() {
    let idp = Idp::start().await;
    let issuers = Arc::new(Issuers::new([Issuer::new(&idp.url, ["portcullis"])]).unwrap());
    let kept = Arc::clone(&issuers);
    tokio::spawn(async move { kept.keep().await });
    // Its keys and its metadata are there as soon as a token was looked at.
    let _refused = issuers.verify(&idp.id_token()).await;
    while issuers.about(&idp.url).is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let login = Login { issuer: idp.url.clone(), client_id: "gate".into(), client_secret: None, scopes: Vec::new() };
    let relying = Relying::new(login, &Url::parse("http://127.0.0.1:1/oauth/callback").unwrap(), issuers);
    let sign_in = async |nonce: &dyn Fn(&str) -> Option<Value>| {
        let (url, sent) = relying.send().unwrap();
        let asked = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        *idp.nonce.lock().unwrap() = nonce(&asked("nonce"));
        let answer = Form::read(&format!("code=c&state={}", asked("state"))).unwrap();
        relying.receive(sent, &answer).await
    };
    let who = sign_in(&|sent| Some(json!(sent))).await.unwrap();
    assert_eq!(who.caller.subject, "ann");
    let (_, of_another) = relying.send().unwrap();
    type Nonce<'n> = dyn Fn(&str) -> Option<Value> + 'n;
    let wrong: [&Nonce<'_>; 6] = [
        &|_| None,
        &|_| Some(json!("")),
        &|_| Some(json!(of_another.nonce.secret())),
        &|sent| Some(json!(&sent[1..])),
        &|sent| Some(json!([sent])),
        &|_| Some(json!(null)),
    ];
    for (at, nonce) in wrong.into_iter().enumerate() {
        // A nonce that is no text is no ID token to the library, before anybody looks at it.
        assert!(matches!(sign_in(nonce).await, Err(LoginError::Mixed | LoginError::Code(_))), "{at}");
    }
}
