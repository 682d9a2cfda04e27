//! The blocks of one answer: what they say, piece by piece. A block of a whole answer is one that comes in one piece.
//!
//! What must hold: what clients join is one part. That is the text of all blocks of text, whatever stands between them,
//! and a model's thoughts up to where it speaks. Each block is told alone as well. A string that the dialect does not know
//! goes on as one part to its block's end. A call is held until all of it is decided.

use model::{Channel, PartId, Speaker};

use super::block::{self, Voice};
use crate::{
    Step, ToolCall, ToolCallId,
    extra::{Extra, Piece},
    json::Kind,
    nested::Nested,
    parts::{Parts, Source},
    seams::Apart,
    sheet::Sheet,
    strays::Strays,
};

/// What is wrong with an answer: what should stand there.
pub(super) type Wrong = &'static str;

/// The model's own words.
const SAID: Voice = Voice { channel: Channel::Content, speaker: Speaker::Assistant };

/// Text that goes on from piece to piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Track {
    Text,
    Thinking,
    /// What a conversation was cut down to.
    Summary,
}

impl Track {
    /// The track of a type of blocks.
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "text" => Some(Self::Text),
            "thinking" => Some(Self::Thinking),
            "compaction" => Some(Self::Summary),
            _ => None,
        }
    }

    fn channel(self) -> Channel {
        match self {
            Self::Text | Self::Summary => Channel::Content,
            Self::Thinking => Channel::Reasoning,
        }
    }

    /// The member that holds it, in the block and in its deltas.
    fn member(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Thinking => "thinking",
            Self::Summary => "content",
        }
    }

    /// The track whose deltas are of this type.
    fn of_delta(kind: &str) -> Option<Self> {
        [Self::Text, Self::Thinking, Self::Summary].into_iter().find(|track| track.delta() == kind)
    }

    /// The type of its deltas.
    fn delta(self) -> &'static str {
        match self {
            Self::Text => "text_delta",
            Self::Thinking => "thinking_delta",
            Self::Summary => "compaction_delta",
        }
    }

    /// An event with more of it.
    fn event(self, index: u64) -> Extra {
        let (delta, member) = (self.delta(), self.member());
        Extra {
            before: vec![Piece::Own(format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\
                 \"delta\":{{\"type\":\"{delta}\",\"{member}\":\""
            ))],
            after: "\"}}\n\n".to_owned(),
        }
    }
}

/// A call in progress.
#[derive(Debug)]
struct Call {
    call: ToolCallId,
    id: String,
    name: String,
    /// Whether its arguments stand in the block, so that none may come in deltas.
    given: bool,
}

/// The block that is open.
#[derive(Debug)]
struct Block {
    index: u64,
    kind: String,
    track: Option<Track>,
    call: Option<Call>,
    /// It has begun with text, which clients that read deltas alone don't see.
    begun: bool,
    /// Text has come in a delta.
    said: bool,
    /// What the dialect does not know: to the block's end, whatever deltas come between.
    strays: Strays,
}

/// The text of the blocks of one kind up to here.
#[derive(Debug)]
struct Run {
    track: Track,
    part: PartId,
    /// The same, block by block.
    apart: Apart,
    /// Some of it came in deltas, and behind that a block began with text: to clients that read deltas alone what follows
    /// stands directly behind the deltas.
    spoken: bool,
    interrupted: bool,
}

impl Run {
    fn say(&mut self, sheet: &mut Sheet<'_>, node: usize) {
        let range = sheet.say(node, self.part);
        let voice = (self.track.channel(), Speaker::Assistant);
        self.apart.say(sheet.parts, self.part, voice, &sheet.doc.name(node), range);
    }

    fn end(&mut self, parts: &mut Parts) {
        parts.end(self.part);
        self.apart.end(parts);
    }
}

/// The blocks of an answer.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Blocks that have begun.
    begun: u64,
    open: Option<Block>,
    runs: Vec<Run>,
}

impl Blocks {
    /// A block begins.
    pub(super) fn begin(&mut self, sheet: &mut Sheet<'_>, index: u64, block: usize) -> Result<(), Wrong> {
        let doc = sheet.doc;
        self.close(sheet.parts);
        if index != self.begun {
            // Clients count blocks, or go by their index: both must come to the same.
            return Err("blocks in the order of their index");
        }
        if doc.kind(block) != Kind::Object {
            return Err("a block that is an object");
        }
        self.begun += 1;
        let kind = doc.text_of(block, "type").unwrap_or_default().into_owned();
        let track = Track::of(&kind);
        self.follow(sheet.parts, track, &kind);
        let mut open = Block { index, kind, track, call: None, begun: false, said: false, strays: Strays::default() };
        if block::calls(&open.kind) {
            open.call = Some(Call::begin(sheet, block));
        }
        if block::answers(&open.kind) || open.kind == "redacted_thinking" {
            block::all(sheet, std::iter::once(block), SAID);
        } else {
            self.members(sheet, block, &mut open);
        }
        self.open = Some(open);
        Ok(())
    }

    /// A block of this kind begins: the text that it belongs to goes on, a thought ends where the model speaks, and
    /// nothing that comes by itself waits for what may be added to the text before it.
    fn follow(&mut self, parts: &mut Parts, track: Option<Track>, kind: &str) {
        self.runs.retain_mut(|run| {
            let over = run.track == Track::Thinking && track.is_some_and(|track| track != Track::Thinking);
            if over {
                run.end(parts);
            } else if Some(run.track) != track && kind != "tool_use" {
                parts.pass(run.part);
            }
            !over
        });
        let Some(track) = track else { return };
        match self.runs.iter_mut().find(|run| run.track == track) {
            Some(run) => run.apart.seam(parts),
            None => {
                let part = parts.begin(track.channel(), Speaker::Assistant);
                self.runs.push(Run { track, part, apart: Apart::default(), spoken: false, interrupted: false });
            }
        }
    }

    fn members(&mut self, sheet: &mut Sheet<'_>, block: usize, open: &mut Block) {
        let doc = sheet.doc;
        let mut run = self.runs.iter_mut().find(|run| Some(run.track) == open.track);
        for (key, value) in doc.members(block) {
            let name = doc.name(key);
            match (&*name, doc.kind(value), run.as_mut()) {
                (name, Kind::Text, Some(run)) if name == run.track.member() => {
                    if !sheet.whole && doc.raw(value).len() > 2 {
                        open.begun = true;
                        run.interrupted |= run.spoken;
                    }
                    run.say(sheet, value);
                }
                ("name" | "input", ..) if open.call.is_some() => {}
                ("type" | "id" | "signature", ..) => block::member(sheet, key, value, SAID),
                (name, Kind::Text, None) if open.call.is_none() => {
                    sheet.key(key);
                    open.strays.read(sheet, value, name);
                }
                _ => block::member(sheet, key, value, SAID),
            }
        }
    }

    /// More of the open block.
    pub(super) fn more(&mut self, sheet: &mut Sheet<'_>, index: u64, delta: usize) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let Some(open) = self.open.as_mut().filter(|open| open.index == index) else {
            return Err("a delta of the block that is open");
        };
        let kind = doc.text_of(delta, "type").unwrap_or_default();
        let mut run = self.runs.iter_mut().find(|run| Some(run.track) == open.track);
        let known = run.is_some() || open.call.is_some();
        if Track::of_delta(&kind).is_some_and(|track| Some(track) != open.track) {
            // Some clients join deltas by their type, whatever the block is.
            return Err("a delta of its block's own kind");
        }
        for (key, value) in doc.members(delta) {
            let name = doc.name(key);
            match (&*name, doc.kind(value), run.as_mut()) {
                ("type", ..) => sheet.word(value),
                (name, Kind::Text, Some(run)) if name == run.track.member() && kind == run.track.delta() => {
                    if doc.raw(value).len() > 2 {
                        if open.begun || run.interrupted {
                            return Err("text in the deltas of blocks that begin empty");
                        }
                        if std::mem::replace(&mut open.said, true) && run.track == Track::Summary {
                            // Clients take the last.
                            return Err("a compaction in one delta");
                        }
                        run.spoken = true;
                    }
                    run.say(sheet, value);
                }
                ("partial_json", Kind::Text, _) if kind == "input_json_delta" && open.call.is_some() => {
                    open.fragment(sheet, value)?;
                }
                ("text" | "thinking" | "partial_json" | "content", Kind::Text | Kind::Number, _) if known => {
                    // Some clients would join it with the block's own text, and some would not.
                    return Err("a delta of its block's own kind");
                }
                ("citation", Kind::Object, _) => block::citation(sheet, value, SAID),
                ("signature" | "encrypted_content", Kind::Text, _) if sheet.is_bulk(value) => {}
                (name, ..) => {
                    sheet.key(key);
                    open.strays.read(sheet, value, name);
                }
            }
        }
        Ok(())
    }

    /// The open block is complete.
    pub(super) fn stop(&mut self, sheet: &mut Sheet<'_>, index: u64) -> Result<(), Wrong> {
        let Some(open) = self.open.as_ref().filter(|open| open.index == index) else {
            return Err("the end of the block that is open");
        };
        let takes_more = |run: &&Run| !sheet.whole && Some(run.track) == open.track && run.track != Track::Summary;
        if let Some(run) = self.runs.iter().find(takes_more) {
            // It may be the last place for text that is added behind the part's end.
            sheet.parts.extra(run.part, |_| run.track.event(index));
        }
        self.close(sheet.parts);
        Ok(())
    }

    /// No more of the open block comes.
    fn close(&mut self, parts: &mut Parts) {
        let Some(mut open) = self.open.take() else { return };
        open.strays.finish(parts);
        if let Some(Call { call, id, name, .. }) = open.call {
            parts.complete_call(call);
            parts.tell(Step::ToolCall(ToolCall { call, id, name }));
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, parts: &mut Parts) {
        self.close(parts);
        self.runs.drain(..).for_each(|mut run| run.end(parts));
    }
}

impl Call {
    /// Reads what stands of a call in its block.
    fn begin(sheet: &mut Sheet<'_>, block: usize) -> Self {
        let doc = sheet.doc;
        let call = sheet.parts.begin_call(Nested::proposed());
        sheet.parts.call_is_json(call);
        sheet.hold(block, call);
        let text = |name| doc.text_of(block, name).unwrap_or_default().into_owned();
        let (id, name) = (text("id"), text("name"));
        if let Some(value) = doc.get(block, "name") {
            sheet.walk(value, &mut |sheet, node| sheet.once(node, Channel::ToolInput, Speaker::Assistant));
        }
        let empty = |input| doc.kind(input) == Kind::Object && doc.members(input).next().is_none();
        let mut given = false;
        match doc.get(block, "input") {
            // Deltas will say what they are.
            Some(input) if !sheet.whole && empty(input) => sheet.stand_in(input, call),
            Some(input) => {
                given = true;
                sheet.fill(input, call, true);
            }
            None => sheet.anchor(block, Source::Call(call), "input", 0),
        }
        Self { call, id, name, given }
    }
}

impl Block {
    /// More of a call's arguments.
    fn fragment(&mut self, sheet: &mut Sheet<'_>, value: usize) -> Result<(), Wrong> {
        let Some(call) = &self.call else { return Ok(()) };
        if call.given && sheet.doc.raw(value).len() > 2 {
            return Err("arguments in the block or in its deltas");
        }
        sheet.fill(value, call.call, false);
        Ok(())
    }
}
