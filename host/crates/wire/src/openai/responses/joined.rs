//! The texts of one answer as clients put them together: all of one kind, by their places (`response.output_text` of SDKs).
//!
//! What must hold: each text is told alone and joined with its neighbours; where a text comes again and says something
//! else, its neighbours are those that come with it.

use std::{collections::BTreeMap, ops::Range};

use model::PartId;

use super::items::{Spot, What};
use crate::{
    openai::Wrong,
    parts::Parts,
    seams::{Again, Seam},
    sheet::Sheet,
};

/// How a text comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In deltas.
    Delta,
    /// In a way that some clients read and others pass over: whole, without deltas, or in deltas of what is no text.
    Apart,
}

/// The texts of one kind.
#[derive(Debug)]
struct Kind {
    seam: Seam,
    again: Again,
    /// Place of the last text: in the output, and in its item.
    last: (u64, u64),
    /// Some of it came in deltas, and behind that some apart: to some clients what follows stands directly behind the
    /// deltas, so that none may follow.
    spoken: bool,
    interrupted: bool,
}

impl Kind {
    fn of(spot: Spot) -> Self {
        let Spot { channel, speaker, .. } = spot;
        Self {
            seam: Seam::new(channel, speaker),
            again: Again::new(channel, speaker),
            last: (0, 0),
            spoken: false,
            interrupted: false,
        }
    }
}

/// The texts of all kinds that are put together.
#[derive(Debug, Default)]
pub(super) struct Seams(BTreeMap<What, Kind>);

impl Seams {
    fn kind(&mut self, spot: Spot) -> Option<&mut Kind> {
        if !spot.what.joins() {
            return None;
        }
        Some(self.0.entry(spot.what).or_insert_with(|| Kind::of(spot)))
    }

    /// A text of an answer that is not streamed.
    pub(super) fn whole(
        &mut self,
        sheet: &mut Sheet<'_>,
        node: usize,
        spot: Spot,
        (part, range): (PartId, Range<u64>),
    ) {
        if let Some(kind) = self.kind(spot).filter(|_| !range.is_empty()) {
            kind.seam.say(sheet.parts, part, &sheet.doc.name(node), range);
            self.follow(sheet.parts, spot.what);
        }
    }

    /// More of a text. Behind one that stands behind it, it would be put before what was decided without it.
    pub(super) fn say(
        &mut self,
        sheet: &mut Sheet<'_>,
        node: usize,
        spot: Spot,
        (output, form): (u64, Form),
        (part, range): (PartId, Range<u64>),
    ) -> Result<(), Wrong> {
        let Some(kind) = self.kind(spot).filter(|_| !range.is_empty()) else { return Ok(()) };
        if kind.last > (output, spot.at) {
            return Err("texts in the order of their places");
        }
        match form {
            Form::Apart => kind.interrupted |= kind.spoken,
            Form::Delta if kind.interrupted => return Err("deltas with no text between them that comes otherwise"),
            Form::Delta => kind.spoken = true,
        }
        kind.last = (output, spot.at);
        kind.seam.say(sheet.parts, part, &sheet.doc.name(node), range);
        self.follow(sheet.parts, spot.what);
        Ok(())
    }

    /// A text that stands whole where no piece of it came.
    pub(super) fn say_late(
        &mut self,
        sheet: &mut Sheet<'_>,
        node: usize,
        spot: Spot,
        output: u64,
        (part, range): (PartId, Range<u64>),
    ) {
        let late = self.say(sheet, node, spot, (output, Form::Apart), (part, range)).is_err();
        self.again(sheet, node, spot, part, late);
    }

    /// A text that comes again; `differs` from the one that its pieces made.
    pub(super) fn again(&mut self, sheet: &mut Sheet<'_>, node: usize, spot: Spot, part: PartId, differs: bool) {
        if let Some(kind) = self.kind(spot) {
            kind.again.say(sheet.parts, part, &sheet.doc.name(node), differs);
        }
    }

    /// No more of a text comes.
    pub(super) fn stop(&self, parts: &mut Parts, what: What, part: PartId) {
        match self.0.get(&what) {
            Some(kind) => kind.seam.stop(parts, part),
            None => parts.end(part),
        }
    }

    /// An item of this type begins.
    pub(super) fn begin_item(&mut self, parts: &mut Parts, kind: &str) {
        // Calls are held until they are decided, and with them all that comes after.
        if !matches!(kind, "message" | "function_call" | "custom_tool_call") {
            self.follow(parts, What::Reasoning);
        }
    }

    /// What follows need not wait: a thought ends where the model speaks, whose words may go on behind another thought.
    fn follow(&mut self, parts: &mut Parts, what: What) {
        for (&before, kind) in &mut self.0 {
            match (before, what) {
                (What::Reasoning | What::Summary, What::Text | What::Refusal) => kind.seam.settle(parts),
                (What::Text | What::Refusal, What::Reasoning | What::Summary) => kind.seam.pass(parts),
                _ => {}
            }
        }
    }

    /// Nothing more comes at all.
    pub(super) fn end(&mut self, parts: &mut Parts) {
        for kind in self.0.values_mut() {
            kind.seam.end(parts);
            kind.again.end(parts);
        }
    }
}
