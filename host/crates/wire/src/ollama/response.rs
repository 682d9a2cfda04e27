//! Answers of `/api/chat` and `/api/generate`: a whole one, and each line of a streamed one, are read by the same code.
//!
//! What must hold: each kind of text is one part from its first line to the one that says `done`, and what stands between
//! others is judged alone as well; a tool call is held until it is decided; `context`, which is all that was said as
//! tokens, does not outlive a change of it.

use model::{Channel, Speaker, Usage};

use super::names;
use crate::{
    Malformed, Step, ToolCall,
    case::Spelling,
    documents::Reader,
    frame::Kind as Slot,
    json::{Doc, Kind},
    nested::Nested,
    openai::logprobs::{Form, Spoken, Tokens, Trail},
    parts::{Parts, Source},
    sheet::Sheet,
    strays::Strays,
    tracks::{self, Tracks},
};

/// What is wrong with a value: what should stand there.
type Wrong = &'static str;

/// A kind of text that goes on from line to line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Track {
    /// `message.content`.
    Content,
    /// `response`.
    Response,
    /// `message.thinking`.
    Thinking,
    /// `thinking` beside `response`.
    Thought,
    /// What the tokens say, where that is not what they stand beside.
    Tokens(Form),
}

impl tracks::Track for Track {
    fn channel(self) -> Channel {
        match self {
            Self::Content | Self::Response => Channel::Content,
            Self::Thinking | Self::Thought => Channel::Reasoning,
            Self::Tokens(_) => Channel::Logprobs,
        }
    }
}

/// Clients put pieces together whatever they are, and short numbers are not shown.
const NO_NUMBER: Wrong = "an answer whose text is text";

/// Durations, and counts of tokens.
const COUNTS: [&str; 6] =
    ["total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"];

/// An answer in progress.
#[derive(Debug, Default)]
pub(super) struct Response {
    tracks: Tracks<Track>,
    trail: Trail,
    strays: Strays,
    usage: Usage,
    done: bool,
    /// An error, or the word that something is done, came: clients stop there.
    over: bool,
    /// Whether it tells of an error, and so may have no body.
    failed: bool,
}

impl Response {
    /// The answer with this HTTP status.
    pub(super) fn new(status: u16) -> Self {
        Self { failed: status >= 400, ..Self::default() }
    }
}

/// Whether a line, or the message in it, has text or calls tools.
fn says(doc: Doc<'_>, object: usize) -> bool {
    doc.members(object).any(|(key, value)| match &*doc.name(key) {
        "message" => says(doc, value),
        "content" | "response" | "thinking" | "tool_calls" => doc.is_filled(value),
        _ => false,
    })
}

impl Reader for Response {
    fn speaker(&self) -> Speaker {
        Speaker::Provider
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn spelling(&self) -> Option<&'static Spelling> {
        (!self.failed).then_some(&names::SPELLING)
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        if self.done {
            // Its text would not be joined with what came before.
            return Err(Malformed::Shape { path: String::new(), expected: "the end, after `done`" });
        }
        if sheet.doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        let wrong = |expected| Malformed::Shape { path: String::new(), expected };
        if sheet.whole {
            return self.line(sheet).map_err(wrong);
        }
        let error = sheet.doc.get(0, "error").is_some();
        if error {
            // What was said before is all that clients show.
            self.finish(sheet.parts);
        }
        if (error || self.over) && says(sheet.doc, 0) {
            return Err(wrong("no text and no calls, in an error, and behind it or a `status` of success"));
        }
        self.line(sheet).map_err(wrong)?;
        if error || sheet.doc.text_of(0, "status").is_some_and(|status| status == "success") {
            self.finish(sheet.parts);
            self.over = true;
        }
        Ok(())
    }

    fn may_be_empty(&self) -> bool {
        self.failed
    }

    fn end(&mut self, parts: &mut Parts) {
        self.finish(parts);
    }

    fn usage(&self) -> Usage {
        self.usage
    }

    fn is_over(&self) -> bool {
        self.done
    }
}

impl Response {
    fn line(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let (mut said, mut tokens, mut context) = (None, None, None);
        self.strays.piece();
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("message", Kind::Object) => self.message(sheet, value, &mut said)?,
                ("response", Kind::Text) => self.content(sheet, value, Track::Response, &mut said),
                ("thinking", Kind::Text) => drop(self.tracks.say(sheet, value, Track::Thought)),
                ("tool_calls", Kind::Array) => self.calls(sheet, value)?,
                ("error", Kind::Text) => sheet.once(value, Channel::Error, Speaker::Provider),
                ("done", Kind::Word) => self.done = doc.raw(value) == "true",
                // Clients stop at whatever is not nothing.
                ("done", _) => return Err("an answer whose `done` is true or false"),
                ("done_reason", _) => sheet.word(value),
                ("context", Kind::Array) => context = Some(value),
                ("logprobs", Kind::Array) => tokens = Some(value),
                ("created_at", _) => sheet.fresh(value),
                (name @ ("model" | "remote_model" | "remote_host"), _) => self.strays.again(sheet, value, name),
                ("response" | "thinking", Kind::Number) => return Err(NO_NUMBER),
                (name, Kind::Number) if COUNTS.contains(&name) => sheet.counts(value),
                (name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, name);
                }
            }
        }
        if let Some(value) = tokens {
            self.tokens(sheet, value, said.as_ref())?;
        }
        if let Some(value) = context {
            self.context(sheet, value);
        }
        self.count(sheet);
        self.tracks.turn(sheet);
        self.strays.end(sheet.parts);
        if self.done && !sheet.whole {
            for (_, part) in self.tracks.parts() {
                sheet.tail(part);
            }
            self.finish(sheet.parts);
        }
        Ok(())
    }

    fn message(&mut self, sheet: &mut Sheet<'_>, message: usize, said: &mut Option<Spoken>) -> Result<(), Wrong> {
        let doc = sheet.doc;
        for (key, value) in doc.members(message) {
            match (&*doc.name(key), doc.kind(value)) {
                ("role", _) => sheet.word(value),
                ("content", Kind::Text) => self.content(sheet, value, Track::Content, said),
                ("thinking", Kind::Text) => drop(self.tracks.say(sheet, value, Track::Thinking)),
                ("content" | "thinking", Kind::Number) => return Err(NO_NUMBER),
                ("tool_calls", Kind::Array) => self.calls(sheet, value)?,
                ("images", Kind::Array) => doc.items(value).for_each(|image| sheet.bulk(image)),
                (name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, &format!("message/{name}"));
                }
            }
        }
        Ok(())
    }

    /// Text that tokens can stand beside; where a line has two of them, they stand beside neither.
    fn content(&mut self, sheet: &mut Sheet<'_>, node: usize, track: Track, said: &mut Option<Spoken>) {
        let spoken = self.tracks.say(sheet, node, track);
        *said = if said.is_none() { Some(spoken) } else { None };
    }

    fn tokens(&mut self, sheet: &mut Sheet<'_>, value: usize, said: Option<&Spoken>) -> Result<(), Wrong> {
        let tokens = Tokens::read(sheet, value)?;
        tokens.cover(sheet, value, said, &mut self.trail, |parts, form| self.tracks.part(parts, Track::Tokens(form)));
        Ok(())
    }

    /// Ties the tokens of the conversation to the text that they repeat.
    fn context(&mut self, sheet: &mut Sheet<'_>, value: usize) {
        sheet.rest(value);
        for (_, part) in self.tracks.parts().filter(|(track, _)| !matches!(track, Track::Tokens(_))) {
            let source = Source::Part(part);
            let len = sheet.parts.run(source).map_or(0, |run| run.len);
            sheet.slot(value, source, Slot::Void, 0..len, true);
        }
    }

    /// Tool calls: each is complete where it stands.
    fn calls(&mut self, sheet: &mut Sheet<'_>, list: usize) -> Result<(), Wrong> {
        for item in sheet.doc.items(list) {
            if sheet.doc.kind(item) != Kind::Object {
                return Err("an answer whose tool_calls are objects");
            }
            self.tracks.beside();
            call(sheet, item)?;
        }
        Ok(())
    }

    fn finish(&mut self, parts: &mut Parts) {
        self.tracks.end(parts);
        self.strays.finish(parts);
    }

    fn count(&mut self, sheet: &Sheet<'_>) {
        let count = |name| sheet.doc.count_of(0, name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        self.usage.input_tokens = count("prompt_eval_count").unwrap_or(self.usage.input_tokens);
        self.usage.output_tokens = count("eval_count").unwrap_or(self.usage.output_tokens);
    }
}

/// Tells a tool call and keeps its line until it is decided.
fn call(sheet: &mut Sheet<'_>, item: usize) -> Result<(), Wrong> {
    let doc = sheet.doc;
    let call = sheet.parts.begin_call(Nested::proposed());
    sheet.hold(item, call);
    let mut told = ToolCall { call, id: String::new(), name: String::new() };
    told.id = doc.text_of(item, "id").unwrap_or_default().into_owned();
    for (key, value) in doc.members(item) {
        if !(doc.name(key) == "function" && doc.kind(value) == Kind::Object) {
            sheet.key(key);
            sheet.rest(value);
            continue;
        }
        for (key, value) in doc.members(value) {
            match (&*doc.name(key), doc.kind(value)) {
                ("name", Kind::Text) => {
                    told.name = doc.name(value).into_owned();
                    sheet.once(value, Channel::ToolInput, Speaker::Assistant);
                }
                ("arguments", Kind::Text | Kind::Object | Kind::Array) => sheet.fill(value, call, true),
                ("index", Kind::Number) => sheet.rest(value),
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
    }
    sheet.parts.complete_call(call);
    sheet.parts.tell(Step::ToolCall(told));
    Ok(())
}
