//! One message of JSON-RPC 2.0 (sections 4 and 5), in either direction: a request, a notification, or an answer.
//!
//! An exchange does not know what the other exchanges of a session asked, so an answer is known by its members. What
//! must hold: a member that no method has is walked as fields, never passed over.

use model::{Channel, Speaker};

use super::{
    Wrong,
    content::{self, Voice},
    names,
};
use crate::{Step, ToolCall, case, json::Kind, nested::Nested, parts::Source, sheet::Sheet};

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    /// What this side says to people.
    fn voice(self) -> Voice {
        let speaker = match self {
            Self::Client => Speaker::User,
            Self::Server => Speaker::Tool,
        };
        Voice { channel: Channel::Content, speaker }
    }
}

/// Tells a message.
pub(super) fn read(sheet: &mut Sheet<'_>, message: usize, side: Side) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(message) != Kind::Object || doc.text_of(message, "jsonrpc").as_deref() != Some("2.0") {
        return Err("a message of JSON-RPC 2.0");
    }
    if names::is_odd(doc, message) {
        return Err(case::EXPECTED);
    }
    let says = ["method", "result", "error"].iter().filter(|name| doc.get(message, name).is_some()).count();
    if says != 1 {
        return Err("a message with either a method, a result or an error");
    }
    let method = match doc.get(message, "method") {
        Some(method) if doc.kind(method) == Kind::Text => doc.name(method),
        Some(_) => return Err("a message whose method is text"),
        None => "".into(),
    };
    let id = doc.get(message, "id");
    if id.is_some_and(|id| !(is_id(doc.kind(id)) || (method.is_empty() && doc.raw(id) == "null"))) {
        return Err("a message whose id is text or a number");
    }
    // Of a method that is nobody's here the names are free.
    let own = ["params", "result", "error"].into_iter().filter(|&name| name != "params" || names::method(&method));
    if own.filter_map(|name| doc.get(message, name)).any(|value| names::SPELLING.check(doc, value).is_err()) {
        return Err(case::EXPECTED);
    }
    for (key, value) in doc.members(message) {
        match &*doc.name(key) {
            "jsonrpc" => {}
            "id" => sheet.rest(value),
            "method" if names::method(&method) => {}
            "method" => sheet.field(value),
            "params" if method == "tools/call" => {
                call(sheet, value, id.map(|id| doc.name(id).into_owned()).unwrap_or_default())?;
            }
            "params" => params(sheet, value, &method, side),
            "result" => result(sheet, value, side),
            "error" => error(sheet, value, side),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    if method == "tools/call" && doc.get(message, "params").is_none() {
        return Err("a call with params");
    }
    Ok(())
}

fn is_id(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Number)
}

/// A call of a tool: it goes on once all of it is decided.
fn call(sheet: &mut Sheet<'_>, params: usize, id: String) -> Result<(), Wrong> {
    let doc = sheet.doc;
    let Some(name) = doc.text_of(params, "name") else {
        return Err("a call with the name of a tool");
    };
    let call = sheet.parts.begin_call(Nested::proposed());
    sheet.parts.call_is_json(call);
    sheet.hold(params, call);
    for (key, value) in doc.members(params) {
        match &*doc.name(key) {
            "name" => sheet.once(value, Channel::ToolInput, Speaker::Assistant),
            "arguments" => sheet.fill(value, call, true),
            _ => shared(sheet, key, value),
        }
    }
    if doc.get(params, "arguments").is_none() {
        sheet.anchor(params, Source::Call(call), "arguments", 0);
    }
    sheet.parts.complete_call(call);
    sheet.parts.tell(Step::ToolCall(ToolCall { call, id, name: name.into_owned() }));
    Ok(())
}

/// Parameters of a request or a notification.
fn params(sheet: &mut Sheet<'_>, params: usize, method: &str, side: Side) {
    let doc = sheet.doc;
    let voice = side.voice();
    if doc.kind(params) != Kind::Object {
        return sheet.rest(params);
    }
    for (key, value) in doc.members(params) {
        match (method, &*doc.name(key), doc.kind(value)) {
            ("prompts/get", "arguments", _)
            | ("completion/complete", "argument" | "context", _)
            | ("notifications/message", "data", _)
            | ("notifications/progress" | "elicitation/create", "message", _)
            | ("notifications/cancelled", "reason", _)
            | ("notifications/tasks/status", "statusMessage", _) => content::all(sheet, value, voice),
            ("elicitation/create", "requestedSchema", _) => content::define(sheet, value),
            ("sampling/createMessage", "messages", Kind::Array) => {
                doc.items(value).for_each(|item| content::message(sheet, item));
            }
            ("sampling/createMessage", "systemPrompt", _) => {
                content::all(sheet, value, Voice { channel: Channel::Content, speaker: Speaker::System });
            }
            ("sampling/createMessage", "tools", _) => content::define(sheet, value),
            _ => shared(sheet, key, value),
        }
    }
}

/// A member that requests of many methods have.
fn shared(sheet: &mut Sheet<'_>, key: usize, value: usize) {
    let doc = sheet.doc;
    match (&*doc.name(key), doc.kind(value)) {
        // Revision 2026-07-28: the answers to what the server asked in its result.
        ("inputResponses", Kind::Object) => {
            for (key, value) in doc.members(value) {
                sheet.key(key);
                result(sheet, value, Side::Client);
            }
        }
        ("requestState", _) => sheet.bulk(value),
        _ => {
            sheet.key(key);
            sheet.rest(value);
        }
    }
}

/// What is answered to a request.
fn result(sheet: &mut Sheet<'_>, result: usize, side: Side) {
    let doc = sheet.doc;
    if doc.kind(result) != Kind::Object {
        return content::all(sheet, result, side.voice());
    }
    for (key, value) in doc.members(result) {
        match side {
            Side::Client => client_result(sheet, key, value),
            Side::Server => server_result(sheet, key, value),
        }
    }
}

/// A member of a client's answer: to `sampling/createMessage`, `elicitation/create`, `roots/list`.
fn client_result(sheet: &mut Sheet<'_>, key: usize, value: usize) {
    const SAMPLED: Voice = Voice { channel: Channel::Content, speaker: Speaker::Assistant };
    let doc = sheet.doc;
    let sampled = doc.kind(value) == Kind::Array || content::is_block(doc, value);
    match &*doc.name(key) {
        "content" if sampled => content::blocks(sheet, value, SAMPLED),
        "content" => content::all(sheet, value, Side::Client.voice()),
        "role" | "action" | "stopReason" => sheet.word(value),
        _ => shared(sheet, key, value),
    }
}

/// A member of a server's answer.
fn server_result(sheet: &mut Sheet<'_>, key: usize, value: usize) {
    let doc = sheet.doc;
    match (&*doc.name(key), doc.kind(value)) {
        ("content" | "contents", _) => content::blocks(sheet, value, content::RESULT),
        ("structuredContent" | "toolResult", _) => content::all(sheet, value, content::RESULT),
        ("tools" | "prompts" | "resources" | "resourceTemplates" | "instructions", _) => {
            content::define(sheet, value);
        }
        ("messages", Kind::Array) => doc.items(value).for_each(|item| content::message(sheet, item)),
        ("description" | "completion" | "statusMessage", _) => content::all(sheet, value, Side::Server.voice()),
        ("inputRequests", Kind::Object) => {
            for (key, value) in doc.members(value) {
                sheet.key(key);
                input_request(sheet, value);
            }
        }
        ("resultType", _) => sheet.word(value),
        _ => shared(sheet, key, value),
    }
}

/// What a server asks for in its result (revision 2026-07-28).
fn input_request(sheet: &mut Sheet<'_>, request: usize) {
    let doc = sheet.doc;
    let method = doc.text_of(request, "method").unwrap_or_default();
    if doc.kind(request) != Kind::Object {
        return sheet.rest(request);
    }
    for (key, value) in doc.members(request) {
        match &*doc.name(key) {
            "method" if names::method(&method) => {}
            "params" => params(sheet, value, &method, Side::Server),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}

/// An error object.
fn error(sheet: &mut Sheet<'_>, error: usize, side: Side) {
    let doc = sheet.doc;
    let speaker = match side {
        Side::Client => Speaker::User,
        Side::Server => Speaker::Provider,
    };
    if doc.kind(error) != Kind::Object {
        return sheet.rest(error);
    }
    for (key, value) in doc.members(error) {
        match (&*doc.name(key), doc.kind(value)) {
            ("message", Kind::Text) => sheet.once(value, Channel::Error, speaker),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}
