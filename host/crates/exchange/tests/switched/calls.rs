//! A set comes into force while an agent writes a call: nothing of the call has left, and all of it is judged anew.

use model::{Family, Outcome, Restore};
use serde_json::{Value, json};

use super::switched;
use crate::{
    SSE, closed,
    rig::{Does, Rig, Setting, TestPolicy, policy, set, so_far},
};

/// A dialect's request for a stream, and the events of an answer: what leaves at once, then a call up to the middle of its
/// arguments, and what is left of it. `ZEBRA` stands in its name, in its arguments and beside it.
struct Dialect {
    family: Family,
    path: &'static str,
    request: Value,
    text: Vec<String>,
    begun: Vec<String>,
    rest: Vec<String>,
}

fn data(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn named(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
}

fn chat(delta: &Value, finish: &Value) -> String {
    data(&json!({
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "citations": ["a ZEBRA "],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }))
}

fn openai() -> Dialect {
    let call = |function: Value| json!({"tool_calls": [{"index": 0, "function": function}]});
    let first = json!({"tool_calls": [{
        "index": 0, "id": "c", "type": "function", "function": {"name": "find_ZEBRA", "arguments": ""},
    }]});
    let open = |delta: Value| chat(&delta, &Value::Null);
    Dialect {
        family: Family::Openai,
        path: "/v1/chat/completions",
        request: json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}),
        text: vec![open(json!({"role": "assistant", "content": ""})), open(json!({"content": "I will look."}))],
        begun: vec![open(first), open(call(json!({"arguments": "{\"p\":\"ZEB"})))],
        rest: vec![
            open(call(json!({"arguments": "RA-77\"}"}))),
            chat(&json!({}), &"tool_calls".into()),
            "data: [DONE]\n\n".into(),
        ],
    }
}

fn anthropic() -> Dialect {
    let block =
        |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let more = |text: &str| delta(1, json!({"type": "input_json_delta", "partial_json": text}));
    let all = |events: &[Value]| events.iter().map(named).collect();
    Dialect {
        family: Family::Anthropic,
        path: "/v1/messages",
        request: json!({"model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        text: all(&[
            json!({"type": "message_start", "message": {"type": "message", "role": "assistant", "content": []}}),
            block(0, json!({"type": "text", "text": ""})),
            delta(0, json!({"type": "text_delta", "text": "I will look."})),
        ]),
        begun: all(&[
            stop(0),
            block(1, json!({"type": "tool_use", "id": "t", "name": "find_ZEBRA", "input": {}, "note": "a ZEBRA "})),
            more("{\"p\":\"ZEB"),
        ]),
        rest: all(&[
            more("RA-77\"}"),
            stop(1),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop"}),
        ]),
    }
}

fn responses() -> Dialect {
    let response = json!({"id": "r", "object": "response", "status": "in_progress", "model": "m", "output": []});
    let call = |status: &str, arguments: &str| json!({"id": "f", "type": "function_call", "status": status, "call_id": "c", "name": "find_ZEBRA", "arguments": arguments});
    let of_call = |kind: &str, member: &str, text: &str| json!({"type": format!("response.function_call_arguments.{kind}"), "item_id": "f", "output_index": 0, member: text});
    let item = |kind: &str, item: Value| json!({"type": format!("response.output_item.{kind}"), "output_index": 0, "item": item, "note": "a ZEBRA "});
    let arguments = "{\"p\":\"ZEBRA-77\"}";
    let mut whole = response.clone();
    whole["status"] = "completed".into();
    whole["output"] = json!([call("completed", arguments)]);
    let all = |events: &[Value]| events.iter().map(named).collect();
    Dialect {
        family: Family::Openai,
        path: "/v1/responses",
        request: json!({"model": "m", "stream": true, "input": "hi"}),
        text: all(&[json!({"type": "response.created", "response": response})]),
        begun: all(&[item("added", call("in_progress", "")), of_call("delta", "delta", "{\"p\":\"ZEB")]),
        rest: all(&[
            of_call("delta", "delta", "RA-77\"}"),
            of_call("done", "arguments", arguments),
            item("done", call("completed", arguments)),
            json!({"type": "response.completed", "response": whole}),
        ]),
    }
}

const DIALECTS: [fn() -> Dialect; 3] = [openai, anthropic, responses];

/// The rig, and the answer up to the middle of the call.
async fn begun(dialect: &Dialect, policies: Vec<TestPolicy>) -> (Rig, exchange::Reply) {
    let rig = Rig::new(Setting { policies, content_type: SSE, family: dialect.family, ..Setting::default() });
    let body: exchange::Incoming = Box::pin(futures_util::stream::iter([Ok(dialect.request.to_string().into())]));
    let request = http::Request::post(dialect.path)
        .header("host", "gate")
        .header("authorization", "Bearer good")
        .header("content-type", "application/json");
    let mut body = rig.carry(request.body(body).unwrap()).await.into_body();
    dialect.text.iter().for_each(|event| rig.say(event));
    assert_eq!(so_far(&mut body).await, dialect.text.concat());
    for event in &dialect.begun {
        rig.say(event);
        assert_eq!(so_far(&mut body).await, "", "the call waits");
    }
    (rig, body)
}

/// The rest of the answer, up to its end.
async fn rest(dialect: &Dialect, rig: &mut Rig, body: &mut exchange::Reply) -> String {
    let mut told = String::new();
    for event in &dialect.rest {
        rig.say(event);
        told.push_str(&so_far(body).await);
    }
    rig.hang_up();
    told + &so_far(body).await
}

fn mask(word: &'static str, by: &'static str) -> Vec<TestPolicy> {
    vec![policy("10-mask", Does::Mask(word, by))]
}

#[tokio::test]
async fn a_call_that_is_being_written_goes_on_as_the_set_in_force_has_it() {
    for dialect in DIALECTS {
        let dialect = dialect();
        let as_it_came = [&dialect.begun[..], &dialect.rest].concat().concat();
        // What only the set that came masks, in the name, in the arguments over their cut, and beside them.
        for (sets, masked) in [
            (vec![mask("ZEBRA", "[Z]")], true),
            (vec![mask("other", "[O]")], false),
            (vec![mask("ZEBRA", "[A]"), mask("ZEBRA", "[Z]")], true),
            (vec![mask("ZEBRA", "[A]"), mask("other", "[O]")], false),
        ] {
            let (mut rig, mut body) = begun(&dialect, mask("secret", "[X]")).await;
            let mut generation = 1;
            for policies in sets {
                generation += 1;
                rig.publish.send(set(generation, policies)).unwrap();
                assert_eq!(so_far(&mut body).await, "", "the call waits on");
            }
            let told = rest(&dialect, &mut rig, &mut body).await;
            if masked {
                assert!(!told.contains("ZEB") && !told.contains("RA-77") && !told.contains("[A]"), "{told}");
                for masked in ["find_[Z]", "-77", "a [Z] "] {
                    assert!(told.contains(masked), "{masked}: {told}");
                }
            } else {
                assert_eq!(told, as_it_came, "{}", dialect.path);
            }
            assert_eq!(closed(&rig).0, Outcome::Completed, "{told}");
            assert_eq!(switched(&rig), (2..=generation).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn wherever_a_set_comes_nothing_leaves_behind_it_that_it_masks() {
    for dialect in DIALECTS {
        let events = |dialect: &Dialect| [&dialect.text[..], &dialect.begun, &dialect.rest].concat();
        for at in 0..events(&dialect()).len() {
            for at_once in [false, true] {
                let mut dialect = dialect();
                let events = events(&dialect);
                let before = if at_once { vec![events[..at].concat()] } else { events[..at].to_vec() };
                (dialect.text, dialect.begun, dialect.rest) = (Vec::new(), Vec::new(), events[at..].to_vec());
                let (mut rig, mut body) = begun(&dialect, mask("secret", "[X]")).await;
                let mut left = String::new();
                for event in &before {
                    rig.say(event);
                    left.push_str(&so_far(&mut body).await);
                }
                rig.publish.send(set(2, mask("ZEBRA", "[Z]"))).unwrap();
                let told = so_far(&mut body).await + &rest(&dialect, &mut rig, &mut body).await;
                // What repeats a call that has left leaves as that did.
                let is_masked = !told.contains("ZEB") && !told.contains("RA-77");
                assert!(is_masked || left.contains("RA-77"), "{} at {at}: {told}", dialect.path);
                assert_eq!(closed(&rig).0, Outcome::Completed, "{} at {at}: {told}", dialect.path);
            }
        }
    }
}

#[tokio::test]
async fn what_the_set_before_masked_in_a_call_is_not_what_leaves() {
    for dialect in DIALECTS {
        let dialect = dialect();
        let (mut rig, mut body) = begun(&dialect, mask("find", "[F]")).await;
        rig.publish.send(set(2, mask("ZEBRA", "[Z]"))).unwrap();
        let told = rest(&dialect, &mut rig, &mut body).await;
        assert!(told.contains("find_[Z]") && !told.contains("[F]"), "{told}");
        assert_eq!(closed(&rig).0, Outcome::Completed, "{told}");
    }
}

#[tokio::test]
async fn a_set_that_stops_a_call_that_is_being_written_stops_it() {
    for dialect in DIALECTS {
        let dialect = dialect();
        for (stops, why) in [
            (policy("00-lockdown", Does::Lockdown), "no traffic here"),
            (policy("20-block", Does::Block("find_")), "no find_ here"),
            (policy("30-deny", Does::DenyTool("find_ZEBRA")), "no find_ZEBRA here"),
        ] {
            let (mut rig, mut body) = begun(&dialect, mask("secret", "[X]")).await;
            rig.publish.send(set(2, vec![stops])).unwrap();
            let told = rest(&dialect, &mut rig, &mut body).await;
            assert!(told.contains(why), "{told}");
            assert!(!told.contains("\"p\"") && !told.contains("\\\"p"), "{told}");
            assert_eq!((closed(&rig).0, switched(&rig)), (Outcome::Blocked, vec![2]));
        }
    }
}

#[tokio::test]
async fn values_are_put_back_into_a_call_that_goes_on() {
    let token = || policy("10-mask", Does::Token("ann@example.com", "email"));
    let mut rig =
        Rig::new(Setting { policies: vec![token()], content_type: SSE, restore: Restore::All, ..Setting::default() });
    let mut body = rig.ask("write to ann@example.com", true).await.into_body();
    let call = |function: Value| chat(&json!({"tool_calls": [{"index": 0, "function": function}]}), &Value::Null);
    rig.say(&call(json!({"name": "mail", "arguments": "{\"to\":\"[EMA"})));
    assert_eq!(so_far(&mut body).await, "", "the call waits");
    rig.publish.send(set(2, vec![token(), policy("20-mask", Does::Mask("ZEBRA", "[Z]"))])).unwrap();
    rig.say(&call(json!({"arguments": "IL_1]\"}"})));
    rig.say(&chat(&json!({}), &"tool_calls".into()));
    rig.say("data: [DONE]\n\n");
    rig.hang_up();
    let told = so_far(&mut body).await;
    assert!(told.contains("ann@example.com") && !told.contains("EMAIL_1") && !told.contains("ZEBRA"), "{told}");
    assert_eq!(closed(&rig).0, Outcome::Completed);
}
