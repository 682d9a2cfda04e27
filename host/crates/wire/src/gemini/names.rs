//! Names of members that say nothing by themselves: those of Gemini's API and of the schemas in it. Every other name is
//! shown to policies as a field, since a name can carry what a value can.

use std::{borrow::Cow, sync::LazyLock};

use crate::{
    case::{self, Spelling},
    json::Doc,
    words::Vocabulary,
};

/// How names are spelled, in requests and answers, besides the two spellings that Google takes.
pub(super) static SPELLING: Spelling = Spelling {
    known,
    folds: |name| FOLDED.contains(name),
    spell: camel,
    free: &[
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
        "_responseJsonSchema",
        "labels",
        "metadata",
        "details",
    ],
    perhaps: &[],
    keyed: &[],
};

static FOLDED: LazyLock<Vocabulary<String>> =
    LazyLock::new(|| REQUEST.iter().chain(&RESPONSE).chain(&SCHEMA).map(|name| case::folded(name)).collect());

/// Whether a name is one of the protocol's own, in either of its spellings.
pub(super) fn known(name: &str) -> bool {
    let name = camel(name);
    REQUEST.contains(&&*name) || RESPONSE.contains(&&*name) || SCHEMA.contains(&&*name)
}

/// A name in the spelling of JSON. Google's servers read `system_instruction` as `systemInstruction`; an underscore in front
/// begins no word: `_id` is no `Id`.
pub(super) fn camel(name: &str) -> Cow<'_, str> {
    let words = name.trim_start_matches('_');
    if !words.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    out.push_str(&name[..name.len() - words.len()]);
    let mut up = false;
    for char in words.chars() {
        match char {
            '_' => up = true,
            char if std::mem::take(&mut up) => out.push(char.to_ascii_uppercase()),
            char => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// The value of a member, whichever of its spellings it has.
pub(super) fn get(doc: Doc<'_>, object: usize, name: &str) -> Option<usize> {
    doc.members(object).find(|&(key, _)| camel(&doc.name(key)) == name).map(|(_, value)| value)
}

const REQUEST: [&str; 65] = [
    "contents",
    "content",
    "role",
    "parts",
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "mimeType",
    "data",
    "fileData",
    "fileUri",
    "functionCall",
    "id",
    "name",
    "args",
    "functionResponse",
    "response",
    "willContinue",
    "scheduling",
    "executableCode",
    "language",
    "code",
    "codeExecutionResult",
    "outcome",
    "output",
    "videoMetadata",
    "systemInstruction",
    "tools",
    "functionDeclarations",
    "description",
    "parameters",
    "parametersJsonSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "behavior",
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "toolConfig",
    "functionCallingConfig",
    "mode",
    "allowedFunctionNames",
    "safetySettings",
    "category",
    "threshold",
    "generationConfig",
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "includeThoughts",
    "thinkingBudget",
];

const RESPONSE: [&str; 75] = [
    "partialArgs",
    "candidates",
    "finishReason",
    "finishMessage",
    "index",
    "safetyRatings",
    "probability",
    "blocked",
    "severity",
    "probabilityScore",
    "severityScore",
    "citationMetadata",
    "citationSources",
    "citations",
    "startIndex",
    "endIndex",
    "uri",
    "license",
    "title",
    "tokenCount",
    "avgLogprobs",
    "logprobsResult",
    "topCandidates",
    "chosenCandidates",
    "token",
    "tokenId",
    "logProbability",
    "groundingMetadata",
    "groundingChunks",
    "groundingSupports",
    "groundingChunkIndices",
    "confidenceScores",
    "segment",
    "partIndex",
    "web",
    "retrievedContext",
    "webSearchQueries",
    "searchEntryPoint",
    "renderedContent",
    "sdkBlob",
    "retrievalMetadata",
    "urlContextMetadata",
    "urlMetadata",
    "retrievedUrl",
    "urlRetrievalStatus",
    "groundingAttributions",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "totalTokenCount",
    "promptTokensDetails",
    "candidatesTokensDetails",
    "cacheTokensDetails",
    "modality",
    "modelVersion",
    "responseId",
    "createTime",
    "error",
    "message",
    "status",
    "details",
    "@type",
    "reason",
    "domain",
    "metadata",
    "totalTokens",
    "embedding",
    "embeddings",
    "values",
    "models",
];

const SCHEMA: [&str; 40] = [
    "type",
    "format",
    "nullable",
    "enum",
    "items",
    "properties",
    "required",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "default",
    "anyOf",
    "propertyOrdering",
    "$schema",
    "$ref",
    "$defs",
    "additionalProperties",
    "model",
    "taskType",
    "outputDimensionality",
    "requests",
    "generateContentRequest",
    "cachedContent",
    "labels",
    "version",
    "displayName",
    "inputTokenLimit",
    "outputTokenLimit",
    "supportedGenerationMethods",
    "maxTemperature",
    "thinking",
    "nextPageToken",
    "thinkingLevel",
    "baseModelId",
    "speechConfig",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_name() {
        assert_eq!(camel("system_instruction"), "systemInstruction");
        assert_eq!(camel("contents"), "contents");
        assert_eq!(camel("_response_json_schema"), "_responseJsonSchema");
        assert_eq!(camel("_id"), "_id");
        assert!(known("inline_data") && known("inlineData") && !known("inline_datum"));
    }
}
