//! The gate as a relying party: a person signs in at the issuer, by authorization code (OpenID Connect Core 1.0, 3.1)
//! with PKCE (RFC 7636).
//!
//! What must hold: an answer counts only in the browser that was sent away, with the state it was sent with, from the
//! issuer it was sent to (RFC 9207); the code is redeemed with the verifier of that same sending; the ID token is checked
//! like any other token and carries the nonce of that sending; each sending is answered once.

use std::sync::Arc;

use http::{Request, Response};
use openidconnect::{
    AuthType, AuthUrl, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, IssuerUrl, JsonWebKeySet, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse, TokenUrl,
    core::{CoreClient, CoreResponseType},
};
use outbound::Http;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use thiserror::Error;
use url::Url;

use super::form::Form;
use crate::{
    jwt::Fault,
    oidc::{Issuers, Metadata, Verified},
};

/// How people sign in: the gate's own registration at one of the issuers.
#[derive(Clone, Debug)]
pub struct Login {
    /// The issuer's URL; one of those that are trusted.
    pub issuer: String,
    /// The gate's client id there.
    pub client_id: String,
    /// And its secret, where it has one.
    pub client_secret: Option<SecretString>,
    /// Scopes to ask for besides `openid`.
    pub scopes: Vec<String>,
}

/// Why nobody is signed in.
#[derive(Debug, Error)]
pub(super) enum LoginError {
    /// The issuer can't be reached, or does not let people sign in.
    #[error("the identity provider can't be reached at the moment")]
    Unavailable(String),
    /// The person, or the issuer, said no.
    #[error("the identity provider did not sign you in")]
    Denied,
    /// The answer is not one to what was sent.
    #[error("this answer of the identity provider does not belong to this sign-in")]
    Mixed,
    /// The code was not worth a token.
    #[error("the identity provider did not confirm the sign-in")]
    Code(String),
    /// The ID token is refused.
    #[error("the identity provider's token is refused: {0}")]
    Token(#[from] Fault),
}

/// A sending that waits for its answer.
pub(super) struct Sent {
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

type Client = CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet, EndpointNotSet>;

/// The gate at one issuer.
pub(super) struct Relying {
    login: Login,
    redirect: RedirectUrl,
    issuers: Arc<Issuers>,
}

impl Relying {
    pub(super) fn new(login: Login, redirect: &Url, issuers: Arc<Issuers>) -> Self {
        Self { login, redirect: RedirectUrl::from_url(redirect.clone()), issuers }
    }

    fn about(&self) -> Result<(Metadata, Arc<Http>), LoginError> {
        let unknown = || LoginError::Unavailable("its metadata is not known".into());
        self.issuers.about(&self.login.issuer).ok_or_else(unknown)
    }

    fn client(&self, about: &Metadata) -> Result<Client, LoginError> {
        let lacks = |what: &str| LoginError::Unavailable(format!("its metadata names no {what}"));
        let authorization = about.authorization_endpoint.clone().ok_or_else(|| lacks("authorization_endpoint"))?;
        let token = about.token_endpoint.clone().ok_or_else(|| lacks("token_endpoint"))?;
        let issuer =
            IssuerUrl::new(self.login.issuer.clone()).map_err(|error| LoginError::Unavailable(error.to_string()))?;
        // The set of keys is empty: tokens are checked by `Issuers`, never by this client.
        let client = CoreClient::new(ClientId::new(self.login.client_id.clone()), issuer, JsonWebKeySet::default())
            .set_auth_uri(AuthUrl::from_url(authorization))
            .set_token_uri(TokenUrl::from_url(token))
            .set_redirect_uri(self.redirect.clone());
        let Some(secret) = &self.login.client_secret else { return Ok(client) };
        let by_body = about.takes_secrets_in_body_only();
        let auth = if by_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())).set_auth_type(auth))
    }

    /// Where to send a browser, and what to keep until it comes back.
    pub(super) fn send(&self) -> Result<(Url, Sent), LoginError> {
        let (about, _) = self.about()?;
        let client = self.client(&about)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let scopes = self.login.scopes.iter().cloned().map(Scope::new);
        let request = client
            .authorize_url(flow, || CsrfToken::new_random_len(RANDOM_BYTES), || Nonce::new_random_len(RANDOM_BYTES))
            .add_scopes(scopes)
            .set_pkce_challenge(challenge);
        let (url, state, nonce) = request.url();
        Ok((url, Sent { state, nonce, verifier }))
    }

    /// Who signed in, by the query that the browser came back with.
    pub(super) async fn receive(&self, sent: Sent, answer: &Form) -> Result<Verified, LoginError> {
        let (about, http) = self.about()?;
        let code = accept(&sent.state, &about, &self.login.issuer, answer)?;
        let ask = |request: Request<Vec<u8>>| {
            let http = Arc::clone(&http);
            async move { http.send(request).await.map(|answer: Response<Vec<u8>>| answer) }
        };
        let tokens = self
            .client(&about)?
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(sent.verifier)
            .request_async(&ask)
            .await
            .map_err(|error| LoginError::Code(error.to_string()))?;
        let token = tokens.id_token().ok_or_else(|| LoginError::Code("there is no ID token".into()))?.to_string();
        let verified = self.issuers.verify_login(&token, &self.login.issuer, &self.login.client_id).await?;
        let nonce = verified.claims.get("nonce").and_then(serde_json::Value::as_str).unwrap_or_default();
        if same(nonce, sent.nonce.secret()) { Ok(verified) } else { Err(LoginError::Mixed) }
    }
}

/// Random bytes of state and nonce.
const RANDOM_BYTES: u32 = 32;

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// The code of an answer that belongs to what was sent.
fn accept(state: &CsrfToken, about: &Metadata, issuer: &str, answer: &Form) -> Result<String, LoginError> {
    if !same(answer.get("state").unwrap_or_default(), state.secret()) {
        return Err(LoginError::Mixed);
    }
    match answer.get("iss") {
        Some(iss) if iss == issuer => {}
        // RFC 9207, 2.4: an issuer that says it names itself does so; one that names another is another.
        None if !about.authorization_response_iss_parameter_supported => {}
        Some(_) | None => return Err(LoginError::Mixed),
    }
    if answer.get("error").is_some() {
        return Err(LoginError::Denied);
    }
    answer.get("code").map(str::to_owned).ok_or(LoginError::Mixed)
}

#[cfg(test)]
mod tests;
