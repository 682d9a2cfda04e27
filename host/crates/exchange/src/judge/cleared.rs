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

    /// Joins what was cleared, one after the other.
    pub(crate) fn join(&mut self, more: Self) {
        if self.is_empty() {
            *self = more;
        } else if !more.is_empty() {
            if self.delivered.is_some() || more.delivered.is_some() {
                let delivered = self.delivered.take().unwrap_or_else(|| self.judged.clone());
                self.delivered = Some(joined(delivered, more.delivered()));
            }
            self.judged = joined(std::mem::take(&mut self.judged), &more.judged);
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

fn joined(bytes: Bytes, more: &Bytes) -> Bytes {
    // Frozen bytes with one owner turn back into a buffer at no cost.
    let mut all = BytesMut::from(bytes);
    all.extend_from_slice(more);
    all.freeze()
}

impl fmt::Debug for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cleared({} bytes)", self.delivered().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_delivered_as_it_was_put_back() {
        let judged = |text: &'static str| Cleared::of(Bytes::from_static(text.as_bytes()));
        let both = |text, back: &'static str| judged(text).delivered_as(Some(Bytes::from_static(back.as_bytes())));
        let pieces = || [judged("a "), both("[X] ", "x "), judged("b "), both("[Y]", "y"), Cleared::none()];
        for skipped in 0..pieces().len() {
            let mut all = Cleared::none();
            pieces().into_iter().skip(skipped).for_each(|piece| all.join(piece));
            let expected = |bytes: fn(&Cleared) -> &Bytes| -> Vec<u8> {
                pieces()[skipped..].iter().flat_map(|piece| bytes(piece).to_vec()).collect()
            };
            assert_eq!(*all.bytes(), expected(Cleared::bytes));
            assert_eq!(*all.delivered(), expected(Cleared::delivered));
        }
    }
}
