//! Content of messages and results: blocks, and values that are content as they stand.

use model::{Channel, Speaker};

use crate::{
    json::{Doc, Kind},
    seams::List,
    sheet::Sheet,
};

/// What a text is, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Voice {
    pub(super) channel: Channel,
    pub(super) speaker: Speaker,
}

/// The words of a tool.
pub(super) const RESULT: Voice = Voice { channel: Channel::ToolResult, speaker: Speaker::Tool };

/// Whether an object says that it is a block.
pub(super) fn is_block(doc: Doc<'_>, object: usize) -> bool {
    const BLOCKS: [&str; 7] = ["text", "image", "audio", "resource", "resource_link", "tool_use", "tool_result"];
    doc.text_of(object, "type").is_some_and(|kind| BLOCKS.contains(&&*kind))
}

/// Tells every string, unknown name and long number of a value.
pub(super) fn all(sheet: &mut Sheet<'_>, value: usize, voice: Voice) {
    sheet.all(value, voice.channel, voice.speaker);
}

/// Tells what a server offers: names, descriptions and schemas are what models read.
pub(super) fn define(sheet: &mut Sheet<'_>, value: usize) {
    sheet.walk(value, &mut |sheet, node| sheet.once(node, Channel::ToolDefinition, Speaker::Tool));
}

/// Tells a message of a prompt.
pub(super) fn message(sheet: &mut Sheet<'_>, message: usize) {
    let doc = sheet.doc;
    let speaker = match doc.text_of(message, "role").as_deref() {
        Some("user") => Speaker::User,
        Some("assistant") => Speaker::Assistant,
        _ => Speaker::Tool,
    };
    let voice = Voice { channel: Channel::Content, speaker };
    if doc.kind(message) != Kind::Object {
        return all(sheet, message, voice);
    }
    for (key, value) in doc.members(message) {
        match &*doc.name(key) {
            "role" => sheet.word(value),
            "content" => blocks(sheet, value, voice),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}

/// Tells a block, or a list of them.
pub(super) fn blocks(sheet: &mut Sheet<'_>, value: usize, voice: Voice) {
    let doc = sheet.doc;
    let mut lists = Lists::default();
    match doc.kind(value) {
        Kind::Array => doc.items(value).for_each(|item| block(sheet, item, voice, &mut lists)),
        _ => block(sheet, value, voice, &mut lists),
    }
    lists.blocks.end(sheet.parts);
    lists.resources.end(sheet.parts);
}

/// The texts of one list that are put together: clients ask for the type of a block before they read it.
#[derive(Debug, Default)]
struct Lists {
    /// Of blocks of text.
    blocks: List,
    /// Of contents of resources, which have no type.
    resources: List,
}

/// Tells a block of a list, or the contents of a resource. Nested ones are read by recursion, which the bound on the
/// nesting of JSON ends.
fn block(sheet: &mut Sheet<'_>, block: usize, voice: Voice, lists: &mut Lists) {
    let doc = sheet.doc;
    if doc.kind(block) != Kind::Object {
        return all(sheet, block, voice);
    }
    let kind = doc.text_of(block, "type").unwrap_or_default();
    let voice = if kind == "tool_result" { RESULT } else { voice };
    for (key, value) in doc.members(block) {
        match (&*doc.name(key), doc.kind(value)) {
            ("type", _) => sheet.word(value),
            ("name", Kind::Text) if kind == "tool_use" => sheet.once(value, Channel::ToolInput, Speaker::Assistant),
            ("input", _) if kind == "tool_use" => sheet.quote(value),
            ("text", Kind::Text) if kind == "text" => lists.blocks.once(sheet, value, voice.channel, voice.speaker),
            ("text", Kind::Text) if kind.is_empty() => lists.resources.once(sheet, value, voice.channel, voice.speaker),
            ("text", Kind::Text) => sheet.once(value, voice.channel, voice.speaker),
            ("name" | "title" | "description", Kind::Text) => sheet.once(value, voice.channel, voice.speaker),
            // Encoded files; and addresses, which may hold one.
            ("data" | "blob", Kind::Text) if sheet.is_bulk(value) => sheet.bulk_of(value, block, &["mimeType"]),
            ("data" | "blob", Kind::Text) => sheet.once(value, voice.channel, voice.speaker),
            ("uri", Kind::Text) => sheet.bulk(value),
            ("resource", Kind::Object) | ("content", Kind::Array | Kind::Object) => blocks(sheet, value, voice),
            ("structuredContent", _) => all(sheet, value, voice),
            ("annotations" | "_meta" | "id" | "toolUseId" | "mimeType", _) => sheet.rest(value),
            _ => {
                sheet.key(key);
                all(sheet, value, voice);
            }
        }
    }
}
