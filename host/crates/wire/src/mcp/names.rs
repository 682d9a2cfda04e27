//! Names that say nothing by themselves: methods, and members of messages and of JSON Schema. Every other name is shown
//! to policies as a field, since a name can carry what a value can.

use super::content;
use crate::{
    case::{self, Spelling},
    json::Doc,
    schema,
};

/// How names are spelled: servers and clients that are written in Go read `Name` as `name`.
pub(super) static SPELLING: Spelling = Spelling {
    known,
    folds: |name| FOLDED.contains(&name),
    spell: case::as_it_is,
    free: &[
        "arguments",
        "_meta",
        "data",
        "input",
        "structuredContent",
        "toolResult",
        "inputSchema",
        "outputSchema",
        "requestedSchema",
        "experimental",
        "extensions",
        "metadata",
    ],
    // What a person filled in may have any names, `type` among them.
    perhaps: &[("content", content::is_block)],
    keyed: &["inputRequests", "inputResponses"],
};

/// Names that decide what a message is and does, and what is read as what in it, as [`case::folded`] has them.
const FOLDED: [&str; 49] = [
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "code",
    "message",
    "data",
    "name",
    "arguments",
    "argument",
    "context",
    "uri",
    "ref",
    "cursor",
    "level",
    "_meta",
    "inputrequests",
    "inputresponses",
    "requeststate",
    "content",
    "contents",
    "structuredcontent",
    "toolresult",
    "tools",
    "prompts",
    "resources",
    "resourcetemplates",
    "instructions",
    "messages",
    "role",
    "type",
    "text",
    "blob",
    "resource",
    "mimetype",
    "annotations",
    "input",
    "tooluseid",
    "title",
    "description",
    "inputschema",
    "outputschema",
    "requestedschema",
    "systemprompt",
    "completion",
    "statusmessage",
    "resulttype",
];

/// Whether a member of an object is named as one of these, but for case.
pub(super) fn is_odd(doc: Doc<'_>, object: usize) -> bool {
    doc.members(object).any(|(key, _)| {
        let name = doc.name(key);
        !known(&name) && FOLDED.contains(&&*case::folded(&name))
    })
}

/// Whether a name is one of the protocol's own.
pub(super) fn known(name: &str) -> bool {
    envelope(name) || session(name) || content(name) || offer(name) || client(name) || schema::known(name)
}

/// Whether this is a method of the protocol.
pub(super) fn method(name: &str) -> bool {
    matches!(
        name,
        "initialize"
            | "ping"
            | "notifications/initialized"
            | "notifications/cancelled"
            | "notifications/progress"
            | "notifications/message"
            | "notifications/roots/list_changed"
            | "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/resources/updated"
            | "notifications/tasks/status"
            | "notifications/elicitation/complete"
            | "notifications/subscriptions/acknowledged"
            | "tools/list"
            | "tools/call"
            | "prompts/list"
            | "prompts/get"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "completion/complete"
            | "logging/setLevel"
            | "sampling/createMessage"
            | "elicitation/create"
            | "roots/list"
            | "tasks/get"
            | "tasks/result"
            | "tasks/list"
            | "tasks/cancel"
            | "tasks/update"
            | "server/discover"
            | "subscriptions/listen"
    )
}

fn envelope(name: &str) -> bool {
    matches!(
        name,
        "jsonrpc"
            | "id"
            | "method"
            | "params"
            | "result"
            | "error"
            | "code"
            | "message"
            | "data"
            | "_meta"
            | "progressToken"
            | "progress"
            | "total"
            | "requestId"
            | "reason"
            | "cursor"
            | "nextCursor"
            | "ttlMs"
            | "cacheScope"
            | "resultType"
            | "inputRequests"
            | "inputResponses"
            | "requestState"
    )
}

fn session(name: &str) -> bool {
    matches!(
        name,
        "protocolVersion"
            | "capabilities"
            | "clientInfo"
            | "serverInfo"
            | "instructions"
            | "experimental"
            | "extensions"
            | "roots"
            | "listChanged"
            | "sampling"
            | "context"
            | "elicitation"
            | "form"
            | "url"
            | "tasks"
            | "list"
            | "cancel"
            | "requests"
            | "createMessage"
            | "create"
            | "logging"
            | "completions"
            | "prompts"
            | "resources"
            | "subscribe"
            | "tools"
            | "call"
            | "version"
            | "websiteUrl"
            | "supported"
            | "level"
            | "logger"
            | "io.modelcontextprotocol/protocolVersion"
            | "io.modelcontextprotocol/clientInfo"
            | "io.modelcontextprotocol/clientCapabilities"
            | "io.modelcontextprotocol/serverInfo"
            | "io.modelcontextprotocol/logLevel"
            | "io.modelcontextprotocol/subscriptionId"
            | "io.modelcontextprotocol/related-task"
    )
}

fn content(name: &str) -> bool {
    matches!(
        name,
        "type"
            | "text"
            | "content"
            | "image"
            | "audio"
            | "resource"
            | "resource_link"
            | "contents"
            | "uri"
            | "uriTemplate"
            | "blob"
            | "mimeType"
            | "annotations"
            | "audience"
            | "priority"
            | "lastModified"
            | "size"
            | "structuredContent"
            | "isError"
            | "role"
            | "messages"
            | "name"
            | "title"
            | "description"
            | "icons"
            | "src"
            | "sizes"
            | "theme"
            | "arguments"
            | "input"
            | "toolUseId"
    )
}

fn offer(name: &str) -> bool {
    matches!(
        name,
        "resourceTemplates"
            | "inputSchema"
            | "outputSchema"
            | "execution"
            | "taskSupport"
            | "readOnlyHint"
            | "destructiveHint"
            | "idempotentHint"
            | "openWorldHint"
            | "x-mcp-header"
            | "completion"
            | "values"
            | "hasMore"
            | "ref"
            | "argument"
            | "value"
    )
}

fn client(name: &str) -> bool {
    matches!(
        name,
        "modelPreferences"
            | "hints"
            | "costPriority"
            | "speedPriority"
            | "intelligencePriority"
            | "systemPrompt"
            | "includeContext"
            | "temperature"
            | "maxTokens"
            | "stopSequences"
            | "metadata"
            | "toolChoice"
            | "mode"
            | "model"
            | "stopReason"
            | "action"
            | "requestedSchema"
            | "elicitationId"
            | "enumNames"
            | "task"
            | "taskId"
            | "status"
            | "statusMessage"
            | "createdAt"
            | "lastUpdatedAt"
            | "ttl"
            | "pollInterval"
    )
}
