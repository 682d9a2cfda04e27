//! A body, as far as one must know it to know where it ends.

use crate::{Refusal, chunks::Chunks, fields::Framing};

/// What is still to come of a body.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Length(u64),
    Chunked(Chunks),
    /// Ends with the connection.
    UntilClose,
}

impl Body {
    /// A body with this framing, if there is one.
    pub(crate) fn of(framing: Framing) -> Option<Self> {
        match framing {
            Framing::None | Framing::Length(0) => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunked(Chunks::default())),
        }
    }

    /// How many of these bytes belong to it, and whether it is over with them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Self::Chunked(chunks) => chunks.take(bytes),
            Self::UntilClose => Ok((bytes.len(), false)),
        }
    }
}
