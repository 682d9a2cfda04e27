//! Items: what a conversation is made of, in requests and in answers. The one place that knows their shapes.
//!
//! What must hold: each string of an item is handed to the listener, told as a field, or an encoded file.

use std::borrow::Cow;

use model::{Channel, Speaker};

use crate::{
    json::{Doc, Kind},
    openai::{
        Wrong, errors,
        logprobs::{Spoken, Tokens, Trail},
    },
    sheet::Sheet,
};

/// Which kind of text of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Text of a message's content.
    Text,
    /// Text that clients don't take for any of these: of a content of another type, or in another place.
    Other,
    Refusal,
    /// Text of a reasoning item's content.
    Reasoning,
    /// Text of a reasoning item's summary.
    Summary,
    /// What is said in an audio.
    Transcript,
    /// Code for the interpreter.
    Code,
    /// A command of a shell call, while it comes.
    Command,
    /// The patch of a patch call, while it comes.
    Patch,
    Stdout,
    Stderr,
    /// Name of the tool that is called.
    Name,
    /// What a tool that the server runs is asked.
    Query,
    /// What a tool answered.
    Output,
    /// The same, as text of a list of content.
    OutputText,
    /// A string of a tool's definition.
    Definition,
    /// The operator's instructions, told back.
    Instructions,
    /// Tokens that say something else than the text beside them.
    Tokens,
    /// The same of their `bytes`.
    TokenBytes,
}

impl What {
    /// Whether more of it can come in deltas.
    pub(super) fn grows(self) -> bool {
        !matches!(
            self,
            Self::Name | Self::Query | Self::Output | Self::OutputText | Self::Definition | Self::Instructions
        )
    }

    /// Whether whoever reads it puts it together with the next one of its kind.
    pub(super) fn joins(self) -> bool {
        matches!(self, Self::Text | Self::Refusal | Self::Reasoning | Self::Summary | Self::OutputText)
    }
}

/// Which kind of item, as far as clients ask for it before they join what events say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Message,
    Function,
    Mcp,
    Custom,
    Other,
}

impl Sort {
    pub(super) fn of(kind: &str) -> Self {
        match kind {
            "message" => Self::Message,
            "function_call" => Self::Function,
            "mcp_call" | "mcp_approval_request" => Self::Mcp,
            "custom_tool_call" => Self::Custom,
            _ => Self::Other,
        }
    }

    /// Whether it is a call whose arguments come in events.
    pub(super) fn calls(self) -> bool {
        matches!(self, Self::Function | Self::Mcp | Self::Custom)
    }

    /// The member that holds what it is called with.
    pub(super) fn member(self) -> &'static str {
        if self == Self::Custom { "input" } else { "arguments" }
    }
}

/// Where in an item a text stands, and what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) what: What,
    /// Number among those of its kind: the content's, the summary's, the command's index.
    pub(super) at: u64,
    pub(super) channel: Channel,
    pub(super) speaker: Speaker,
}

/// A tool call that somebody other than the server carries out.
#[derive(Debug)]
pub(super) struct Proposal<'a> {
    /// The object that holds it.
    pub(super) item: usize,
    /// The provider's id.
    pub(super) id: Cow<'a, str>,
    /// The tool's name, and the string that holds it.
    pub(super) name: Option<(Cow<'a, str>, Option<usize>)>,
    /// A string, or a value that is JSON itself.
    pub(super) input: Option<usize>,
}

/// Takes what items say.
pub(super) trait Listener {
    /// A string, a name or a long number; the answer is its part, for what repeats it in the same document.
    fn text(&mut self, sheet: &mut Sheet<'_>, node: usize, spot: Spot) -> Result<Option<Spoken>, Wrong>;

    /// Whether the texts of a message's content are put together if they are of this type; `""`: if they have none.
    fn joins(&self, kind: &str) -> bool;

    /// A tool call.
    fn call(&mut self, sheet: &mut Sheet<'_>, proposal: Proposal<'_>) -> Result<(), Wrong>;
}

/// Members that hold what a tool is called with.
const INPUTS: [&str; 5] = ["arguments", "input", "action", "actions", "operation"];

/// Tools that the server runs by itself, with no arguments of the model's own making other than the texts shown.
fn runs_at_server(kind: &str) -> bool {
    matches!(kind, "web_search_call" | "file_search_call" | "code_interpreter_call" | "image_generation_call")
}

/// Reads an item.
pub(super) fn read(sheet: &mut Sheet<'_>, item: usize, to: &mut dyn Listener) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(item) != Kind::Object {
        return Err("an object");
    }
    let role = doc.text_of(item, "role");
    let kind = doc.text_of(item, "type").unwrap_or_default();
    let untyped = kind.is_empty() && role.is_some();
    let kind = if untyped { "message" } else { &*kind };
    let joined = if untyped && !to.joins("") { What::Other } else { What::Text };
    let call = (kind.ends_with("_call") || kind.ends_with("_request")) && !runs_at_server(kind);
    let mut told: Vec<usize> = Vec::new();
    if call {
        let filled = |value: &usize| matches!(doc.kind(*value), Kind::Text | Kind::Object | Kind::Array);
        let inputs: Vec<usize> = INPUTS.iter().filter_map(|name| doc.get(item, name)).filter(filled).collect();
        let name = doc.get(item, "name").filter(|&name| doc.kind(name) == Kind::Text);
        // Where there are two, a client may take either: each is a call.
        for input in inputs.iter().copied().map(Some).chain(inputs.is_empty().then_some(None)) {
            to.call(sheet, proposal(doc, item, kind, name, input))?;
        }
        told.extend(name.into_iter().chain(inputs));
    }
    let speaker = speaker_of(role.as_deref());
    for (key, value) in doc.members(item).filter(|(_, value)| !told.contains(value)) {
        member(sheet, (key, value), (kind, joined), speaker, to)?;
    }
    Ok(())
}

fn member(
    sheet: &mut Sheet<'_>,
    (key, value): (usize, usize),
    (kind, joined): (&str, What),
    speaker: Speaker,
    to: &mut dyn Listener,
) -> Result<(), Wrong> {
    let doc = sheet.doc;
    let spot = |what, channel, speaker| Spot { what, at: 0, channel, speaker };
    let said = spot(if to.joins("") { joined } else { What::Other }, Channel::Content, speaker);
    let asked = spot(What::Query, Channel::ToolInput, Speaker::Assistant);
    let answered = spot(What::Output, Channel::ToolResult, Speaker::Tool);
    match (kind, &*doc.name(key), doc.kind(value)) {
        (_, "type" | "status" | "role" | "phase", _) => sheet.word(value),
        ("message", "content", Kind::Text) => to.text(sheet, value, said).map(drop)?,
        ("message" | "reasoning", name @ ("content" | "summary"), Kind::Array) => {
            let joined = match (kind, name) {
                ("message", "content") => joined,
                ("reasoning", "content") => What::Reasoning,
                ("reasoning", "summary") => What::Summary,
                _ => What::Other,
            };
            for (at, part) in doc.items(value).enumerate() {
                content(sheet, part, (at as u64, joined), speaker, to)?;
            }
        }
        ("message", "content", Kind::Object | Kind::Number) => {
            return Err("a message whose content is text or a list");
        }
        ("code_interpreter_call" | "program", "code", Kind::Text) => {
            to.text(sheet, value, spot(What::Code, Channel::ToolInput, Speaker::Assistant))?;
        }
        ("image_generation_call", "revised_prompt", Kind::Text) => to.text(sheet, value, asked).map(drop)?,
        ("file_search_call" | "web_search_call", "queries" | "action", _) => texts(sheet, value, asked, to)?,
        ("mcp_list_tools" | "additional_tools" | "tool_search_output", "tools", _) => {
            texts(sheet, value, spot(What::Definition, Channel::ToolDefinition, Speaker::Developer), to)?;
        }
        ("file_search_call", "results", _) | (_, "output" | "outputs", _) => texts(sheet, value, answered, to)?,
        ("program_output", "result", _) => texts(sheet, value, answered, to)?,
        ("image_generation_call", "result", _) | (_, "encrypted_content", _) => sheet.bulk(value),
        (_, "error", Kind::Text | Kind::Object) => {
            sheet.key(key);
            errors::tell(sheet, value);
        }
        _ => {
            sheet.key(key);
            sheet.rest(value);
        }
    }
    Ok(())
}

/// What an item proposes to be called.
fn proposal<'a>(doc: Doc<'a>, item: usize, kind: &str, name: Option<usize>, input: Option<usize>) -> Proposal<'a> {
    let name = match name {
        Some(node) => (doc.name(node), Some(node)),
        // Tools that the server defines are named by the item's type.
        None => (Cow::Owned(kind.trim_end_matches("_call").to_owned()), None),
    };
    let id = doc.text_of(item, "call_id").or_else(|| doc.text_of(item, "id")).unwrap_or_default();
    Proposal { item, id, name: Some(name), input }
}

/// Whose words a message is.
fn speaker_of(role: Option<&str>) -> Speaker {
    match role {
        Some("system") => Speaker::System,
        Some("developer") => Speaker::Developer,
        Some("assistant") | None => Speaker::Assistant,
        Some("tool") => Speaker::Tool,
        Some(_) => Speaker::User,
    }
}

/// Reads one part of a content or of a summary, in which text of one kind can be `joined` with that of others.
pub(super) fn content(
    sheet: &mut Sheet<'_>,
    part: usize,
    (at, joined): (u64, What),
    speaker: Speaker,
    to: &mut dyn Listener,
) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(part) != Kind::Object {
        return Err("content that is text or a list of objects");
    }
    let kind = doc.text_of(part, "type").unwrap_or_default();
    let (what, channel) = match &*kind {
        "reasoning_text" if joined == What::Reasoning => (What::Reasoning, Channel::Reasoning),
        "summary_text" if joined == What::Summary => (What::Summary, Channel::Reasoning),
        "reasoning_text" | "summary_text" => (What::Other, Channel::Reasoning),
        kind if joined == What::Text && to.joins(kind) => (What::Text, Channel::Content),
        _ => (What::Other, Channel::Content),
    };
    let (mut spoken, mut list) = (None, None);
    for (key, value) in doc.members(part) {
        let name = doc.name(key);
        match (&*name, doc.kind(value)) {
            ("type", _) => sheet.word(value),
            ("text", Kind::Text) => spoken = to.text(sheet, value, Spot { what, at, channel, speaker })?,
            ("refusal", Kind::Text) => {
                let what = if kind == "refusal" && joined == What::Text { What::Refusal } else { What::Other };
                to.text(sheet, value, Spot { what, at, channel: Channel::Refusal, speaker })?;
            }
            ("transcript", Kind::Text) => {
                to.text(sheet, value, Spot { what: What::Transcript, at, channel: Channel::Content, speaker })?;
            }
            ("logprobs", Kind::Array) => list = Some(value),
            ("image_url" | "file_data" | "data", _) => sheet.bulk(value),
            ("input_audio" | "audio", Kind::Object) => {
                for (key, value) in doc.members(value) {
                    sheet.key(key);
                    sheet.bulk(value);
                }
            }
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    list.map_or(Ok(()), |list| tokens(sheet, list, spoken.as_ref()))
}

/// Reads the log probabilities of a text that stands whole beside them.
pub(super) fn tokens(sheet: &mut Sheet<'_>, list: usize, spoken: Option<&Spoken>) -> Result<(), Wrong> {
    let mut own = Vec::new();
    Tokens::read(sheet, list)?.cover(sheet, list, spoken, &mut Trail::default(), |parts, _| {
        let part = parts.begin(Channel::Logprobs, Speaker::Assistant);
        own.push(part);
        part
    });
    for part in own {
        sheet.parts.end(part);
    }
    Ok(())
}

/// Hands all texts of a value to the listener, in order; encoded files are none.
pub(super) fn texts(sheet: &mut Sheet<'_>, value: usize, first: Spot, to: &mut dyn Listener) -> Result<(), Wrong> {
    let mut at = first.at;
    let mut said = Ok(());
    let doc = sheet.doc;
    // What tools answer as a list: whoever reads it puts the texts of its contents together, and none of anything else.
    let plain = |item: &usize| {
        let kind = doc.text_of(*item, "type");
        matches!(kind.as_deref(), None | Some("input_text" | "output_text" | "text"))
    };
    let contents = doc.items(value).filter(plain).filter_map(|item| doc.get(item, "text"));
    // In order, as the nodes of a document are.
    let contents: Vec<usize> = if first.what == What::Output { contents.collect() } else { Vec::new() };
    sheet.walk(value, &mut |sheet, node| {
        if sheet.is_file(node) || said.is_err() {
            return;
        }
        let what = if contents.binary_search(&node).is_ok() { What::OutputText } else { first.what };
        said = to.text(sheet, node, Spot { what, at, ..first }).map(drop);
        at += 1;
    });
    said
}
