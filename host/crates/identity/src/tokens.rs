//! Static tokens: a name, a digest, and what it opens. Stands at `identify` on the path.

use std::sync::Arc;

use exchange::ports::{Identified, Identify, Unknown};
use model::{Caller, Digest};
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
    known: Vec<(Digest, Identified)>,
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
            (token.digest, Identified { caller, connections: Arc::from(token.connections) })
        });
        Self { known: known.collect() }
    }
}

impl Identify for StaticTokens {
    fn identify(&self, credential: &str) -> Result<Identified, Unknown> {
        if credential.is_empty() || credential.len() > CREDENTIAL_BYTES {
            return Err(Unknown);
        }
        // The digest hides the value from timing already; all of them are looked at so that the order is hidden too.
        let presented = digest(credential);
        let none = self.known.len() as u64;
        let mut found = none;
        for (at, (digest, _)) in self.known.iter().enumerate() {
            found.conditional_assign(&(at as u64), digest.0.ct_eq(&presented.0));
        }
        let found = usize::try_from(found).map_err(|_| Unknown)?;
        self.known.get(found).map(|(_, identified)| identified.clone()).ok_or(Unknown)
    }
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

    #[test]
    fn a_known_credential_has_its_caller_and_connections() {
        let found = tokens().identify("bob-secret").unwrap();
        assert_eq!(found.caller.subject, "bob");
        assert_eq!(found.caller.issuer, "token");
        assert_eq!(found.caller.groups, ["staff"]);
        assert_eq!(&*found.connections, ["openai", "local"]);
        assert_eq!(tokens().identify("ann-secret").unwrap().caller.subject, "ann");
    }

    #[test]
    fn nothing_near_a_credential_is_known() {
        let too_long = "x".repeat(CREDENTIAL_BYTES + 1);
        for wrong in ["", "bob", "bob-secre", "bob-secret ", "Bob-secret", "bob-secretX", &too_long] {
            assert_eq!(tokens().identify(wrong).unwrap_err(), Unknown, "{wrong:?}");
        }
        assert!(StaticTokens::new([]).identify("ann-secret").is_err());
    }

    #[test]
    fn the_digest_of_a_credential_is_not_a_credential() {
        assert!(tokens().identify(&digest("bob-secret").to_string()).is_err());
    }

    #[test]
    fn debug_shows_no_value() {
        assert!(!format!("{:?}", tokens()).contains("-secret"));
    }
}
