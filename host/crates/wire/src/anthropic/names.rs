//! Names of members and of events that say nothing by themselves: those of the Messages API and of JSON Schema. Every
//! other name is shown to policies as a field, since a name can carry what a value can.

use crate::{
    case::{self, Spelling},
    schema,
};

/// How names are spelled, in requests and answers.
pub(super) static SPELLING: Spelling = Spelling {
    known,
    folds: |name| FOLDED.contains(&name),
    spell: case::as_it_is,
    free: &["input", "input_schema", "input_examples", "schema", "metadata", "configs"],
    perhaps: &[],
    keyed: &[],
};

/// Names that decide what is read as what, as [`case::folded`] has them.
const FOLDED: [&str; 63] = [
    "model",
    "messages",
    "role",
    "content",
    "system",
    "max_tokens",
    "metadata",
    "stop_sequences",
    "stream",
    "thinking",
    "tools",
    "tool",
    "definition",
    "tool_name",
    "tool_choice",
    "container",
    "mcp_servers",
    "allowed_tools",
    "instructions",
    "output_config",
    "output_format",
    "format",
    "schema",
    "fallbacks",
    "name",
    "description",
    "input_schema",
    "input_examples",
    "mcp_server_name",
    "configs",
    "type",
    "text",
    "source",
    "media_type",
    "data",
    "url",
    "file_id",
    "title",
    "context",
    "citations",
    "citation",
    "cited_text",
    "encrypted_index",
    "encrypted_content",
    "encrypted_stdout",
    "id",
    "input",
    "tool_use_id",
    "is_error",
    "signature",
    "stdout",
    "stderr",
    "message",
    "stop_reason",
    "stop_details",
    "explanation",
    "usage",
    "error",
    "index",
    "content_block",
    "delta",
    "partial_json",
    "cache_control",
];

/// Whether a name is one of the protocol's own.
pub(super) fn known(name: &str) -> bool {
    request(name) || tool(name) || block(name) || response(name) || event(name) || schema::known(name)
}

fn request(name: &str) -> bool {
    matches!(
        name,
        "model"
            | "messages"
            | "role"
            | "content"
            | "system"
            | "max_tokens"
            | "metadata"
            | "user_id"
            | "stop_sequences"
            | "stream"
            | "temperature"
            | "top_k"
            | "top_p"
            | "thinking"
            | "budget_tokens"
            | "display"
            | "effort"
            | "tools"
            | "tool_choice"
            | "disable_parallel_tool_use"
            | "service_tier"
            | "inference_geo"
            | "speed"
            | "container"
            | "skills"
            | "skill_id"
            | "version"
            | "mcp_servers"
            | "authorization_token"
            | "tool_configuration"
            | "allowed_tools"
            | "enabled"
            | "context_management"
            | "edits"
            | "trigger"
            | "keep"
            | "clear_at_least"
            | "exclude_tools"
            | "clear_tool_inputs"
            | "clear_thinking"
            | "pause_after_compaction"
            | "instructions"
            | "output_config"
            | "output_format"
            | "format"
            | "json_schema"
            | "schema"
            | "task_budget"
            | "cache_control"
            | "ttl"
            | "betas"
            | "diagnostics"
            | "fallbacks"
    )
}

fn tool(name: &str) -> bool {
    matches!(
        name,
        "name"
            | "description"
            | "tool"
            | "definition"
            | "input_schema"
            | "strict"
            | "defer_loading"
            | "allowed_callers"
            | "input_examples"
            | "eager_input_streaming"
            | "max_uses"
            | "allowed_domains"
            | "blocked_domains"
            | "user_location"
            | "city"
            | "region"
            | "country"
            | "timezone"
            | "max_content_tokens"
            | "max_characters"
            | "display_width_px"
            | "display_height_px"
            | "display_number"
            | "enable_zoom"
            | "mcp_toolset"
            | "mcp_server_name"
            | "default_config"
            | "configs"
            | "use_cache"
    )
}

fn block(name: &str) -> bool {
    matches!(
        name,
        "type"
            | "text"
            | "image"
            | "document"
            | "source"
            | "media_type"
            | "data"
            | "url"
            | "file_id"
            | "title"
            | "context"
            | "citations"
            | "citation"
            | "cited_text"
            | "document_index"
            | "document_title"
            | "start_char_index"
            | "end_char_index"
            | "start_page_number"
            | "end_page_number"
            | "start_block_index"
            | "end_block_index"
            | "encrypted_index"
            | "search_result_index"
            | "id"
            | "input"
            | "tool_use_id"
            | "is_error"
            | "signature"
            | "caller"
            | "tool_id"
            | "server_name"
            | "encrypted_content"
            | "encrypted_stdout"
            | "page_age"
            | "retrieved_at"
            | "stdout"
            | "stderr"
            | "return_code"
            | "error_code"
            | "error_message"
            | "tool_references"
            | "tool_name"
            | "file_type"
            | "start_line"
            | "num_lines"
            | "total_lines"
            | "is_file_update"
            | "old_start"
            | "old_lines"
            | "new_start"
            | "new_lines"
            | "lines"
    )
}

fn response(name: &str) -> bool {
    matches!(
        name,
        "message"
            | "stop_reason"
            | "stop_sequence"
            | "stop_details"
            | "category"
            | "explanation"
            | "usage"
            | "input_tokens"
            | "output_tokens"
            | "cache_creation_input_tokens"
            | "cache_read_input_tokens"
            | "cache_creation"
            | "ephemeral_5m_input_tokens"
            | "ephemeral_1h_input_tokens"
            | "server_tool_use"
            | "web_search_requests"
            | "web_fetch_requests"
            | "output_tokens_details"
            | "thinking_tokens"
            | "iterations"
            | "expires_at"
            | "applied_edits"
            | "cleared_tool_uses"
            | "cleared_thinking_turns"
            | "cleared_input_tokens"
            | "original_input_tokens"
            | "error"
            | "request_id"
            | "index"
            | "content_block"
            | "delta"
            | "partial_json"
            | "has_more"
            | "first_id"
            | "last_id"
            | "display_name"
            | "created_at"
            | "max_input_tokens"
            | "capabilities"
    )
}

fn event(name: &str) -> bool {
    matches!(
        name,
        "message_start"
            | "content_block_start"
            | "content_block_delta"
            | "content_block_stop"
            | "message_delta"
            | "message_stop"
            | "ping"
    )
}
