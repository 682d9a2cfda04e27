//! Identifiers. Each kind is a type of its own, so that one can't stand where another is meant.

use std::{fmt, str::FromStr, sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Timestamp, Uuid};

/// What has made the ids so far: each one is behind those before, also where the clock was set back.
static MADE: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// Ids that are made from here on are behind `last`, which an earlier process made: the order of ids is the order in which they
/// were made, whatever the clock says.
pub fn go_on_behind(last: Uuid) {
    let Some(made) = last.get_timestamp() else { return };
    let (seconds, nanos) = made.to_unix();
    // Within a millisecond ids are counted, from anywhere on.
    let next = Duration::new(seconds, nanos).saturating_add(Duration::from_millis(1));
    let _made = Timestamp::from_unix(&MADE, next.as_secs(), next.subsec_nanos());
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, behind all that were made before (UUID version 7, RFC 9562).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would hide that each one is new")]
            pub fn new() -> Self {
                Self(Uuid::new_v7(Timestamp::now(&MADE)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.simple().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.simple().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// One request and its response.
    ExchangeId
}
uuid_id! {
    /// The exchanges of one token on one connection, or of one caller with no gap of 30 minutes.
    SessionId
}
uuid_id! {
    /// One question to a person, and its decision.
    ApprovalId
}
uuid_id! {
    /// One token that Portcullis issued; says nothing of the token itself.
    TokenId
}

uuid_id! {
    /// One alert.
    AlertId
}

/// The number of a policy set: each set that is published gets the next one, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256 digest; shown in lower-case hexadecimal, and serialised so.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first eight hexadecimal digits: enough for a person, never for a check.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a digest is 64 hexadecimal digits";
        if text.len() != 64 || !text.is_ascii() {
            return Err(WRONG);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_text_form() {
        let digest = Digest(std::array::from_fn(|at| at as u8 * 7));
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    }

    #[test]
    fn a_digest_of_another_length_is_refused() {
        assert!("00".parse::<Digest>().is_err());
        assert!("é".repeat(32).parse::<Digest>().is_err());
    }

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<ExchangeId> = (0..100).map(|_| ExchangeId::new()).collect();
        assert!(ids.is_sorted());
    }
}
