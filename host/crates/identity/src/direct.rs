//! Tokens of identity providers, used as they are. Stands at `identify` on the path.
//!
//! What must hold: a token opens what the first grant for its caller that is `direct` gives, and nothing where there is
//! none; it is let in by the registry, like every other credential.

use std::sync::Arc;

use exchange::ports::{Credential, Identified, Identify, Presented, Unidentified};
use futures_util::{FutureExt, future::BoxFuture};

use crate::{Admission, Fault, Grants, Issuers, Registry, digest};

/// Who a provider's token belongs to.
pub struct Direct {
    issuers: Arc<Issuers>,
    grants: Arc<Grants>,
    registry: Registry,
}

impl Direct {
    /// Tokens of these issuers, by these grants.
    #[must_use]
    pub fn new(issuers: Arc<Issuers>, grants: Arc<Grants>, registry: Registry) -> Self {
        Self { issuers, grants, registry }
    }
}

impl From<Fault> for Unidentified {
    fn from(fault: Fault) -> Self {
        if fault.passing() { Self::Unavailable(fault.to_string()) } else { Self::Unknown }
    }
}

impl Identify for Direct {
    fn identify<'a>(&'a self, presented: Presented<'a>) -> BoxFuture<'a, Result<Identified, Unidentified>> {
        async move {
            if !Issuers::looks_like_one(presented.credential) {
                return Err(Unidentified::Unknown);
            }
            let who = self.issuers.verify(presented.credential).await.map_err(|fault| {
                tracing::debug!(fault = fault.word(), "a provider's token is refused");
                Unidentified::from(fault)
            })?;
            let grant = self.grants.direct(&who).ok_or(Unidentified::Unknown)?;
            let other = who.certificate.is_some() && who.certificate != presented.certificate;
            if other || (grant.bound && who.certificate.is_none()) {
                return Err(Unidentified::WrongCertificate);
            }
            // By the clock of its issuer, which may be behind.
            let expires = who.expires.saturating_add(self.issuers.leeway(&who.caller.issuer));
            self.registry.admit(Admission {
                credential: Credential::Direct,
                digest: digest(presented.credential),
                twin: who.twin,
                caller: Arc::new(who.caller),
                scope: Arc::new(grant.scope.clone()),
                issued_ms: Some(who.issued.saturating_mul(1000)),
                expires_ms: Some(expires.saturating_mul(1000)),
            })
        }
        .boxed()
    }
}
