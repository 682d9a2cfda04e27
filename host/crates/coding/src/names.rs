//! What a `content-encoding` header says.

use thiserror::Error;

use crate::{Decoder, Limits};

/// Codings that one message may have, one around the other.
pub const MOST_CODINGS: usize = 3;

/// The codings that are undone here, as an `accept-encoding` header names them (RFC 9110, 12.5.3).
pub const ACCEPTED: &str = "gzip, br, deflate, zstd, identity";

/// A coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950; by some senders, against RFC 9110, bare RFC 1951.
    Deflate,
    /// RFC 7932.
    Br,
    /// RFC 8878, with the window of RFC 9659.
    Zstd,
}

impl Coding {
    /// Its name in the IANA registry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// The codings of a message, in the order in which they were applied. At most [`MOST_CODINGS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codings(Vec<Coding>);

/// A `content-encoding` that can't be undone. Its form for people does not repeat what the header said.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unknown {
    /// A name that is not known.
    #[error("its content-encoding is not one of {ACCEPTED}")]
    Name,
    /// More than [`MOST_CODINGS`].
    #[error("it has more than {MOST_CODINGS} content-encodings")]
    TooMany,
}

impl Codings {
    /// Reads the values of all `content-encoding` headers of a message, in order. Names are told apart with no regard to
    /// case; `identity` and empty list elements say nothing.
    ///
    /// # Errors
    /// [`Unknown`] when one of them can't be undone.
    pub fn parse<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Self, Unknown> {
        let mut codings = Vec::new();
        let names = values.into_iter().flat_map(|value| value.split(|byte| *byte == b','));
        for name in names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
            let coding = match name.to_ascii_lowercase().as_slice() {
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"deflate" => Coding::Deflate,
                b"br" => Coding::Br,
                b"zstd" => Coding::Zstd,
                b"identity" => continue,
                _ => return Err(Unknown::Name),
            };
            codings.push(coding);
            if codings.len() > MOST_CODINGS {
                return Err(Unknown::TooMany);
            }
        }
        Ok(Self(codings))
    }

    /// Whether the bytes are the message itself.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.0.is_empty()
    }

    /// What undoes them; `None` when there is nothing to undo.
    #[must_use]
    pub fn decoder(&self, limits: Limits) -> Option<Decoder> {
        // The last coding that was applied is the first one to be undone.
        (!self.is_identity()).then(|| Decoder::new(self.0.iter().rev().copied(), limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Vec<Coding>, Unknown> {
        Codings::parse(values.iter().map(|value| value.as_bytes())).map(|codings| codings.0)
    }

    #[test]
    fn names_are_read_in_order() {
        assert_eq!(parse(&[]), Ok(vec![]));
        assert_eq!(parse(&["identity", ""]), Ok(vec![]));
        assert_eq!(parse(&["X-GZIP, br"]), Ok(vec![Coding::Gzip, Coding::Br]));
        assert_eq!(parse(&["deflate", " zstd\t,, identity"]), Ok(vec![Coding::Deflate, Coding::Zstd]));
    }

    #[test]
    fn what_can_not_be_undone_is_not_guessed() {
        for value in ["compress", "gzip;q=1", "gzip br", "aws-chunked", "dcb", "dcz", "exi", "gzip\u{e9}", "*", "none"]
        {
            assert_eq!(parse(&[value]), Err(Unknown::Name), "{value}");
        }
        assert!(parse(&["gzip, gzip, gzip"]).is_ok());
        assert_eq!(parse(&["gzip, gzip", "br, zstd"]), Err(Unknown::TooMany));
    }

    #[test]
    fn the_header_is_not_repeated_to_people() {
        let unknown = parse(&["078-05-1120"]).unwrap_err();
        assert!(!unknown.to_string().contains("078"), "{unknown}");
    }
}
