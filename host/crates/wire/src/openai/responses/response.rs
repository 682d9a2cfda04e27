//! Answers of `responses`: a whole one, each event of a streamed one, and the whole ones inside of events, are read by
//! the same code.

use model::{Channel, Speaker, Usage};

use super::{
    items::{self, Listener, Proposal, Sort, Spot, What},
    names,
    stream::{Heard, Moment, Stream},
};
use crate::{
    Malformed,
    case::{self, Spelling},
    documents::Reader,
    json::Kind,
    openai::{Wrong, errors, errors::NOTHING_MORE, logprobs::Spoken},
    parts::Parts,
    sheet::{INDICES, Sheet},
    strays::Strays,
    typed::{Forms, Member, Type},
};

/// What the members of an event with a text are to clients that check it.
const EVENT: &[Member] = &[
    ("item_id", Type::Text),
    ("output_index", Type::Number),
    ("content_index", Type::Number),
    ("summary_index", Type::Number),
    ("sequence_number", Type::Number),
    ("logprobs", Type::List(&[])),
];

/// The place of what belongs to no item.
const NO_OUTPUT: u64 = u64::MAX;

/// An answer in progress.
#[derive(Debug, Default)]
pub(super) struct Response {
    stream: Stream,
    strays: Strays,
    /// The name of the event that is read.
    named: String,
    /// What says what an event is, once one has come.
    sign: Option<Sign>,
    forms: Forms,
    usage: Usage,
    done: bool,
    /// The event that says how the answer ended has come.
    over: bool,
    /// An error came, at which clients stop.
    broken: bool,
    /// Whether it tells of an error, and so may have no body.
    failed: bool,
}

impl Response {
    /// The answer with this HTTP status.
    pub(super) fn new(status: u16) -> Self {
        Self { failed: status >= 400, ..Self::default() }
    }
}

/// What says what an event is: some clients hear events by their names, others go by their types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Name,
    Type,
    Both,
}

/// What an event's type says.
#[derive(Debug)]
struct Event<'a> {
    /// The whole type.
    name: &'a str,
    moment: Moment,
    output: u64,
    about: About,
}

/// What an event is about. A type that only looks like one of these is none: no client joins its text with theirs.
#[derive(Clone, Copy, Debug)]
enum About {
    /// The answer.
    Answer,
    Item,
    /// A part of a message's content, or of a summary: which, and the text that can be joined in it.
    Part(u64, What),
    /// A text, and the member that holds all of it when it is done.
    Text(Spot, &'static str),
    /// The arguments of a call of this sort.
    Arguments(Sort),
    /// Anything else.
    Other,
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

    fn named(&mut self, name: &[u8]) {
        self.named.clear();
        self.named.push_str(&String::from_utf8_lossy(name));
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
        let wrong = |expected| Malformed::Shape { path: String::new(), expected };
        if self.done {
            // SDKs stop reading there; text behind it would never be joined with what came before.
            return Err(wrong("the end, after [DONE]"));
        }
        if sheet.doc.kind(0) != Kind::Object {
            return Err(wrong("an object"));
        }
        if sheet.whole { self.response(sheet, 0, Moment::Whole) } else { self.event(sheet) }.map_err(wrong)
    }

    fn judged_anew(&mut self, parts: &mut Parts) {
        self.stream.judged_anew(parts);
    }

    fn may_be_empty(&self) -> bool {
        self.failed
    }

    fn end(&mut self, parts: &mut Parts) {
        self.strays.finish(parts);
        self.stream.end(parts);
    }

    fn usage(&self) -> Usage {
        self.usage
    }

    fn is_over(&self) -> bool {
        self.done || self.over
    }
}

impl Response {
    /// Reads the object that is the answer as far as it has come.
    fn response(&mut self, sheet: &mut Sheet<'_>, object: usize, moment: Moment) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let echo = |what| Spot { what, at: 0, channel: Channel::Field, speaker: Speaker::Provider };
        for (key, value) in doc.members(object) {
            match (&*doc.name(key), doc.kind(value)) {
                ("output", Kind::Array) => {
                    for (position, item) in doc.items(value).enumerate() {
                        let output = self.stream.place_of(sheet, item, position as u64);
                        // What is complete when a stream is taken up again gets no more deltas.
                        let over = doc.text_of(item, "status").is_some_and(|status| status == "completed");
                        let moment = if over && moment == Moment::Begin { Moment::Done } else { moment };
                        items::read(sheet, item, &mut Heard { stream: &mut self.stream, output, moment })?;
                    }
                }
                ("usage", _) => {
                    self.count(sheet, value);
                    sheet.counts(value);
                }
                ("error", _) => errors::tell(sheet, value),
                ("object" | "status", _) => sheet.word(value),
                ("created_at" | "completed_at", Kind::Number) => sheet.counts(value),
                ("moderation" | "tool_usage", _) => sheet.counts(value),
                ("output_text", Kind::Text) => sheet.once(value, Channel::Content, Speaker::Assistant),
                ("instructions", _) => self.echo(sheet, value, echo(What::Instructions), moment)?,
                ("tools", _) => self.echo(sheet, value, echo(What::Definition), moment)?,
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        if moment == Moment::Done {
            self.stream.end(sheet.parts);
        }
        Ok(())
    }

    /// What the request said, told back: the same in each event that has it.
    fn echo(&mut self, sheet: &mut Sheet<'_>, value: usize, spot: Spot, moment: Moment) -> Result<(), Wrong> {
        items::texts(sheet, value, spot, &mut Heard { stream: &mut self.stream, output: NO_OUTPUT, moment })
    }

    fn count(&mut self, sheet: &Sheet<'_>, usage: usize) {
        let count = |name| sheet.doc.count_of(usage, name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        self.usage.input_tokens = count("input_tokens").unwrap_or(self.usage.input_tokens);
        self.usage.output_tokens = count("output_tokens").unwrap_or(self.usage.output_tokens);
    }

    fn event(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let name = self.event_name(sheet)?;
        if self.over && name != "error" && !(name.is_empty() && doc.get(0, "error").is_some()) {
            // Clients stop there: text behind it would be joined to what was decided without it.
            return Err("the end, or an error, after the event that ends the answer");
        }
        let event = Event::new(sheet, &name)?;
        self.forms.event(doc, EVENT, case::as_it_is);
        if name == "error" || doc.has_error() {
            // What was said before is all that clients show.
            self.end(sheet.parts);
            self.broken = true;
        }
        if self.broken && !matches!(event.about, About::Answer | About::Other) {
            return Err(NOTHING_MORE);
        }
        if matches!(event.about, About::Text(..) | About::Arguments(_)) {
            self.forms.piece(0)?;
        }
        self.strays.piece();
        let (mut spoken, mut list) = (None, None);
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("type", _) => sheet.word(value),
                (
                    "sequence_number" | "output_index" | "content_index" | "summary_index" | "annotation_index",
                    Kind::Number,
                )
                | ("command_index" | "partial_image_index", Kind::Number) => sheet.rest(value),
                ("item_id", _) => {
                    self.stream.identify(sheet, value, event.output)?;
                    sheet.rest(value);
                }
                ("obfuscation", _) => sheet.fresh(value),
                ("response", Kind::Object) if matches!(event.about, About::Answer) => {
                    self.response(sheet, value, event.moment)?;
                }
                ("item", Kind::Object) if matches!(event.about, About::Item) => self.item(sheet, value, &event)?,
                ("part", Kind::Object) if matches!(event.about, About::Part(..)) => self.part(sheet, value, &event)?,
                ("logprobs", Kind::Array) if matches!(event.about, About::Text(..)) => list = Some(value),
                ("error", _) => errors::tell(sheet, value),
                ("message", Kind::Text) if event.name == "error" => {
                    sheet.once(value, Channel::Error, Speaker::Provider);
                }
                ("partial_image_b64", _) => sheet.bulk(value),
                ("annotation", _) => sheet.rest(value),
                (member, _) => {
                    if let Some(said) = self.said(sheet, member, value, &event)? {
                        spoken = said;
                    } else {
                        sheet.key(key);
                        self.strays.read(sheet, value, &format!("{}/{}/{member}", event.name, event.output));
                    }
                }
            }
        }
        if let Some(list) = list {
            let at = if let About::Text(spot, _) = event.about { spot.at } else { 0 };
            match event.moment {
                Moment::Begin => self.stream.tokens(sheet, list, spoken.as_ref(), (event.output, at))?,
                Moment::Done | Moment::Whole => items::tokens(sheet, list, spoken.as_ref())?,
            }
        }
        self.strays.end(sheet.parts);
        self.over |= matches!((event.about, event.moment), (About::Answer, Moment::Done));
        if event.name == "response.output_item.done" {
            self.stream.end_item(sheet.parts, event.output);
        }
        let number = doc.count_of(0, "sequence_number").filter(|number| *number < INDICES);
        self.stream.last.sequence = number.unwrap_or(self.stream.last.sequence);
        Ok(())
    }

    /// What the event is: its type, or else its name. Clients may go by either, so that they must agree, and all events
    /// of an answer have both, or the same one of them; an error may come in any way.
    fn event_name(&mut self, sheet: &Sheet<'_>) -> Result<String, Wrong> {
        let kind = sheet.doc.text_of(0, "type").map(String::from);
        let (name, sign) = match (self.named.as_str(), kind) {
            ("error", Some(kind)) if !kind.starts_with("response.") && sheet.doc.get(0, "error").is_some() => {
                return Ok(kind);
            }
            ("" | "message", Some(kind)) => (kind, Sign::Type),
            (named, Some(kind)) if named == kind => (kind, Sign::Both),
            (_, Some(_)) => return Err("an event whose name is its type"),
            (named, None) => (named.to_owned(), Sign::Name),
        };
        if name == "error" || name.is_empty() {
            return Ok(name);
        }
        if *self.sign.get_or_insert(sign) == sign {
            self.stream.last.unnamed = sign == Sign::Type;
            return Ok(name);
        }
        Err("an event with a name, a type or both, as those before")
    }

    fn heard(&mut self, event: &Event<'_>) -> Heard<'_> {
        Heard { stream: &mut self.stream, output: event.output, moment: event.moment }
    }

    fn item(&mut self, sheet: &mut Sheet<'_>, item: usize, event: &Event<'_>) -> Result<(), Wrong> {
        if let Some(id) = sheet.doc.get(item, "id") {
            self.stream.identify(sheet, id, event.output)?;
        }
        if event.name == "response.output_item.added" {
            let kind = sheet.doc.text_of(item, "type").unwrap_or_default();
            self.stream.begin_item(sheet.parts, &kind);
        }
        self.stream.stands(sheet, item, event.output)?;
        items::read(sheet, item, &mut self.heard(event))
    }

    fn part(&mut self, sheet: &mut Sheet<'_>, part: usize, event: &Event<'_>) -> Result<(), Wrong> {
        let About::Part(at, mut joined) = event.about else { return Ok(()) };
        if joined == What::Text && event.moment == Moment::Begin {
            self.stream.begin_part(sheet, part, (event.output, at));
        }
        let thinks = sheet.doc.text_of(part, "type").is_some_and(|kind| kind == "reasoning_text");
        if joined == What::Text && thinks && !self.stream.is_message(event.output) {
            joined = What::Reasoning;
        }
        items::content(sheet, part, (at, joined), Speaker::Assistant, &mut self.heard(event))
    }

    /// Reads the member that holds the text that the event is about; `None` when this is not it.
    fn said(
        &mut self,
        sheet: &mut Sheet<'_>,
        member: &str,
        value: usize,
        event: &Event<'_>,
    ) -> Result<Option<Option<Spoken>>, Wrong> {
        let (doc, done) = (sheet.doc, event.moment == Moment::Done);
        match (event.about, member, doc.kind(value)) {
            (About::Arguments(sort), "delta", Kind::Text) if !done => {
                self.stream.arguments(sheet, value, event.output, sort)?;
                Ok(Some(None))
            }
            (About::Arguments(sort), member, Kind::Text | Kind::Object | Kind::Array) if member == sort.member() => {
                self.stream.takes(event.output, sort)?;
                let name = doc.get(0, "name").filter(|&name| doc.kind(name) == Kind::Text);
                let name = name.map(|node| (doc.name(node), None));
                let call = Proposal { item: 0, id: "".into(), name, input: Some(value) };
                self.heard(event).call(sheet, call)?;
                Ok(Some(None))
            }
            (About::Arguments(_), "name", Kind::Text) => {
                self.heard(event).text(sheet, value, super::stream::name_spot())?;
                Ok(Some(None))
            }
            // Clients put pieces together whatever they are, and short numbers are not shown.
            (_, "delta", Kind::Number) => Err("a delta that is text"),
            (About::Text(spot, _), "delta", Kind::Text) if !done => {
                self.stream.delta(sheet, value, spot, event.output).map(Some)
            }
            (_, "delta", Kind::Text) if event.name == "response.audio.delta" => {
                if !sheet.is_bulk(value) {
                    sheet.fresh(value);
                }
                Ok(Some(None))
            }
            (About::Text(spot, _), "delta", Kind::Object) if spot.what == What::Stdout => {
                self.output_of_shell(sheet, value, spot, event.output)?;
                Ok(Some(None))
            }
            (About::Text(spot, whole), member, Kind::Text) if done && member == whole => {
                self.heard(event).text(sheet, value, spot).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn output_of_shell(&mut self, sheet: &mut Sheet<'_>, delta: usize, spot: Spot, output: u64) -> Result<(), Wrong> {
        let doc = sheet.doc;
        for (key, value) in doc.members(delta) {
            let what = match (&*doc.name(key), doc.kind(value)) {
                ("stdout", Kind::Text) => What::Stdout,
                ("stderr", Kind::Text) => What::Stderr,
                (name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, &format!("shell/{output}/{name}"));
                    continue;
                }
            };
            self.stream.delta(sheet, value, Spot { what, ..spot }, output)?;
        }
        Ok(())
    }
}

impl<'a> Event<'a> {
    fn new(sheet: &Sheet<'_>, name: &'a str) -> Result<Self, Wrong> {
        let doc = sheet.doc;
        let index = |member| match doc.get(0, member) {
            None => Ok(0),
            Some(_) => {
                let index = doc.count_of(0, member).filter(|index| *index < INDICES);
                index.ok_or("an event whose indices are small whole numbers")
            }
        };
        let (about, moment) = match name.strip_prefix("response.").unwrap_or_default() {
            "created" | "in_progress" | "queued" => (About::Answer, Moment::Begin),
            "completed" | "incomplete" | "failed" => (About::Answer, Moment::Done),
            "output_item.added" => (About::Item, Moment::Begin),
            "output_item.done" => (About::Item, Moment::Done),
            "content_part.added" => (About::Part(index("content_index")?, What::Text), Moment::Begin),
            "content_part.done" => (About::Part(index("content_index")?, What::Text), Moment::Done),
            "reasoning_summary_part.added" => (About::Part(index("summary_index")?, What::Summary), Moment::Begin),
            "reasoning_summary_part.done" => (About::Part(index("summary_index")?, What::Summary), Moment::Done),
            other => match other.rsplit_once('.') {
                Some((stem, "delta")) => (about(stem, &index)?, Moment::Begin),
                Some((stem, "done")) => (about(stem, &index)?, Moment::Done),
                _ => (About::Other, Moment::Begin),
            },
        };
        Ok(Self { name, moment, output: index("output_index")?, about })
    }
}

/// What events are about whose type is this and that it grows, or is done.
fn about(stem: &str, index: &impl Fn(&'static str) -> Result<u64, Wrong>) -> Result<About, Wrong> {
    let (what, channel, at, whole) = match stem {
        "function_call_arguments" => return Ok(About::Arguments(Sort::Function)),
        "mcp_call_arguments" => return Ok(About::Arguments(Sort::Mcp)),
        "custom_tool_call_input" => return Ok(About::Arguments(Sort::Custom)),
        "output_text" => (What::Text, Channel::Content, "content_index", "text"),
        "refusal" => (What::Refusal, Channel::Refusal, "content_index", "refusal"),
        "reasoning_text" => (What::Reasoning, Channel::Reasoning, "content_index", "text"),
        "reasoning_summary_text" => (What::Summary, Channel::Reasoning, "summary_index", "text"),
        "audio.transcript" => (What::Transcript, Channel::Content, "content_index", "transcript"),
        "code_interpreter_call_code" => (What::Code, Channel::ToolInput, "code_index", "code"),
        "shell_call_command" => (What::Command, Channel::ToolInput, "command_index", "command"),
        "apply_patch_call_operation_diff" => (What::Patch, Channel::ToolInput, "diff_index", "diff"),
        "shell_call_output_content" => (What::Stdout, Channel::ToolResult, "command_index", ""),
        _ => return Ok(About::Other),
    };
    let speaker = if channel == Channel::ToolResult { Speaker::Tool } else { Speaker::Assistant };
    Ok(About::Text(Spot { what, at: index(at)?, channel, speaker }, whole))
}
