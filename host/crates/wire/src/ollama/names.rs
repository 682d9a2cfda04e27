//! Names of members that say nothing by themselves: those of Ollama's API and of JSON Schema. Every other name is shown
//! to policies as a field, since a name can carry what a value can.

/// Whether a name is one of the protocol's own.
pub(super) fn known(name: &str) -> bool {
    request(name) || RESPONSE.contains(&name) || SCHEMA.contains(&name)
}

/// Whether a name is one of a request, or of a message in it.
pub(super) fn request(name: &str) -> bool {
    REQUEST.contains(&name)
}

/// A name as Go's JSON reader compares it: case does not count, nor do the two letters beyond ASCII that fold into it.
pub(super) fn folded(name: &str) -> String {
    name.chars()
        .map(|char| match char {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            char => char.to_ascii_lowercase(),
        })
        .collect()
}

const REQUEST: [&str; 38] = [
    "model",
    "name",
    "messages",
    "role",
    "content",
    "thinking",
    "images",
    "tool_calls",
    "tool_name",
    "tool_call_id",
    "function",
    "arguments",
    "index",
    "id",
    "prompt",
    "suffix",
    "system",
    "template",
    "context",
    "stream",
    "raw",
    "format",
    "keep_alive",
    "options",
    "tools",
    "tool_choice",
    "think",
    "truncate",
    "shift",
    "logprobs",
    "top_logprobs",
    "input",
    "dimensions",
    "verbose",
    "type",
    "description",
    "parameters",
    "_debug_render_only",
];

const RESPONSE: [&str; 46] = [
    "created_at",
    "message",
    "response",
    "done",
    "done_reason",
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
    "error",
    "token",
    "logprob",
    "bytes",
    "remote_model",
    "remote_host",
    "embedding",
    "embeddings",
    "models",
    "modified_at",
    "size",
    "size_vram",
    "digest",
    "details",
    "parent_model",
    "family",
    "families",
    "parameter_size",
    "quantization_level",
    "expires_at",
    "context_length",
    "version",
    "license",
    "modelfile",
    "model_info",
    "tensors",
    "shape",
    "capabilities",
    "projector_info",
    "status",
    "signin_url",
    "code",
    "_debug_info",
    "rendered_template",
    "image_count",
];

const SCHEMA: [&str; 18] = [
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "default",
    "examples",
    "additionalProperties",
    "anyOf",
    "allOf",
    "oneOf",
    "not",
    "minimum",
    "maximum",
    "pattern",
    "$schema",
    "$ref",
    "$defs",
];
