//! Names of members that say nothing by themselves: those of OpenAI's APIs, of the servers that copy them, and of JSON
//! Schema. Every other name is shown to policies as a field, since a name can carry what a value can.

use std::sync::LazyLock;

use crate::{
    case::{self, Spelling},
    json::Doc,
    words::Vocabulary,
};

/// Requests of the chat API.
const REQUEST: &str = "
    model messages role content name type text image_url url detail input_audio data format file file_data
    file_id filename refusal tool_calls tool_call_id function_call function functions arguments custom input
    tools tool_choice parallel_tool_calls parameters strict stream stream_options include_usage
    include_obfuscation temperature top_p top_k min_p n stop max_tokens max_completion_tokens presence_penalty
    frequency_penalty logit_bias logprobs top_logprobs user seed metadata store prediction response_format
    json_schema schema modalities audio voice service_tier reasoning_effort verbosity web_search_options
    search_context_size user_location prompt_cache_key prompt_cache_retention safety_identifier
    repetition_penalty mode grammar syntax definition allowed_tools input_ids prompt_embeds input_embeds
";

/// Its answers, lists of models, and what other servers add.
const ANSWER: &str = "
    id object created choices index delta message finish_reason usage system_fingerprint provider
    native_finish_reason stop_reason reasoning_content reasoning reasoning_details summary signature transcript
    expires_at annotations url_citation start_index end_index title token logprob bytes prompt_tokens
    completion_tokens total_tokens prompt_tokens_details completion_tokens_details cached_tokens audio_tokens
    reasoning_tokens text_tokens image_tokens accepted_prediction_tokens rejected_prediction_tokens error code
    param status request_id obfuscation owned_by permission root parent max_model_len content_filter_results
    prompt_filter_results prompt_index filtered severity hate self_harm sexual violence jailbreak detected
    timings prompt_logprobs kv_transfer_params prompt_token_ids token_ids matched_stop thinking citations
    search_results content_filter_offsets x_groq
";

/// The other dialects: responses, completions, embeddings, moderations.
const OTHERS: &str = "
    output instructions previous_response_id conversation prompt variables include max_output_tokens
    max_tool_calls truncation background item part item_id output_index content_index summary_index
    command_index annotation_index partial_image_index partial_image_b64 sequence_number annotation response
    created_at completed_at incomplete_details reason call_id namespace server_label server_url connector_id
    approval_request_id approve encrypted_content phase action actions queries query results result sources
    outputs logs container_id container command commands cwd env working_directory timeout_ms operation diff
    path stdout stderr outcome exit_code keys x y button scroll_x scroll_y pending_safety_checks
    acknowledged_safety_checks input_schema require_approval headers vector_store_ids filters max_num_results
    ranking_options input_tokens output_tokens input_tokens_details output_tokens_details effort
    generate_summary context_management cache_write_tokens first_id last_id has_more deleted score attributes
    revised_prompt quality size output_format image_gen web_search num_requests input_image output_text
    display_width display_height environment file_ids search_content_types tool_usage moderation embedding
    dimensions encoding_format suffix echo best_of tokens token_logprobs text_offset flagged categories
    category_scores category_applied_input_types
";

/// JSON Schema.
const SCHEMA: &str = "
    properties required items enum const description default examples additionalProperties anyOf allOf oneOf not
    minimum maximum minLength maxLength minItems maxItems pattern nullable $schema $ref $defs $id definitions
    exclusiveMinimum exclusiveMaximum multipleOf uniqueItems prefixItems patternProperties propertyNames
    deprecated readOnly if then else
";

static KNOWN: LazyLock<Vocabulary> =
    LazyLock::new(|| [REQUEST, ANSWER, OTHERS, SCHEMA].into_iter().flat_map(str::split_whitespace).collect());

static FOLDED: LazyLock<Vocabulary<String>> = LazyLock::new(|| KNOWN.iter().map(|name| case::folded(name)).collect());

/// How names are spelled, in requests and answers: gateways, servers and clients that are written in Go, Ollama among
/// them, do not look at case.
pub(super) static SPELLING: Spelling = Spelling {
    known,
    folds: |name| FOLDED.contains(name),
    spell: case::as_it_is,
    free: &[
        "arguments",
        "parameters",
        "schema",
        "input_schema",
        "metadata",
        "attributes",
        "variables",
        "headers",
        "env",
        "filters",
        "logit_bias",
        "top_logprobs",
        "prompt_logprobs",
        "kv_transfer_params",
        "categories",
        "category_scores",
        "category_applied_input_types",
    ],
    // An input that is an object is the arguments of a call; elsewhere it is a list.
    perhaps: &[("input", |_, _| false), ("json_schema", has_schema)],
    keyed: &[],
};

/// Whether a schema is in this, which some servers take as it stands.
fn has_schema(doc: Doc<'_>, object: usize) -> bool {
    doc.members(object).any(|(key, _)| case::folded(&doc.name(key)) == "schema")
}

/// Whether a name is one of the protocol's own.
pub(super) fn known(name: &str) -> bool {
    KNOWN.contains(name)
}
