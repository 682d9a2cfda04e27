//! The way out of the host to where its operator sends it: upstreams, issuers, webhooks.
//!
//! ```text
//!   http.rs   one request, one answer: issuers and webhooks
//!   dial.rs   a name to a connection: also the upstreams' (whose requests are `host/src/forward`'s)
//!   tls.rs    whom TLS trusts
//! ```
//!
//! What must hold (threats, section 4): a name is resolved once and dialled as resolved, and leads to no address that
//! serves metadata; no redirect is followed; no proxy of the environment is used.

mod dial;
mod http;
pub mod tls;

pub use dial::connect;
pub use http::{Http, HttpError, found};
