//! Those who watch the path: metrics and detection. Made by `meters` and `alerts`.

use std::{net::IpAddr, time::Duration};

use model::{Caller, Digest, Entry, Event, record::Opened};

/// Watches what happens. Called on the path: it must return at once, and nothing that it does changes an exchange.
pub trait Watch: Send + Sync {
    /// An exchange began to be recorded. What comes back follows it, and is dropped when it is over.
    fn opened(&self, opened: &Opened) -> Box<dyn Follow>;

    /// A request was refused before there was anything to record.
    fn turned_away(&self, refused: &TurnedAway<'_>);

    /// An upstream answered with this status, or not at all, after this time.
    fn answered(&self, connection: &str, status: Option<u16>, took: Duration);

    /// A fact that belongs to no exchange.
    fn event(&self, event: &Event);
}

/// Follows one exchange. Dropped without `Entry::Closed`: its end could not be told.
pub trait Follow: Send {
    /// The record takes an entry.
    fn saw(&mut self, entry: &Entry);

    /// A stage of the path took so long for what had arrived.
    fn timed(&mut self, stage: Stage, took: Duration);
}

/// What an exchange costs its caller here: waits for the upstream, for the caller and for people are none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Policies on the whole request.
    JudgeRequest,
    /// Policies on one batch of the response.
    JudgeResponse,
    /// Until the request was durable.
    Record,
}

/// A request that was refused before there was anything to record. Holds no credential.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnedAway<'a> {
    /// Why, as the caller was told: the code of the refusal.
    pub code: &'a str,
    /// Who, where that was known.
    pub caller: Option<&'a Caller>,
    /// SHA-256 of the credential that was refused.
    pub credential: Option<Digest>,
    /// Where it came from.
    pub address: Option<IpAddr>,
}
