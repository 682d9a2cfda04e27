//! What an issuer says of itself (OpenID Connect Discovery 1.0, RFC 8414), and its keys.
//!
//! `openidconnect`'s own type wants an authorisation endpoint. Clusters and CI systems have none, or say something there
//! that is no place (`urn:…`, nothing), so the document is read here.
//!
//! What must hold: what is needed for its keys must be right; what only a sign-in goes by refuses no key, and is looked at
//! by who signs somebody in, before it is used.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join},
};
use http::StatusCode;
use outbound::{Http, found};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::Issuer;
use crate::{
    jwks::{Fetch, Fetched, KeySet},
    jwt::object,
};

/// An issuer's document: the members that matter here.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    jwks_uri: Option<Url>,
    /// What it says there, whatever that is: see [`place`].
    #[serde(default)]
    pub(crate) authorization_endpoint: Value,
    #[serde(default)]
    pub(crate) token_endpoint: Value,
    #[serde(default)]
    authorization_response_iss_parameter_supported: Value,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Value,
}

/// The place that a member of an issuer's metadata names; else what is wrong with it, to be put after the member's name.
pub(crate) fn place(said: &Value, http: &Http) -> Result<Url, String> {
    let text = said.as_str().ok_or("is not there, or no text")?;
    let url = Url::parse(text).map_err(|error| format!("is {text:?}: {error}"))?;
    http.check(&url).map_err(|error| format!("is {text:?}, which {error}"))?;
    Ok(url)
}

impl Metadata {
    /// Whether its answers name it (RFC 9207). One that says so in a way of its own is taken at its word.
    pub(crate) fn names_itself(&self) -> bool {
        !matches!(self.authorization_response_iss_parameter_supported, Value::Null | Value::Bool(false))
    }

    /// Whether a client's secret goes into the form: where it may not go into a header.
    pub(crate) fn takes_secrets_in_body_only(&self) -> bool {
        let has = |method: &str| {
            self.token_endpoint_auth_methods_supported
                .as_array()
                .is_some_and(|known| known.iter().any(|own| own == method))
        };
        has("client_secret_post") && !has("client_secret_basic")
    }
}

/// Which of its documents an issuer is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Documents {
    /// As a provider of tokens.
    Tokens,
    /// As a transmitter of events (Shared Signals Framework 1.0, 7.1).
    Events,
}

/// How one issuer is asked.
pub(crate) struct Provider {
    url: String,
    jwks: Option<Url>,
    /// Where its document may be, in the order in which they are tried.
    documents: Vec<Url>,
    /// Whether its metadata is needed though it has been said where its keys are: people sign in there.
    needed: AtomicBool,
    http: Arc<Http>,
}

impl Provider {
    pub(crate) fn new(issuer: &Issuer, documents: Documents, http: Arc<Http>) -> Result<Self, String> {
        let url = Url::parse(&issuer.url).map_err(|error| error.to_string())?;
        if url.query().is_some() {
            return Err("an issuer's URL has no query".into());
        }
        let jwks = issuer.jwks.as_deref().map(Url::parse).transpose().map_err(|error| error.to_string())?;
        let needed = AtomicBool::new(false);
        Ok(Self { url: issuer.url.clone(), jwks, documents: documents.of(&url), needed, http })
    }

    /// From the next fetch on its metadata is asked for in any case.
    pub(super) fn need_metadata(&self) {
        self.needed.store(true, Ordering::Relaxed);
    }

    async fn fetch_all(&self) -> Result<Fetched<Metadata>, String> {
        let Some(place) = &self.jwks else {
            let about = self.metadata().await?;
            let place = about.jwks_uri.clone().ok_or("its metadata names no jwks_uri")?;
            return Ok(Fetched { keys: self.keys(&place).await?, about: Some(about) });
        };
        // An issuer whose keys are known without its metadata need not have any, and its keys don't depend on it.
        let about = async {
            if !self.needed.load(Ordering::Relaxed) {
                return None;
            }
            let about = self.metadata().await;
            about
                .inspect_err(|error| {
                    tracing::warn!(issuer = %self.url, %error, "the metadata could not be fetched that people sign in by");
                })
                .ok()
        };
        let (keys, about) = join(self.keys(place), about).await;
        Ok(Fetched { keys: keys?, about })
    }

    async fn keys(&self, place: &Url) -> Result<KeySet, String> {
        let bytes = self.document(place).await.map_err(|error| match error {
            Missing::Status(status) => format!("{place}: status {status}"),
            Missing::Other(error) => error,
        })?;
        KeySet::read(&bytes).map_err(|error| format!("{place}: {error}"))
    }

    async fn metadata(&self) -> Result<Metadata, String> {
        let mut missing = String::new();
        for place in &self.documents {
            match self.document(place).await {
                Ok(bytes) => return self.read(&bytes).map_err(|error| format!("{place}: {error}")),
                Err(Missing::Status(status)) => missing = format!("{place}: status {status}"),
                Err(Missing::Other(error)) => return Err(error),
            }
        }
        Err(missing)
    }

    fn read(&self, bytes: &[u8]) -> Result<Metadata, String> {
        let members = object(bytes).ok_or("not a JSON object")?;
        let metadata = Metadata::deserialize(Value::Object(members)).map_err(|error| error.to_string())?;
        // OpenID Connect Discovery 1.0, 4.3; RFC 8414, 3.3: else one issuer could speak for another.
        if metadata.issuer != self.url {
            let (theirs, ours) = (&metadata.issuer, &self.url);
            return Err(format!("it is the metadata of another issuer: of {theirs:?}, not of {ours:?}"));
        }
        if let Some(url) = &metadata.jwks_uri {
            self.http.check(url).map_err(|error| format!("{url} {error}"))?;
        }
        Ok(metadata)
    }

    async fn document(&self, place: &Url) -> Result<Vec<u8>, Missing> {
        let answer = self.http.get(place).await.map_err(|error| Missing::Other(error.to_string()))?;
        found(answer).map_err(Missing::Status)
    }
}

enum Missing {
    Status(StatusCode),
    Other(String),
}

impl Documents {
    /// OpenID Connect appends its path to the issuer's; RFC 8414 and Shared Signals put it between the host and the
    /// issuer's path.
    fn of(self, issuer: &Url) -> Vec<Url> {
        let path = issuer.path().trim_end_matches('/');
        let paths = match self {
            Self::Tokens => vec![
                format!("{path}/.well-known/openid-configuration"),
                format!("/.well-known/oauth-authorization-server{path}"),
            ],
            Self::Events => vec![format!("/.well-known/ssf-configuration{path}")],
        };
        let at = |path: &String| {
            let mut url = issuer.clone();
            url.set_path(path);
            url
        };
        paths.iter().map(at).collect()
    }
}

impl Fetch for Provider {
    type About = Metadata;

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched<Metadata>, String>> {
        self.fetch_all().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(url: &str) -> Provider {
        let http = Http::new(None, [&url.to_owned()]).unwrap();
        Provider::new(&Issuer::new(url, ["gate"]), Documents::Tokens, Arc::new(http)).unwrap()
    }

    #[test]
    fn the_document_is_where_the_specifications_say() {
        let told = |documents: Documents, url: &str| {
            documents.of(&Url::parse(url).unwrap()).into_iter().map(String::from).collect::<Vec<_>>()
        };
        let places = |url: &str| told(Documents::Tokens, url);
        assert_eq!(
            places("https://idp/realms/a"),
            [
                "https://idp/realms/a/.well-known/openid-configuration",
                "https://idp/.well-known/oauth-authorization-server/realms/a"
            ]
        );
        assert_eq!(places("https://idp/")[0], "https://idp/.well-known/openid-configuration");
        let events = |url: &str| told(Documents::Events, url);
        assert_eq!(events("https://tr/issuer1/"), ["https://tr/.well-known/ssf-configuration/issuer1"]);
        assert_eq!(events("https://tr"), ["https://tr/.well-known/ssf-configuration"]);
    }

    #[test]
    fn no_issuer_speaks_for_another() {
        let provider = provider("https://idp");
        assert!(provider.read(br#"{"issuer":"https://idp","jwks_uri":"https://keys/j"}"#).is_ok());
        for wrong in [
            r#"{"issuer":"https://idp/","jwks_uri":"https://keys/j"}"#,
            r#"{"issuer":"https://IDP","jwks_uri":"https://keys/j"}"#,
            r#"{"issuer":"https://other","jwks_uri":"https://keys/j"}"#,
            r#"{"issuer":"https://idp","issuer":"https://idp","jwks_uri":"https://keys/j"}"#,
            r#"{"jwks_uri":"https://keys/j"}"#,
            r#"{"issuer":"https://idp","jwks_uri":"http://keys/j"}"#,
            r#"{"issuer":"https://idp","jwks_uri":"http://127.0.0.1/j"}"#,
            r#"{"issuer":"https://idp","jwks_uri":"https://169.254.169.254/j"}"#,
            r#"{"issuer":"https://idp","jwks_uri":"file:///etc/passwd"}"#,
            "[]",
            "",
        ] {
            assert!(provider.read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let slash = provider.read(br#"{"issuer":"https://idp/","jwks_uri":"https://keys/j"}"#).unwrap_err();
        assert_eq!(slash, r#"it is the metadata of another issuer: of "https://idp/", not of "https://idp""#);
    }

    /// As clusters, SPIFFE and others publish it, who let nobody sign in.
    #[test]
    fn what_only_a_sign_in_goes_by_refuses_no_key() {
        let provider = provider("https://idp");
        for said in [
            r#""authorization_endpoint":"urn:kubernetes:programmatic_authorization""#,
            r#""authorization_endpoint":"""#,
            r#""authorization_endpoint":null,"token_endpoint":[]"#,
            r#""token_endpoint":"http://idp/t""#,
            r#""authorization_response_iss_parameter_supported":null"#,
            r#""token_endpoint_auth_methods_supported":null"#,
            r#""token_endpoint_auth_methods_supported":["none",1]"#,
        ] {
            let document = format!(r#"{{"issuer":"https://idp","jwks_uri":"https://keys/j",{said}}}"#);
            let metadata = provider.read(document.as_bytes()).unwrap_or_else(|error| panic!("{said}: {error}"));
            assert_eq!(metadata.jwks_uri.unwrap().as_str(), "https://keys/j");
        }
    }
}
