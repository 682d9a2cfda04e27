//! What can be wrong with a message.

use thiserror::Error;

/// A message that is not what its dialect says, or more than the limits allow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Not JSON in the strict profile (UTF-8, no BOM, no duplicate keys, no lone surrogates, one value).
    #[error("not valid JSON at byte {at}: {what}")]
    Json {
        /// Offset in the body or in the event's data.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// JSON, but not of the shape that the dialect has.
    #[error("{path} must be {expected}")]
    Shape {
        /// JSON Pointer (RFC 6901).
        path: String,
        /// What the dialect wants there.
        expected: &'static str,
    },
    /// A named bound is exceeded.
    #[error("{bound} exceeded: more than {limit}")]
    TooLarge {
        /// The bound's name in the configuration.
        bound: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The body ended too early.
    #[error("the body broke off {within}")]
    Truncated {
        /// In the middle of what.
        within: &'static str,
    },
    /// Bytes that are not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset in the body or in the event's data.
        at: usize,
    },
}
