//! Tokens: exchanged, asked for, given back, looked at.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use exchange::ports::{Ended, Unidentified};
use http::{Response, StatusCode, header, request::Parts};
use model::{
    Digest, Scope, TokenId,
    control::{AccessRequested, Origin},
};
use serde_json::{Map, Value, json};

use super::{
    DEVICE_GRANT, EXCHANGE_GRANT, Oauth, Peer,
    access::{AccessFault, AccessView},
    answer::{Refusal, empty, ok},
    form::Form,
};
use crate::{
    AccessError, AccessState, Asking, Grant, Issue, IssueError, Issued, NotGranted, Registry, SHORTEST_LIFETIME,
    Verified, Wanted, digest, scope_words, thumbprint_text,
};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What an issuer's token may be called (RFC 8693, 3).
const SUBJECT_TOKENS: [&str; 3] =
    [ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt"];

/// Seconds between two looks at a request for access.
const LOOK_AGAIN_S: u64 = 5;

impl Oauth {
    /// RFC 6749, 3.2.
    pub(super) async fn token(&self, parts: &Parts, body: &[u8], peer: Peer) -> Result<Response<Bytes>, Refusal> {
        let form = self.form(parts, body)?;
        match form.need("grant_type")? {
            EXCHANGE_GRANT => self.exchange(&form, peer).await,
            DEVICE_GRANT => self.poll(&form, peer).await,
            _ => Err(Refusal::new(
                "unsupported_grant_type",
                "only token exchange and device codes are worth a token here",
            )),
        }
    }

    /// RFC 8693: an issuer's token for one of ours.
    async fn exchange(&self, form: &Form, peer: Peer) -> Result<Response<Bytes>, Refusal> {
        if form.get("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN) {
            return Err(Refusal::request("only access tokens are issued"));
        }
        let (who, wanted) = self.subject(form, peer).await?;
        let origin = Origin { digest: digest(form.need("subject_token")?), twin: who.twin };
        let issued = self.issue_by_grant(&who, &wanted, peer.certificate, Some((origin, who.expires)), None).await?;
        Ok(ok(&token_answer(&issued, self.registry.now_ms())))
    }

    /// Who shows a token of theirs, and what they want.
    async fn subject(&self, form: &Form, peer: Peer) -> Result<(Verified, Wanted), Refusal> {
        if form.get("actor_token").is_some() || form.get("actor_token_type").is_some() {
            return Err(Refusal::request("nobody acts for another here"));
        }
        if form.get("resource").is_some() {
            return Err(Refusal::new("invalid_target", "connections are named by audience, or in scope"));
        }
        if !SUBJECT_TOKENS.contains(&form.need("subject_token_type")?) {
            return Err(Refusal::request("subject_token_type must be access_token, id_token or jwt"));
        }
        let mut wanted = wanted(form)?;
        if let Some(connection) = form.get("audience") {
            wanted.connection(connection.to_owned());
        }
        Ok((self.shown(form.need("subject_token")?, peer).await?, wanted))
    }

    /// A token by the grant that gives what is wanted. One that is exchanged `from` another credential ends with it, and
    /// at this time (seconds since 1970) at the latest. One that was `asked_for` by itself uses that request and no other.
    pub(super) async fn issue_by_grant(
        &self,
        who: &Verified,
        wanted: &Wanted,
        certificate: Option<Digest>,
        from: Option<(Origin, u64)>,
        asked_for: Option<TokenId>,
    ) -> Result<Issued, Refusal> {
        let (grant, scope) = self.choose(who, wanted, certificate)?;
        let claimed = match &grant.approval {
            None => None,
            Some(_) => Some(self.access.claim(&who.caller, &grant.name, &scope, asked_for).ok_or_else(|| {
                Refusal::new("approval_required", "a person must agree first: ask at /oauth/access, then try again")
            })?),
        };
        let asked = claimed.as_ref().map(|claimed| &claimed.asked);
        let lifetime = self.lifetime(grant, wanted, asked, from.map(|(_, ends)| ends))?;
        let id = asked.map_or_else(TokenId::new, |asked| asked.id);
        let (caller, by) = (Arc::new(who.caller.clone()), grant.name.clone());
        let proven_ms = Some(who.issued.saturating_mul(1000));
        let origin = from.map(|(origin, _)| origin);
        let issued = self.issue(Issue { id, caller, scope, lifetime, by, certificate, proven_ms, origin }).await?;
        if let Some(claimed) = claimed {
            claimed.used(&issued.facts);
        }
        Ok(issued)
    }

    pub(super) fn choose(
        &self,
        who: &Verified,
        wanted: &Wanted,
        certificate: Option<Digest>,
    ) -> Result<(&Grant, Scope), Refusal> {
        let (grant, scope) = self.grants.choose(who, wanted).map_err(|none| match none {
            NotGranted::Nobody => Refusal::new("access_denied", none.to_string()),
            NotGranted::TooMuch => Refusal::new("invalid_scope", none.to_string()),
        })?;
        if grant.bound && certificate.is_none() {
            return Err(Refusal::request("a token by this grant is bound to a client certificate: present one"));
        }
        Ok((grant, scope))
    }

    /// For how long a token lives: what was approved is what counts, and never more than the grant gives by now.
    fn lifetime(
        &self,
        grant: &Grant,
        wanted: &Wanted,
        asked: Option<&AccessRequested>,
        ends: Option<u64>,
    ) -> Result<Duration, Refusal> {
        let approved = asked.map(|asked| Duration::from_millis(asked.lifetime_ms));
        let left = ends.map(|ends| ends.saturating_mul(1000).saturating_sub(self.registry.now_ms()));
        let bounds = [approved, wanted.lifetime, left.map(Duration::from_millis)];
        let lifetime = bounds.into_iter().flatten().fold(grant.lifetime, Duration::min);
        if lifetime < Duration::from_secs(1) {
            return Err(Refusal::request("the subject token is about to expire"));
        }
        Ok(lifetime)
    }

    async fn issue(&self, issue: Issue) -> Result<Issued, Refusal> {
        let (whose, shown) = (Arc::clone(&issue.caller), issue.origin.map(|origin| origin.digest));
        let issued = self.registry.issue(issue).await.map_err(|error| match error {
            IssueError::Revoked => {
                self.turn_away(None, shown, Unidentified::Ended(Ended::revoked(error.to_string()), whose));
                Refusal::new("access_denied", error.to_string())
            }
            IssueError::CallerFull(_) => Refusal::too_often(error.to_string()),
            IssueError::Full(_) | IssueError::Record(_) => {
                tracing::warn!(%error, "no token could be issued");
                Refusal::later("no token can be issued at the moment")
            }
        })?;
        let caller = &issued.facts.caller;
        tracing::info!(token = %issued.facts.id, issuer = %caller.issuer, subject = %caller.subject, grant = %issued.facts.by, "a token was issued");
        Ok(issued)
    }

    /// Asks for access, or how a request for it stands.
    pub(super) async fn ask_access(&self, parts: &Parts, body: &[u8], peer: Peer) -> Result<Response<Bytes>, Refusal> {
        let form = self.form(parts, body)?;
        let (who, wanted) = match form.need("subject_token")? {
            token if Registry::is_token(token) => (self.holder(token, peer)?, wanted(&form)?),
            _ => self.subject(&form, peer).await?,
        };
        let id = match form.get("request_id") {
            Some(id) => id.parse().map_err(|_| Refusal::request("request_id is not one"))?,
            None => {
                self.request_access(&who, &wanted, form.get("reason").unwrap_or_default(), peer.certificate).await?
            }
        };
        let same = |view: &AccessView| {
            view.asked.caller.issuer == who.caller.issuer && view.asked.caller.subject == who.caller.subject
        };
        let view = self.access.get(id).filter(same).ok_or_else(|| Refusal::request("you have no such request"))?;
        Ok(ok(&access_answer(&view)))
    }

    /// Who holds a token of ours, for asking only: of what their issuer said, the token keeps who they are and their
    /// groups, so grants that look at other claims are not for them here.
    fn holder(&self, token: &str, peer: Peer) -> Result<Verified, Refusal> {
        let over = || Refusal::request("the subject token is refused: it is not good any more");
        let caller = self.shown_ours(token, peer).ok_or_else(over)?;
        let facts = self.registry.introspect(token).ok_or_else(over)?;
        Ok(Verified {
            caller: Arc::unwrap_or_clone(caller),
            claims: Map::new(),
            issued: facts.proven_ms.unwrap_or(facts.at_ms) / 1000,
            expires: facts.expires_ms / 1000,
            id: None,
            twin: None,
            certificate: facts.certificate,
        })
    }

    /// Makes a request for access where the grant that gives what is wanted needs one.
    pub(super) async fn request_access(
        &self,
        who: &Verified,
        wanted: &Wanted,
        reason: &str,
        certificate: Option<Digest>,
    ) -> Result<TokenId, Refusal> {
        let (grant, scope) = self.choose(who, wanted, certificate)?;
        let Some(approval) = &grant.approval else {
            return Err(Refusal::request("nobody needs to agree to this: ask for a token"));
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let asking = Asking {
            caller: who.caller.clone(),
            scope,
            lifetime_ms: millis(wanted.lifetime.map_or(grant.lifetime, |wanted| wanted.min(grant.lifetime))),
            reason: reason.to_owned(),
            grant: grant.name.clone(),
            timeout_ms: millis(approval.timeout),
        };
        self.access.ask(asking).await.map_err(|error| match error {
            AccessFault::Wrong(AccessError::Full) => Refusal::too_often(error.to_string()),
            AccessFault::Wrong(_) => Refusal::request(error.to_string()),
            AccessFault::Record(_) | AccessFault::Stopping => {
                tracing::warn!(%error, "a request for access could not be kept");
                Refusal::later("requests for access can't be taken at the moment")
            }
        })
    }

    /// RFC 7009.
    pub(super) async fn revoke(&self, parts: &Parts, body: &[u8]) -> Result<Response<Bytes>, Refusal> {
        let form = self.form(parts, body)?;
        let token = form.need("token")?;
        if !Registry::is_token(token) {
            return Err(Refusal::new("unsupported_token_type", "only tokens that were issued here are revoked here"));
        }
        // A token that nobody knows, or that has expired, is as good as revoked (RFC 7009, 2.2). One that something else
        // ended is not: that may be lifted, or not be durable.
        let Some(facts) = self.registry.unexpired(token) else { return Ok(empty(StatusCode::OK)) };
        self.registry.give_back(&facts).await.map_err(|error| {
            tracing::warn!(token = %facts.id, %error, "a token that was given back is not durably revoked");
            Refusal::later("the revocation could not be kept")
        })?;
        Ok(empty(StatusCode::OK))
    }

    /// RFC 7662. Whoever holds a credential of the same caller may ask; everything else is not active to them.
    pub(super) async fn introspect(&self, parts: &Parts, body: &[u8], peer: Peer) -> Result<Response<Bytes>, Refusal> {
        let form = Form::body(&parts.headers, body)?;
        let (issuer, subject) = self.asker(parts, peer).await.ok_or_else(|| Refusal::client("show who asks"))?;
        let facts = self.registry.introspect(form.need("token")?);
        let own = facts.filter(|facts| facts.caller.issuer == issuer && facts.caller.subject == subject);
        let Some(facts) = own else { return Ok(ok(&json!({ "active": false }))) };
        let mut answer = json!({
            "active": true,
            "scope": scope_words(&facts.scope),
            "token_type": "Bearer",
            "iat": facts.at_ms / 1000,
            "exp": facts.expires_ms / 1000,
            "iss": self.origin,
            "sub": facts.caller.subject,
            "jti": facts.id.to_string(),
            "idp": facts.caller.issuer,
            "groups": facts.caller.groups,
            "grant": facts.by,
        });
        if let Some(certificate) = &facts.certificate {
            answer["cnf"] = json!({ "x5t#S256": thumbprint_text(certificate) });
        }
        Ok(ok(&answer))
    }

    /// Issuer and subject of who asks, by the credential in `Authorization`.
    async fn asker(&self, parts: &Parts, peer: Peer) -> Option<(String, String)> {
        let (scheme, credential) = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let credential = credential.trim();
        let caller = if Registry::is_token(credential) {
            self.shown_ours(credential, peer)?
        } else {
            Arc::new(self.shown(credential, peer).await.ok()?.caller)
        };
        Some((caller.issuer.clone(), caller.subject.clone()))
    }
}

/// What a `scope` asks for, and for how long.
pub(super) fn wanted(form: &Form) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted::read(form.get("scope").unwrap_or_default()).ok_or_else(|| {
        Refusal::new("invalid_scope", "scope is made of connection:NAME, model:NAME, operation:NAME, grant:NAME")
    })?;
    if let Some(seconds) = form.get("lifetime") {
        let seconds = seconds.parse().ok().filter(|seconds| *seconds >= SHORTEST_LIFETIME.as_secs());
        let wrong =
            || Refusal::request(format!("lifetime is a number of seconds, {} or more", SHORTEST_LIFETIME.as_secs()));
        wanted.lifetime = Some(Duration::from_secs(seconds.ok_or_else(wrong)?));
    }
    Ok(wanted)
}

/// RFC 8693, 2.2.1.
pub(super) fn token_answer(issued: &Issued, now_ms: u64) -> Value {
    let facts = &issued.facts;
    json!({
        "access_token": issued.token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": facts.expires_ms.saturating_sub(now_ms) / 1000,
        "scope": scope_words(&facts.scope),
        "token_id": facts.id.to_string(),
    })
}

fn access_answer(view: &AccessView) -> Value {
    let mut answer = json!({
        "request_id": view.asked.id.to_string(),
        "state": view.state.as_str(),
        "scope": scope_words(&view.asked.scope),
        "grant": view.asked.grant,
        "expires": view.asked.expires_ms / 1000,
    });
    if view.state == AccessState::Asked {
        answer["interval"] = json!(LOOK_AGAIN_S);
    }
    if let Some(decided) = &view.decided {
        answer["by"] = json!(decided.by);
        answer["reason"] = json!(decided.reason);
    }
    answer
}
