//! One choice of an answer: what it says, piece by piece.
//!
//! What must hold: each kind of text of a choice is one part from its first piece to the choice's end, whatever the
//! other choices do in between, and what stands between others is judged alone as well; a string that the dialect does
//! not know goes on as one part as long as every piece of the choice has it, so that nothing hides between two events.

use model::{Channel, PartId, Speaker};

use super::calls::Calls;
use crate::{
    frame::Kind as Slot,
    json::Kind,
    openai::{
        Wrong, choices,
        choices::At,
        logprobs,
        logprobs::{Form, Of, Spoken, Trail},
    },
    parts::{Parts, Source},
    path::Path,
    sheet::Sheet,
    strays::{self, Strays},
    tracks::{self, Tracks},
};

/// What a piece says that tokens can stand beside.
#[derive(Debug, Default)]
struct Said {
    content: Option<Spoken>,
    refusal: Option<Spoken>,
}

/// A kind of text that goes on from piece to piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    Content,
    /// `text`, as the older completions have it.
    Text,
    ReasoningContent,
    Reasoning,
    /// Inside a list of content.
    Thinking,
    /// In a list of details.
    Details,
    Refusal,
    Transcript,
    /// What the tokens of the content (of the refusal) say, where that is not what they stand beside.
    Tokens(Of, Form),
}

impl tracks::Track for Track {
    fn channel(self) -> Channel {
        match self {
            Self::Content | Self::Text | Self::Transcript => Channel::Content,
            Self::ReasoningContent | Self::Reasoning | Self::Thinking | Self::Details => Channel::Reasoning,
            Self::Refusal => Channel::Refusal,
            Self::Tokens(..) => Channel::Logprobs,
        }
    }
}

impl Track {
    /// The member of a delta that holds it, where text can be added.
    fn member(self) -> Option<&'static str> {
        match self {
            Self::Content => Some("content"),
            Self::ReasoningContent => Some("reasoning_content"),
            Self::Reasoning => Some("reasoning"),
            Self::Refusal => Some("refusal"),
            Self::Text | Self::Thinking | Self::Details | Self::Transcript | Self::Tokens(..) => None,
        }
    }
}

/// Clients put pieces together whatever they are, and short numbers are not shown.
const NO_NUMBER: Wrong = "a choice whose text is text";

/// One choice.
#[derive(Debug, Default)]
pub(super) struct Choice {
    tracks: Tracks<Track>,
    /// What the tokens of the content, of the refusal, and others have said.
    trails: [Trail; 3],
    strays: Strays,
    calls: Calls,
    forms: Forms,
    /// The last of the content that events with both a `delta` and a `message` said.
    so_far: String,
    finished: bool,
}

/// The forms in which a choice's pieces come, once that is known: a client reads one of them.
#[derive(Debug, Default)]
struct Forms {
    /// As a `message`, not a `delta`.
    message: Option<bool>,
    /// As a `delta`, and as a `message` that says all so far beside it.
    both: Option<bool>,
    /// Text of the content in a list.
    list: Option<bool>,
    /// Under which names its thoughts come: `reasoning_content`, `reasoning`, `reasoning_details`.
    thoughts: Option<[bool; 3]>,
}

/// Takes the form of a piece; it must be that of those before.
fn holds(form: &mut Option<bool>, is: bool, why: Wrong) -> Result<(), Wrong> {
    if *form.get_or_insert(is) == is { Ok(()) } else { Err(why) }
}

impl choices::Choice for Choice {
    fn read(&mut self, sheet: &mut Sheet<'_>, choice: usize, at: &At<'_>) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let mut said = Said::default();
        let (mut delta, mut finish, mut tokens, mut ids) = (None, false, None, None);
        self.strays.piece();
        let both = self.comes_as_both(sheet, choice)?;
        for (key, value) in doc.members(choice) {
            match (&*doc.name(key), doc.kind(value)) {
                // In a whole answer it says nothing; in an event the message says again what is read here.
                ("delta", Kind::Object) if both.is_some() && sheet.whole => sheet.rest(value),
                ("message", Kind::Object) if both.is_some() && !sheet.whole => {}
                ("delta" | "message", Kind::Object) => {
                    if delta.replace(value).is_some() {
                        // A client reads one of them, and would join its pieces without those of the other.
                        return Err("a choice with a delta or a message");
                    }
                    if doc.members(value).next().is_some() {
                        let message = doc.name(key) == "message";
                        holds(&mut self.forms.message, message, "a choice that comes in deltas, or in messages")?;
                        if message && !sheet.whole {
                            self.tracks.replace();
                        }
                    }
                    self.message(sheet, value, &mut said)?;
                }
                ("text", Kind::Text) => self.say(sheet, value, Track::Text)?,
                ("text", Kind::Number) => return Err(NO_NUMBER),
                ("logprobs", _) => tokens = Some(value),
                ("finish_reason", _) => {
                    finish = doc.kind(value) == Kind::Text && doc.raw(value).len() > 2;
                    sheet.word(value);
                }
                ("index", Kind::Number) => sheet.rest(value),
                ("token_ids", Kind::Array) => ids = Some(value),
                // About the choice, and the same in each piece.
                (name @ ("content_filter_results" | "content_filter_offsets" | "native_finish_reason"), _)
                | (name @ ("stop_reason" | "matched_stop"), _) => {
                    sheet.key(key);
                    self.strays.again(sheet, value, name);
                }
                (name, _) => {
                    sheet.key(key);
                    self.stray(sheet, value, name);
                }
            }
        }
        if let Some(message) = both.filter(|_| !sheet.whole) {
            self.repeat(sheet, message)?;
        }
        if let Some(tokens) = tokens {
            self.tokens(sheet, tokens, &said)?;
        }
        if let Some(ids) = ids {
            let said = self.tracks.parts().filter(|(track, _)| !matches!(track, Track::Tokens(..)));
            logprobs::void(sheet, ids, said.map(|(_, part)| part));
        }
        self.tracks.turn(sheet);
        self.strays.end(sheet.parts);
        if finish && !sheet.whole {
            self.leave_room(sheet, delta, at);
            self.finish(sheet.parts);
        }
        Ok(())
    }

    fn end(&mut self, parts: &mut Parts, at: &At<'_>) {
        for (track, part) in self.tracks.parts() {
            leave_extra(parts, track, part, at);
        }
        self.finish(parts);
    }
}

impl Choice {
    /// The message of a choice that has a delta as well, as some servers send it. In a whole answer one of the two says
    /// nothing; in a stream each event has both, or none.
    fn comes_as_both(&mut self, sheet: &mut Sheet<'_>, choice: usize) -> Result<Option<usize>, Wrong> {
        let doc = sheet.doc;
        if !sheet.whole && self.forms.both == Some(false) {
            return Ok(None);
        }
        let object = |name| doc.get(choice, name).filter(|&value| doc.kind(value) == Kind::Object);
        let (delta, message) = (object("delta"), object("message"));
        let both = message.filter(|_| delta.is_some());
        if sheet.whole {
            return if both.is_some() && delta.is_some_and(|delta| choices::is_said(doc, delta)) {
                Err("a choice with a delta or a message")
            } else {
                Ok(both)
            };
        }
        if choices::says(doc, choice) {
            holds(
                &mut self.forms.both,
                both.is_some(),
                "a choice with a delta and a message in each event, or in none",
            )?;
        }
        if both.is_some() && !self.finished && self.tracks.parts().all(|(track, _)| track != Track::Content) {
            let content = self.tracks.part(sheet.parts, Track::Content);
            sheet.parts.keep(Source::Part(content));
        }
        Ok(both)
    }

    /// A message beside a delta: it says what all deltas have said. A client that reads the one where the other is empty
    /// has it behind what came before.
    fn repeat(&mut self, sheet: &mut Sheet<'_>, message: usize) -> Result<(), Wrong> {
        const REPEATS: Wrong = "a message beside a delta that says the content so far, and nothing else";
        let doc = sheet.doc;
        let content = self.tracks.parts().find(|(track, _)| *track == Track::Content).map(|(_, part)| part);
        for (key, value) in doc.members(message) {
            match (&*doc.name(key), content) {
                ("role", _) => sheet.word(value),
                _ if !doc.is_filled(value) => sheet.key(key),
                ("content", Some(content)) if doc.kind(value) == Kind::Text => {
                    sheet.again(value, [Source::Part(content)]).ok_or(REPEATS)?;
                    let text = doc.name(value);
                    let (part, told) =
                        sheet.parts.whole(Channel::Content, Speaker::Assistant, &[&*self.so_far, &text].concat());
                    sheet.slot(value, Source::Part(part), Slot::Text, self.so_far.len() as u64..told.end, false);
                }
                _ => return Err(REPEATS),
            }
        }
        self.so_far.clear();
        if let Some(content) = content {
            strays::note(&mut self.so_far, sheet.parts.said_of(Source::Part(content)));
        }
        Ok(())
    }

    /// Nothing more comes for this choice.
    fn finish(&mut self, parts: &mut Parts) {
        self.calls.complete(parts);
        self.tracks.end(parts);
        self.strays.finish(parts);
        self.finished = true;
    }

    /// More text of a track. Behind the choice's end it could not be joined with what was said before.
    fn say(&mut self, sheet: &mut Sheet<'_>, node: usize, track: Track) -> Result<(), Wrong> {
        self.say_range(sheet, node, track).map(drop)
    }

    fn say_range(&mut self, sheet: &mut Sheet<'_>, node: usize, track: Track) -> Result<Option<Spoken>, Wrong> {
        if self.finished {
            return if sheet.doc.raw(node).len() > 2 {
                Err("a choice with no text behind its finish_reason")
            } else {
                Ok(None)
            };
        }
        Ok(Some(self.tracks.say(sheet, node, track)))
    }

    /// The same of a text that is not in a list: servers that say all so far in each piece write it so.
    fn say_so_far(&mut self, sheet: &mut Sheet<'_>, node: usize, track: Track) -> Result<Option<Spoken>, Wrong> {
        let spoken = self.say_range(sheet, node, track)?;
        if let Some(spoken) = &spoken {
            self.tracks.so_far(sheet, track, spoken);
        }
        Ok(spoken)
    }

    fn message(&mut self, sheet: &mut Sheet<'_>, message: usize, said: &mut Said) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let (mut thoughts, mut thinks) = ([false; 3], false);
        for (key, value) in doc.members(message) {
            match (&*doc.name(key), doc.kind(value)) {
                ("role", _) if sheet.is_word(value) => {}
                ("role", _) => self.stray(sheet, value, "role"),
                ("content", Kind::Text) => {
                    self.content_is(sheet, value, false)?;
                    said.content = self.say_so_far(sheet, value, Track::Content)?;
                }
                ("content", Kind::Array) => self.content(sheet, value)?,
                ("refusal", Kind::Text) => said.refusal = self.say_so_far(sheet, value, Track::Refusal)?,
                ("reasoning_content", Kind::Text) => {
                    thoughts[0] = doc.raw(value).len() > 2;
                    thinks |= thoughts[0];
                    self.say_so_far(sheet, value, Track::ReasoningContent)?;
                }
                ("reasoning", Kind::Text) => {
                    thoughts[1] = doc.raw(value).len() > 2;
                    thinks |= thoughts[1];
                    self.say_so_far(sheet, value, Track::Reasoning)?;
                }
                ("reasoning_details", Kind::Array) if doc.items(value).all(|item| doc.kind(item) == Kind::Object) => {
                    // Where there are any, a client reads these, though they say nothing.
                    thoughts[2] = doc.items(value).next().is_some();
                    thinks |= self.details(sheet, value)?;
                }
                ("tool_calls", Kind::Array) => {
                    for (place, call) in doc.items(value).enumerate() {
                        self.tracks.beside();
                        self.calls.read(sheet, place as u64, call, &mut self.strays)?;
                    }
                }
                ("function_call", Kind::Object) => {
                    self.tracks.beside();
                    self.calls.read_legacy(sheet, value, &mut self.strays)?;
                }
                ("audio", Kind::Object) => self.audio(sheet, value)?,
                ("annotations", _) => self.strays.again(sheet, value, "annotations"),
                ("content" | "refusal" | "reasoning_content" | "reasoning", Kind::Number) => return Err(NO_NUMBER),
                (_, Kind::Word) => sheet.key(key),
                (name, _) => {
                    sheet.key(key);
                    self.stray(sheet, value, name);
                }
            }
        }
        if thinks && *self.forms.thoughts.get_or_insert(thoughts) != thoughts {
            // Clients read those of one name or, where there are none, those of another.
            return Err("a choice whose thoughts come under the same names in each piece");
        }
        Ok(())
    }

    /// Text of the content comes in a list, or by itself. Thoughts in a list are none: some models send the content by
    /// itself behind them.
    fn content_is(&mut self, sheet: &Sheet<'_>, text: usize, list: bool) -> Result<(), Wrong> {
        if sheet.doc.raw(text).len() <= 2 {
            return Ok(());
        }
        holds(&mut self.forms.list, list, "a choice whose content is text, or a list with its text")
    }

    /// Content as a list.
    fn content(&mut self, sheet: &mut Sheet<'_>, list: usize) -> Result<(), Wrong> {
        let doc = sheet.doc;
        for (place, item) in doc.items(list).enumerate() {
            if doc.kind(item) != Kind::Object {
                return Err("a choice whose content is text or a list of objects");
            }
            if place > 0 {
                // Pieces that come one by one are one text; those of one list may be more.
                self.tracks.apart();
            }
            // Clients ask for the type before they read.
            let kind = doc.text_of(item, "type").unwrap_or_default();
            if !matches!(&*kind, "text" | "thinking") {
                self.tracks.beside();
            }
            let mut path = Path::at("content");
            let _ = path.enter(&kind);
            for (key, value) in doc.members(item) {
                match (&*doc.name(key), doc.kind(value)) {
                    ("type", _) => sheet.word(value),
                    ("text", Kind::Text) if kind == "text" => {
                        self.content_is(sheet, value, true)?;
                        self.say(sheet, value, Track::Content)?;
                    }
                    ("thinking", Kind::Text) if kind == "thinking" => self.say(sheet, value, Track::Thinking)?,
                    ("thinking", Kind::Array) if kind == "thinking" => self.thinking(sheet, value)?,
                    ("text" | "thinking", Kind::Number) => return Err(NO_NUMBER),
                    (name, _) => {
                        sheet.key(key);
                        let above = path.enter(name);
                        self.stray(sheet, value, &path);
                        path.leave(above);
                    }
                }
            }
        }
        Ok(())
    }

    /// Reasoning as a list inside of a list.
    fn thinking(&mut self, sheet: &mut Sheet<'_>, list: usize) -> Result<(), Wrong> {
        let doc = sheet.doc;
        for item in doc.items(list) {
            if doc.kind(item) != Kind::Object {
                self.stray(sheet, item, "content/thinking");
            }
            let kind = doc.text_of(item, "type").unwrap_or_default();
            let mut path = Path::at("content/thinking");
            let _ = path.enter(&kind);
            for (key, value) in doc.members(item) {
                match (&*doc.name(key), doc.kind(value)) {
                    ("type", _) => sheet.word(value),
                    ("text", Kind::Text) if kind == "text" => self.say(sheet, value, Track::Thinking)?,
                    (name, _) => {
                        sheet.key(key);
                        let above = path.enter(name);
                        self.stray(sheet, value, &path);
                        path.leave(above);
                    }
                }
            }
        }
        Ok(())
    }

    /// Thoughts as a list of details; whether there are any. Some clients join those of all items, whatever `index` they
    /// have, and read none of an item of another type; others join by the `index`, or read each by itself.
    fn details(&mut self, sheet: &mut Sheet<'_>, list: usize) -> Result<bool, Wrong> {
        let doc = sheet.doc;
        let mut thinks = false;
        for (place, item) in doc.items(list).enumerate() {
            let mut path = Path::at("reasoning_details");
            let _ = path.enter_item(doc, place, item);
            let kind = doc.text_of(item, "type").unwrap_or_default();
            for (key, value) in doc.members(item) {
                let name = doc.name(key);
                let is_thought =
                    matches!((&*kind, &*name), ("reasoning.text", "text") | ("reasoning.summary", "summary"));
                if is_thought && doc.kind(value) == Kind::Text {
                    thinks |= doc.raw(value).len() > 2;
                    if sheet.whole {
                        self.tracks.apart();
                    }
                    self.say(sheet, value, Track::Details)?;
                    if sheet.whole {
                        continue;
                    }
                }
                if self.finished {
                    sheet.key(key);
                    sheet.rest(value);
                } else {
                    self.strays.member(sheet, key, value, &mut path);
                }
            }
        }
        sheet.with_names(list);
        Ok(thinks)
    }

    fn audio(&mut self, sheet: &mut Sheet<'_>, audio: usize) -> Result<(), Wrong> {
        let doc = sheet.doc;
        for (key, value) in doc.members(audio) {
            match (&*doc.name(key), doc.kind(value)) {
                ("transcript", Kind::Number) => return Err(NO_NUMBER),
                ("transcript", Kind::Text) => self.say(sheet, value, Track::Transcript)?,
                ("data", _) if sheet.is_bulk(value) => {}
                ("id", _) => self.strays.again(sheet, value, "audio/id"),
                ("expires_at", Kind::Number) => sheet.counts(value),
                (name, _) => {
                    sheet.key(key);
                    self.stray(sheet, value, &format!("audio/{name}"));
                }
            }
        }
        Ok(())
    }

    /// A value that the dialect does not know. Behind the choice's end its strings stand for themselves: they are not
    /// among the texts that clients join.
    fn stray(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &str) {
        if self.finished {
            sheet.rest(value);
        } else {
            self.strays.read(sheet, value, path);
        }
    }

    /// Reads `logprobs`.
    fn tokens(&mut self, sheet: &mut Sheet<'_>, value: usize, said: &Said) -> Result<(), Wrong> {
        for (of, tokens) in logprobs::read(sheet, value)? {
            let spoken = match of {
                Of::Content => said.content.as_ref(),
                Of::Refusal => said.refusal.as_ref(),
                Of::Other => None,
            };
            tokens.cover(sheet, value, spoken, &mut self.trails[of as usize], |parts, form| {
                self.tracks.part(parts, Track::Tokens(of, form))
            });
        }
        Ok(())
    }

    /// Before the choice ends in this piece: where text that is added behind the end of its parts can go.
    fn leave_room(&mut self, sheet: &mut Sheet<'_>, delta: Option<usize>, at: &At<'_>) {
        for (track, part) in self.tracks.parts() {
            let source = Source::Part(part);
            let len = sheet.parts.run(source).map_or(0, |run| run.len);
            if sheet.tail(part) {
                continue;
            }
            let free = |delta: &usize, name| sheet.doc.get(*delta, name).is_none();
            match track.member().and_then(|name| Some((delta.filter(|delta| free(delta, name))?, name))) {
                Some((delta, name)) => sheet.anchor(delta, source, name, len),
                None => leave_extra(sheet.parts, track, part, at),
            }
        }
    }
}

/// Lets text that is added behind the end of a part go into an event of its own.
fn leave_extra(parts: &mut Parts, track: Track, part: PartId, at: &At<'_>) {
    let before = match (track, track.member()) {
        (Track::Text, _) => "\"text\":\"".to_owned(),
        (Track::Transcript, _) => "\"delta\":{\"audio\":{\"transcript\":\"".to_owned(),
        (_, Some(name)) => format!("\"delta\":{{\"{name}\":\""),
        (_, None) => return,
    };
    let after = match track {
        Track::Text => "\"",
        Track::Transcript => "\"}}",
        _ => "\"}",
    };
    parts.extra(part, |parts| at.extra(parts, &before, after));
}
