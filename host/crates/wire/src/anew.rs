//! What waits in the queue is told once more: others judge from here on, and what those before decided is no answer for them.
//!
//! Nothing is kept for it: a text can be told again where the queue still holds the bytes of all of it, as it does of the name
//! and the arguments of a call that waits. What must hold: what is told again waits for its decision as if it had just come; of
//! what has left in part, or is told by another part as well, nothing is told again, and [`Waiting::tells`] says so.

use std::collections::BTreeMap;

use model::{Part, PartId};

use crate::{
    Step, ToolCallId,
    frame::{Kind, Slot},
    json::{literal, number},
    nested::Nested,
    parts::{Parts, Source},
};

/// What the slots of a source say together.
#[derive(Debug, Default)]
struct Said {
    text: String,
    /// How many there are.
    slots: u32,
    /// They are not the whole text, one piece behind the other.
    odd: bool,
}

/// The texts that wait in a queue, by their sources.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// In the order in which they begin.
    order: Vec<Source>,
    said: BTreeMap<Source, Said>,
}

impl Waiting {
    /// Takes a frame.
    pub(crate) fn note<'a>(&mut self, slots: impl Iterator<Item = &'a Slot>, raw: &[u8]) {
        let raw = std::str::from_utf8(raw).ok();
        for slot in slots {
            let Some(source) = slot.source else { continue };
            let order = &mut self.order;
            let said = self.said.entry(source).or_insert_with(|| {
                order.push(source);
                Said::default()
            });
            said.note(slot, raw);
        }
    }

    /// Whether all text of a source can be told again.
    pub(crate) fn tells(&self, source: Source, parts: &Parts) -> bool {
        let (Some(said), Some(run)) = (self.said.get(&source), parts.run(source)) else { return false };
        let is_all = !said.odd && said.text.len() as u64 == run.len && (!run.gone || run.is_field());
        // What is counted beside the slots is another part's text.
        let is_alone = said.slots == run.live && run.echoes.is_empty();
        let is_known = match source {
            Source::Part(_) => run.voice.is_some(),
            Source::Call(call) => parts.proposed(call).is_some(),
        };
        is_all && is_alone && is_known
    }
}

impl Said {
    fn note(&mut self, slot: &Slot, raw: Option<&str>) {
        self.slots += 1;
        if slot.from == slot.to || (slot.from == 0 && self.text.len() as u64 == slot.to) {
            return;
        }
        let text = raw.and_then(|raw| text(slot, raw)).filter(|text| text.len() as u64 == slot.to - slot.from);
        match text {
            Some(text) if slot.from == self.text.len() as u64 => self.text.push_str(&text),
            _ => self.odd = true,
        }
    }
}

/// What a slot says, where that is all that stands in it.
fn text(slot: &Slot, raw: &str) -> Option<String> {
    let literal = raw.get(slot.at as usize..slot.end as usize)?;
    match slot.kind {
        Kind::Text => {
            let mut text = String::new();
            literal::decode(literal.get(1..literal.len().checked_sub(1)?)?, &mut text);
            Some(text)
        }
        Kind::Number => Some(number::spelled(literal).into_owned()),
        Kind::Raw | Kind::Line => Some(literal.to_owned()),
        Kind::Loose
        | Kind::Null
        | Kind::Void
        | Kind::Put(_)
        | Kind::Hold
        | Kind::Member { .. }
        | Kind::StandIn
        | Kind::Extra(_) => None,
    }
}

impl Parts {
    /// Takes back what was decided about all that can be told again, and tells it.
    pub(crate) fn tell_again(&mut self, mut waiting: Waiting) {
        for source in std::mem::take(&mut waiting.order) {
            if !waiting.tells(source, self) {
                continue;
            }
            let Some(Said { text, .. }) = waiting.said.remove(&source) else { continue };
            match source {
                Source::Part(part) => self.part_again(part, text),
                Source::Call(call) => self.call_again(call, text),
            }
        }
    }

    fn part_again(&mut self, id: PartId, text: String) {
        let Some(run) = self.run_mut(Source::Part(id)).filter(|run| run.released > 0) else { return };
        let Some((channel, speaker)) = run.voice else { return };
        run.take_back();
        let ended = run.ended;
        self.tell(Step::Begin(Part { id, channel, speaker }));
        self.tell(Step::Text { part: id, text });
        if ended {
            self.tell(Step::End(id));
        }
    }

    /// A call whose arguments are not complete has nothing decided about it.
    fn call_again(&mut self, call: ToolCallId, text: String) {
        let Some((told, json)) = self.proposed(call).cloned() else { return };
        let Some(run) = self.run_mut(Source::Call(call)).filter(|run| run.closed) else { return };
        run.take_back();
        self.calls.insert(call, Nested::again(text, json));
        self.complete_call(call);
        self.tell(Step::ToolCall(told));
    }
}
