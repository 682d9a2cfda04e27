//! Names of members in another spelling than the API's: what some reader takes for a name of the dialect's is judged as
//! that, or refused, in requests and in answers, whole and streamed. Names that are somebody's own are left alone.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::{Channel, Family};
use serde_json::{Value, json};
use support::{Judge, anthropic, masked, mcp, openai_chat, openai_completions, openai_responses, run, told, value};
use wire::{Flow, Limits};

/// Opens a flow.
type Open = fn() -> Box<dyn Flow>;

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";
const GEMINI: &str = "/v1beta/models/m:generateContent";

fn refused(open: Open, body: &str) -> bool {
    match run(open(), &mut Judge::masking(), body.as_bytes(), &[]) {
        Ok(_) => false,
        Err(error) => {
            assert!(error.to_string().contains("case counts"), "{error}: {body}");
            true
        }
    }
}

fn sse(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("data: {document}\n\n")).collect()
}

fn gemini_request() -> Box<dyn Flow> {
    let endpoint = wire::claim(Family::Gemini, "POST", GEMINI).unwrap();
    endpoint.request_at(GEMINI, JSON, Limits::default()).unwrap()
}

fn gemini_whole() -> Box<dyn Flow> {
    wire::claim(Family::Gemini, "POST", GEMINI).unwrap().response(200, JSON, Limits::default()).unwrap()
}

fn gemini_stream() -> Box<dyn Flow> {
    let path = "/v1beta/models/m:streamGenerateContent";
    wire::claim(Family::Gemini, "POST", path).unwrap().response(200, SSE, Limits::default()).unwrap()
}

fn ollama() -> &'static dyn wire::Endpoint {
    wire::claim(Family::Ollama, "POST", "/api/chat").unwrap()
}

fn ollama_request() -> Box<dyn Flow> {
    ollama().request(JSON, Limits::default()).unwrap()
}

fn ollama_lines() -> Box<dyn Flow> {
    ollama().response(200, "application/x-ndjson", Limits::default()).unwrap()
}

#[test]
fn an_odd_name_in_a_request_is_refused_at_every_depth() {
    let message = |message: Value| json!({"model":"m","messages":[message]}).to_string();
    let tool = |tool: Value| json!({"model":"m","messages":[],"tools":[tool]}).to_string();
    let cases: Vec<(Open, String)> = vec![
        (anthropic::request, json!({"model":"m","messages":[],"Tools":[{"name":"shell"}]}).to_string()),
        (anthropic::request, json!({"model":"m","messages":[],"Messages":[]}).to_string()),
        (anthropic::request, json!({"model":"m","messages":[],"SYSTEM":"s"}).to_string()),
        (anthropic::request, tool(json!({"Name":"shell"}))),
        (anthropic::request, message(json!({"role":"user","content":[{"type":"text","Text":"c"}]}))),
        (anthropic::request, message(json!({"role":"user","content":[{"type":"document","source":{"Data":"x"}}]}))),
        (openai_chat::request, message(json!({"role":"user","content":[{"type":"file","file":{"File_data":"x"}}]}))),
        (
            openai_responses::request,
            json!({"model":"m","input":[{"type":"f_call_output","output":[{"Text":"x"}]}]}).to_string(),
        ),
        (ollama_request, tool(json!({"type":"function","Function":{"name":"shell"}}))),
        (ollama_request, tool(json!({"type":"function","function":{"Name":"shell"}}))),
        (gemini_request, json!({"Contents":[]}).to_string()),
        (gemini_request, json!({"contents":[{"parts":[{"Text":"x"}]}]}).to_string()),
        (gemini_request, json!({"contents":[],"tools":[{"function_Declaration_s":[]}]}).to_string()),
        (mcp::request, mcp::result(json!({"role":"assistant","Content":{"type":"text","text":"x"}})).to_string()),
    ];
    for (open, body) in cases {
        assert!(refused(open, &body), "{body}");
    }
}

#[test]
fn an_odd_name_in_an_answer_is_refused_at_every_depth() {
    let chat = |message: Value| json!({"choices":[{"index":0,"message":message}]}).to_string();
    let delta = |delta: Value| json!({"choices":[{"index":0,"delta":delta,"finish_reason":null}]});
    let call = |function: Value| json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":function}]});
    let item = |item: Value| json!({"object":"response","output":[item]}).to_string();
    let candidate = |part: Value| json!({"candidates":[{"content":{"role":"model","parts":[part]}}]});
    let block = |block: Value| anthropic::sse(&[anthropic::block_of(0, block), anthropic::stop(0)], "end_turn");
    let said = |text: &str| json!({"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":text});
    let mut odd = said("a");
    odd["Delta"] = "1120".into();
    let text = json!({"type":"text","text":""});
    let cases: Vec<(Open, String)> = vec![
        (openai_chat::whole, json!({"choices":[],"Choices":[{"index":0,"message":{"content":"c"}}]}).to_string()),
        (openai_chat::whole, chat(json!({"role":"assistant","Tool_calls":[{"function":{"name":"shell"}}]}))),
        (openai_chat::whole, chat(json!({"tool_calls":[{"id":"c","Function":{"name":"shell"}}]}))),
        (openai_chat::whole, chat(json!({"content":[{"type":"text","TEXT":"c"}]}))),
        (openai_chat::stream, sse(&[delta(json!({"content":"ssn 078-05-"})), delta(json!({"Content":"1120 ok"}))])),
        (openai_chat::stream, sse(&[delta(call(json!({"name":"ls"}))), delta(call(json!({"Name":"shell"})))])),
        (openai_completions::whole, json!({"choices":[{"index":0,"text":"a","Text":"b"}]}).to_string()),
        (openai_responses::whole, json!({"object":"response","Output":[]}).to_string()),
        (openai_responses::whole, item(json!({"type":"function_call","call_id":"c","name":"ls","Arguments":"{}"}))),
        (openai_responses::stream, openai_responses::sse(&[said("078-05-"), odd])),
        (gemini_whole, candidate(json!({"FunctionCall":{"name":"shell"}})).to_string()),
        (gemini_whole, candidate(json!({"functioncall":{"name":"shell"}})).to_string()),
        (gemini_whole, candidate(json!({"Function_call":{"name":"shell"}})).to_string()),
        (gemini_whole, candidate(json!({"functionCall":{"Name":"shell"}})).to_string()),
        (gemini_stream, sse(&[candidate(json!({"text":"078-05-"})), candidate(json!({"Text":"1120"}))])),
        (anthropic::whole, json!({"type":"message","content":[],"Content":[]}).to_string()),
        (
            anthropic::whole,
            json!({"type":"message","content":[{"type":"tool_use","name":"ls","Name":"sh"}]}).to_string(),
        ),
        (anthropic::stream, block(json!({"type":"tool_use","id":"t","Name":"shell","input":{}}))),
        (
            anthropic::stream,
            anthropic::sse(
                &[
                    anthropic::block_of(0, text),
                    anthropic::at(0, json!({"type":"text_delta","text":"078-05-"})),
                    anthropic::at(0, json!({"type":"text_delta","Text":"1120"})),
                ],
                "end_turn",
            ),
        ),
        (ollama_lines, json!({"message":{"content":"a"},"Message":{"content":"b"},"done":true}).to_string() + "\n"),
        (
            ollama_lines,
            json!({"message":{"Tool_calls":[{"function":{"name":"shell"}}]},"done":true}).to_string() + "\n",
        ),
        (mcp::whole, mcp::result(json!({"Content":[{"type":"text","text":"078-05-"}]})).to_string()),
        (
            mcp::whole,
            mcp::result(json!({"content":[{"type":"text","text":"078-05-"},{"type":"text","Text":"1120"}]}))
                .to_string(),
        ),
        (mcp::whole, mcp::result(json!({"tools":[{"Name":"shell"}]})).to_string()),
        (mcp::whole, mcp::result(json!({"inputRequests":{"Name":{"Method":"x"}}})).to_string()),
        (mcp::stream, mcp::sse(&[mcp::call("sampling/createMessage", json!({"Messages":[]}))])),
    ];
    for (open, body) in cases {
        assert!(refused(open, &body), "{body}");
    }
}

#[test]
fn an_odd_name_is_refused_of_whatever_the_dialect_reads() {
    let capital = |name: &str| name[..1].to_uppercase() + &name[1..];
    for name in ["prompt_token_ids", "prompt_embeds", "input_ids", "input_embeds", "thinking"] {
        for (open, body) in [
            (openai_chat::request as Open, json!({"model":"m","messages":[],capital(name):[1]})),
            (openai_completions::request, json!({"model":"m","prompt":"x",capital(name):[1]})),
            (openai_responses::request, json!({"model":"m","input":"x",capital(name):[1]})),
        ] {
            assert!(refused(open, &body.to_string()), "{body}");
        }
    }
    for name in ["citations", "search_results", "x_groq", "timings", "prompt_filter_results"] {
        let body = json!({"choices":[],capital(name):["1120"]});
        assert!(
            refused(openai_chat::whole, &body.to_string()) && refused(openai_chat::stream, &sse(&[body])),
            "{name}"
        );
    }
    for name in ["content_filter_offsets", "content_filter_results", "native_finish_reason", "matched_stop"] {
        assert!(refused(openai_chat::stream, &sse(&[json!({"choices":[{"index":0,capital(name):"x"}]})])), "{name}");
    }
    let thinking = json!({"choices":[{"index":0,"delta":{"content":[{"type":"thinking","Thinking":"1120"}]}}]});
    assert!(refused(openai_chat::stream, &sse(&[thinking])));
}

#[test]
fn names_of_somebodys_own_may_have_any_case() {
    let own = json!({"Name":"x","CONTENT":1,"Text":{"Type":"y"}});
    let call = json!({"id":"c","type":"function","function":{"name":"n","arguments":own}});
    let tool = json!({"type":"function","name":"n","parameters":{"type":"object","properties":{"Name":{}}}});
    let chat = json!({"x_provider":{"Model":"x"},"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[call]},
        "logprobs":{"tokens":["a"],"token_logprobs":[-0.5],"top_logprobs":[{"Content":-1.5}]}}]});
    let response = json!({"object":"response","output":[],"tools":[tool],"metadata":own});
    let candidate = json!({"candidates":[{"content":{"parts":[{"functionCall":{"name":"n","args":own}}]}}]});
    let message = json!({"type":"message","content":[{"type":"tool_use","id":"t","name":"n","input":own}]});
    let line = json!({"message":{"tool_calls":[{"function":{"name":"n","arguments":own}}]},"done":true});
    let result = json!({"content":[],"structuredContent":own,"inputRequests":{"Name":{"method":"x/own"}}});
    let schema = json!({"name":"n","input_schema":{"type":"object","properties":{"Name":{}}}});
    let cases: Vec<(Open, String)> = vec![
        (openai_chat::whole, chat.to_string()),
        (openai_responses::whole, response.to_string()),
        (openai_responses::request, json!({"model":"m","input":[],"prompt":{"id":"p","variables":own}}).to_string()),
        (gemini_whole, candidate.to_string()),
        (
            gemini_request,
            candidate["candidates"][0]["content"]
                .as_object()
                .map(|content| json!({"contents":[content]}).to_string())
                .unwrap(),
        ),
        (anthropic::whole, message.to_string()),
        (anthropic::request, json!({"model":"m","messages":[],"tools":[schema],"metadata":own}).to_string()),
        (ollama_lines, line.to_string() + "\n"),
        (mcp::whole, mcp::result(result).to_string()),
        (mcp::request, mcp::result(json!({"action":"accept","content":{"Name":"Ada","Type":"x"}})).to_string()),
        (mcp::request, mcp::call("own/method", own).to_string()),
    ];
    for (open, body) in cases {
        assert!(!refused(open, &body), "{body}");
    }
    // What stands before a provider refuses in its own form.
    let failed = openai_chat::chat().response(502, JSON, Limits::default()).unwrap();
    told(failed, r#"{"Message":"no","Error":{"Code":7}}"#);
}

#[test]
fn names_of_schemas_forms_and_categories_may_have_any_case() {
    let named = json!({"Message":{"type":"object"},"Text":{},"Name":{},"Model":{},"Tool":{},"Error":{},"Content":{}});
    let chat = |member: &str, value: Value| json!({"model":"m","messages":[],member:value}).to_string();
    let gemini = |member: &str, value: &Value| json!({"contents":[],member:value}).to_string();
    let part = json!({"text":"x","_text":"y","_id":"i"});
    let candidate = json!({"_id":"i","_metadata":{"_name":"n"},"candidates":[{"content":{"parts":[part]}}]});
    let call = json!({"id":"c","type":"custom","custom":{"name":"n","input":{"type":"text","Title":"x"}}});
    let moderation = json!({"results":[{"flagged":true,"categories":{"Violence":true},"category_scores":{"Sexual":0.5},
        "category_applied_input_types":{"Text":["text"],"Image":[]}}]});
    let form = json!({"action":"accept","content":{"type":"bug","Title":"x","Text":"y"}});
    let mut cases: Vec<(Open, String)> = vec![
        (openai_chat::request, chat("json_schema", json!({"type":"object","default":{"Name":1},"items":{"Text":{}}}))),
        (openai_chat::whole, json!({"choices":[{"index":0,"message":{"tool_calls":[call]}}]}).to_string()),
        (openai_chat::whole, json!({"choices":[],"moderation":moderation}).to_string()),
        (gemini_whole, candidate.to_string()),
        (gemini_stream, sse(&[candidate])),
        (mcp::request, mcp::result(form.clone()).to_string()),
        (mcp::request, mcp::call("tools/call", json!({"name":"n","inputResponses":{"Name":form}})).to_string()),
    ];
    for name in ["_responseJsonSchema", "_response_json_schema", "responseJsonSchema", "response_json_schema"] {
        cases.push((gemini_request, gemini("generationConfig", &json!({name:{"type":"object","Text":named}}))));
    }
    for name in ["$defs", "definitions", "patternProperties", "properties", "dependentSchemas"] {
        let schema = json!({"type":"object",name:named});
        cases.push((openai_chat::request, chat("json_schema", schema.clone())));
        cases.push((openai_chat::request, chat("response_format", schema.clone())));
        cases.push((anthropic::request, chat("output_format", schema.clone())));
        cases.push((ollama_request, chat("tools", json!([schema]))));
        cases.push((gemini_request, gemini("toolConfig", &schema)));
        cases.push((mcp::whole, mcp::result(json!({"tools":[schema]})).to_string()));
    }
    for (open, body) in cases {
        assert!(!refused(open, &body), "{body}");
    }
}

#[test]
fn beside_schemas_and_forms_an_odd_name_is_refused() {
    let format = |schema: Value| {
        json!({"model":"m","messages":[],"response_format":{"type":"json_schema","json_schema":schema}}).to_string()
    };
    let config = |config: Value| json!({"contents":[],"generationConfig":config}).to_string();
    let sampled = |content: Value| mcp::result(json!({"role":"assistant","content":content})).to_string();
    let mut cases: Vec<(Open, String)> = vec![
        (openai_chat::request, format(json!({"name":"n","Name":"o","schema":{}}))),
        (openai_chat::request, format(json!({"name":"n","Schema":{}}))),
        (openai_chat::whole, json!({"choices":[],"moderation":{"results":[{"Categories":{}}]}}).to_string()),
        (gemini_request, config(json!({"ResponseJsonSchema":{}}))),
        (gemini_request, config(json!({"_ResponseJsonSchema":{}}))),
        (gemini_request, config(json!({"Response_json_schema":{}}))),
        (gemini_request, json!({"contents":[{"parts":[{"Text_":"x"}]}]}).to_string()),
        (mcp::request, sampled(json!([{"type":"bug","Text":"x"}]))),
        (mcp::request, mcp::result(json!({"action":"accept","Content":{"type":"bug"}})).to_string()),
    ];
    for kind in ["text", "image", "audio", "resource", "resource_link", "tool_use", "tool_result"] {
        cases.push((mcp::request, sampled(json!({"type":kind,"Text":"x"}))));
    }
    for (open, body) in cases {
        assert!(refused(open, &body), "{body}");
    }
}

#[test]
fn geminis_answers_are_read_in_both_spellings() {
    let part = |name: &str| json!({"candidates":[{"content":{"role":"model","parts":[{name:{"name":"shell","args":{"ssn":"078-05-1120"}}}]}}]});
    for name in ["functionCall", "function_call"] {
        for (open, body) in [(gemini_whole as Open, part(name).to_string()), (gemini_stream, sse(&[part(name)]))] {
            let calls: Vec<String> = told(open(), &body).calls.into_iter().map(|(_, _, name)| name).collect();
            assert_eq!(calls, ["shell"], "{body}");
            assert!(masked(open(), &body).contains(r#""ssn":"[SSN]""#), "{body}");
        }
    }
    let code = json!({"candidates":[{"content":{"parts":[{"code_execution_result":{"output":"x"}}]},"finish_reason":"STOP"}],
        "usage_metadata":{"prompt_token_count":7,"candidatesTokenCount":2}});
    let judge = told(gemini_whole(), &code.to_string());
    assert_eq!(judge.texts(Channel::ToolResult), ["x"]);
    let in_pieces = json!({"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","partial_args":[]}}]}}]});
    let tokens = json!({"chosenCandidates":[{"token":"078-05-1120"}]});
    let twice = json!({"candidates":[{"content":{"parts":[]},"logprobs_result":tokens,"logprobsResult":tokens}]});
    for body in [in_pieces, twice] {
        assert!(run(gemini_whole(), &mut Judge::masking(), body.to_string().as_bytes(), &[]).is_err(), "{body}");
    }
    let tokens = json!({"candidates":[{"content":{"parts":[{"text":"a 078-05-1120"}]},
        "logprobs_result":{"chosen_candidates":[{"token":"a 078-05-1120","log_probability":-0.5}]}}]});
    let out = value(&masked(gemini_whole(), &tokens.to_string()));
    assert_eq!(out["candidates"][0]["logprobs_result"], Value::Null);
}
