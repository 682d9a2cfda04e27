//! Why bytes do not pass.

use thiserror::Error;

/// Why bytes do not pass: the status to answer with, and a sentence that repeats nothing of them.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{why}")]
pub struct Refusal {
    /// HTTP status (RFC 9110, section 15); of a response's bytes always 502.
    pub status: u16,
    /// What is wrong.
    pub why: &'static str,
    /// Where it was found.
    pub place: Place,
}

/// Where something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a head: nothing of the message has passed.
    Head,
    /// In a body, whose head has passed.
    Body,
}

impl Refusal {
    /// A head that breaks the grammar, or has two meanings.
    pub(crate) const fn head(why: &'static str) -> Self {
        Self::with(400, why)
    }

    /// A head that gets another status than 400.
    pub(crate) const fn with(status: u16, why: &'static str) -> Self {
        Self { status, why, place: Place::Head }
    }

    /// A body that breaks the grammar of its framing.
    pub(crate) const fn body(why: &'static str) -> Self {
        Self { status: 400, why, place: Place::Body }
    }
}
