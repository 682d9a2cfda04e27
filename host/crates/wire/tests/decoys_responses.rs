//! Decoys in `openai-responses`: what an upstream, or a caller, puts between the halves of a value so that they are judged
//! apart and read as one. What no client joins with a text is told alone; what some join and others pass over is refused.

#![allow(clippy::needless_pass_by_value, reason = "JSON is easier to read by value")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::Channel;
use serde_json::{Value, json};
use support::{
    CANARY, Judge,
    decoys::{FIRST, LAST, Reads, is_masked, is_refused, named, unnamed},
    masked, openai_responses as responses, run, told, value,
};

/// A response, streamed, with these events in its middle.
fn response(middle: &[Value]) -> String {
    let ends = ["response.created", "response.completed"]
        .map(|kind| json!({"type":kind,"response":{"id":"r","object":"response","output":[]}}));
    responses::sse(&[&ends[..1], middle, &ends[1..]].concat())
}

/// A delta of a response, of this type.
fn delta(kind: &str, (output, at): (u64, u64), text: &str) -> Value {
    json!({"type":kind,"item_id":format!("i{output}"),"output_index":output,"content_index":at,"summary_index":at,"delta":text})
}

fn added(output: u64, item: Value) -> Value {
    json!({"type":"response.output_item.added","output_index":output,"item":item})
}

fn message(output: u64, content: Value) -> Value {
    json!({"type":"message","id":format!("i{output}"),"role":"assistant","status":"completed","content":content})
}

const TEXT: &str = "response.output_text.delta";
const ARGUMENTS: &str = "response.function_call_arguments.delta";

fn deltas(kind: &str, event: &Value) -> Option<String> {
    (event["type"] == kind).then(|| event["delta"].as_str().unwrap_or_default().to_owned())
}

fn text_deltas(event: &Value) -> Option<String> {
    deltas(TEXT, event)
}

#[test]
fn an_event_that_only_looks_like_one_with_text_is_joined_to_nothing() {
    let text = |kind: &str| delta(kind, (0, 0), "zz");
    let part = |kind: &str| json!({"type":kind,"item_id":"i0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"zz"}});
    let decoys = [
        text("output_text.delta"),
        text("response.content_part.delta"),
        text("response.output_text.foo"),
        text("x.response.output_text.delta"),
        text("response.Output_text.delta"),
        json!({"type":"response.output_text.added","item_id":"i0","output_index":0,"content_index":0,"text":"zz"}),
        json!({"type":"response.output_text.done","item_id":"i9","output_index":9,"content_index":0,"refusal":"zz"}),
        part("content_part.added"),
        part("response.content_part.begun"),
        json!({"type":"response.item.done","output_index":1,"item":message(1, json!([{"type":"output_text","text":"zz"}]))}),
    ];
    for decoy in decoys {
        let body = response(&[delta(TEXT, (0, 0), FIRST), decoy, delta(TEXT, (0, 0), LAST)]);
        is_masked(responses::stream(), &body, text_deltas);
        assert!(masked(responses::stream(), &body).contains("zz"));
    }
    let pairs: [(&str, &str, Reads); 2] = [
        ("response.reasoning_text.delta", "response.reasoning.delta", |event| {
            deltas("response.reasoning_text.delta", event)
        }),
        ("response.reasoning_summary_text.delta", "response.reasoning_summary.delta", |event| {
            deltas("response.reasoning_summary_text.delta", event)
        }),
    ];
    for (kind, alias, reads) in pairs {
        let said = |text: &str| delta(kind, (0, 0), text);
        is_masked(responses::stream(), &response(&[said(FIRST), delta(alias, (0, 0), "zz"), said(LAST)]), reads);
        let judge = told(responses::stream(), &response(&[delta(alias, (0, 0), "one "), delta(alias, (0, 0), "two")]));
        assert!(judge.parts.values().any(|told| told.text == "one two"), "they go on among themselves");
    }
}

#[test]
fn the_call_that_runs_is_the_one_that_is_judged() {
    let call = |kind: &str| json!({"type":kind,"id":"i0","call_id":"c","name":"run","arguments":""});
    let piece = |kind: &str, text: &str| json!({"type":kind,"output_index":0,"item_id":"i0","delta":text});
    let (begin, note, end) = (r#"{"cmd":""#, r#"ls","note":""#, r#"rm -rf /srv"}"#);
    let body = |decoy: &str| {
        let pieces = [piece(ARGUMENTS, begin), piece(decoy, note), piece(ARGUMENTS, end)];
        response(&[&[added(0, call("function_call"))], &pieces[..]].concat())
    };
    for decoy in ["function_call_arguments.delta", "response.function_call.delta"] {
        let mut flow = responses::stream();
        flow.push(body(decoy).as_bytes()).unwrap();
        flow.finish().unwrap();
        let mut asked = Vec::new();
        while let Some(step) = flow.next() {
            if let wire::Step::ToolCall(call) = step {
                asked.push(flow.tool_input(call.call));
            }
        }
        assert_eq!(asked, [r#"{"cmd":"rm -rf /srv"}"#], "{decoy}");
    }
    for decoy in ["response.mcp_call_arguments.delta", "response.custom_tool_call_input.delta"] {
        is_refused(responses::stream(), &body(decoy), "the kind of call that its item is");
        // Nor where no item came that says what it is.
        let pieces = [piece(ARGUMENTS, begin), piece(decoy, note)];
        is_refused(responses::stream(), &response(&pieces), "the kind of call that its item is");
        let pieces = [piece(ARGUMENTS, begin), added(0, call("mcp_call"))];
        is_refused(responses::stream(), &response(&pieces), "the call whose arguments came for its place");
    }
    for kind in ["message", "reasoning", "computer_call"] {
        let pieces = [added(0, call(kind)), piece(ARGUMENTS, "{}")];
        is_refused(responses::stream(), &response(&pieces), "the kind of call that its item is");
    }
    let mut begun = call("function_call");
    begun["arguments"] = r#"{"cmd":"ls"}"#.into();
    let pieces = [added(0, begun), piece(ARGUMENTS, r#"{"cmd":"rm -rf /srv"}"#)];
    is_refused(responses::stream(), &response(&pieces), "begins with no arguments");
}

#[test]
fn nothing_is_said_behind_the_end_of_a_response() {
    for end in ["response.completed", "response.failed", "response.incomplete"] {
        let end = json!({"type":end,"response":{"id":"r","object":"response","output":[]}});
        let body = responses::sse(&[delta(TEXT, (0, 0), FIRST), end.clone(), delta(TEXT, (1, 0), LAST)]);
        is_refused(responses::stream(), &body, "after the event that ends the answer");
        let error = json!({"type":"error","code":"c","message":CANARY,"param":null});
        let body = responses::sse(&[delta(TEXT, (0, 0), "hi"), end, error]) + "data: [DONE]\n\n";
        assert_eq!(masked(responses::stream(), &body), body.replace(CANARY, "[SSN]"));
    }
}

/// The text of a response by the rule of SDKs: contents of the type `output_text` of items of the type `message`.
fn output_text(answer: &Value) -> Option<String> {
    let items = answer["output"].as_array().into_iter().flatten().filter(|item| item["type"] == "message");
    let contents = items.flat_map(|item| item["content"].as_array().into_iter().flatten());
    let texts = contents.filter(|part| part["type"] == "output_text");
    Some(texts.map(|part| part["text"].as_str().unwrap()).collect())
}

#[test]
fn what_is_no_text_of_a_whole_response_is_joined_to_nothing() {
    let part = |text: &str| json!({"type":"output_text","text":text});
    let (first, last) = (message(0, json!([part(FIRST)])), message(2, json!([part(LAST)])));
    let between = |item: Value| json!([first, item, last]);
    let within = |decoy: Value| json!([message(0, json!([part(FIRST), decoy, part(LAST)]))]);
    let mut untyped = message(1, json!([part("zz")]));
    untyped.as_object_mut().unwrap().remove("type");
    let mut summary = message(1, json!([]));
    summary["summary"] = json!([part("zz")]);
    let outputs = [
        within(json!({"type":"note","text":"zz"})),
        within(json!({"text":"zz"})),
        within(json!({"type":"input_text","text":"zz"})),
        within(json!({"type":"reasoning_text","text":"zz"})),
        within(json!({"type":"refusal","text":"zz","refusal":"no"})),
        between(untyped),
        between(summary),
        between(json!({"role":"assistant","content":"zz"})),
        between(message(1, json!("zz"))),
        between(json!({"type":"reasoning","id":"i1","content":[part("zz")],"summary":[part("zz")]})),
    ];
    for output in outputs {
        let body = json!({"object":"response","output":output}).to_string();
        assert!(output_text(&value(&body)).unwrap().contains(CANARY), "{body}");
        let out = masked(responses::whole(), &body);
        assert_eq!(output_text(&value(&out)).unwrap(), "ssn [SSN] ok", "{out}");
        assert!(out.contains("zz"), "{out}");
    }
}

#[test]
fn text_that_comes_otherwise_between_two_deltas_is_refused() {
    let part = |kind: &str, text: &str| json!({"type":kind,"text":text});
    let whole = |at: u64| message(at, json!([part("output_text", "zz")]));
    let begun = |content: u64, kind: &str, text: &str| {
        json!({"type":"response.content_part.added","item_id":"i0","output_index":0,"content_index":content,
            "part":part(kind, text)})
    };
    let between = [
        vec![begun(1, "output_text", "zz")],
        vec![added(1, whole(1))],
        vec![json!({"type":"response.output_item.done","output_index":1,"item":whole(1)})],
        vec![json!({"type":"response.output_text.done","item_id":"i1","output_index":1,"content_index":0,"text":"zz"})],
        vec![
            json!({"type":"response.in_progress","response":{"output":[message(0, json!([part("output_text", FIRST)])), whole(1)]}}),
        ],
        // Deltas of what a client that looks at it takes for no text.
        vec![added(1, json!({"type":"reasoning","id":"i1","summary":[]})), delta(TEXT, (1, 0), "zz")],
        vec![begun(1, "note", ""), delta(TEXT, (0, 1), "zz")],
    ];
    for between in between {
        let deltas = [delta(TEXT, (0, 0), FIRST), delta(TEXT, (2, 0), LAST)];
        let middle = [&deltas[..1], &between, &deltas[1..]].concat();
        is_refused(responses::stream(), &response(&middle), "no text between them that comes otherwise");
        // Nothing follows it: it is joined with what stands before it.
        assert!(run(responses::stream(), &mut Judge::masking(), response(&middle[..2]).as_bytes(), &[]).is_ok());
    }
    let twice = [begun(0, "output_text", "x"), delta(TEXT, (0, 0), CANARY)];
    is_refused(responses::stream(), &response(&twice), "begins empty");
}

#[test]
fn servers_that_put_text_at_the_place_of_a_thought_go_on() {
    // As LiteLLM does: the item that began first is the only one that it tells.
    let summary = |text: &str| {
        let mut delta = delta("response.reasoning_summary_text.delta", (0, 0), text);
        delta["item_id"] = json!(format!("rs_{text}"));
        delta
    };
    let middle = [
        added(0, json!({"type":"reasoning","id":"rs_1","status":"in_progress","summary":null})),
        summary("I "),
        summary("think"),
        delta(TEXT, (0, 0), FIRST),
        delta(TEXT, (0, 0), LAST),
    ];
    is_masked(responses::stream(), &response(&middle), text_deltas);
    let judge = told(responses::stream(), &response(&middle));
    assert!(judge.texts(Channel::Content).contains(&"ssn 078-05-1120 ok"));
}

#[test]
fn what_is_no_content_of_a_tools_answer_is_joined_to_nothing() {
    let output = |texts: [&str; 2]| {
        let [first, last] = texts.map(|text| json!({"type":"input_text","text":text}));
        let image = json!({"type":"input_image","image_url":"https://example.com/x.png","text":"zz"});
        let output = json!({"type":"function_call_output","call_id":"c","output":[first, image, last]});
        json!({"model":"m","input":[output]}).to_string()
    };
    assert_eq!(masked(responses::request(), &output([FIRST, LAST])), output(["ssn [SSN]", " ok"]));
    let said = |texts: [&str; 2]| {
        let [first, last] = texts.map(|text| json!({"type":"input_text","text":text}));
        let image = json!({"type":"input_image","image_url":"https://example.com/x.png","text":"zz"});
        json!({"model":"m","input":[{"role":"user","content":[first, image, last]}]}).to_string()
    };
    assert_eq!(masked(responses::request(), &said([FIRST, LAST])), said(["ssn [SSN]", " ok"]));
}

#[test]
fn a_response_whose_events_are_not_all_heard_by_name_is_refused() {
    let said = |text: &str| delta(TEXT, (0, 0), text);
    let untyped = |text: &str| {
        let mut delta = said(text);
        delta.as_object_mut().unwrap().remove("type");
        delta
    };
    let both = |text: &str| named(TEXT, &said(text));
    let mut wrong = said("zz");
    wrong["error"] = json!({});
    for (decoy, why) in [
        (named("error", &said("zz")), "whose name is its type"),
        (named("error", &wrong), "whose name is its type"),
        (named("message", &said("zz")), "as those before"),
        (unnamed(&[said("zz")]), "as those before"),
        (named(TEXT, &untyped("zz")), "as those before"),
    ] {
        is_refused(responses::stream(), &(both(FIRST) + &decoy + &both(LAST)), why);
    }
    // What a policy adds comes as the other events do.
    let (mut flow, mut out) = (responses::stream(), bytes::BytesMut::new());
    flow.push(unnamed(&[said("hi")]).as_bytes()).unwrap();
    flow.finish().unwrap();
    support::add_at_ends(&mut *flow, &mut std::collections::BTreeMap::new(), &mut out);
    let out = std::str::from_utf8(&out).unwrap();
    assert!(out.contains("(end)") && !out.contains("event:"), "{out}");
    for error in [json!({"type":"error","message":CANARY}), json!({"error":{"message":CANARY}})] {
        for error in [named("error", &error), unnamed(&[error])] {
            let body = both("hi") + &error;
            assert_eq!(masked(responses::stream(), &body), body.replace(CANARY, "[SSN]"));
        }
    }
}

#[test]
fn nothing_is_said_in_an_error_or_behind_it() {
    let said = |text: &str| delta(TEXT, (0, 0), text);
    let failed = json!({"type":"error","code":"server_error","message":"overloaded","param":null,"error":{"message":"overloaded"}});
    let item = added(1, message(1, json!([])));
    for behind in [said("9"), item, delta(ARGUMENTS, (1, 0), "{}")] {
        for error in [failed.clone(), json!({"type":"error","message":"overloaded"})] {
            let body = response(&[said(FIRST), said("1120"), error, behind.clone()]);
            is_refused(responses::stream(), &body, "no text and no calls");
        }
    }
    let mut both = said("zz");
    both["error"] = json!({ "message": "overloaded" });
    is_refused(responses::stream(), &response(&[said(FIRST), both, said(LAST)]), "no text and no calls");
    // What came before is judged as all there is; that the answer failed may be said once more.
    let ends = json!({"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error",
        "message":"overloaded"},"output":[message(0, json!([{"type":"output_text","text":CANARY}]))]}});
    let body = responses::sse(&[said("078-05-"), said("1120"), failed, ends]);
    let out = masked(responses::stream(), &body);
    assert!(out.contains("[SSN]") && !out.contains("078-05-"), "{out}");
}

#[test]
fn members_of_the_events_of_a_text_keep_their_types() {
    let said = |text: &str| {
        let mut said = delta(TEXT, (0, 0), text);
        said["sequence_number"] = 1.into();
        said["logprobs"] = json!([]);
        said
    };
    let why = "of the types that they have in those before";
    for (member, odd) in [("logprobs", json!("no")), ("sequence_number", json!("1"))] {
        let decoy = |text: &str| {
            let mut said = said(text);
            said[member] = odd.clone();
            said
        };
        is_refused(responses::stream(), &response(&[said(FIRST), decoy("zz"), said(LAST)]), why);
        is_refused(responses::stream(), &response(&[said(FIRST), said(LAST), decoy("9")]), why);
        is_masked(responses::stream(), &response(&[decoy(FIRST), decoy(LAST)]), text_deltas);
    }
    is_masked(responses::stream(), &response(&[said(FIRST), delta(TEXT, (0, 0), LAST)]), text_deltas);
}
