//! What the judge hands on: bytes as they were judged, and as they are delivered.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Bytes that all policies cleared. Nothing but the judge makes one, and only what is cleared can be recorded and sent.
/// Not shown by `Debug`: what is delivered may hold what is kept nowhere.
pub struct Cleared {
    judged: Bytes,
    /// What the caller gets, where values are put back into it.
    delivered: Option<Bytes>,
}

impl Cleared {
    pub(super) fn of(judged: Bytes) -> Self {
        Self { judged, delivered: None }
    }

    pub(super) fn delivered_as(self, delivered: Option<Bytes>) -> Self {
        Self { delivered, ..self }
    }

    pub(crate) fn none() -> Self {
        Self::of(Bytes::new())
    }

    /// The bytes as they were judged: what is recorded, and what people are shown.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.judged
    }

    /// The bytes as they are delivered.
    #[must_use]
    pub fn delivered(&self) -> &Bytes {
        self.delivered.as_ref().unwrap_or(&self.judged)
    }

    /// Joins what was cleared of a request, one after the other.
    pub(crate) fn join(&mut self, more: Self) {
        if self.judged.is_empty() {
            *self = more;
        } else if !more.judged.is_empty() {
            let mut all = BytesMut::from(std::mem::take(&mut self.judged));
            all.extend_from_slice(&more.judged);
            self.judged = all.freeze();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.judged.is_empty() && self.delivered().is_empty()
    }

    /// As judged, and as delivered.
    pub(crate) fn into_both(self) -> (Bytes, Bytes) {
        let delivered = self.delivered.unwrap_or_else(|| self.judged.clone());
        (self.judged, delivered)
    }
}

impl fmt::Debug for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cleared({} bytes)", self.delivered().len())
    }
}
