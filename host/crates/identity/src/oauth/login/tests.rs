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
    for said in [json!("true"), json!(1)] {
        let document = json!({ "issuer": ISSUER, "authorization_response_iss_parameter_supported": said });
        let about: Metadata = serde_json::from_value(document).unwrap();
        assert!(about.names_itself(), "{said}");
    }
}

#[test]
fn an_issuer_is_asked_at_no_place_that_it_should_not_name() {
    let issuers = Arc::new(Issuers::new([Issuer::new(ISSUER, ["gate"])]).unwrap());
    let login = Login { issuer: ISSUER.into(), client_id: "gate".into(), client_secret: None, scopes: Vec::new() };
    let relying = Relying::new(login, &Url::parse("http://127.0.0.1:1/oauth/callback").unwrap(), issuers);
    let http = Http::new(None, [&ISSUER.to_owned()]).unwrap();
    let redemption = |said: Value| {
        let about = serde_json::from_value(json!({ "issuer": ISSUER, "token_endpoint": said })).unwrap();
        relying.redemption(&about, &http, "code", "verifier").map(|request| request.uri().to_string())
    };
    assert_eq!(redemption(json!("https://idp/token")).unwrap(), "https://idp/token");
    for said in [
        json!("http://idp/token"),
        json!("http://127.0.0.1/token"),
        json!("https://169.254.169.254/token"),
        json!("file:///etc/passwd"),
        json!("urn:kubernetes:programmatic_authorization"),
        json!("/token"),
        json!(""),
        json!(["https://idp/token"]),
        json!(null),
    ] {
        let Err(LoginError::Unavailable(told)) = redemption(said.clone()) else { panic!("{said}") };
        assert!(told.starts_with("token_endpoint of its metadata is "), "{told}");
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An issuer on this machine; its next ID token has this `nonce`, or none.
struct Idp {
    url: String,
    pair: EcdsaKeyPair,
    nonce: Mutex<Option<Value>>,
    /// What else stands in it, and in the answer that it comes with.
    more: Mutex<(Value, Value)>,
    /// Forms that its token endpoint was sent, with their heads.
    asked: Mutex<Vec<String>>,
}

impl Idp {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let more = Mutex::new((json!({}), json!({})));
        let idp = Arc::new(Self { url, pair, nonce: Mutex::default(), more, asked: Mutex::default() });
        let serving = Arc::clone(&idp);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 8192];
                let size = stream.read(&mut head).await.unwrap();
                let text = std::str::from_utf8(&head[..size]).unwrap();
                let path = text.split(' ').nth(1).unwrap().to_owned();
                if path == "/token" {
                    serving.asked.lock().unwrap().push(text.to_owned());
                }
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
            "/token" => {
                let answer = json!({ "access_token": "a", "token_type": "Bearer", "id_token": self.id_token() });
                with(answer, &self.more.lock().unwrap().1)
            }
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
        let claims = with(claims, &self.more.lock().unwrap().0);
        let head = encode(json!({ "alg": "ES256", "kid": "k" }).to_string());
        let signed = format!("{head}.{}", encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }
}

/// A JSON object with members more, or others; `null` takes one out.
fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        object[name] = value.clone();
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        }
    }
    object
}

/// The gate at this issuer, of which it knows the metadata.
async fn relying(idp: &Idp, secret: Option<&str>, change: impl FnOnce(&mut Issuer)) -> Relying {
    let mut terms = Issuer::new(&idp.url, ["portcullis"]);
    change(&mut terms);
    let issuers = Arc::new(Issuers::new([terms]).unwrap());
    let login = Login {
        issuer: idp.url.clone(),
        client_id: "gate".into(),
        client_secret: secret.map(Into::into),
        scopes: Vec::new(),
    };
    let relying = Relying::new(login, &Url::parse("http://127.0.0.1:1/oauth/callback").unwrap(), Arc::clone(&issuers));
    let kept = Arc::clone(&issuers);
    tokio::spawn(async move { kept.keep().await });
    // Its keys and its metadata are there as soon as a token was looked at.
    let _refused = issuers.verify(&idp.id_token()).await;
    while issuers.about(&idp.url).is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    relying
}

/// A sign-in whose token has what is made of the nonce that was sent.
async fn sign_in(
    relying: &Relying,
    idp: &Idp,
    nonce: impl FnOnce(&str) -> Option<Value>,
) -> Result<Verified, LoginError> {
    let (url, sent) = relying.send().unwrap();
    let asked = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    *idp.nonce.lock().unwrap() = nonce(&asked("nonce"));
    let answer = Form::read(&format!("code=c&state={}", asked("state"))).unwrap();
    relying.receive(sent, &answer).await
}

#[tokio::test]
async fn how_an_issuer_writes_what_the_gate_does_not_go_by_keeps_nobody_out() {
    let idp = Idp::start().await;
    let relying = relying(&idp, None, |_| {}).await;
    let claims = [
        json!({ "updated_at": "2026-11-30T10:00:00.000Z" }),
        json!({ "email_verified": "true", "phone_number_verified": "false" }),
        json!({ "acr": 1, "amr": "pwd", "auth_time": "1796035894" }),
        json!({ "address": "Main Street", "locale": ["en"], "picture": "not a url", "website": "" }),
    ];
    let answers = [
        json!({ "expires_in": "60" }),
        json!({ "expires_in": 60.0, "scope": ["openid"] }),
        json!({ "token_type": null, "access_token": null }),
    ];
    let claims = claims.map(|claims| (claims, json!({})));
    for more in claims.into_iter().chain(answers.map(|answer| (json!({}), answer))) {
        idp.more.lock().unwrap().clone_from(&more);
        let who = sign_in(&relying, &idp, |sent| Some(json!(sent))).await;
        assert_eq!(who.map(|who| who.caller.subject).map_err(|error| error.to_string()), Ok("ann".into()), "{more:?}");
    }
    // What it does go by is looked at as strictly as ever.
    for more in [
        (json!({ "iat": "1796035894" }), json!({})),
        (json!({ "aud": "other" }), json!({})),
        (json!({ "iss": "https://other" }), json!({})),
        (json!({ "azp": "other" }), json!({})),
        (json!({ "exp": null }), json!({})),
        (json!({}), json!({ "id_token": null })),
        (json!({}), json!({ "id_token": ["a"] })),
        (json!({}), json!({ "id_token": "a.b.c" })),
    ] {
        idp.more.lock().unwrap().clone_from(&more);
        assert!(sign_in(&relying, &idp, |sent| Some(json!(sent))).await.is_err(), "{more:?}");
    }
}

#[test]
fn an_answer_without_an_id_token_tells_why_and_nothing_of_a_token() {
    let told = |status: u16, body: &str| {
        let answer = Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap();
        id_token(&answer).unwrap_err()
    };
    assert_eq!(told(400, r#"{"error":"invalid_grant"}"#), r#"its token endpoint answered 400: "invalid_grant""#);
    assert!(told(401, r#"{"error":["x"]}"#).ends_with(r#"401: "no error that could be read""#));
    assert!(told(302, "").contains("302"));
    assert!(told(200, r#"{"access_token":"secret"}"#).contains("no ID token"));
    for body in ["<html>secret", "", "[]", r#"{"id_token":"secret","id_token":"other"}"#] {
        let told = told(200, body);
        assert!(told.contains("not a JSON object") && !told.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn a_code_is_redeemed_with_the_verifier_of_its_sending_and_the_clients_own_secret() {
    let idp = Idp::start().await;
    for (secret, expected) in [(None, "client_id=gate"), (Some("s e:c"), "authorization: Basic Z2F0ZTpzK2UlM0Fj")] {
        let relying = relying(&idp, secret, |_| {}).await;
        sign_in(&relying, &idp, |sent| Some(json!(sent))).await.unwrap();
        let asked = idp.asked.lock().unwrap().pop().unwrap();
        let redirect = "redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Foauth%2Fcallback";
        for part in ["grant_type=authorization_code", "code=c&", redirect, "code_verifier=", expected] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
        assert!(!asked.contains("client_secret"), "{asked}");
    }
}

#[tokio::test]
async fn people_sign_in_at_an_issuer_whose_keys_are_named() {
    let idp = Idp::start().await;
    let relying = relying(&idp, None, |terms| terms.jwks = Some(format!("{}/keys", idp.url))).await;
    assert!(sign_in(&relying, &idp, |sent| Some(json!(sent))).await.is_ok());
}

#[tokio::test]
async fn an_id_token_with_another_nonce_or_none_signs_nobody_in() {
    let idp = Idp::start().await;
    let relying = relying(&idp, None, |_| {}).await;
    let who = sign_in(&relying, &idp, |sent| Some(json!(sent))).await.unwrap();
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
        assert!(matches!(sign_in(&relying, &idp, nonce).await, Err(LoginError::Mixed)), "{at}");
    }
}
