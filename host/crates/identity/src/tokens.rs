//! Static tokens: a name, a digest, and what it opens. Stands at `identify` on the path.

use std::sync::Arc;

use exchange::ports::{About, Account, Credential, Identified, Identify, Lease, NoEntry, Presented, Unidentified};
use futures_util::{FutureExt, future::BoxFuture};
use model::{Caller, Digest, Scope, Usage};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::digest;

/// The issuer of every static token's caller.
const ISSUER: &str = "token";

/// The longest credential that is looked at, in bytes; no configured value is longer.
const CREDENTIAL_BYTES: usize = 16 << 10;

/// A token as the configuration has it.
#[derive(Clone, Debug)]
pub struct StaticToken {
    /// Its name; the caller's subject.
    pub name: String,
    /// SHA-256 of its value.
    pub digest: Digest,
    /// Names of the connections that it opens.
    pub connections: Vec<String>,
    /// Groups of its caller.
    pub groups: Vec<String>,
}

/// The static tokens of a configuration.
#[derive(Clone, Debug)]
pub struct StaticTokens {
    known: Vec<(Digest, Caller, Arc<Scope>)>,
}

impl StaticTokens {
    /// Exactly these. Digests are distinct (the configuration is checked for it).
    #[must_use]
    pub fn new(tokens: impl IntoIterator<Item = StaticToken>) -> Self {
        let known = tokens.into_iter().map(|token| {
            let caller = Caller {
                subject: token.name,
                issuer: ISSUER.to_owned(),
                groups: token.groups,
                claims: "{}".to_owned(),
            };
            (token.digest, caller, Arc::new(Scope::on(token.connections)))
        });
        Self { known: known.collect() }
    }
}

impl StaticTokens {
    /// The caller and the scope of a credential.
    fn find(&self, credential: &str) -> Option<&(Digest, Caller, Arc<Scope>)> {
        if credential.is_empty() || credential.len() > CREDENTIAL_BYTES {
            return None;
        }
        // The digest hides the value from timing already; all of them are looked at so that the order is hidden too.
        let presented = digest(credential);
        let none = self.known.len() as u64;
        let mut found = none;
        for (at, (digest, ..)) in self.known.iter().enumerate() {
            found.conditional_assign(&(at as u64), digest.0.ct_eq(&presented.0));
        }
        self.known.get(usize::try_from(found).ok()?)
    }
}

impl Identify for StaticTokens {
    fn identify<'a>(&'a self, presented: Presented<'a>) -> BoxFuture<'a, Result<Identified, Unidentified>> {
        async move {
            let (_, caller, scope) = self.find(presented.credential).ok_or(Unidentified::Unknown)?;
            Ok(Identified {
                caller: caller.clone(),
                credential: Credential::Static,
                scope: Arc::clone(scope),
                lease: Lease::new(None),
                account: Box::new(Unlimited),
            })
        }
        .boxed()
    }
}

/// Nothing is counted.
struct Unlimited;

impl Account for Unlimited {
    fn enter(&self, _about: &About) -> Result<(), NoEntry> {
        Ok(())
    }

    fn spend(&self, _usage: Usage) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> StaticTokens {
        let token = |name: &str, value: &str, connections: &[&str]| StaticToken {
            name: name.to_owned(),
            digest: digest(value),
            connections: connections.iter().map(|&name| name.to_owned()).collect(),
            groups: vec!["staff".to_owned()],
        };
        StaticTokens::new([token("ann", "ann-secret", &["openai"]), token("bob", "bob-secret", &["openai", "local"])])
    }

    fn identify(tokens: &StaticTokens, credential: &str) -> Result<Identified, Unidentified> {
        tokens.identify(Presented { credential, certificate: None }).now_or_never().expect("nothing to wait for")
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
