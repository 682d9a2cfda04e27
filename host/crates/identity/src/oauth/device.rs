//! The device's side of a sign-in (RFC 8628): it begins to wait, and polls.

use aws_lc_rs::rand;
use bytes::Bytes;
use http::{Response, request::Parts};
use model::Digest;
use serde_json::json;

use super::{
    DEVICE, Oauth, Peer,
    answer::{Refusal, ok},
    devices::{Asked, CODE_LETTERS, Granted, INTERVAL_MS, LETTERS, LIFE_MS, Poll, Taken},
    form::Form,
    tokens::{token_answer, wanted},
};
use crate::{AccessState, digest, new_token};

/// The longest reason, in bytes; what approvers get is bounded again.
const REASON_BYTES: usize = 2048;

impl Oauth {
    /// RFC 8628, 3.1 and 3.2.
    pub(super) fn device_authorization(
        &self,
        parts: &Parts,
        body: &[u8],
        peer: Peer,
    ) -> Result<Response<Bytes>, Refusal> {
        let form = self.form(parts, body)?;
        form.need("client_id")?;
        if self.relying.is_none() {
            return Err(Refusal::new("unauthorized_client", "nobody can sign in here: no login is configured"));
        }
        let reason = form.get("reason").unwrap_or_default().to_owned();
        if reason.len() > REASON_BYTES {
            return Err(Refusal::request("the reason is too long"));
        }
        let asked = Asked { wanted: wanted(&form)?, reason, address: peer.address, certificate: peer.certificate };
        let (device_code, user_code) = (new_token(), new_user_code());
        if !self.devices().begin(digest(&device_code), &user_code, asked, self.registry.now_ms()) {
            return Err(Refusal::too_often("too many devices wait for their sign-in"));
        }
        let (first, second) = user_code.split_at(CODE_LETTERS / 2);
        let shown = format!("{first}-{second}");
        let place = format!("{}{DEVICE}", self.origin);
        Ok(ok(&json!({
            "device_code": device_code,
            "user_code": shown,
            "verification_uri": place,
            "verification_uri_complete": format!("{place}?user_code={shown}"),
            "expires_in": LIFE_MS / 1000,
            "interval": INTERVAL_MS / 1000,
        })))
    }

    /// RFC 8628, 3.4 and 3.5.
    pub(super) async fn poll(&self, form: &Form, peer: Peer) -> Result<Response<Bytes>, Refusal> {
        let code = digest(form.need("device_code")?);
        let now = self.registry.now_ms();
        let polled = self.devices().poll(code, now);
        let (asked, granted) = match polled {
            Poll::Pending => return Err(pending()),
            Poll::SlowDown => return Err(Refusal::new("slow_down", "polls come too soon")),
            Poll::Denied => return Err(Refusal::new("access_denied", "the person said no")),
            Poll::Expired => return Err(Refusal::new("expired_token", "nobody signed in in time")),
            Poll::Unknown => return Err(Refusal::new("invalid_grant", "the device code is not known here")),
            Poll::Granted(asked, granted) => (asked, granted),
        };
        if asked.certificate.is_some() && asked.certificate != peer.certificate {
            return Err(Refusal::new("invalid_grant", "the device code was given to who had another certificate"));
        }
        self.settled(&granted)?;
        let Some(taken) = self.devices().take(code) else {
            return Err(Refusal::new("invalid_grant", "the device code was used"));
        };
        let mut login = InHand { oauth: self, code, taken: Some(taken) };
        // For no credential that anybody was shown: the ID token went from the issuer to the gate.
        let Granted { who, request } = &*granted;
        let issued = self.issue_by_grant(who, &asked.wanted, peer.certificate, None, *request).await?;
        login.taken = None;
        Ok(ok(&token_answer(&issued, now)))
    }

    /// Whether the approver agreed, where one must.
    fn settled(&self, granted: &Granted) -> Result<(), Refusal> {
        let Some(id) = granted.request else { return Ok(()) };
        let lost = || Refusal::new("expired_token", "the request for access has lapsed");
        let view = self.access.get(id).ok_or_else(lost)?;
        match view.state {
            AccessState::Approved => Ok(()),
            AccessState::Asked => Err(pending()),
            AccessState::Denied => Err(Refusal::new("access_denied", "the approver said no")),
            AccessState::Revoked => Err(Refusal::new("access_denied", "the caller was revoked")),
            AccessState::Used | AccessState::Lapsed => Err(lost()),
        }
    }
}

/// A device whose token is being issued. Dropped before there is one (also where the device's connection broke
/// meanwhile), it waits on.
struct InHand<'o> {
    oauth: &'o Oauth,
    code: Digest,
    taken: Option<Taken>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.oauth.devices().put_back(self.code, taken);
        }
    }
}

fn pending() -> Refusal {
    Refusal::new("authorization_pending", "nobody has decided yet")
}

/// A user code that nobody can guess before it is over.
fn new_user_code() -> String {
    /// The largest multiple of the number of letters that fits a byte: what lies above would make some letters likelier.
    const FAIR: u8 = 240;
    let mut code = String::with_capacity(CODE_LETTERS);
    while code.len() < CODE_LETTERS {
        let mut byte = [0];
        rand::fill(&mut byte).expect("the operating system has randomness");
        if byte[0] < FAIR {
            code.push(char::from(LETTERS[usize::from(byte[0]) % LETTERS.len()]));
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn user_codes_are_fair_and_not_alike() {
        let mut letters: BTreeMap<char, usize> = BTreeMap::new();
        let codes: std::collections::BTreeSet<String> = (0..2000).map(|_| new_user_code()).collect();
        assert!(codes.len() >= 1999);
        codes.iter().flat_map(|code| code.chars()).for_each(|char| *letters.entry(char).or_default() += 1);
        assert_eq!(letters.len(), LETTERS.len());
        // 800 of each are expected; 600 would be seven standard deviations away.
        assert!(letters.values().all(|count| (600..1000).contains(count)), "{letters:?}");
    }
}
