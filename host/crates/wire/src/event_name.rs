//! The name of a stream's events, in dialects whose events have none: some clients don't look at it, others hear only
//! events of one name.
//!
//! What must hold: all that is joined comes under one name, so that every client joins the same.

/// The name of the events of a stream.
#[derive(Debug, Default)]
pub(crate) struct EventName {
    /// Of the event that is read.
    now: Vec<u8>,
    /// Of the first that said something.
    first: Option<Vec<u8>>,
}

/// The name under which clients hear an event. One with none is a `message` (HTML standard, server-sent events).
pub(crate) fn heard(name: &[u8]) -> &[u8] {
    if name == b"message" { b"" } else { name }
}

impl EventName {
    /// The name of the event that is read next.
    pub(crate) fn named(&mut self, name: &[u8]) {
        let name = heard(name);
        if self.now != name {
            self.now.clear();
            self.now.extend_from_slice(name);
        }
    }

    /// The event says something that is joined with what others say.
    pub(crate) fn says(&mut self) -> Result<(), &'static str> {
        match &self.first {
            Some(first) if *first == self.now => Ok(()),
            None if self.now != b"error" => {
                self.first = Some(self.now.clone());
                Ok(())
            }
            _ => Err("in events of one name, none of them an error"),
        }
    }
}
