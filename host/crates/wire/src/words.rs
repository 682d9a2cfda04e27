//! The words that protocols say what something is with: roles, types, states, reasons why something ended. A value that
//! is made of them says nothing else; any other is text, whatever member it stands in.

use std::{collections::HashSet, sync::LazyLock};

use foldhash::fast::FixedState;

/// Words that are written here. What callers send is looked up and never kept, so nobody can crowd it.
pub(crate) type Vocabulary<W = &'static str> = HashSet<W, FixedState>;

/// Who speaks, and what about.
const THINGS: &str = "
    assistant user system developer model tool tools function functions human critic discriminator unknown message
    messages text texts content contents part parts item items block blocks chunk object list string number integer
    boolean array null json schema grammar lark regex xml image images audio video file files document documents url
    uri data media source base64 id ids resource resources link prompt prompts sampling template templates input inputs
    output outputs request requests response responses result results call calls chat completion completions embedding
    embeddings moderation moderations batch event events error errors problem transcript speech summary summaries
    reasoning thinking thought thoughts signature encrypted refusal annotation annotations citation citations arguments
    argument parameters delta deltas code command commands diff patch operation stdout stderr logs log outcome exit
    shell bash editor computer screenshot click double scroll keypress drag wait type move key web search fetch page
    pages char location index container upload interpreter execution preview connector mcp approval custom local
    hosted remote apply find open task tasks program namespace reference phase commentary final answer analysis
    conversation session compaction compact context cache ephemeral token tokens usage sequence turn service tier model
    models category python language python3 javascript typescript node
";

/// What becomes of them.
const STATES: &str = "
    created added start started begin begun progress in searching interpreting generating partial update updated done
    stop stopped end ended complete completed incomplete finish finished pause paused queued pending running failed
    fail failure success ok cancelled canceled cancel expired deleted accept accepted decline declined use used
    generation generate generated edit edits view create new old read write truncated redacted filtered filter blocked
    max min length limit limits exceeded size window tokens length stop safety recitation blocklist prohibited spii
    malformed unexpected missing unspecified other none auto required any allowed high medium low minimal xhigh default
    detailed concise flex scale priority standard enabled disabled adaptive ping load unload harm dangerous hate
    harassment sexually explicit civic integrity probability negligible cyber bio violence self
";

/// What was wrong.
const ERRORS: &str = "
    invalid argument bad not found unauthorized forbidden authentication permission denied rate insufficient quota
    overloaded unavailable internal server timeout deadline aborted already exists out of range data loss unimplemented
    failed precondition conflict gateway billing api too many large unsupported protocol parse value missing client
    connection unauthenticated exhausted
";

/// Words of several that are written as one.
const JOINED: &str = "endturn stopsequence maxtokens tooluse inputtext outputtext tooluseresult";

/// What separates words, or is one by itself in a version.
const WORDS_BETWEEN: [char; 3] = ['.', '_', '-'];

static WORDS: LazyLock<Vocabulary> =
    LazyLock::new(|| [THINGS, STATES, ERRORS, JOINED].into_iter().flat_map(str::split_whitespace).collect());

/// Whether a value is made of words that protocols have: `stop`, `MAX_TOKENS`, `response.output_text.delta`.
pub(crate) fn known(value: &str) -> bool {
    value.split(WORDS_BETWEEN).all(|word| {
        WORDS.contains(word)
            || word.bytes().any(|byte| byte.is_ascii_uppercase()) && WORDS.contains(word.to_ascii_lowercase().as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protocols_say_is_known_and_nothing_else() {
        for word in [
            "stop",
            "MAX_TOKENS",
            "end_turn",
            "endTurn",
            "tool_calls",
            "content_filter",
            "chat.completion.chunk",
            "response.output_text.delta",
            "response.reasoning_summary_part.added",
            "response.code_interpreter_call.in_progress",
            "content_block_start",
            "input_json_delta",
            "citations_delta",
            "web_search_result_location",
            "mcp_approval_request",
            "text_completion",
            "invalid_request_error",
            "INVALID_ARGUMENT",
        ] {
            assert!(known(word), "{word}");
        }
        for text in ["", "nightfall", "project_nightfall", "stop.", "Hunter", "_"] {
            assert!(!known(text), "{text}");
        }
    }
}
