//! The token endpoint: what callers ask the gate itself, on the data listener.
//!
//! | Path | What | Rule |
//! |---|---|---|
//! | `GET /.well-known/oauth-authorization-server` | what is there | RFC 8414 |
//! | `POST /oauth/token` | an issuer's token for one of ours; a device's token | RFC 8693, RFC 8628 |
//! | `POST /oauth/device_authorization` | a device begins to wait | RFC 8628 |
//! | `/oauth/device`, `/oauth/device/decision`, `/oauth/callback` | the person at a browser | OpenID Connect, RFC 9207 |
//! | `POST /oauth/access` | asks for access that a person must agree to | – |
//! | `POST /oauth/revoke` | a holder gives its token back | RFC 7009 |
//! | `POST /oauth/introspect` | a holder asks what its token is good for | RFC 7662 |
//!
//! What must hold: a token is issued only to who proved who they are, by a grant, and is never more than the grant; every
//! failure issues nothing; whoever shows what is not good is told to those who watch; no token and no code stands in an
//! error, a log line or a URL that the gate writes.

mod access;
mod answer;
mod browser;
mod device;
mod devices;
mod form;
mod login;
mod page;
mod shown;
#[cfg(test)]
mod tests;
mod tokens;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use model::{Digest, address::is_this_machine};
use serde_json::json;
use thiserror::Error;
use url::Url;

pub(crate) use self::answer::{empty, plain};
pub use self::{
    access::{Access, AccessFault, AccessView},
    login::Login,
    shown::TurnAway,
};
use self::{
    answer::{Refusal, ok},
    browser::Browsers,
    devices::Devices,
    form::{FORM_BYTES, Form},
    login::Relying,
};
use crate::{Grants, Issuers, Registry};

/// The client that `portcullis login` is.
pub const CLIENT: &str = "portcullis";

const METADATA: &str = "/.well-known/oauth-authorization-server";
const TOKEN: &str = "/oauth/token";
const DEVICE_AUTHORIZATION: &str = "/oauth/device_authorization";
const DEVICE: &str = "/oauth/device";
const DECISION: &str = "/oauth/device/decision";
const CALLBACK: &str = "/oauth/callback";
const ACCESS: &str = "/oauth/access";
const REVOKE: &str = "/oauth/revoke";
const INTROSPECT: &str = "/oauth/introspect";

const EXCHANGE_GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What the token endpoint goes by.
#[derive(Clone, Debug)]
pub struct OauthTerms {
    /// The gate's own URL, as callers and browsers reach it: `https://gate.example`, with no path.
    pub url: String,
    /// Clients (`client_id`) that may begin a device flow; none of them has a secret.
    pub clients: Vec<String>,
    /// How people sign in; none: there is no device flow.
    pub login: Option<Login>,
}

impl OauthTerms {
    /// Whether they can be meant, as far as they say so themselves.
    ///
    /// # Errors
    /// [`OauthError`].
    pub fn check(&self) -> Result<(), OauthError> {
        self.place().map(drop)
    }

    /// The gate's URL, and its origin: scheme, host and port.
    fn place(&self) -> Result<(Url, String), OauthError> {
        let wrong = |what: &str| OauthError(what.to_owned());
        let url = Url::parse(&self.url).map_err(|error| OauthError(format!("url is not one: {error}")))?;
        let origin = url.origin().ascii_serialization();
        let here = url.host_str().is_some_and(is_this_machine);
        if self.url.trim_end_matches('/') != origin {
            return Err(wrong("url has a path, or more"));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && here) {
            return Err(wrong("url is not https: a sign-in can't be trusted to anything else"));
        }
        Ok((url, origin))
    }
}

/// Terms that can't be meant.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the token endpoint's {0}")]
pub struct OauthError(String);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// SHA-256 of the client certificate (DER) that it showed.
    pub certificate: Option<Digest>,
}

/// The token endpoint.
pub struct Oauth {
    /// Scheme, host and port.
    origin: String,
    clients: Vec<String>,
    issuers: Arc<Issuers>,
    grants: Arc<Grants>,
    registry: Registry,
    access: Access,
    relying: Option<Relying>,
    devices: Mutex<Devices>,
    browsers: Mutex<Browsers>,
    turned_away: TurnAway,
}

impl Oauth {
    /// The most bytes of a body that are looked at.
    pub const BODY_BYTES: usize = FORM_BYTES;

    /// By these terms; who is refused is told to `turned_away`.
    ///
    /// # Errors
    /// [`OauthError`].
    pub fn new(
        terms: OauthTerms,
        issuers: Arc<Issuers>,
        grants: Arc<Grants>,
        registry: Registry,
        access: Access,
        turned_away: TurnAway,
    ) -> Result<Self, OauthError> {
        let (url, origin) = terms.place()?;
        let relying = match terms.login {
            None => None,
            Some(login) if !issuers.trusts(&login.issuer) => {
                return Err(OauthError("login has an issuer that is not trusted".into()));
            }
            Some(login) => {
                let redirect = url.join(CALLBACK).map_err(|error| OauthError(error.to_string()))?;
                Some(Relying::new(login, &redirect, Arc::clone(&issuers)))
            }
        };
        Ok(Self {
            origin,
            clients: terms.clients,
            issuers,
            grants,
            registry,
            access,
            relying,
            devices: Mutex::default(),
            browsers: Mutex::default(),
            turned_away,
        })
    }

    /// Whether a path is this endpoint's: such a request never goes to a connection.
    #[must_use]
    pub fn serves(path: &str) -> bool {
        path == METADATA || path == "/oauth" || path.starts_with("/oauth/")
    }

    /// Answers a request whose body is whole.
    pub async fn answer(&self, request: Request<Bytes>, peer: Peer) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let allowed = match parts.uri.path() {
            METADATA | CALLBACK => "GET",
            DEVICE => "GET, POST",
            TOKEN | DEVICE_AUTHORIZATION | DECISION | ACCESS | REVOKE | INTROSPECT => "POST",
            _ => return empty(StatusCode::NOT_FOUND),
        };
        if !allowed.split(", ").any(|method| method == parts.method.as_str()) {
            let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            return answer;
        }
        let answered = match (&parts.method, parts.uri.path()) {
            (_, METADATA) => Ok(ok(&self.metadata())),
            (_, TOKEN) => self.token(&parts, &body, peer).await,
            (_, DEVICE_AUTHORIZATION) => self.device_authorization(&parts, &body, peer),
            (_, ACCESS) => self.ask_access(&parts, &body, peer).await,
            (_, REVOKE) => self.revoke(&parts, &body).await,
            (_, INTROSPECT) => self.introspect(&parts, &body, peer).await,
            (&Method::GET, DEVICE) => Ok(self.device_page(&parts)),
            (_, DEVICE) => Ok(self.device_code(&parts, &body, peer)),
            (_, CALLBACK) => Ok(self.callback(&parts).await),
            (_, _) => Ok(self.decision(&parts, &body).await),
        };
        answered.unwrap_or_else(|refusal| {
            tracing::debug!(path = parts.uri.path(), error = refusal.error, "the token endpoint refused a request");
            refusal.answer()
        })
    }

    /// RFC 8414, 2.
    fn metadata(&self) -> serde_json::Value {
        let place = |path: &str| format!("{}{path}", self.origin);
        let mut metadata = json!({
            "issuer": self.origin,
            "token_endpoint": place(TOKEN),
            "token_endpoint_auth_methods_supported": ["none"],
            "grant_types_supported": [EXCHANGE_GRANT],
            "response_types_supported": [],
            "revocation_endpoint": place(REVOKE),
            "revocation_endpoint_auth_methods_supported": ["none"],
            "introspection_endpoint": place(INTROSPECT),
            "introspection_endpoint_auth_methods_supported": ["bearer"],
            "tls_client_certificate_bound_access_tokens": true,
        });
        if self.relying.is_some() {
            metadata["grant_types_supported"] = json!([EXCHANGE_GRANT, DEVICE_GRANT]);
            metadata["device_authorization_endpoint"] = json!(place(DEVICE_AUTHORIZATION));
        }
        metadata
    }

    fn devices(&self) -> MutexGuard<'_, Devices> {
        // Both books are changed by whole steps that don't panic half-way.
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn browsers(&self) -> MutexGuard<'_, Browsers> {
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The form of a request of a client. Clients here are public: one that shows a secret takes us for somebody else.
    fn form(&self, parts: &http::request::Parts, body: &[u8]) -> Result<Form, Refusal> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return Err(Refusal::client("clients have no secrets here"));
        }
        let form = Form::body(&parts.headers, body)?;
        if form.get("client_secret").is_some() || form.get("client_assertion").is_some() {
            return Err(Refusal::client("clients have no secrets here"));
        }
        match form.get("client_id") {
            Some(client) if !self.clients.iter().any(|known| known == client) => {
                Err(Refusal::client("the client is not known here"))
            }
            _ => Ok(form),
        }
    }
}
