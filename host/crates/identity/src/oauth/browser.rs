//! The person's side of a sign-in: types the device's code, signs in at the issuer, looks at what the device wants, and
//! decides.
//!
//! What must hold: each step follows the one before it in the same browser (a cookie that no script and no other site
//! has); the decision is a form of its own with a proof of its own, so that being signed in already never decides; GET
//! decides nothing.

use std::collections::HashMap;

use bytes::Bytes;
use exchange::ports::TurnedAway;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use model::Digest;
use subtle::ConstantTimeEq;

use super::{
    DECISION, DEVICE, Oauth, Peer,
    answer::empty,
    devices::{Asked, Granted, LIFE_MS, Wrong},
    form::{Form, cookie},
    login::{LoginError, Sent},
    page::{Decision, ask_code, ask_decision, go_on, notice},
};
use crate::{Verified, digest, new_token, scope_words};

/// Browsers on their way for one device at once; devices are counted themselves.
const VISITS: usize = 5;

/// A browser on its way.
struct Visit {
    device: Digest,
    expires_ms: u64,
    step: Step,
}

enum Step {
    AtIssuer(Sent),
    /// With the hash of the form's proof.
    Deciding(Box<Verified>, Digest),
}

/// All browsers that are on their way, by the hash of their cookie.
#[derive(Default)]
pub(super) struct Browsers(HashMap<Digest, Visit>);

impl Browsers {
    fn begin(&mut self, cookie: Digest, visit: Visit, now_ms: u64) -> bool {
        self.0.retain(|_, visit| now_ms < visit.expires_ms);
        let room = self.0.values().filter(|other| other.device == visit.device).count() < VISITS;
        if room {
            self.0.insert(cookie, visit);
        }
        room
    }

    /// Each step is taken once.
    fn take(&mut self, cookie: Digest, now_ms: u64) -> Option<Visit> {
        self.0.remove(&cookie).filter(|visit| now_ms < visit.expires_ms)
    }
}

impl Oauth {
    /// The page that asks for the code.
    pub(super) fn device_page(&self, parts: &Parts) -> Response<Bytes> {
        if self.relying.is_none() {
            return empty(StatusCode::NOT_FOUND);
        }
        let query = Form::read(parts.uri.query().unwrap_or_default()).unwrap_or_default();
        ask_code(DEVICE, query.get("user_code").unwrap_or_default(), None)
    }

    /// The code, typed: to the issuer.
    pub(super) fn device_code(&self, parts: &Parts, body: &[u8], peer: Peer) -> Response<Bytes> {
        let Some(relying) = &self.relying else { return empty(StatusCode::NOT_FOUND) };
        if !self.own_form(&parts.headers) {
            return foreign();
        }
        let Ok(form) = Form::body(&parts.headers, body) else { return foreign() };
        let now = self.registry.now_ms();
        let found =
            self.devices().find(form.get("user_code").unwrap_or_default(), peer.address, now).map(|(code, _)| code);
        if found.is_err() {
            let refused = TurnedAway { code: "wrong_user_code", address: Some(peer.address), ..TurnedAway::default() };
            (self.turned_away)(&refused, "a code was typed with which no device waits, or after too many such");
        }
        let device = match found {
            Ok(device) => device,
            Err(Wrong::Code) => {
                let told = "No device waits with this code. Look at it again, or start over on the device.";
                return ask_code(DEVICE, "", Some(told));
            }
            Err(Wrong::TooMany) => {
                return notice(StatusCode::TOO_MANY_REQUESTS, "Too many wrong codes", "Try again in ten minutes.");
            }
        };
        let (url, sent) = match relying.send() {
            Ok(sending) => sending,
            Err(error) => return failed(&error),
        };
        let cookie = new_token();
        let visit = Visit { device, expires_ms: now.saturating_add(LIFE_MS), step: Step::AtIssuer(sent) };
        if !self.browsers().begin(digest(&cookie), visit, now) {
            return notice(StatusCode::SERVICE_UNAVAILABLE, "Too many sign-ins", "Start again on the device.");
        }
        let mut answer = go_on(&url);
        if let Ok(cookie) = self.set_cookie(&cookie) {
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        answer
    }

    /// Back from the issuer: who it is, and what the device wants.
    pub(super) async fn callback(&self, parts: &Parts) -> Response<Bytes> {
        let Some(relying) = &self.relying else { return empty(StatusCode::NOT_FOUND) };
        let lost =
            || notice(StatusCode::BAD_REQUEST, "Not signed in", "This sign-in is over. Start again on the device.");
        let Some(cookie) = cookie(&parts.headers, self.cookie_name()).map(digest) else { return lost() };
        let now = self.registry.now_ms();
        let visit = self.browsers().take(cookie, now);
        let Some(Visit { device, expires_ms, step: Step::AtIssuer(sent) }) = visit else { return lost() };
        let Ok(query) = Form::read(parts.uri.query().unwrap_or_default()) else { return lost() };
        let who = match relying.receive(sent, &query).await {
            Ok(who) => who,
            Err(error) => return failed(&error),
        };
        let Some((asked, user_code)) = self.open(device) else { return lost() };
        let (grant, scope) = match self.choose(&who, &asked.wanted, asked.certificate) {
            Ok(chosen) => chosen,
            Err(refusal) => {
                self.devices().decide(device, None, now);
                let told = format!("{} ({}).", refusal.description, refusal.error);
                return notice(StatusCode::FORBIDDEN, "Nothing for this device", &told);
            }
        };
        let proof = new_token();
        let (half, rest) = user_code.split_at(user_code.len() / 2);
        let answer = ask_decision(&Decision {
            action: DECISION,
            who: &format!("{} ({})", who.caller.subject, who.caller.issuer),
            user_code: &format!("{half}-{rest}"),
            scope: &scope_words(&scope),
            lifetime: asked.wanted.lifetime.map_or(grant.lifetime, |wanted| wanted.min(grant.lifetime)),
            address: &asked.address.to_string(),
            approval: grant.approval.is_some(),
            token: &proof,
        });
        let visit = Visit { device, expires_ms, step: Step::Deciding(Box::new(who), digest(&proof)) };
        if !self.browsers().begin(cookie, visit, now) {
            return lost();
        }
        answer
    }

    /// The decision.
    pub(super) async fn decision(&self, parts: &Parts, body: &[u8]) -> Response<Bytes> {
        if !self.own_form(&parts.headers) {
            return foreign();
        }
        let lost =
            || notice(StatusCode::BAD_REQUEST, "Nothing to decide", "This sign-in is over. Start again on the device.");
        let Some(cookie) = cookie(&parts.headers, self.cookie_name()).map(digest) else { return lost() };
        let Ok(form) = Form::body(&parts.headers, body) else { return foreign() };
        let now = self.registry.now_ms();
        let visit = self.browsers().take(cookie, now);
        let Some(Visit { device, step: Step::Deciding(who, proof), .. }) = visit else { return lost() };
        let given = digest(form.get("proof").unwrap_or_default());
        if !bool::from(given.0.ct_eq(&proof.0)) {
            return lost();
        }
        let mut answer = match form.get("decision") {
            Some("allow") => self.allow(device, *who).await,
            Some("deny") => {
                self.devices().decide(device, None, now);
                notice(StatusCode::OK, "Denied", "The device gets nothing. You can close this page.")
            }
            _ => lost(),
        };
        if let Ok(over) = self.set_cookie("") {
            answer.headers_mut().insert(header::SET_COOKIE, over);
        }
        answer
    }

    async fn allow(&self, device: Digest, who: Verified) -> Response<Bytes> {
        let over = || notice(StatusCode::BAD_REQUEST, "Too late", "The device waits no more. Start again there.");
        let Some((asked, _)) = self.open(device) else { return over() };
        // What an approver agreed to before the person came here is not asked again.
        let needs = self.choose(&who, &asked.wanted, asked.certificate).is_ok_and(|(grant, scope)| {
            grant.approval.is_some() && !self.access.is_approved(&who.caller, &grant.name, &scope)
        });
        let request = match needs {
            false => None,
            true => match self.request_access(&who, &asked.wanted, &asked.reason, asked.certificate).await {
                Ok(id) => Some(id),
                Err(refusal) => {
                    self.devices().decide(device, None, self.registry.now_ms());
                    return notice(refusal.status, "No approver can be asked", &refusal.description);
                }
            },
        };
        let told = match request {
            None => "The device has what it asked for. You can close this page.",
            Some(_) => "An approver is asked now; the device waits. You can close this page.",
        };
        if self.devices().decide(device, Some(Granted { who, request }), self.registry.now_ms()) {
            notice(StatusCode::OK, "Allowed", told)
        } else {
            over()
        }
    }

    fn open(&self, device: Digest) -> Option<(Asked, String)> {
        let devices = self.devices();
        let (asked, user_code) = devices.open(device, self.registry.now_ms())?;
        Some((asked.clone(), user_code.to_owned()))
    }

    /// Whether a form was sent by one of our own pages, as far as a browser says.
    fn own_form(&self, headers: &HeaderMap) -> bool {
        let site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
        let origin = headers.get(header::ORIGIN).is_none_or(|origin| origin.as_bytes() == self.origin.as_bytes());
        site && origin
    }

    /// `__Host-` binds a cookie to this host and to TLS; with no TLS (this machine only) no browser would take it.
    fn cookie_name(&self) -> &'static str {
        if self.secure() { "__Host-portcullis-login" } else { "portcullis-login" }
    }

    fn secure(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Lax, not Strict: the way back from the issuer is a link from another site.
    fn set_cookie(&self, value: &str) -> Result<HeaderValue, header::InvalidHeaderValue> {
        let age = if value.is_empty() { 0 } else { LIFE_MS / 1000 };
        let secure = if self.secure() { "; Secure" } else { "" };
        let name = self.cookie_name();
        HeaderValue::from_str(&format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"))
    }
}

fn foreign() -> Response<Bytes> {
    notice(StatusCode::FORBIDDEN, "Not from here", "This form was not sent by a page of this gate.")
}

fn failed(error: &LoginError) -> Response<Bytes> {
    match error {
        LoginError::Unavailable(cause) | LoginError::Code(cause) => tracing::warn!(%error, cause, "a sign-in failed"),
        LoginError::Denied | LoginError::Mixed | LoginError::Token(_) => tracing::info!(%error, "a sign-in failed"),
    }
    let status = match error {
        LoginError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        LoginError::Denied | LoginError::Mixed | LoginError::Code(_) | LoginError::Token(_) => StatusCode::BAD_REQUEST,
    };
    notice(status, "Not signed in", &format!("{error}. Start again on the device."))
}
