//! What can be wrong with coded bytes.

use thiserror::Error;

/// Coded bytes that can't be undone, or would unpack to more than is allowed. The decoder is dead then. Says nothing of
/// what the bytes held.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Not what the coding is, or a checksum that is not its content's.
    #[error("the {coding} coding is damaged: {what}")]
    Damaged {
        /// Which coding.
        coding: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// The input ended in the middle.
    #[error("the {coding} coding broke off")]
    Truncated {
        /// Which coding.
        coding: &'static str,
    },
    /// Something stands behind the end.
    #[error("there are bytes behind the end of the {coding} coding")]
    Trailing {
        /// Which coding.
        coding: &'static str,
    },
    /// A named bound is exceeded.
    #[error("{bound} exceeded: more than {limit}")]
    TooLarge {
        /// The bound's name in the configuration.
        bound: &'static str,
        /// Its value.
        limit: u64,
    },
}
