//! One candidate of an answer: what it says, piece by piece.
//!
//! What must hold: each kind of text of a candidate is one part from its first piece to the end of the body, since some
//! models say `finishReason` with every piece, and what nobody joins is judged alone as well; a function call is held until
//! it is decided; tokens of changed text don't leave.

use model::{Channel, Speaker};

use super::{
    names::{self, camel},
    request::{each, file, is_thought},
};
use crate::{
    Step, ToolCall,
    json::Kind,
    nested::{LONG_NUMBER, Nested},
    openai::logprobs::{Form, Spoken, Tokens, Trail},
    parts::Parts,
    sheet::Sheet,
    strays::Strays,
    tracks::{self, Tracks},
};

/// What is wrong with a value: what should stand there.
type Wrong = &'static str;

/// A kind of text that goes on from piece to piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Track {
    Text,
    Thought,
    /// Code that the model wants to be run.
    Code,
    /// What the code came to.
    Output,
    /// What the tokens say, where that is not what they stand beside.
    Tokens(Form),
}

impl tracks::Track for Track {
    fn channel(self) -> Channel {
        match self {
            Self::Text | Self::Code => Channel::Content,
            Self::Thought => Channel::Reasoning,
            Self::Output => Channel::ToolResult,
            Self::Tokens(_) => Channel::Logprobs,
        }
    }
}

/// One candidate.
#[derive(Debug, Default)]
pub(super) struct Candidate {
    tracks: Tracks<Track>,
    trail: Trail,
    strays: Strays,
}

/// What a piece says that tokens can stand beside: the only text in it.
#[derive(Debug, Default)]
struct Said {
    texts: usize,
    last: Option<Spoken>,
}

impl Candidate {
    /// Reads one piece.
    pub(super) fn read(&mut self, sheet: &mut Sheet<'_>, candidate: usize) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let (mut said, mut tokens) = (Said::default(), None);
        self.strays.piece();
        for (key, value) in doc.members(candidate) {
            match (&*camel(&doc.name(key)), doc.kind(value)) {
                ("content", Kind::Object) => self.content(sheet, value, &mut said)?,
                ("finishReason", _) => sheet.word(value),
                ("index", Kind::Number) => sheet.rest(value),
                ("tokenCount", Kind::Number) => sheet.counts(value),
                ("avgLogprobs", Kind::Number) => sheet.vectors(value),
                ("logprobsResult", Kind::Object) => {
                    if tokens.replace(value).is_some() {
                        return Err("a candidate with one logprobsResult");
                    }
                }
                (name @ ("safetyRatings" | "citationMetadata" | "groundingMetadata" | "urlContextMetadata"), _) => {
                    self.strays.again(sheet, value, name);
                }
                (name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, name);
                }
            }
        }
        if let Some(value) = tokens {
            let only = said.last.filter(|_| said.texts == 1);
            read_tokens(sheet, value).cover(sheet, value, only.as_ref(), &mut self.trail, |parts, form| {
                self.tracks.part(parts, Track::Tokens(form))
            });
        }
        self.strays.end(sheet.parts);
        Ok(())
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self, parts: &mut Parts) {
        self.tracks.end(parts);
        self.strays.finish(parts);
    }

    fn content(&mut self, sheet: &mut Sheet<'_>, content: usize, said: &mut Said) -> Result<(), Wrong> {
        let doc = sheet.doc;
        for (key, value) in doc.members(content) {
            match (&*camel(&doc.name(key)), doc.kind(value)) {
                ("role", _) => sheet.word(value),
                ("parts", Kind::Array | Kind::Object) => {
                    for (place, part) in each(doc, value).enumerate() {
                        if place > 0 {
                            // Pieces that come one by one are one text; those of one list may be more.
                            self.tracks.apart();
                        }
                        self.read_part(sheet, part, said)?;
                        self.tracks.turn(sheet);
                    }
                }
                (name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, &format!("content/{name}"));
                }
            }
        }
        Ok(())
    }

    fn read_part(&mut self, sheet: &mut Sheet<'_>, part: usize, said: &mut Said) -> Result<(), Wrong> {
        let doc = sheet.doc;
        if doc.kind(part) != Kind::Object {
            return Err("a candidate whose parts are objects");
        }
        let thought = is_thought(doc, part)?;
        if names::get(doc, part, "text").is_none() {
            self.tracks.beside();
        }
        for (key, value) in doc.members(part) {
            match (&*camel(&doc.name(key)), doc.kind(value)) {
                ("text", Kind::Text) if thought => drop(self.tracks.say(sheet, value, Track::Thought)),
                ("text", Kind::Text) => {
                    said.texts += 1;
                    said.last = Some(self.tracks.say(sheet, value, Track::Text));
                }
                // Clients put pieces together whatever they are, and short numbers are not shown.
                ("text", Kind::Number) => return Err("a candidate whose text is text"),
                ("thought", Kind::Word) => {}
                ("thoughtSignature", _) => sheet.bulk(value),
                ("inlineData", Kind::Object) => file(sheet, value),
                ("functionCall", Kind::Object) => call(sheet, value)?,
                ("executableCode", Kind::Object) => self.code(sheet, value, Track::Code),
                ("codeExecutionResult", Kind::Object) => self.code(sheet, value, Track::Output),
                (name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, &format!("parts/{name}"));
                }
            }
        }
        Ok(())
    }

    /// Code, or what it came to: no client joins it with another.
    fn code(&mut self, sheet: &mut Sheet<'_>, value: usize, track: Track) {
        let doc = sheet.doc;
        self.tracks.beside();
        for (key, value) in doc.members(value) {
            match (&*camel(&doc.name(key)), doc.kind(value)) {
                ("code" | "output", Kind::Text) => drop(self.tracks.say(sheet, value, track)),
                ("language" | "outcome", _) => sheet.word(value),
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
    }
}

/// Tells a function call and keeps its frame until it is decided. Its arguments are one object: pieces of them
/// (`partialArgs`) could not be judged as a call.
fn call(sheet: &mut Sheet<'_>, value: usize) -> Result<(), Wrong> {
    let doc = sheet.doc;
    let in_pieces = names::get(doc, value, "willContinue").is_some_and(|more| doc.raw(more) == "true");
    if in_pieces || names::get(doc, value, "partialArgs").is_some() {
        return Err("a candidate whose function calls have whole arguments");
    }
    let call = sheet.parts.begin_call(Nested::proposed());
    sheet.hold(value, call);
    let id = doc.text_of(value, "id").unwrap_or_default().into_owned();
    let name = doc.text_of(value, "name").unwrap_or_default().into_owned();
    for (key, value) in doc.members(value) {
        match (&*camel(&doc.name(key)), doc.kind(value)) {
            ("name", Kind::Text) => sheet.once(value, Channel::ToolInput, Speaker::Assistant),
            ("args", Kind::Object | Kind::Array | Kind::Text) => sheet.fill(value, call, true),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    sheet.parts.complete_call(call);
    sheet.parts.tell(Step::ToolCall(ToolCall { call, id, name }));
    Ok(())
}

/// What `logprobsResult` says: the tokens that were taken, and the others as far as they are long enough to say
/// something.
fn read_tokens(sheet: &mut Sheet<'_>, value: usize) -> Tokens {
    let doc = sheet.doc;
    let (mut text, mut others) = (String::new(), String::new());
    for (key, list) in doc.members(value) {
        match (&*camel(&doc.name(key)), doc.kind(list)) {
            ("chosenCandidates", Kind::Array) => {
                doc.items(list).for_each(|item| token(sheet, item, &mut |token| text.push_str(token)));
            }
            ("topCandidates", Kind::Array) => {
                for step in doc.items(list) {
                    if doc.kind(step) != Kind::Object {
                        sheet.rest(step);
                    }
                    for (key, list) in doc.members(step) {
                        sheet.key(key);
                        for item in each(doc, list) {
                            token(sheet, item, &mut |token| {
                                if token.len() >= LONG_NUMBER {
                                    others.push_str(token);
                                    others.push('\n');
                                }
                            });
                        }
                    }
                }
            }
            _ => {
                sheet.key(key);
                sheet.rest(list);
            }
        }
    }
    Tokens::of(text, others)
}

fn token(sheet: &mut Sheet<'_>, item: usize, take: &mut dyn FnMut(&str)) {
    let doc = sheet.doc;
    if doc.kind(item) != Kind::Object {
        return sheet.rest(item);
    }
    for (key, value) in doc.members(item) {
        match (&*camel(&doc.name(key)), doc.kind(value)) {
            ("token", Kind::Text) => take(&doc.name(value)),
            ("tokenId", Kind::Number) => sheet.rest(value),
            ("logProbability", Kind::Number) => sheet.vectors(value),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}
