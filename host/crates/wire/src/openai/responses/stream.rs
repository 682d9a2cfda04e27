//! What one answer says: by its place in the output, piece by piece, and again whole when it is done.
//!
//! ```text
//!   output_text.delta ─┐                    output_text.done ─┐
//!   output_text.delta ─┴─▶ part ◀── again? ── content_part.done ├─ the same text: leaves as the part was decided
//!                                             output_item.done  │  anything else: a part of its own
//!                                             completed        ─┘
//! ```
//!
//! What must hold: a text is one part from its first delta to its end; what repeats it is changed as it was, and what
//! does not repeat it is judged; no text is joined to a part behind its end; texts of one kind, which clients put
//! together, are told joined as well, in the order of their places; what each item's id says of a text is in one piece.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use model::{Channel, PartId};

use super::{
    calls::Calls,
    items::{self, Listener, Proposal, Sort, Spot, What},
    joined::{Form, Seams},
};
use crate::{
    extra::{Extra, Piece},
    json::Kind,
    openai::{
        Wrong,
        logprobs::{self, Spoken, Tokens, Trail},
    },
    parts::{Parts, REMEMBERED_BYTES, Source},
    path,
    seams::Apart,
    sheet::Sheet,
};

/// Names of items that one stream may have. Some servers give an item another name in each event.
const ITEM_IDS: usize = 65_536;

/// Different texts, or calls, for one place that are known again when they are repeated.
pub(super) const VARIANTS: usize = 4;

/// When something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// As it begins: deltas may follow.
    Begin,
    /// When it is done.
    Done,
    /// In an answer that is not streamed.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    output: u64,
    what: What,
    at: u64,
}

/// A text that was told: the part that its deltas make, and other texts that came for its place.
#[derive(Debug)]
struct Told {
    parts: Vec<PartId>,
    ended: bool,
    /// It has begun with text, which clients that read deltas alone don't see.
    begun: bool,
    /// The id of the item that said the last piece.
    id: Option<Id>,
    /// The ids of those that said pieces before it.
    before: BTreeSet<Id>,
    /// The pieces of each item, once there are several: some servers give an item another name in each event, and some
    /// clients go by these names.
    apart: Option<Apart>,
}

/// The number of an item's id among those of the answer; 0 where there is none.
type Id = usize;

impl Told {
    /// Takes the id of the item that says the next piece; the answer is whether another said the one before.
    fn changes(&mut self, id: Id) -> Result<bool, Wrong> {
        let Some(last) = self.id.replace(id).filter(|&last| last != id) else { return Ok(false) };
        self.before.insert(last);
        // What it said would be told in two pieces, and a match could lie across them.
        if self.before.contains(&id) { Err("a text to which no item comes back after another one") } else { Ok(true) }
    }

    /// A piece was said.
    fn piece(
        &mut self,
        sheet: &mut Sheet<'_>,
        node: usize,
        spot: Spot,
        id: Id,
        (part, range): (PartId, Range<u64>),
    ) -> Result<(), Wrong> {
        let voice = (spot.channel, spot.speaker);
        if self.changes(id)? {
            let before = range.start;
            let apart = self.apart.get_or_insert_with(|| {
                let said = sheet.parts.said_of(Source::Part(part)).get(..before as usize).unwrap_or_default();
                let (said, mut apart) = (said.to_owned(), Apart::default());
                apart.say(sheet.parts, part, voice, &said, 0..said.len() as u64);
                apart
            });
            apart.seam(sheet.parts);
        }
        if let Some(apart) = &mut self.apart {
            apart.say(sheet.parts, part, voice, &sheet.doc.name(node), range);
        }
        Ok(())
    }
}

/// What an event of its own, for text that is added, takes over from the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Last {
    pub(super) sequence: u64,
    /// Whether it has no name, nor have those before.
    pub(super) unnamed: bool,
}

/// One answer.
#[derive(Debug, Default)]
pub(super) struct Stream {
    texts: BTreeMap<Key, Told>,
    seams: Seams,
    /// What the tokens of each text have said.
    trails: BTreeMap<(u64, u64), Trail>,
    calls: Calls,
    /// Which kind of item stands at a place.
    sorts: BTreeMap<u64, Sort>,
    /// Parts of a content that are no text: clients that look at them join no text there.
    no_text: BTreeSet<(u64, u64)>,
    /// The literals of the items' ids, by their places, where they are short enough to be told again.
    ids: BTreeMap<u64, Box<str>>,
    /// The places of the items by their ids, which a literal can spell in several ways; a long one by its hash.
    outputs: BTreeMap<Box<str>, (u64, Id)>,
    /// The event before.
    pub(super) last: Last,
}

/// Takes what an item says at its place.
pub(super) struct Heard<'s> {
    pub(super) stream: &'s mut Stream,
    pub(super) output: u64,
    pub(super) moment: Moment,
}

impl Listener for Heard<'_> {
    fn text(&mut self, sheet: &mut Sheet<'_>, node: usize, spot: Spot) -> Result<Option<Spoken>, Wrong> {
        if self.moment == Moment::Whole || sheet.doc.kind(node) == Kind::Number {
            let (part, range) = sheet.alone(node, spot.channel, spot.speaker);
            self.stream.seams.whole(sheet, node, spot, (part, range.clone()));
            return Ok(Some(Spoken { node, part, range }));
        }
        let done = self.moment == Moment::Done || !spot.what.grows();
        self.stream.text(sheet, node, spot, self.output, done).map(Some)
    }

    fn joins(&self, kind: &str) -> bool {
        kind == "output_text"
    }

    fn call(&mut self, sheet: &mut Sheet<'_>, proposal: Proposal<'_>) -> Result<(), Wrong> {
        if let Some((_, Some(name))) = proposal.name {
            self.text(sheet, name, name_spot())?;
        }
        let done = self.moment != Moment::Begin;
        if let Some(input) = proposal.input.filter(|&input| !done && sheet.doc.kind(input) != Kind::Text) {
            // No deltas make a value: what it begins as is not yet what is called.
            let spot = Spot { what: What::Query, ..name_spot() };
            items::texts(sheet, input, spot, self)?;
            self.stream.calls.propose(sheet, Proposal { input: None, ..proposal }, self.output, done);
            return Ok(());
        }
        self.stream.calls.propose(sheet, proposal, self.output, done);
        Ok(())
    }
}

/// The name of a tool that is called.
pub(super) fn name_spot() -> Spot {
    Spot { what: What::Name, at: 0, channel: Channel::ToolInput, speaker: model::Speaker::Assistant }
}

impl Stream {
    /// The place in the output of an item in a list of all of them. A list may lack items that the stream had.
    pub(super) fn place_of(&self, sheet: &Sheet<'_>, item: usize, position: u64) -> u64 {
        let id = sheet.doc.text_of(item, "id");
        id.and_then(|id| self.outputs.get(&*path::short(&id))).map_or(position, |&(output, _)| output)
    }

    /// Notes which item stands at a place; the answer is the number of its id. Clients may join deltas by either, so that
    /// neither can be ambiguous.
    pub(super) fn identify(&mut self, sheet: &Sheet<'_>, id: usize, output: u64) -> Result<Id, Wrong> {
        let literal = sheet.doc.raw(id);
        match sheet.doc.kind(id) {
            Kind::Text if literal.len() > 2 => {}
            Kind::Text => return Ok(0),
            Kind::Word if literal == "null" => return Ok(0),
            // 1 and 1.0 are one to some clients, and two to others.
            _ => return Err("an item whose id is text"),
        }
        let name = sheet.doc.name(id);
        let name = path::short(&name);
        match self.outputs.get(&*name) {
            Some(&(known, _)) if known != output => Err("an item that stands at one place in the output"),
            Some(&(_, id)) => Ok(id),
            None if self.outputs.len() >= ITEM_IDS => Err("an answer whose items have fewer names"),
            None => {
                let id = self.outputs.len() + 1;
                self.outputs.insert(name.into(), (output, id));
                if literal.len() <= REMEMBERED_BYTES {
                    self.ids.insert(output, literal.into());
                } else {
                    self.ids.remove(&output);
                }
                Ok(id)
            }
        }
    }

    /// The id of the item that the event is about.
    fn says(&mut self, sheet: &Sheet<'_>, output: u64) -> Result<Id, Wrong> {
        let doc = sheet.doc;
        let item = || doc.get(0, "item").filter(|&item| doc.kind(item) == Kind::Object);
        let id = doc.get(0, "item_id").or_else(|| item().and_then(|item| doc.get(item, "id")));
        id.map_or(Ok(0), |id| self.identify(sheet, id, output))
    }

    /// An item stands at a place in the output, as an event about it says.
    pub(super) fn stands(&mut self, sheet: &Sheet<'_>, item: usize, output: u64) -> Result<(), Wrong> {
        let sort = Sort::of(&sheet.doc.text_of(item, "type").unwrap_or_default());
        match self.sorts.get(&output) {
            Some(&known) if known == sort => Ok(()),
            Some(known) if known.calls() => Err("an item that is the call whose arguments came for its place"),
            None if self.sorts.len() >= ITEM_IDS => Err("an answer with fewer items"),
            _ => {
                self.sorts.insert(output, sort);
                Ok(())
            }
        }
    }

    /// Arguments come for a call of this sort, which clients go by.
    pub(super) fn takes(&mut self, output: u64, sort: Sort) -> Result<(), Wrong> {
        match self.sorts.get(&output) {
            Some(&known) if known == sort => Ok(()),
            None if self.sorts.len() < ITEM_IDS => {
                self.sorts.insert(output, sort);
                Ok(())
            }
            _ => Err("arguments in an event for the kind of call that its item is"),
        }
    }

    /// Whether the item at this place is known to be a message.
    pub(super) fn is_message(&self, output: u64) -> bool {
        self.sorts.get(&output) == Some(&Sort::Message)
    }

    /// A part of a message's content begins.
    pub(super) fn begin_part(&mut self, sheet: &Sheet<'_>, part: usize, at: (u64, u64)) {
        let kind = sheet.doc.text_of(part, "type");
        if kind.as_deref() != Some("output_text") && self.no_text.len() < ITEM_IDS {
            self.no_text.insert(at);
        }
    }

    /// How a delta of a text is read: by all clients, or not by those that look at what stands at its place.
    fn form(&self, Spot { what, at, .. }: Spot, output: u64) -> Form {
        let foreign = match what {
            What::Text => self.sorts.get(&output).is_some_and(|sort| *sort != Sort::Message),
            _ => false,
        };
        if foreign || (what == What::Text && self.no_text.contains(&(output, at))) { Form::Apart } else { Form::Delta }
    }

    /// A piece of a text.
    pub(super) fn delta(
        &mut self,
        sheet: &mut Sheet<'_>,
        node: usize,
        spot: Spot,
        output: u64,
    ) -> Result<Option<Spoken>, Wrong> {
        let Spot { what, at, .. } = spot;
        let id = self.says(sheet, output)?;
        let form = self.form(spot, output);
        let told = self.texts.entry(Key { output, what, at }).or_insert_with(|| begin(sheet.parts, spot));
        match told.parts.first() {
            Some(_) if told.begun && sheet.doc.raw(node).len() > 2 => {
                Err("a text that begins empty and comes in deltas")
            }
            Some(&part) if !told.ended => {
                let range = sheet.say(node, part);
                told.piece(sheet, node, spot, id, (part, range.clone()))?;
                self.seams.say(sheet, node, spot, (output, form), (part, range.clone()))?;
                Ok(Some(Spoken { node, part, range }))
            }
            _ if sheet.doc.raw(node).len() > 2 => Err("no text behind the end of what it belongs to"),
            _ => Ok(None),
        }
    }

    /// A fragment of a call's arguments.
    pub(super) fn arguments(
        &mut self,
        sheet: &mut Sheet<'_>,
        node: usize,
        output: u64,
        sort: Sort,
    ) -> Result<(), Wrong> {
        self.takes(output, sort)?;
        self.calls.delta(sheet, node, output)
    }

    /// The log probabilities of a piece of a text.
    pub(super) fn tokens(
        &mut self,
        sheet: &mut Sheet<'_>,
        list: usize,
        spoken: Option<&Spoken>,
        (output, at): (u64, u64),
    ) -> Result<(), Wrong> {
        if self.trails.len() >= ITEM_IDS && !self.trails.contains_key(&(output, at)) {
            return Err("tokens of fewer texts");
        }
        let mut late = Vec::new();
        let trail = self.trails.entry((output, at)).or_default();
        Tokens::read(sheet, list)?.cover(sheet, list, spoken, trail, |parts, form| {
            let what = if form == logprobs::Form::Text { What::Tokens } else { What::TokenBytes };
            let spot = Spot { what, at, channel: Channel::Logprobs, speaker: model::Speaker::Assistant };
            let told = self.texts.entry(Key { output, what, at }).or_insert_with(|| begin(parts, spot));
            match told.parts.first() {
                Some(&part) if !told.ended => part,
                _ => {
                    let part = parts.begin(Channel::Logprobs, model::Speaker::Assistant);
                    late.push(part);
                    part
                }
            }
        });
        late.into_iter().for_each(|part| sheet.parts.end(part));
        Ok(())
    }

    /// A text that stands whole: as it begins, or when it is done.
    fn text(
        &mut self,
        sheet: &mut Sheet<'_>,
        node: usize,
        spot: Spot,
        output: u64,
        done: bool,
    ) -> Result<Spoken, Wrong> {
        let key = Key { output, what: spot.what, at: spot.at };
        let id = if done { 0 } else { self.says(sheet, output)? };
        let told = self.texts.entry(key).or_insert_with(|| begin(sheet.parts, spot));
        let first = told.parts.first().copied().filter(|_| !told.ended);
        let says = sheet.doc.raw(node).len() > 2;
        let empty = |part: &PartId| says && sheet.parts.run(Source::Part(*part)).is_none_or(|run| run.len == 0);
        if let Some(part) = first.filter(empty) {
            // No delta has come, so that this is where the text is.
            let range = sheet.say(node, part);
            if done {
                told.ended = true;
                self.seams.say_late(sheet, node, spot, output, (part, range.clone()));
                sheet.tail(part);
                self.seams.stop(sheet.parts, spot.what, part);
            } else {
                told.begun = true;
                told.piece(sheet, node, spot, id, (part, range.clone()))?;
                self.seams.say(sheet, node, spot, (output, Form::Apart), (part, range.clone()))?;
            }
            return Ok(Spoken { node, part, range });
        }
        if done {
            let id = self.ids.get(&output).map(|id| &**id);
            end(told, sheet.parts, &self.seams, key, id, self.last);
        }
        if let Some(place) = sheet.again(node, told.parts.iter().map(|&part| Source::Part(part))) {
            let part = told.parts[place];
            self.seams.again(sheet, node, spot, part, place > 0);
            let len = sheet.parts.run(Source::Part(part)).map_or(0, |run| run.len);
            return Ok(Spoken { node, part, range: 0..len });
        }
        let part = begin(sheet.parts, spot).parts[0];
        let range = sheet.say(node, part);
        sheet.tail(part);
        sheet.parts.end(part);
        self.seams.again(sheet, node, spot, part, true);
        if told.parts.len() < VARIANTS {
            told.parts.push(part);
        } else {
            sheet.parts.let_go(Source::Part(part));
        }
        Ok(Spoken { node, part, range })
    }

    /// An item of this type begins, which need not wait for what may come of the texts before it.
    pub(super) fn begin_item(&mut self, parts: &mut Parts, kind: &str) {
        self.seams.begin_item(parts, kind);
    }

    /// Nothing more comes for an item.
    pub(super) fn end_item(&mut self, parts: &mut Parts, output: u64) {
        let id = self.ids.get(&output).map(|id| &**id);
        for (&key, told) in self.texts.range_mut(first(output)..).take_while(|(key, _)| key.output == output) {
            end(told, parts, &self.seams, key, id, self.last);
        }
        self.calls.end(parts, output);
    }

    /// Others judge from here on: what comes in no pieces is told again where it comes again.
    pub(super) fn judged_anew(&mut self, parts: &mut Parts) {
        let whole = self.texts.iter_mut().filter(|(key, _)| !key.what.grows());
        whole.flat_map(|(_, told)| told.parts.drain(..)).for_each(|part| parts.let_go(Source::Part(part)));
    }

    /// Nothing more comes at all.
    pub(super) fn end(&mut self, parts: &mut Parts) {
        for (&key, told) in &mut self.texts {
            end(told, parts, &self.seams, key, self.ids.get(&key.output).map(|id| &**id), self.last);
        }
        self.seams.end(parts);
        self.calls.end_all(parts);
    }
}

/// Where the texts of an item begin.
fn first(output: u64) -> Key {
    Key { output, what: What::Text, at: 0 }
}

/// A part that may be repeated.
fn begin(parts: &mut Parts, spot: Spot) -> Told {
    let part = parts.begin(spot.channel, spot.speaker);
    parts.keep(Source::Part(part));
    Told { parts: vec![part], ended: false, begun: false, id: None, before: BTreeSet::new(), apart: None }
}

/// A text is complete; what a policy adds behind its end gets a delta of its own.
fn end(told: &mut Told, parts: &mut Parts, seams: &Seams, key: Key, id: Option<&str>, last: Last) {
    let Some(&part) = told.parts.first().filter(|_| !std::mem::replace(&mut told.ended, true)) else {
        return;
    };
    if let Some(apart) = &mut told.apart {
        apart.end(parts);
    }
    let Key { output, what, at } = key;
    let event = match what {
        What::Text => Some(("output_text", "content_index")),
        What::Refusal => Some(("refusal", "content_index")),
        What::Reasoning => Some(("reasoning_text", "content_index")),
        What::Summary => Some(("reasoning_summary_text", "summary_index")),
        _ => None,
    };
    if let Some((name, index)) = event {
        // An id that a policy may have something against is not repeated here.
        let nameless = "\"item_id\":\"\",";
        let id = id.map_or_else(|| Piece::Own(nameless.to_owned()), |id| Piece::repeat(parts, "item_id", id, nameless));
        let Last { sequence, unnamed } = last;
        let line = if unnamed { String::new() } else { format!("event: response.{name}.delta\n") };
        let kind = format!("{line}data: {{\"type\":\"response.{name}.delta\",\"sequence_number\":{sequence},");
        let place = format!("\"output_index\":{output},\"{index}\":{at},\"delta\":\"");
        let before = vec![Piece::Own(kind), id, Piece::Own(place)];
        let logprobs = if what == What::Text { ",\"logprobs\":[]" } else { "" };
        parts.extra(part, |_| Extra { before, after: format!("\"{logprobs}}}\n\n") });
    }
    seams.stop(parts, what, part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::read;

    #[test]
    fn long_ids_are_kept_by_their_hashes() {
        let (mut stream, mut parts) = (Stream::default(), Parts::default());
        let long = "x".repeat(1 << 20);
        for place in 0..20 {
            read(&format!("\"{long}{place}\""), &[(0, 0)], &mut parts, |sheet| {
                let id = stream.identify(sheet, 0, place).unwrap();
                assert_eq!(stream.identify(sheet, 0, place), Ok(id));
                assert!(stream.identify(sheet, 0, place + 1).is_err(), "it stands at one place");
            });
        }
        read("\"it_1\"", &[(0, 0)], &mut parts, |sheet| stream.identify(sheet, 0, 20).map(drop).unwrap());
        let kept = stream.outputs.keys().chain(stream.ids.values()).map(|id| id.len()).sum::<usize>();
        assert_eq!(stream.outputs.len(), 21);
        assert!(kept < 4096, "{kept} bytes");
    }
}
