//! Blocks of content, as they stand in requests and inside one another: each text is a part of its own, and those of one
//! list are told joined as well.
//!
//! What an answer says from event to event is read in [`super::stream`]; all else of its blocks is read here. Nested
//! blocks are read by recursion, which the bound on the nesting of JSON ends.

use model::{Channel, Speaker};

use crate::{json::Kind, seams::List, sheet::Sheet};

/// What the texts of a block are, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Voice {
    pub(super) channel: Channel,
    pub(super) speaker: Speaker,
}

/// The words of a tool.
pub(super) const RESULT: Voice = Voice { channel: Channel::ToolResult, speaker: Speaker::Tool };

/// Whether a block of this type is a tool call: `tool_use`, `server_tool_use`, `mcp_tool_use`.
pub(super) fn calls(kind: &str) -> bool {
    kind.ends_with("tool_use")
}

/// Whether a block of this type is what a tool answered: `tool_result`, `web_search_tool_result`, …
pub(super) fn answers(kind: &str) -> bool {
    kind.ends_with("tool_result")
}

/// Tells a list of blocks.
pub(super) fn all(sheet: &mut Sheet<'_>, blocks: impl Iterator<Item = usize>, voice: Voice) {
    let mut list = List::default();
    blocks.for_each(|block| read(sheet, block, voice, &mut list));
    list.end(sheet.parts);
}

/// Tells a block of a list.
fn read(sheet: &mut Sheet<'_>, block: usize, voice: Voice, list: &mut List) {
    let doc = sheet.doc;
    if doc.kind(block) != Kind::Object {
        return sheet.walk(block, &mut |sheet, node| sheet.once(node, voice.channel, voice.speaker));
    }
    let kind = doc.text_of(block, "type").unwrap_or_default();
    let voice = if answers(&kind) { RESULT } else { voice };
    for (key, value) in doc.members(block) {
        match (&*doc.name(key), doc.kind(value)) {
            // Who reads a list asks for the type of a block first.
            ("text", Kind::Text) if kind == "text" => list.once(sheet, value, voice.channel, voice.speaker),
            ("text", Kind::Text) => sheet.once(value, voice.channel, voice.speaker),
            ("thinking", Kind::Text) if kind == "thinking" => {
                list.once(sheet, value, Channel::Reasoning, voice.speaker);
            }
            ("thinking", Kind::Text) => sheet.once(value, Channel::Reasoning, voice.speaker),
            ("name", Kind::Text) if calls(&kind) => sheet.once(value, Channel::ToolInput, Speaker::Assistant),
            ("input", _) if calls(&kind) => sheet.quote(value),
            _ => member(sheet, key, value, voice),
        }
    }
}

/// Tells a member that any block can have.
pub(super) fn member(sheet: &mut Sheet<'_>, key: usize, value: usize, voice: Voice) {
    let doc = sheet.doc;
    match (&*doc.name(key), doc.kind(value)) {
        ("type", _) => sheet.word(value),
        // Encrypted or signed by the provider: it says nothing to anybody else, and is worth nothing when changed.
        ("signature" | "data" | "encrypted_content" | "encrypted_index" | "encrypted_stdout", Kind::Text) => {
            // Streams begin with an empty one.
            if doc.raw(value).len() > 2 {
                sheet.bulk(value);
            }
        }
        ("source", Kind::Object) => source(sheet, value, voice),
        ("content" | "title" | "context", Kind::Text) => sheet.once(value, voice.channel, voice.speaker),
        ("content", Kind::Array) => all(sheet, doc.items(value), voice),
        ("content", Kind::Object) => all(sheet, std::iter::once(value), voice),
        ("citations", Kind::Array) => doc.items(value).for_each(|item| citation(sheet, item, voice)),
        ("tool_use_id" | "id" | "cache_control" | "citations", _) => sheet.rest(value),
        // Only a request offers tools; what an answer says of them is the provider's word.
        ("tool" | "tools" | "definition", Kind::Object | Kind::Array)
            if sheet.speaker == Speaker::User && voice.channel != Channel::ToolResult =>
        {
            define(sheet, value);
        }
        _ if voice.channel == Channel::ToolResult => {
            sheet.key(key);
            sheet.all(value, voice.channel, voice.speaker);
        }
        _ => {
            sheet.key(key);
            sheet.rest(value);
        }
    }
}

/// Tells the definitions of tools.
pub(super) fn define(sheet: &mut Sheet<'_>, tools: usize) {
    sheet.walk(tools, &mut |sheet, node| {
        sheet.once(node, Channel::ToolDefinition, Speaker::Developer);
    });
}

/// Tells where a document or an image comes from; its encoded bytes are not text.
fn source(sheet: &mut Sheet<'_>, source: usize, voice: Voice) {
    let doc = sheet.doc;
    let plain = doc.text_of(source, "type").as_deref() == Some("text");
    for (key, value) in doc.members(source) {
        match (&*doc.name(key), doc.kind(value)) {
            ("type", Kind::Text) if doc.name(value) == "base64" => {}
            ("data", Kind::Text) if plain => sheet.once(value, voice.channel, voice.speaker),
            ("data", Kind::Text) => sheet.bulk_of(value, source, &["media_type"]),
            ("url", Kind::Text) => sheet.bulk(value),
            _ => member(sheet, key, value, voice),
        }
    }
}

/// Tells what is quoted, and from where.
pub(super) fn citation(sheet: &mut Sheet<'_>, citation: usize, voice: Voice) {
    let doc = sheet.doc;
    if doc.kind(citation) != Kind::Object {
        return sheet.rest(citation);
    }
    for (key, value) in doc.members(citation) {
        match (&*doc.name(key), doc.kind(value)) {
            ("cited_text", Kind::Text) => sheet.once(value, voice.channel, voice.speaker),
            ("encrypted_index", Kind::Text) => sheet.bulk(value),
            ("type", _) => sheet.word(value),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}
