//! The log of control events. Made by `store`.

use futures_util::future::BoxFuture;
use model::ControlEvent;

use super::RecordError;

/// Where control events are kept.
pub trait ControlLog: Send + Sync {
    /// Every event that may still matter, in order: what the view is folded from when the host starts.
    ///
    /// # Errors
    /// [`RecordError`] when one can't be read: a revocation may be missing, so nobody may start.
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError>;

    /// Ready when the event is durable. One that takes access away ([`ControlEvent::is_essential`]) is taken even when
    /// the disk is full, as long as the reserve lasts.
    ///
    /// # Errors
    /// [`RecordError`] when it is not kept: it must not be acted on as if it were.
    fn append(&self, event: ControlEvent) -> BoxFuture<'_, Result<(), RecordError>>;
}
