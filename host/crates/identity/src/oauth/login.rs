//! The gate as a relying party: a person signs in at the issuer, by authorization code (OpenID Connect Core 1.0, 3.1)
//! with PKCE (RFC 7636).
//!
//! What must hold: an answer counts only in the browser that was sent away, with the state it was sent with, from the
//! issuer it was sent to (RFC 9207); the code is redeemed with the verifier of that same sending; the ID token is checked
//! like any other token and carries the nonce of that sending; each sending is answered once.
//!
//! Of the token endpoint's answer only the ID token is looked at, and of that only what the gate goes by: issuers write
//! the rest in many ways (a time as text, a flag in quotes), and a library that reads all of it would keep their people
//! out.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Request, Response, StatusCode, header};
use openidconnect::{
    AuthUrl, AuthenticationFlow, ClientId, CsrfToken, IssuerUrl, JsonWebKeySet, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope,
    core::{CoreClient, CoreResponseType},
};
use outbound::Http;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use subtle::ConstantTimeEq;
use thiserror::Error;
use url::{Url, form_urlencoded};

use super::form::Form;
use crate::{
    jwt::{Fault, object},
    oidc::{Issuers, Metadata, Verified, place},
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

/// The gate at one issuer.
pub(super) struct Relying {
    login: Login,
    redirect: RedirectUrl,
    issuers: Arc<Issuers>,
}

impl Relying {
    pub(super) fn new(login: Login, redirect: &Url, issuers: Arc<Issuers>) -> Self {
        issuers.need_metadata(&login.issuer);
        Self { login, redirect: RedirectUrl::from_url(redirect.clone()), issuers }
    }

    fn about(&self) -> Result<(Metadata, Arc<Http>), LoginError> {
        let unknown = || LoginError::Unavailable("its metadata is not known".into());
        self.issuers.about(&self.login.issuer).ok_or_else(unknown)
    }

    /// Where to send a browser, and what to keep until it comes back.
    pub(super) fn send(&self) -> Result<(Url, Sent), LoginError> {
        let (about, http) = self.about()?;
        let authorization = place(&about.authorization_endpoint, &http).map_err(wrong("authorization_endpoint"))?;
        place(&about.token_endpoint, &http).map_err(wrong("token_endpoint"))?;
        let issuer =
            IssuerUrl::new(self.login.issuer.clone()).map_err(|error| LoginError::Unavailable(error.to_string()))?;
        // The set of keys is empty: tokens are checked by `Issuers`, never by this client.
        let client = CoreClient::new(ClientId::new(self.login.client_id.clone()), issuer, JsonWebKeySet::default())
            .set_auth_uri(AuthUrl::from_url(authorization))
            .set_redirect_uri(self.redirect.clone());
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
        let request = self.redemption(&about, &http, &code, sent.verifier.secret())?;
        let answer = http.send(request).await.map_err(|error| LoginError::Code(error.to_string()))?;
        let token = id_token(&answer).map_err(LoginError::Code)?;
        let verified = self.issuers.verify_login(&token, &self.login.issuer, &self.login.client_id).await?;
        let nonce = verified.claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
        if same(nonce, sent.nonce.secret()) { Ok(verified) } else { Err(LoginError::Mixed) }
    }

    /// The request that a code is redeemed with (RFC 6749, 4.1.3; RFC 7636, 4.5).
    fn redemption(
        &self,
        about: &Metadata,
        http: &Http,
        code: &str,
        verifier: &str,
    ) -> Result<Request<Vec<u8>>, LoginError> {
        let place = place(&about.token_endpoint, http).map_err(wrong("token_endpoint"))?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", code);
        form.append_pair("redirect_uri", self.redirect.as_str()).append_pair("code_verifier", verifier);
        let mut request = Request::post(place.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        let secret = self.login.client_secret.as_ref().map(ExposeSecret::expose_secret);
        match secret {
            Some(secret) if !about.takes_secrets_in_body_only() => {
                // RFC 6749, 2.3.1: both are encoded as in a form before they are joined.
                let [client, secret] = [&self.login.client_id, secret]
                    .map(|text| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
                let basic = STANDARD.encode(format!("{client}:{secret}"));
                request = request.header(header::AUTHORIZATION, format!("Basic {basic}"));
            }
            secret => {
                form.append_pair("client_id", &self.login.client_id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret);
                }
            }
        }
        request.body(form.finish().into_bytes()).map_err(|error| LoginError::Code(error.to_string()))
    }
}

/// What an issuer says of a place is none that may be asked.
fn wrong(member: &'static str) -> impl Fn(String) -> LoginError {
    move |what| LoginError::Unavailable(format!("{member} of its metadata {what}"))
}

/// The ID token of a token endpoint's answer (OpenID Connect Core 1.0, 3.1.3.3); else a sentence for the log, with
/// nothing of a token in it.
fn id_token(answer: &Response<Vec<u8>>) -> Result<String, String> {
    /// The longest code of an error that is told.
    const CODE_BYTES: usize = 64;
    let members = object(answer.body());
    let text = |name: &str| members.as_ref()?.get(name)?.as_str();
    if answer.status() != StatusCode::OK {
        let code = text("error").filter(|code| code.len() <= CODE_BYTES).unwrap_or("no error that could be read");
        return Err(format!("its token endpoint answered {}: {code:?}", answer.status().as_u16()));
    }
    if members.is_none() {
        return Err("the answer of its token endpoint is not a JSON object with one meaning".into());
    }
    text("id_token")
        .map(str::to_owned)
        .ok_or_else(|| "its token endpoint gave no ID token; is `openid` allowed?".into())
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
        None if !about.names_itself() => {}
        Some(_) | None => return Err(LoginError::Mixed),
    }
    if answer.get("error").is_some() {
        return Err(LoginError::Denied);
    }
    answer.get("code").map(str::to_owned).ok_or(LoginError::Mixed)
}

#[cfg(test)]
mod tests;
