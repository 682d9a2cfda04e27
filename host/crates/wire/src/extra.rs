//! Events of their own for text that is added behind the end of a part of a stream.
//!
//! What must hold: such an event says of itself what the stream's others do, less what a policy has something against; that
//! is known when it leaves, and may not be before. Its lines end as theirs do.

use std::collections::BTreeMap;

use bytes::BytesMut;
use model::PartId;

use crate::{
    frame::{Kind, Slot},
    parts::{Parts, Source},
};

/// One event: what stands before and behind the text, which is written as it is inside a JSON string. Lines end with LF here.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) before: Vec<Piece>,
    pub(crate) after: String,
}

/// What stands in an event that is added.
#[derive(Debug)]
pub(crate) enum Piece {
    Own(String),
    /// A member that repeats what the stream said.
    Repeat {
        /// It as it stands where it was left as it is.
        said: String,
        /// What takes its place elsewhere.
        otherwise: String,
        literal: Box<str>,
        /// Who told it in the frame in front of which the event goes.
        part: Option<PartId>,
    },
}

/// The events that may be added.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    all: BTreeMap<u32, Extra>,
    next: u32,
    /// Slots of those that belong to the frame that is being read.
    pub(crate) slots: Vec<Slot>,
    /// Lines of the stream end with CRLF.
    pub(crate) crlf: bool,
}

impl Extras {
    /// The one with this number.
    pub(crate) fn get(&self, id: u32) -> Option<&Extra> {
        self.all.get(&id)
    }

    /// Its frame has left.
    pub(crate) fn left(&mut self, id: u32) {
        self.all.remove(&id);
    }

    /// Nothing more comes: those that are left stand behind an event that may not be terminated.
    pub(crate) fn last(&mut self) -> &mut Vec<Slot> {
        for slot in &self.slots {
            if let Kind::Extra(id) = slot.kind
                && let Some(extra) = self.all.get_mut(&id)
            {
                extra.before.insert(0, Piece::Own("\n\n".to_owned()));
            }
        }
        &mut self.slots
    }

    fn write(&self, text: &str, out: &mut BytesMut) {
        let text = if self.crlf { &text.replace('\n', "\r\n") } else { text };
        out.extend_from_slice(text.as_bytes());
    }
}

impl Extra {
    /// Writes what stands before the text.
    pub(crate) fn begin(&self, parts: &Parts, out: &mut BytesMut) {
        for piece in &self.before {
            parts.extras.write(piece.text(parts), out);
        }
    }

    /// Writes what stands behind it.
    pub(crate) fn end(&self, parts: &Parts, out: &mut BytesMut) {
        parts.extras.write(&self.after, out);
    }
}

impl Piece {
    /// The member of this name, with a literal that the stream said, and `otherwise` in its place where a policy may have
    /// something against that.
    pub(crate) fn repeat(parts: &Parts, name: &str, literal: &str, otherwise: &str) -> Self {
        let said = format!("\"{name}\":{literal},");
        if parts.left_alone(literal) {
            return Self::Own(said);
        }
        let part = parts.remembered(literal).map(|(part, _)| part);
        Self::Repeat { said, otherwise: otherwise.to_owned(), literal: literal.into(), part }
    }

    fn text(&self, parts: &Parts) -> &str {
        match self {
            Self::Own(text) => text,
            Self::Repeat { said, otherwise, literal, part } => {
                let run = part.and_then(|part| parts.run(Source::Part(part)));
                let is_left = match run {
                    Some(run) => run.left_alone(),
                    None => parts.left_alone(literal),
                };
                if is_left { said } else { otherwise }
            }
        }
    }
}

impl Parts {
    /// Text that is added behind the end of a part of a stream goes into an event of its own, in front of the frame
    /// that is being read.
    pub(crate) fn extra(&mut self, part: PartId, make: impl FnOnce(&Self) -> Extra) {
        let source = Source::Part(part);
        if !self.streamed {
            return;
        }
        let extra = make(self);
        let Some(run) = self.run_mut(source) else { return };
        run.live += 1;
        let len = run.len;
        let id = self.extras.next;
        self.extras.next += 1;
        self.extras.all.insert(id, extra);
        let kind = Kind::Extra(id);
        self.extras.slots.push(Slot { source: Some(source), kind, at: 0, end: 0, from: len, to: len, tail: true });
    }
}
