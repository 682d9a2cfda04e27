//! Answers that are lists of choices: a whole one, and each event of a streamed one, are read by the same code.

use std::collections::BTreeMap;

use model::{Speaker, Usage};

use super::{Wrong, errors, errors::NOTHING_MORE, names};
use crate::{
    Malformed,
    case::{self, Spelling},
    documents::Reader,
    event_name::EventName,
    extra::{Extra, Piece},
    json::{Doc, Kind, number},
    parts::Parts,
    sheet::{COUNT_DIGITS, Indices, Sheet},
    strays::Strays,
    typed::{Forms, Member, Type},
};

/// Choices that one answer may have.
const CHOICES: usize = 1024;

/// What the members of an event are to clients that check it. What a piece says may be a list to some, and its role nothing.
const EVENT: &[Member] = &[
    ("id", Type::Text),
    ("object", Type::Text),
    // An event of a client of its own, which LangChain passes over.
    ("type", Type::NoneOf(&["content.delta"])),
    ("created", Type::Number),
    ("model", Type::Text),
    ("usage", Type::Object(USAGE)),
    ("choices", Type::List(CHOICE)),
];

const USAGE: &[Member] = &[
    ("prompt_tokens", Type::Number),
    ("completion_tokens", Type::Number),
    ("total_tokens", Type::Number),
    ("prompt_tokens_details", Type::Object(&[])),
    ("completion_tokens_details", Type::Object(&[])),
];

const CHOICE: &[Member] = &[
    ("index", Type::Index),
    ("delta", Type::Object(DELTA)),
    ("text", Type::Text),
    ("logprobs", Type::Object(&[])),
    ("finish_reason", Type::Text),
];

const DELTA: &[Member] = &[
    ("role", Type::OneOf(&["assistant", ""])),
    ("content", Type::Content),
    ("refusal", Type::Text),
    ("reasoning_content", Type::Text),
    ("reasoning", Type::Text),
    ("tool_calls", Type::List(&[])),
    ("function_call", Type::Object(&[])),
    ("annotations", Type::List(&[])),
    ("audio", Type::Object(&[])),
];

/// One choice of an answer: what it says, piece by piece.
pub(super) trait Choice: Default + Send {
    /// Reads one piece.
    fn read(&mut self, sheet: &mut Sheet<'_>, choice: usize, at: &At<'_>) -> Result<(), Wrong>;

    /// Nothing more comes for this choice.
    fn end(&mut self, parts: &mut Parts, at: &At<'_>);
}

/// Where a piece stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    /// The choice's number.
    pub(super) index: u64,
    /// What all pieces have in common.
    pub(super) head: &'a Head,
}

/// What all pieces of an answer have in common: literals.
#[derive(Debug, Default)]
pub(super) struct Head {
    id: Box<str>,
    model: Box<str>,
    object: Box<str>,
    created: Box<str>,
    /// What `object` says is one of the protocol's words.
    is_word: bool,
}

/// Notes the literal of a value; whether it is the one that was noted before.
fn note(place: &mut Box<str>, doc: Doc<'_>, value: usize) -> bool {
    let literal = doc.raw(value);
    let same = **place == *literal;
    if !same {
        *place = literal.into();
    }
    same
}

impl At<'_> {
    /// An event of its own for text that is added to this choice, which stands in the choice's `before` and `after`.
    /// What a policy may have something against is not repeated in it.
    pub(super) fn extra(&self, parts: &Parts, before: &str, after: &str) -> Extra {
        let Head { id, model, object, created, is_word: _ } = self.head;
        let mut pieces = vec![Piece::Own("data: {".to_owned())];
        for (name, literal) in [("id", id), ("object", object), ("model", model)] {
            let word =
                name == "object" && literal.bytes().all(|byte| byte.is_ascii_alphabetic() || b"\"._".contains(&byte));
            if word && !literal.is_empty() {
                pieces.push(Piece::Own(format!("\"{name}\":{literal},")));
            } else if !literal.is_empty() {
                pieces.push(Piece::repeat(parts, name, literal, ""));
            }
        }
        if !created.is_empty() && created.len() < COUNT_DIGITS && number::whole_digits(created) < COUNT_DIGITS {
            pieces.push(Piece::Own(format!("\"created\":{created},")));
        }
        let index = self.index;
        pieces.push(Piece::Own(format!("\"choices\":[{{\"index\":{index},{before}")));
        Extra { before: pieces, after: format!("{after},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n") }
    }
}

/// An answer in progress.
#[derive(Debug, Default)]
pub(super) struct Choices<C> {
    choices: BTreeMap<u64, C>,
    strays: Strays,
    head: Head,
    name: EventName,
    forms: Forms,
    usage: Usage,
    done: bool,
    /// An error came, at which clients stop.
    broken: bool,
    /// Whether it tells of an error, and so may have no body.
    failed: bool,
}

impl<C: Choice> Choices<C> {
    /// The answer with this HTTP status.
    pub(super) fn new(status: u16) -> Self {
        Self {
            choices: BTreeMap::new(),
            strays: Strays::default(),
            head: Head::default(),
            name: EventName::default(),
            forms: Forms::default(),
            usage: Usage::default(),
            done: false,
            broken: false,
            failed: status >= 400,
        }
    }

    fn choice(
        &mut self,
        sheet: &mut Sheet<'_>,
        place: usize,
        choice: usize,
        seen: &mut Indices,
    ) -> Result<(), Malformed> {
        let doc = sheet.doc;
        let wrong = |expected| Err(Malformed::Shape { path: format!("/choices/{place}"), expected });
        if doc.kind(choice) != Kind::Object {
            return wrong("an object");
        }
        let index = match seen.index(sheet, place, doc.get(choice, "index")) {
            Ok(index) => index,
            Err(expected) => return wrong(expected),
        };
        if self.choices.len() >= CHOICES && !self.choices.contains_key(&index) {
            return Err(Malformed::TooLarge { bound: "choices", limit: CHOICES });
        }
        if !sheet.whole && says(doc, choice) {
            if self.broken {
                return wrong(NOTHING_MORE);
            }
            if let Err(expected) = self.forms.piece(index) {
                return wrong(expected);
            }
        }
        let at = At { index, head: &self.head };
        match self.choices.entry(index).or_default().read(sheet, choice, &at) {
            Ok(()) => Ok(()),
            Err(expected) => wrong(expected),
        }
    }

    fn count(&mut self, sheet: &Sheet<'_>, usage: usize) {
        let count = |name| sheet.doc.count_of(usage, name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        self.usage.input_tokens = count("prompt_tokens").unwrap_or(self.usage.input_tokens);
        self.usage.output_tokens = count("completion_tokens").unwrap_or(self.usage.output_tokens);
    }
}

/// LangChain reads choices within a `chunk` where the event has none itself.
fn chunk_of_choices() -> Malformed {
    let expected = "without choices: clients that read these join them with the event's own";
    Malformed::Shape { path: "/chunk".into(), expected }
}

/// Whether a piece of a choice says anything, or calls a tool.
pub(super) fn says(doc: Doc<'_>, choice: usize) -> bool {
    doc.members(choice).any(|(key, value)| match &*doc.name(key) {
        "text" => doc.is_filled(value),
        "delta" | "message" => is_said(doc, value),
        _ => false,
    })
}

/// Whether a delta or a message says anything, or calls a tool.
pub(super) fn is_said(doc: Doc<'_>, message: usize) -> bool {
    doc.members(message).any(|(key, value)| doc.name(key) != "role" && doc.is_filled(value))
}

impl<C: Choice> Reader for Choices<C> {
    fn speaker(&self) -> Speaker {
        Speaker::Provider
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn spelling(&self) -> Option<&'static Spelling> {
        (!self.failed).then_some(&names::SPELLING)
    }

    fn named(&mut self, name: &[u8]) {
        self.name.named(name);
    }

    fn mark(&mut self, data: &[u8], parts: &mut Parts) -> bool {
        if data.trim_ascii() != b"[DONE]" {
            return false;
        }
        self.end(parts);
        self.done = true;
        true
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        if self.done {
            // SDKs stop reading there; text behind it would never be joined with what came before.
            return Err(Malformed::Shape { path: String::new(), expected: "the end, after [DONE]" });
        }
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        if !sheet.whole {
            self.forms.event(doc, EVENT, case::as_it_is);
            if doc.has_error() {
                // What was said before is all that clients show.
                self.end(sheet.parts);
                self.broken = true;
            }
        }
        self.strays.piece();
        for (key, value) in doc.members(0) {
            let name = doc.name(key);
            let head = &mut self.head;
            match (&*name, doc.kind(value)) {
                ("choices", Kind::Array) => {
                    let mut seen = Indices::default();
                    if doc.items(value).next().is_some() {
                        let wrong = |expected| Malformed::Shape { path: "/choices".into(), expected };
                        self.name.says().map_err(wrong)?;
                    }
                    for (place, choice) in doc.items(value).enumerate() {
                        self.choice(sheet, place, choice, &mut seen)?;
                    }
                }
                ("usage", _) => {
                    self.count(sheet, value);
                    sheet.counts(value);
                }
                ("error", _) => errors::tell(sheet, value),
                ("moderation", _) => sheet.counts(value),
                ("created", Kind::Number) => {
                    note(&mut head.created, doc, value);
                    sheet.counts(value);
                }
                ("object", kind) => {
                    let same = kind == Kind::Text && note(&mut head.object, doc, value);
                    if !(same && head.is_word) {
                        head.is_word = sheet.is_word(value);
                        if !head.is_word {
                            sheet.rest(value);
                        }
                    }
                }
                ("obfuscation", _) => sheet.fresh(value),
                ("chunk", Kind::Object) if doc.get(value, "choices").is_some() => return Err(chunk_of_choices()),
                (name @ ("id" | "model" | "system_fingerprint" | "service_tier" | "provider"), kind) => {
                    if kind == Kind::Text && name == "id" {
                        note(&mut head.id, doc, value);
                    } else if kind == Kind::Text && name == "model" {
                        note(&mut head.model, doc, value);
                    }
                    self.strays.again(sheet, value, name);
                }
                // About the answer, and often the same in each piece.
                (
                    name @ ("citations"
                    | "search_results"
                    | "prompt_filter_results"
                    | "metadata"
                    | "timings"
                    | "x_groq"),
                    _,
                ) => {
                    sheet.key(key);
                    self.strays.again(sheet, value, name);
                }
                (name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, name);
                }
            }
        }
        self.strays.end(sheet.parts);
        Ok(())
    }

    fn may_be_empty(&self) -> bool {
        self.failed
    }

    fn end(&mut self, parts: &mut Parts) {
        for (&index, choice) in &mut self.choices {
            choice.end(parts, &At { index, head: &self.head });
        }
        self.strays.finish(parts);
    }

    fn usage(&self) -> Usage {
        self.usage
    }

    fn is_over(&self) -> bool {
        self.done
    }
}
