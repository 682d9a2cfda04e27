//! Whatever stands in the place of a value that a dialect knows, of whatever type, is shown, or the document is refused: a
//! value that is read for what the protocol means by it is text to whoever reads it as that.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::Family;
use serde_json::{Value, json};
use support::{CANARY, Judge, run};
use wire::{Flow, Limits};

const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// A number that is somebody's.
const CARD: &str = "4111111111111111";

/// Opens a flow for a body.
type Open = Box<dyn Fn() -> Box<dyn Flow>>;

/// Writes documents as one body.
type Write = fn(&[Value]) -> String;

fn request(family: Family, path: &'static str) -> Open {
    Box::new(move || wire::claim(family, "POST", path).unwrap().request_at(path, JSON, Limits::default()).unwrap())
}

fn response(family: Family, path: &'static str, content_type: &'static str) -> Open {
    Box::new(move || wire::claim(family, "POST", path).unwrap().response(200, content_type, Limits::default()).unwrap())
}

fn whole(documents: &[Value]) -> String {
    documents[0].to_string()
}

fn lines(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect()
}

fn sse(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("data: {document}\n\n")).collect()
}

fn named(documents: &[Value]) -> String {
    let name = |document: &Value| document["type"].as_str().unwrap_or_default().to_owned();
    documents.iter().map(|document| format!("event: {}\ndata: {document}\n\n", name(document))).collect()
}

/// The pointers (RFC 6901) of all values in a value but itself.
fn places(value: &Value, path: &str, out: &mut Vec<String>) {
    let mut inside = |name: String, value: &Value| {
        let path = format!("{path}/{name}");
        places(value, &path, out);
        out.push(path);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| inside(name.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| inside(at.to_string(), value)),
        _ => {}
    }
}

/// Puts odd values in every place of every document, one at a time.
fn check(open: &Open, write: Write, documents: &[Value]) {
    let canaries = [
        json!(CANARY),
        json!({ CANARY: CANARY }),
        json!([CANARY]),
        json!([[CANARY], { "type": CANARY, "id": CANARY }]),
        json!({ "novel": { "type": [CANARY], "text": CANARY } }),
    ];
    for (number, document) in documents.iter().enumerate() {
        let mut all = Vec::new();
        places(document, "", &mut all);
        for place in all {
            let with = |odd: &Value| {
                let mut documents = documents.to_vec();
                *documents[number].pointer_mut(&place).unwrap() = odd.clone();
                write(&documents)
            };
            for odd in &canaries {
                let body = with(odd);
                let mut judge = Judge::masking();
                // The model of a request is told as such.
                let Ok(out) = run(open(), &mut judge, body.as_bytes(), &[]) else { continue };
                let asked = judge.asked.is_some_and(|asked| asked.model.contains(CANARY));
                let out = String::from_utf8(out.concat()).unwrap();
                assert!(asked || !out.contains(CANARY), "{place} of {number}: {out}");
            }
            let body = with(&serde_json::from_str(CARD).unwrap());
            let mut judge = Judge::default();
            if run(open(), &mut judge, body.as_bytes(), &[]).is_ok() {
                assert!(judge.parts.values().any(|told| told.text.contains(CARD)), "{place} of {number}: {body}");
            }
        }
    }
}

#[test]
fn of_ollama() {
    let tools = json!([{"function":{"index":0,"name":"n","arguments":{"a":"b"}},"id":"c"}]);
    let first = json!({"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"a","thinking":"b",
        "images":["x"],"tool_calls":tools},"done":false,"logprobs":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-0.5}]}]});
    let last = json!({"model":"m","remote_model":"r","remote_host":"h","message":{"role":"assistant","content":""},"done":true,
        "done_reason":"stop","total_duration":1,"load_duration":1,"prompt_eval_count":1,"prompt_eval_duration":1,"eval_count":1,
        "eval_duration":1,"context":[1,2]});
    let generated = json!({"model":"m","response":"a","thinking":"b","done":true,"context":[1,2],"error":"e"});
    check(&response(Family::Ollama, "/api/chat", LINES), lines, &[first, last.clone()]);
    check(&response(Family::Ollama, "/api/chat", JSON), whole, &[last]);
    check(&response(Family::Ollama, "/api/generate", JSON), whole, &[generated]);
    let embedded =
        json!({"model":"m","embeddings":[[0.5,0.25]],"total_duration":1,"load_duration":1,"prompt_eval_count":1});
    check(&response(Family::Ollama, "/api/embed", JSON), whole, &[embedded]);
    let asked = json!({"model":"m","messages":[{"role":"user","content":"c","images":["x"]},{"role":"assistant","content":"",
        "tool_calls":[{"function":{"name":"n","arguments":{"a":"b"}}}]},{"role":"tool","content":"t","tool_name":"n"}],
        "stream":true,"format":"json","options":{"seed":1},"keep_alive":"1m","think":true,"prompt":"p","suffix":"s","system":"y",
        "context":null,"tools":[{"type":"function","function":{"name":"n","description":"d","parameters":{"type":"object"}}}]});
    check(&request(Family::Ollama, "/api/chat"), whole, &[asked]);
    check(&request(Family::Ollama, "/api/embed"), whole, &[json!({"model":"m","input":["a"],"truncate":true})]);
}

#[test]
fn of_chats() {
    let path = "/v1/chat/completions";
    let token =
        json!({"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-0.5,"bytes":[98]}]});
    let first = json!({"id":"i","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":"f","service_tier":"t",
        "provider":"p","obfuscation":"o","citations":["c"],"choices":[{"index":0,"delta":{"role":"assistant","content":"a",
        "refusal":"r","reasoning_content":"b","reasoning":"d","audio":{"id":"i","data":"x","transcript":"t","expires_at":1},
        "annotations":[{"type":"url_citation"}]},"logprobs":{"content":[token],"refusal":null},"finish_reason":null,"token_ids":[1],
        "content_filter_results":{"hate":{"filtered":false}},"stop_reason":null}]});
    let list = json!({"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"a"},{"type":"thinking","thinking":[{"type":"text","text":"b"}]}]}}]});
    let call = json!({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"n","arguments":"{}"}}]}}]});
    let last = json!({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,
        "prompt_tokens_details":{"cached_tokens":0}},"moderation":{"results":[{"flagged":false,"category_scores":{"hate":0.5}}]}});
    check(&response(Family::Openai, path, SSE), sse, &[first.clone(), list, call, last]);
    let mut answer = first;
    answer["choices"][0]["message"] = answer["choices"][0]["delta"].take();
    answer["choices"][0].as_object_mut().unwrap().remove("delta");
    answer["choices"][0]["message"]["function_call"] = json!({"name":"n","arguments":"{}"});
    answer["error"] = json!({"message":"e","type":"server_error","code":1});
    answer["choices"][0]["logprobs"] =
        json!({"tokens":["a"],"token_logprobs":[-0.5],"text_offset":[0],"top_logprobs":[{"a":-0.5}]});
    check(&response(Family::Openai, path, JSON), whole, &[answer]);
    let asked = json!({"model":"m","stream":false,"temperature":1,"metadata":{"a":"b"},"prediction":{"type":"content","content":"p"},
        "messages":[{"role":"user","name":"u","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u","detail":"low"}},
        {"type":"input_audio","input_audio":{"data":"x","format":"wav"}},{"type":"file","file":{"file_data":"x","filename":"f"}}]},
        {"role":"assistant","content":"c","refusal":"r","reasoning":"s","function_call":{"name":"n","arguments":"{}"},
        "tool_calls":[{"id":"c","type":"function","function":{"name":"n","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"t"}],
        "tools":[{"type":"function","function":{"name":"n","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}],
        "tool_choice":{"type":"function","function":{"name":"n"}},"prompt_token_ids":null});
    check(&request(Family::Openai, path), whole, std::slice::from_ref(&asked));
    check(&request(Family::Openai, "/openai/deployments/gpt-9/chat/completions"), whole, &[asked]);
}

#[test]
fn of_completions_embeddings_and_moderations() {
    let completed = json!({"id":"i","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"a","finish_reason":"stop",
        "token_ids":[1],"logprobs":{"tokens":["a"],"token_logprobs":[-0.5],"text_offset":[0],"top_logprobs":[{"b":-0.5}]}}],
        "usage":{"prompt_tokens":1}});
    check(&response(Family::Openai, "/v1/completions", JSON), whole, std::slice::from_ref(&completed));
    check(&response(Family::Openai, "/v1/completions", SSE), sse, &[completed]);
    let asked = json!({"model":"m","prompt":["a",{"type":"text","text":"b","image_url":{"url":"u"}}],"suffix":"s","stream":false,"user":"u"});
    check(&request(Family::Openai, "/v1/completions"), whole, std::slice::from_ref(&asked));
    check(&request(Family::Openai, "/openai/deployments/gpt-9/completions"), whole, &[asked]);
    let vectors = json!({"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5,0.25]}],"usage":{"prompt_tokens":1}});
    check(&response(Family::Openai, "/v1/embeddings", JSON), whole, &[vectors]);
    let found = json!({"id":"i","model":"m","results":[{"flagged":false,"categories":{"hate":false},"category_scores":{"hate":0.5}}]});
    check(&response(Family::Openai, "/v1/moderations", JSON), whole, &[found]);
}

#[test]
fn of_responses() {
    let path = "/v1/responses";
    let text = json!({"type":"output_text","text":"a","annotations":[{"type":"url_citation","url":"u"}],
        "logprobs":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}]});
    let message = json!({"id":"i","type":"message","role":"assistant","status":"completed","phase":null,"content":[text,{"type":"refusal","refusal":"r"}]});
    let items = json!([message, {"id":"r","type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"t"}],"encrypted_content":"x"},
        {"id":"c","type":"function_call","call_id":"k","name":"n","arguments":"{}","status":"completed"},
        {"id":"w","type":"web_search_call","status":"completed","action":{"type":"search","query":"q"}},
        {"id":"f","type":"file_search_call","queries":["q"],"results":[{"file_id":"f","text":"t","score":0.5}]},
        {"id":"g","type":"image_generation_call","result":"x","revised_prompt":"p"},
        {"id":"p","type":"code_interpreter_call","code":"c","container_id":"k","outputs":[{"type":"logs","logs":"l"}]},
        {"id":"h","type":"shell_call","call_id":"k","action":{"commands":["ls"]}},
        {"id":"m","type":"mcp_list_tools","server_label":"s","tools":[{"name":"n","description":"d","input_schema":{}}],"error":null}]);
    let answer = json!({"id":"resp","object":"response","created_at":1,"completed_at":2,"status":"completed","model":"m","error":null,
        "instructions":"i","tools":[{"type":"function","name":"n","parameters":{}}],"output":items,"output_text":"a",
        "usage":{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0}},"moderation":null,"tool_usage":{"a":1}});
    check(&response(Family::Openai, path, JSON), whole, std::slice::from_ref(&answer));
    let events = [
        json!({"type":"response.created","sequence_number":0,"response":{"id":"resp","status":"in_progress","instructions":"i","output":[]}}),
        json!({"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"i","type":"message","role":"assistant","content":[]}}),
        json!({"type":"response.content_part.added","item_id":"i","output_index":0,"content_index":0,"part":{"type":"output_text","text":""}}),
        json!({"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"a","obfuscation":"o",
            "logprobs":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}]}),
        json!({"type":"response.output_text.annotation.added","item_id":"i","output_index":0,"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation"}}),
        json!({"type":"response.output_text.done","item_id":"i","output_index":0,"content_index":0,"text":"a","logprobs":[]}),
        json!({"type":"response.output_item.done","output_index":0,"item":message}),
        json!({"type":"response.output_item.added","output_index":1,"item":{"id":"c","type":"function_call","call_id":"k","name":"n","arguments":""}}),
        json!({"type":"response.function_call_arguments.delta","item_id":"c","output_index":1,"delta":"{}"}),
        json!({"type":"response.function_call_arguments.done","item_id":"c","output_index":1,"name":"n","arguments":"{}"}),
        json!({"type":"response.image_generation_call.partial_image","item_id":"g","output_index":2,"partial_image_index":0,"partial_image_b64":"x"}),
        json!({"type":"response.shell_call_output_content.delta","output_index":3,"command_index":0,"delta":{"stdout":"o","stderr":"e"}}),
        json!({"type":"response.completed","response":{"id":"resp","status":"completed","output":[message],"usage":{"input_tokens":1}}}),
    ];
    check(&response(Family::Openai, path, SSE), sse, &events);
    let asked = json!({"model":"m","stream":false,"instructions":"i","input":items,"prompt":{"id":"p","variables":{"a":"b"}},
        "tools":[{"type":"function","name":"n","description":"d","parameters":{}}],"metadata":{"a":"b"}});
    check(&request(Family::Openai, path), whole, &[asked]);
}

#[test]
fn of_messages() {
    let path = "/v1/messages";
    let usage = json!({"input_tokens":1,"output_tokens":2,"server_tool_use":{"web_search_requests":0},"service_tier":"standard"});
    let content = json!([{"type":"text","text":"a","citations":[{"type":"char_location","cited_text":"c","document_index":0,"encrypted_index":"x"}]},
        {"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"x"},
        {"type":"tool_use","id":"i","name":"n","input":{"a":"b"}},
        {"type":"web_search_tool_result","tool_use_id":"i","content":[{"type":"web_search_result","title":"t","url":"u","encrypted_content":"x"}]}]);
    let message = json!({"id":"i","type":"message","role":"assistant","model":"m","content":content,"stop_reason":"end_turn","stop_sequence":null,
        "stop_details":{"type":"refusal","category":"cyber","explanation":"e"},"usage":usage,"container":{"id":"c","expires_at":"e"}});
    check(&response(Family::Anthropic, path, JSON), whole, &[message]);
    let events = [
        json!({"type":"message_start","message":{"id":"i","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":usage}}),
        json!({"type":"ping"}),
        json!({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}),
        json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}),
        json!({"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"type":"char_location","cited_text":"c"}}}),
        json!({"type":"content_block_stop","index":0}),
        json!({"type":"content_block_start","index":1,"content_block":{"type":"thinking","thinking":"","signature":""}}),
        json!({"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"s"}}),
        json!({"type":"content_block_stop","index":1}),
        json!({"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"i","name":"n","input":{}}}),
        json!({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}),
        json!({"type":"content_block_stop","index":2}),
        json!({"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2},"context_management":{"applied_edits":[]}}),
        json!({"type":"error","error":{"type":"api_error","message":"e"}}),
        json!({"type":"message_stop"}),
    ];
    check(&response(Family::Anthropic, path, SSE), named, &events);
    let asked = json!({"model":"m","max_tokens":1,"stream":false,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],
        "metadata":{"user_id":"u"},"messages":[{"role":"user","content":[{"type":"text","text":"a"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"x"}},
        {"type":"document","title":"t","context":"c","source":{"type":"text","media_type":"text/plain","data":"d"}},
        {"type":"tool_result","tool_use_id":"i","is_error":false,"content":[{"type":"text","text":"r"}]}]},{"role":"assistant","content":content}],
        "tools":[{"name":"n","description":"d","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"n"}});
    check(&request(Family::Anthropic, path), whole, &[asked]);
    check(&response(Family::Anthropic, "/v1/messages/count_tokens", JSON), whole, &[json!({"input_tokens":1})]);
}

#[test]
fn of_gemini() {
    let tokens = json!({"chosenCandidates":[{"token":"a","tokenId":1,"logProbability":-0.5}],"topCandidates":[{"candidates":[{"token":"b","logProbability":-0.5}]}]});
    let parts = json!([{"text":"a"},{"text":"t","thought":true,"thoughtSignature":"x"},{"inlineData":{"mimeType":"image/png","data":"x"}},
        {"functionCall":{"id":"i","name":"n","args":{"a":"b"}}},{"executableCode":{"language":"PYTHON","code":"c"}},
        {"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"o"}}]);
    let answer = json!({"candidates":[{"index":0,"content":{"role":"model","parts":parts},"finishReason":"STOP","tokenCount":1,
        "avgLogprobs":-0.5,"logprobsResult":tokens,"safetyRatings":[{"category":"HARM_CATEGORY_HARASSMENT","probability":"LOW"}],
        "groundingMetadata":{"webSearchQueries":["q"]}}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":1}]},"modelVersion":"m","responseId":"r","createTime":"t",
        "promptFeedback":{"blockReason":"OTHER"},"error":{"code":400,"status":"INVALID_ARGUMENT","message":"e"}});
    check(&response(Family::Gemini, "/v1beta/models/m:generateContent", JSON), whole, std::slice::from_ref(&answer));
    check(&response(Family::Gemini, "/v1beta/models/m:streamGenerateContent", SSE), sse, &[answer]);
    let asked = json!({"model":"models/m","systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":parts},
        {"role":"function","parts":[{"functionResponse":{"name":"n","response":{"a":"b"}}}]}],"cachedContent":"c",
        "tools":[{"functionDeclarations":[{"name":"n","description":"d","parameters":{"type":"OBJECT"}}]}],
        "toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},"generationConfig":{"stopSequences":["s"],"maxOutputTokens":1}});
    check(&request(Family::Gemini, "/v1beta/models/m:generateContent"), whole, &[asked]);
    let embedded =
        json!({"embedding":{"values":[0.5]},"embeddings":[{"values":[0.25]}],"usageMetadata":{"promptTokenCount":1}});
    check(&response(Family::Gemini, "/v1beta/models/m:embedContent", JSON), whole, &[embedded]);
}

#[test]
fn the_folder_before_a_models_name_is_shown() {
    let open = request(Family::Gemini, "/v1beta/models/m:generateContent");
    let body = json!({ "model": format!("{CANARY}/m"), "contents": [] }).to_string();
    assert!(!support::masked(open(), &body).contains(CANARY));
}

#[test]
fn of_mcp() {
    let answer = json!({"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a","annotations":{"audience":["user"],"priority":1}},
        {"type":"image","data":"x","mimeType":"image/png"},{"type":"resource","resource":{"uri":"u","mimeType":"text/plain","text":"t","blob":"x"}},
        {"type":"resource_link","uri":"u","name":"n","title":"t"}],"structuredContent":{"a":"b"},"isError":false,"_meta":{"a":"b"},
        "tools":[{"name":"n","inputSchema":{"type":"object"}}],"messages":[{"role":"user","content":{"type":"text","text":"a"}}],
        "resultType":"complete","nextCursor":"c","requestState":"x",
        "inputRequests":{"a":{"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object"}}}}}});
    let failed = json!({"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m","data":{"a":"b"}}});
    check(&response(Family::Mcp, "/", JSON), whole, std::slice::from_ref(&answer));
    check(&response(Family::Mcp, "/", SSE), sse, &[answer, failed]);
    let call = json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"a":"b"},"_meta":{"progressToken":1},
        "inputResponses":{"a":{"action":"accept","content":{"a":"b"}}},"requestState":"x"}});
    check(&request(Family::Mcp, "/"), whole, &[call]);
    let sampled = json!({"jsonrpc":"2.0","id":1,"result":{"role":"assistant","model":"m","stopReason":"endTurn","content":{"type":"text","text":"a"}}});
    check(&request(Family::Mcp, "/"), whole, &[sampled]);
}
