//! Credentials that are shown to the token endpoint: whose they are.
//!
//! What must hold: each passes the registry, as one does that opens a connection; who is refused is told to those who
//! watch, in the same words as at a connection.

use std::{net::IpAddr, sync::Arc};

use exchange::{
    ports::{Credential, Presented, TurnedAway, Unidentified},
    refuse::Stop,
};
use model::{Caller, Digest, Scope};

use super::{Oauth, Peer, answer::Refusal};
use crate::{Admission, Fault, Verified, digest};

/// Takes what was refused, and a sentence for operators.
pub type TurnAway = Arc<dyn Fn(&TurnedAway<'_>, &str) + Send + Sync>;

impl Oauth {
    /// Who shows an issuer's token.
    pub(super) async fn shown(&self, token: &str, peer: Peer) -> Result<Verified, Refusal> {
        let digest = digest(token);
        let refused = |why: Unidentified, refusal: Refusal| {
            self.turn_away(Some(peer.address), Some(digest), why);
            refusal
        };
        let who = self.issuers.verify(token).await.map_err(|fault| refused(fault.into(), subject_refused(fault)))?;
        if who.certificate.is_some() && who.certificate != peer.certificate {
            let told = "the subject token is bound to a client certificate that was not presented";
            return Err(refused(Unidentified::WrongCertificate, Refusal::request(told)));
        }
        // In and out again: one that is revoked is worth nothing here either.
        let admitted = self.registry.admit(Admission {
            credential: Credential::Direct,
            digest,
            twin: who.twin,
            caller: Arc::new(who.caller.clone()),
            scope: Scope::default().into(),
            issued_ms: Some(who.issued.saturating_mul(1000)),
            expires_ms: None,
        });
        match admitted {
            Ok(_out_again) => Ok(who),
            Err(why) => Err(refused(why, Refusal::request("the subject token is refused: it is revoked"))),
        }
    }

    /// Who shows a token of ours.
    pub(super) fn shown_ours(&self, token: &str, peer: Peer) -> Option<Arc<Caller>> {
        match self.registry.identify(Presented { credential: token, certificate: peer.certificate }) {
            Ok(identified) => Some(identified.caller),
            Err(why) => {
                self.turn_away(Some(peer.address), Some(digest(token)), why);
                None
            }
        }
    }

    /// Tells that somebody was refused.
    pub(super) fn turn_away(&self, address: Option<IpAddr>, credential: Option<Digest>, why: Unidentified) {
        let (stop, caller) = Stop::unidentified(why);
        let refused = TurnedAway { code: stop.code(), caller: caller.as_deref(), credential, address };
        (self.turned_away)(&refused, &stop.detail());
    }
}

/// RFC 8693, 2.2.2: `invalid_request`, unless it is not the token's fault.
fn subject_refused(fault: Fault) -> Refusal {
    if fault.passing() {
        return Refusal::later(format!("the subject token can't be checked: {fault}"));
    }
    Refusal::request(format!("the subject token is refused: {fault}"))
}
