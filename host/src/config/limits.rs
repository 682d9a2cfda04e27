//! Every bound of the path: its name, its default, what it may be set to. `host/docs/configuration.md` lists the same
//! names (a test compares).

use std::{ops::RangeInclusive, time::Duration};

use super::{
    Problems,
    read::{Section, show_duration, show_size},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// The most that a body or an event may have: an entry of the record takes 64 MiB, and what is masked may grow.
const RECORDED: u64 = 48 * MIB;
const MILLISECOND: u64 = 1;
const SECOND: u64 = 1000 * MILLISECOND;
const HOUR: u64 = 3600 * SECOND;

/// What a bound counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes.
    Size,
    /// Milliseconds.
    Time,
    /// Things.
    Count,
}

/// A bound as the documentation shows it.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// Its key in `[limits]`.
    pub key: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Its default, in bytes, milliseconds or things.
    pub default: u64,
    /// What it may be set to.
    pub range: RangeInclusive<u64>,
}

impl Bound {
    /// The default as one would write it.
    #[must_use]
    pub(crate) fn default_text(&self) -> String {
        self.unit.show(self.default)
    }
}

impl Unit {
    /// A value as one would write it.
    pub(super) fn show(self, value: u64) -> String {
        match self {
            Self::Size => show_size(value),
            Self::Time => show_duration(value),
            Self::Count => value.to_string(),
        }
    }
}

trait FromBound {
    fn from_bound(value: u64) -> Self;
}

impl FromBound for usize {
    fn from_bound(value: u64) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }
}

impl FromBound for Duration {
    fn from_bound(value: u64) -> Self {
        Self::from_millis(value)
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $key:ident: $type:ty = $unit:ident($default:expr, $low:expr, $high:expr);)*) => {
        /// Bounds of the path. A bound that is reached ends the exchange; nothing is ever cut off silently.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct Limits { $($(#[$doc])* pub $key: $type),* }

        impl Limits {
            /// Every bound.
            #[cfg(test)]
            pub(crate) fn bounds() -> Vec<Bound> {
                vec![$(Bound { key: stringify!($key), unit: Unit::$unit, default: $default, range: $low..=$high }),*]
            }

            /// As the file says; what it does not say is the default.
            pub(super) fn read(section: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
                Self { $($key: {
                    let bound = Bound { key: stringify!($key), unit: Unit::$unit, default: $default, range: $low..=$high };
                    <$type>::from_bound(section.bound(&bound, problems))
                }),* }
            }
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($key: <$type>::from_bound($default)),* }
            }
        }
    };
}

impl Limits {
    /// How many of the requests that are held may wait for what a stranger's word is worth (a key of its issuer that is
    /// not known yet), and how many for the rest of what a stranger sends: a quarter of the places each, so that none of
    /// that keeps those out who are known.
    pub(crate) fn for_strangers(&self) -> usize {
        (self.exchanges.min(self.client_connections) / 4).max(1)
    }
}

limits! {
    /// Bytes of a request's or an upstream's response's head.
    head_bytes: usize = Size(32 * KIB, KIB, MIB);
    /// Time from a request's first byte to the end of its head; of a connection's first request, from its begin.
    head_deadline: Duration = Time(10 * SECOND, 100 * MILLISECOND, HOUR);
    /// Time for a TLS handshake with a caller.
    handshake_deadline: Duration = Time(10 * SECOND, 100 * MILLISECOND, HOUR);
    /// Time that a caller's connection stays open with no request after the last one.
    keep_alive: Duration = Time(75 * SECOND, 100 * MILLISECOND, 24 * HOUR);
    /// Callers' connections at once.
    client_connections: usize = Count(1024, 1, 1 << 20);
    /// Exchanges at once.
    exchanges: usize = Count(1024, 1, 1 << 20);
    /// Bytes of a whole (not streamed) body, in each direction.
    body_bytes: usize = Size(32 * MIB, KIB, RECORDED);
    /// Time between two pieces of a request's body.
    body_idle: Duration = Time(30 * SECOND, 100 * MILLISECOND, HOUR);
    /// Bytes a second, as they come, that a request's body has at least, on the whole, once `body_idle` has passed since its
    /// head; 0: no bound.
    body_rate: usize = Size(KIB, 0, 16 * MIB);
    /// Bytes of one event of a stream.
    event_bytes: usize = Size(4 * MIB, KIB, RECORDED);
    /// Bytes of one direction of an exchange that are in and not out.
    held_bytes: usize = Size(64 * MIB, KIB, 2048 * MIB);
    /// Nesting of JSON.
    json_depth: usize = Count(64, 8, 256);
    /// Bytes of window that a zstd frame may ask for; RFC 9659 bounds it at 8 MiB.
    zstd_window: usize = Size(8 * MIB, KIB, 8 * MIB);
    /// Bytes that a compressed body may unpack to, for each of its own, once more than 1 MiB has come out.
    decode_ratio: usize = Count(200, 2, 1 << 20);
    /// Bytes that a compressed body may unpack to.
    decode_bytes: usize = Size(1024 * MIB, KIB, 1024 * 1024 * MIB);
    /// Bytes that are judged as one batch, when so many have arrived.
    batch_bytes: usize = Size(256 * KIB, KIB, 16 * MIB);
    /// Time for a connection to an upstream, TLS handshake included.
    upstream_connect: Duration = Time(10 * SECOND, 10 * MILLISECOND, HOUR);
    /// Time from the end of the request to the head of the upstream's response.
    upstream_first_byte: Duration = Time(300 * SECOND, 10 * MILLISECOND, 24 * HOUR);
    /// Time between two pieces of an upstream's response.
    upstream_idle: Duration = Time(300 * SECOND, 10 * MILLISECOND, 24 * HOUR);
    /// Idle connections kept for each upstream.
    upstream_pool: usize = Count(1024, 0, 1 << 16);
    /// Requests of one caller in a minute; 0: no limit.
    caller_requests: usize = Count(0, 0, 1 << 30);
    /// Exchanges of one caller at once; 0: no limit.
    caller_streams: usize = Count(0, 0, 1 << 20);
    /// Tokens of usage of one caller in a day, of requests and answers together; 0: no limit.
    caller_usage: usize = Count(0, 0, 1 << 40);
    /// Requests with one token that was issued here in a minute; 0: no limit.
    token_requests: usize = Count(0, 0, 1 << 30);
    /// Exchanges with one token that was issued here at once; 0: no limit.
    token_streams: usize = Count(0, 0, 1 << 20);
    /// Tokens of usage with one token that was issued here in a day; 0: no limit.
    token_usage: usize = Count(0, 0, 1 << 40);
    /// Tokens that were issued here and have not expired.
    tokens: usize = Count(100_000, 1, 1 << 24);
    /// Of these, of one caller.
    caller_tokens: usize = Count(1000, 1, 1 << 24);
    /// Time that an exchange may run on after its credential has expired; a revocation waits for nothing.
    expiry_grace: Duration = Time(300 * SECOND, 0, HOUR);
    /// A caller's exchanges on a connection are one session until this much time passes between two.
    session_gap: Duration = Time(1800 * SECOND, SECOND, 24 * HOUR);
    /// Sessions whose placeholders and times are remembered.
    sessions: usize = Count(10_000, 1, 1 << 20);
    /// Time that a caller may take no byte of its response.
    delivery_idle: Duration = Time(60 * SECOND, 100 * MILLISECOND, 24 * HOUR);
    /// Time that running exchanges get to end after the signal to stop.
    drain: Duration = Time(30 * SECOND, 0, HOUR);
}
