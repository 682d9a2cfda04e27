//! What many exchanges send leaves in one burst: see `host/docs/decisions/0014-sends-come-in-bursts.md`.

use store::Durability;

/// Whether exchanges are brought together before they send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bursts(bool);

impl Bursts {
    /// With strict recording all that send come from a wait, each with those that waited for the same sync: that is a burst.
    pub(crate) fn of(durability: Durability) -> Self {
        Self(durability != Durability::Strict)
    }

    /// Lets all that is ready now run first. Called before the first byte of a request or an answer goes out: then the others
    /// have come as far too, and whoever reads what they send wakes once for all of it instead of once for each. Where nothing
    /// else is ready, it goes on at once.
    pub(crate) async fn with_others(self) {
        if self.0 {
            tokio::task::yield_now().await;
        }
    }
}
