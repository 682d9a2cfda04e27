//! Static tokens: a name, a digest, and what it opens. Stands at `identify` on the path.

use std::sync::Arc;

use exchange::ports::{Credential, Identified, Presented, Unidentified};
use model::{Caller, Digest, Scope};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::{
    digest,
    registry::{Admission, CREDENTIAL_BYTES, Registry},
};

/// The issuer of every static token's caller.
pub const STATIC_ISSUER: &str = "token";

/// A token as the configuration has it.
#[derive(Clone, Debug)]
pub struct StaticToken {
    /// Its name; the caller's subject.
    pub name: String,
    /// SHA-256 of its value.
    pub digest: Digest,
    /// What it may be used for.
    pub scope: Scope,
    /// Groups of its caller.
    pub groups: Vec<String>,
    /// From when on it is worth nothing (milliseconds since 1970-01-01T00:00:00Z); none: never.
    pub expires_ms: Option<u64>,
}

/// The static tokens of a configuration.
#[derive(Clone, Debug)]
pub struct StaticTokens {
    known: Vec<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    digest: Digest,
    caller: Arc<Caller>,
    scope: Arc<Scope>,
    expires_ms: Option<u64>,
}

impl StaticTokens {
    /// Exactly these. Digests are distinct (the configuration is checked for it).
    #[must_use]
    pub fn new(tokens: impl IntoIterator<Item = StaticToken>) -> Self {
        let known = tokens.into_iter().map(|token| {
            let caller = Caller {
                subject: token.name,
                issuer: STATIC_ISSUER.to_owned(),
                groups: token.groups,
                claims: "{}".to_owned(),
            };
            Known {
                digest: token.digest,
                caller: Arc::new(caller),
                scope: Arc::new(token.scope),
                expires_ms: token.expires_ms,
            }
        });
        Self { known: known.collect() }
    }
}

impl StaticTokens {
    /// The one with this value.
    fn find(&self, credential: &str) -> Option<&Known> {
        if credential.is_empty() || credential.len() > CREDENTIAL_BYTES {
            return None;
        }
        // The digest hides the value from timing already; all of them are looked at so that the order is hidden too.
        let presented = digest(credential);
        let none = self.known.len() as u64;
        let mut found = none;
        for (at, Known { digest, .. }) in self.known.iter().enumerate() {
            found.conditional_assign(&(at as u64), digest.0.ct_eq(&presented.0));
        }
        self.known.get(usize::try_from(found).ok()?)
    }
}

impl StaticTokens {
    /// The caller behind a credential, unless it has expired, or is revoked: by its name (a caller of the issuer
    /// `token`) or its digest.
    ///
    /// # Errors
    /// [`Unidentified`].
    pub fn identify(&self, registry: &Registry, presented: Presented<'_>) -> Result<Identified, Unidentified> {
        let Known { digest, caller, scope, expires_ms } =
            self.find(presented.credential).ok_or(Unidentified::Unknown)?;
        registry.admit(Admission {
            credential: Credential::Static,
            digest: *digest,
            twin: None,
            caller: Arc::clone(caller),
            scope: Arc::clone(scope),
            issued_ms: None,
            expires_ms: *expires_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use exchange::ports::Ended;

    use super::*;
    use crate::registry::{Terms, forgetful::Forgetful};

    fn tokens() -> StaticTokens {
        let token = |name: &str, value: &str, connections: &[&str]| StaticToken {
            name: name.to_owned(),
            digest: digest(value),
            scope: Scope::on(connections.iter().copied()),
            groups: vec!["staff".to_owned()],
            expires_ms: None,
        };
        StaticTokens::new([token("ann", "ann-secret", &["openai"]), token("bob", "bob-secret", &["openai", "local"])])
    }

    fn identify(tokens: &StaticTokens, credential: &str) -> Result<Identified, Unidentified> {
        let registry = Registry::open(Arc::new(Forgetful), Terms::default()).unwrap();
        tokens.identify(&registry, Presented { credential, certificate: None })
    }

    #[test]
    fn a_known_credential_has_its_caller_and_scope() {
        let found = identify(&tokens(), "bob-secret").ok().unwrap();
        assert_eq!(found.caller.subject, "bob");
        assert_eq!(found.caller.issuer, "token");
        assert_eq!(found.caller.groups, ["staff"]);
        assert_eq!(*found.scope, Scope::on(["openai", "local"]));
        assert_eq!(identify(&tokens(), "ann-secret").ok().unwrap().caller.subject, "ann");
    }

    #[test]
    fn a_credential_ends_when_it_expires_and_opens_what_it_is_for() {
        const EXPIRES: u64 = 1_800_000_000_000;
        let scope = Scope { models: vec!["gpt-4*".to_owned()], ..Scope::on(["openai"]) };
        let token = StaticToken {
            name: "ci".to_owned(),
            digest: digest("ci-secret"),
            scope: scope.clone(),
            groups: Vec::new(),
            expires_ms: Some(EXPIRES),
        };
        let tokens = StaticTokens::new([token]);
        let at = |now: u64| {
            let registry = Registry::open_at(Arc::new(Forgetful), Terms::default(), Arc::new(move || now)).unwrap();
            tokens.identify(&registry, Presented { credential: "ci-secret", certificate: None })
        };
        assert_eq!(*at(EXPIRES - 1).ok().unwrap().scope, scope);
        for now in [EXPIRES, EXPIRES + 1] {
            let ci = Arc::clone(&at(EXPIRES - 1).ok().unwrap().caller);
            assert_eq!(at(now).err(), Some(Unidentified::Ended(Ended::Expired, ci)));
        }
    }

    #[test]
    fn nothing_near_a_credential_is_known() {
        let too_long = "x".repeat(CREDENTIAL_BYTES + 1);
        for wrong in ["", "bob", "bob-secre", "bob-secret ", "Bob-secret", "bob-secretX", &too_long] {
            assert_eq!(identify(&tokens(), wrong).err(), Some(Unidentified::Unknown), "{wrong:?}");
        }
        assert!(identify(&StaticTokens::new([]), "ann-secret").is_err());
    }

    #[test]
    fn the_digest_of_a_credential_is_not_a_credential() {
        assert!(identify(&tokens(), &digest("bob-secret").to_string()).is_err());
    }

    #[test]
    fn debug_shows_no_value() {
        assert!(!format!("{:?}", tokens()).contains("-secret"));
    }
}
