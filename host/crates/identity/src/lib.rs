//! Who a credential belongs to: static tokens from the configuration, tokens that were issued here, tokens of identity
//! providers; what grants give to whom, how much of it, and until when.
//!
//! What must hold: no credential is kept, shown or compared in clear; a comparison takes the same time whatever it
//! finds; every credential is let in by the [`Registry`], and by nothing else, so that one that is revoked is revoked
//! everywhere.

mod credentials;
mod direct;
mod grants;
mod jwks;
mod jwt;
mod oauth;
mod oidc;
mod registry;
mod signals;
mod tokens;

pub use credentials::Credentials;
pub use direct::Direct;
pub use grants::{
    AccessBook, AccessDecision, AccessError, AccessState, AccessTerms, Approval, Asked, Asking, Grant, GrantError,
    Grants, LIFETIME, LONGEST_LIFETIME, NotGranted, SHORTEST_LIFETIME, Standing, Wanted, Who, scope_words,
};
pub use jwt::{Algorithm, Fault};
pub use oauth::{Access, AccessFault, AccessView, CLIENT, Login, Oauth, OauthError, OauthTerms, Peer, TurnAway};
pub use oidc::{ClaimPath, Freshness, Issuer, IssuerError, Issuers, Verified};
pub use registry::{
    Admission, Affected, Blast, Clock, Issue, IssueError, Issued, LiftError, Limits, Order, Rate, Registry,
    RevokeError, Terms,
};
pub use signals::{SignalEvent, Signals, SignalsError, SubjectFormat, Transmitter};
pub use tokens::{STATIC_ISSUER, StaticToken, StaticTokens};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::Digest;

/// Random bytes of a new token.
const TOKEN_BYTES: usize = 32;

/// A new token: 64 hexadecimal digits that nobody can guess.
///
/// # Panics
/// When the operating system has no randomness: there is no safe way on.
#[must_use]
pub fn new_token() -> String {
    let mut bytes = [0; TOKEN_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system has randomness");
    Digest(bytes).to_string()
}

/// What is kept of a credential: its SHA-256.
#[must_use]
pub fn digest(credential: impl AsRef<[u8]>) -> Digest {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, credential.as_ref());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Digest(bytes)
}

/// A digest as `x5t#S256` has it (RFC 8705, 3.1): base64url with no padding.
pub(crate) fn thumbprint(text: &str) -> Option<Digest> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Digest)
}

/// The same, written.
pub(crate) fn thumbprint_text(digest: &Digest) -> String {
    URL_SAFE_NO_PAD.encode(digest.0)
}
