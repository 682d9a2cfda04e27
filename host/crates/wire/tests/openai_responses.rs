//! `openai-responses`: answers, feature by feature.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use model::Channel;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{
    CANARY, Judge, MASK, events, masked,
    openai_responses::{Item, clean, client, responses, sse, stream, whole, written, written_whole},
    run, told, unbroken, value,
};
use wire::{Complaint, Limits, Step};

fn one_of_each(text: &str, at: usize) -> Vec<Item> {
    let cut = |text: &str| {
        let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap();
        vec![text[..at].to_owned(), text[at..].to_owned()]
    };
    vec![
        Item::Summary(vec![cut(text), vec![text.to_owned()]]),
        Item::Reasoning(cut(text)),
        Item::Message(vec![cut(text), cut(text)]),
        Item::Refusal(cut(text)),
        Item::Call(cut(&json!({ "to": text }).to_string())),
        Item::Custom(cut(text)),
        Item::Mcp(cut(&json!({ "q": text }).to_string()), text.to_owned()),
        Item::Code(cut(text), text.to_owned()),
    ]
}

#[test]
fn a_stream_is_told_once() {
    let body = sse(&written(&one_of_each("a b", 1)));
    let judge = told(stream(), &body);
    assert_eq!(judge.texts(Channel::Content), ["a b", "a b", "a ba b"], "two contents, and the two joined");
    assert_eq!(judge.texts(Channel::Reasoning), ["a b", "a b", "a ba b", "a b"]);
    assert_eq!(judge.texts(Channel::Refusal), ["a b"]);
    assert_eq!(judge.texts(Channel::ToolInput), ["send", "to", "a b", "run", "a b", "ask", "q", "a b", "a b"]);
    assert_eq!(judge.texts(Channel::ToolResult), ["a b", "a b"]);
    assert_eq!(judge.calls.iter().map(|(_, _, name)| name.as_str()).collect::<Vec<_>>(), ["send", "run", "ask"]);
    assert_eq!(judge.calls[0].1, "call_4");
    assert!(judge.parts.values().all(|told| told.ended));
}

#[test]
fn a_canary_is_masked_at_every_split_in_every_way_it_is_told() {
    let text = format!("é {CANARY}.");
    for at in 0..=text.len() + 8 {
        let body = sse(&written(&one_of_each(&text, at)));
        for cut in (0..=body.len()).step_by(97) {
            let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &[cut]).unwrap().concat();
            let client = client(&out);
            client.agree();
            assert_eq!(client.deltas[&("output_text".into(), 2, 1)], "é [SSN].");
            assert!(events(&out).iter().all(|event| clean(&value(event))));
            assert_eq!(events(&out).len(), events(body.as_bytes()).len());
        }
    }
}

#[test]
fn a_whole_answer_is_masked_as_a_stream_is() {
    let items = one_of_each(&format!("x {CANARY} y"), 5);
    let out = value(&masked(whole(), &written_whole(&items)));
    let streamed = client(masked(stream(), &sse(&written(&items))).as_bytes());
    assert_eq!(out, streamed.last.unwrap());
    assert!(clean(&out));
    let judge = told(whole(), &written_whole(&items));
    assert_eq!(judge.calls.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_streams_stay_whole(
        items in prop::collection::vec(item(), 0..4),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let body = sse(&written(&items));
        let mut cuts: Vec<usize> = at.iter().map(|at| at.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        let out = run(stream(), &mut Judge::default(), body.as_bytes(), &cuts).unwrap().concat();
        prop_assert_eq!(String::from_utf8(out).unwrap(), unbroken(&body));
        let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &cuts).unwrap().concat();
        let client = client(&out);
        client.agree();
        prop_assert!(events(&out).iter().all(|event| clean(&value(event))));
        prop_assert_eq!(value(&masked(whole(), &written_whole(&items))), client.last.unwrap());
    }
}

/// What an upstream that lies can do to a stream.
#[derive(Clone, Debug)]
enum Mangle {
    Drop(prop::sample::Index),
    Twice(prop::sample::Index, prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    /// Text of another event.
    Mix(prop::sample::Index, prop::sample::Index),
}

impl Mangle {
    fn of(&self, events: &mut Vec<Value>) {
        let len = events.len();
        match self {
            Self::Drop(at) => drop(events.remove(at.index(len))),
            Self::Twice(from, to) => events.insert(to.index(len), events[from.index(len)].clone()),
            Self::Swap(one, other) => events.swap(one.index(len), other.index(len)),
            Self::Mix(from, to) => {
                let from = events[from.index(len)].clone();
                let to = &mut events[to.index(len)];
                for name in ["delta", "text", "refusal", "arguments", "item", "part", "response"] {
                    if !from[name].is_null() && !to[name].is_null() {
                        to[name] = from[name].clone();
                    }
                }
            }
        }
    }
}

fn mangle() -> impl Strategy<Value = Mangle> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Mangle::Drop),
        (at(), at()).prop_map(|(from, to)| Mangle::Twice(from, to)),
        (at(), at()).prop_map(|(one, other)| Mangle::Swap(one, other)),
        (at(), at()).prop_map(|(from, to)| Mangle::Mix(from, to)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mangled_streams_leak_nothing(
        items in prop::collection::vec(item(), 1..4),
        mangles in prop::collection::vec(mangle(), 1..6),
    ) {
        let mut events_in = written(&items);
        for mangle in &mangles {
            if !events_in.is_empty() {
                mangle.of(&mut events_in);
            }
        }
        let body = sse(&events_in);
        let same = run(stream(), &mut Judge::default(), body.as_bytes(), &[]);
        let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &[]);
        prop_assert_eq!(same.is_ok(), out.is_ok());
        if let (Ok(same), Ok(out)) = (same, out) {
            prop_assert_eq!(String::from_utf8(same.concat()).unwrap(), unbroken(&body));
            let out = out.concat();
            prop_assert_eq!(events(&out).len(), events_in.len());
            prop_assert!(events(&out).iter().all(|event| clean(&value(event))), "{}", String::from_utf8_lossy(&out));
            // Arguments are judged as the JSON that they are, if they are.
            let said = client(&out).deltas;
            prop_assert!(said.values().all(|text| clean(&text.as_str().into())), "{:?}", said);
        }
    }
}

fn item() -> impl Strategy<Value = Item> {
    let word = prop_oneof![
        4 => Just(CANARY.to_owned()),
        2 => (0..=CANARY.len()).prop_map(|at| CANARY[..at].to_owned()),
        2 => (0..=CANARY.len()).prop_map(|at| CANARY[at..].to_owned()),
        2 => prop::sample::select(vec!["\"", "\\", "\n", "é", "😀", "{", "data: ", "\r\n\r\n"]).prop_map(str::to_owned),
    ];
    let pieces = prop::collection::vec(word, 0..5);
    let arguments = pieces.clone().prop_map(|pieces| {
        let text = json!({ "to": pieces.concat() }).to_string();
        let middle = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap();
        vec![text[..middle].to_owned(), text[middle..].to_owned()]
    });
    prop_oneof![
        prop::collection::vec(pieces.clone(), 0..3).prop_map(Item::Message),
        prop::collection::vec(pieces.clone(), 0..3).prop_map(Item::Summary),
        pieces.clone().prop_map(Item::Refusal),
        pieces.clone().prop_map(Item::Reasoning),
        arguments.clone().prop_map(Item::Call),
        (arguments, pieces.clone()).prop_map(|(ask, output)| Item::Mcp(ask, output.concat())),
        (pieces.clone(), pieces).prop_map(|(code, log)| Item::Code(code, log.concat())),
    ]
}

#[test]
fn a_repeat_that_says_something_else_is_judged() {
    let mut events = written(&[Item::Message(vec![vec!["a".into()]])]);
    let from = events.len() - 4;
    for event in &mut events[from..] {
        let text = event.to_string().replace("\"text\":\"a\"", &format!("\"text\":\"b {CANARY}\""));
        *event = value(&text);
    }
    let body = sse(&events);
    let judge = told(stream(), &body);
    assert_eq!(judge.texts(Channel::Content), ["a".to_owned(), format!("b {CANARY}")], "the other text is told once");
    let out = masked(stream(), &body);
    assert_eq!(out, body.replace(CANARY, MASK));
}

#[test]
fn a_repeat_without_deltas_is_the_text() {
    for keep in 0..5 {
        let events =
            written(&[Item::Message(vec![vec![CANARY.to_owned()]]), Item::Call(vec![json!([CANARY]).to_string()])]);
        let deltas = |event: &Value| event["type"].as_str().unwrap().ends_with(".delta");
        let mut rest: Vec<Value> = events.into_iter().filter(|event| !deltas(event)).collect();
        rest.drain(..keep);
        let out = masked(stream(), &sse(&rest));
        assert_eq!(out, sse(&rest).replace(CANARY, MASK));
        assert_eq!(told(stream(), &sse(&rest)).texts(Channel::Content), [CANARY]);
    }
}

#[test]
fn a_call_that_is_repeated_with_another_name_is_another_call() {
    let mut events = written(&[Item::Call(vec!["{}".into()])]);
    let last = events.len() - 2;
    events[last]["item"]["name"] = "erase".into();
    let judge = told(stream(), &sse(&events));
    let names: Vec<&str> = judge.calls.iter().map(|(_, _, name)| name.as_str()).collect();
    assert_eq!(names, ["send", "erase"]);
    // A stream that is taken up in the middle names its call at the end.
    let mut events = written(&[Item::Call(vec!["{}".into()])]);
    events.drain(..2);
    let judge = told(stream(), &sse(&events));
    assert_eq!(judge.calls.iter().map(|(_, _, name)| name.as_str()).collect::<Vec<_>>(), ["send"]);
}

#[test]
fn what_the_computer_and_the_shell_are_to_do_are_calls() {
    let item = |status: &str, commands: Value| json!({"id":"s","type":"shell_call","call_id":"c","status":status,"action":{"commands":commands}});
    let command = |name: &str, member: &str| json!({"type":format!("response.shell_call_command.{name}"),"output_index":0,"command_index":0,member:"ls 078-05-1120"});
    let events = [
        json!({"type":"response.output_item.added","output_index":0,"item":item("in_progress", json!([]))}),
        command("delta", "delta"),
        command("done", "command"),
        json!({"type":"response.output_item.done","output_index":0,"item":item("completed", json!(["ls 078-05-1120"]))}),
        json!({"type":"response.completed","response":{"output":[item("completed", json!(["ls 078-05-1120"]))]}}),
    ];
    let judge = told(stream(), &sse(&events));
    assert_eq!(
        judge.calls.iter().map(|(_, id, name)| (id.as_str(), name.as_str())).collect::<Vec<_>>(),
        [("c", "shell")]
    );
    assert_eq!(masked(stream(), &sse(&events)), sse(&events).replace(CANARY, MASK));
    let body = json!({"output":[{"id":"k","type":"computer_call","call_id":"c","action":{"type":"type","text":CANARY},
        "actions":[{"type":"wait"}]}]});
    let judge = told(whole(), &body.to_string());
    assert_eq!(judge.calls.len(), 2, "a client may take either");
    assert_eq!(masked(whole(), &body.to_string()), body.to_string().replace(CANARY, MASK));
}

#[test]
fn a_stream_that_is_taken_up_again_is_not_held_by_what_is_complete() {
    let items = [Item::Call(vec!["{}".into()]), Item::Message(vec![vec!["a".into(), "b".into()]])];
    let mut events = written(&items);
    let done = events[4]["item"].clone();
    events[0]["response"]["output"] = json!([done]);
    events.drain(1..5);
    let mut flow = stream();
    let mut judge = Judge::default();
    let (mut out, mut all) = (BytesMut::new(), String::new());
    for event in &events {
        let text = sse(std::slice::from_ref(event));
        flow.push(text.as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        all.push_str(&text);
        // What ends a text waits for the next one, or the end.
        if !event["type"].as_str().unwrap().ends_with(".done") {
            assert_eq!(out, all.as_bytes());
        }
    }
    assert_eq!(judge.calls.len(), 1);
}

#[test]
fn calls_are_held_until_they_are_cleared_and_take_other_arguments() {
    let body = sse(&written(&[
        Item::Message(vec![vec!["hi".into()]]),
        Item::Call(vec!["{\"a\":".into(), "1}".into()]),
        Item::Call(vec![]),
    ]));
    let mut flow = stream();
    flow.push(body.as_bytes()).unwrap();
    flow.finish().unwrap();
    let mut calls = Vec::new();
    while let Some(step) = flow.next() {
        match step {
            Step::Text { part, .. } | Step::End(part) => flow.release(part, u64::MAX, Vec::new()),
            Step::ToolCall(call) => calls.push(call.call),
            _ => {}
        }
    }
    let before = wire::taken(&mut *flow);
    assert!(!std::str::from_utf8(&before).unwrap().contains("function_call"));
    assert_eq!(flow.tool_input(calls[0]), "{\"a\":1}");
    flow.clear_tool_call(calls[0], Some("{\"b\":\"\\\"\"}".into()));
    flow.clear_tool_call(calls[1], Some("{\"c\":3}".into()));
    let after = wire::taken(&mut *flow);
    assert_eq!(flow.held(), 0);
    let client = client(&[&*before, &*after].concat());
    assert_eq!(client.deltas[&("function_call_arguments".into(), 1, 0)], "{\"b\":\"\\\"\"}");
    assert_eq!(client.done[&("function_call_arguments".into(), 1, 0)], "{\"b\":\"\\\"\"}");
    assert_eq!(client.items[&1]["arguments"], "{\"b\":\"\\\"\"}");
    assert_eq!(client.items[&2]["arguments"], "{\"c\":3}");
    assert_eq!(client.last.unwrap()["output"][2]["arguments"], "{\"c\":3}");
}

#[test]
fn text_can_be_added_behind_the_end() {
    let items = [Item::Summary(vec![vec!["s".into()]]), Item::Message(vec![vec!["hi".into()], vec!["\"".into()]])];
    let events = written(&items);
    for (name, kept) in [("whole", events.len()), ("no done events", 0), ("cut off", events.len() - 4)] {
        let kept: Vec<Value> = match kept {
            0 => events.iter().filter(|event| !event["type"].as_str().unwrap().ends_with(".done")).cloned().collect(),
            kept => events[..kept].to_vec(),
        };
        let mut flow = stream();
        let mut out = BytesMut::new();
        let mut lens = std::collections::BTreeMap::new();
        for event in &kept {
            flow.push(sse(std::slice::from_ref(event)).as_bytes()).unwrap();
            support::add_at_ends(&mut *flow, &mut lens, &mut out);
        }
        flow.finish().unwrap();
        support::add_at_ends(&mut *flow, &mut lens, &mut out);
        assert_eq!(flow.held(), 0);
        let client = client(&out);
        let text = |stem: &str, output, index| client.deltas[&(stem.to_owned(), output, index)].as_str();
        assert_eq!(text("output_text", 1, 0), "hi\"(end)", "{name}");
        assert_eq!(text("output_text", 1, 1), "\"\"(end)", "{name}");
        assert_eq!(text("reasoning_summary_text", 0, 0), "s\"(end)", "{name}");
        if name == "whole" {
            client.agree();
            assert!(String::from_utf8_lossy(&out).contains(r#""item_id":"it_1""#));
        }
    }
}

#[test]
fn logprobs_of_changed_text_are_dropped() {
    let token = |text: &str| json!({"token":text,"logprob":-0.1,"top_logprobs":[{"token":text,"logprob":-0.1}]});
    let mut events = written(&[Item::Message(vec![vec!["a ".into(), CANARY[..4].into(), CANARY[4..].into()]])]);
    let all = json!([token("a "), token(&CANARY[..4]), token(&CANARY[4..])]);
    let mut deltas = ["a ", &CANARY[..4], &CANARY[4..]].into_iter();
    for event in &mut events {
        match event["type"].as_str().unwrap() {
            "response.output_text.delta" => event["logprobs"] = json!([token(deltas.next().unwrap())]),
            "response.output_text.done" => event["logprobs"] = all.clone(),
            "response.content_part.done" => event["part"]["logprobs"] = all.clone(),
            "response.output_item.done" => event["item"]["content"][0]["logprobs"] = all.clone(),
            "response.completed" => event["response"]["output"][0]["content"][0]["logprobs"] = all.clone(),
            _ => {}
        }
    }
    let body = sse(&events);
    assert!(told(stream(), &body).texts(Channel::Logprobs).is_empty(), "covered by the text");
    let out = masked(stream(), &body);
    let kept: Vec<usize> =
        support::events(out.as_bytes()).iter().map(|event| event.matches("\"logprob\"").count()).collect();
    assert_eq!(kept.iter().sum::<usize>(), 2, "those of the one delta that nothing changed");
    assert_eq!(out.matches("\"logprobs\":[]").count(), 7);
    // Tokens that say something else than the text beside them are parts of their own.
    let mut odd = written(&[Item::Message(vec![vec!["a".into(), "b".into()]])]);
    odd[3]["logprobs"] = json!([token(&CANARY[..4])]);
    odd[4]["logprobs"] = json!([token(&CANARY[4..])]);
    let out = masked(stream(), &sse(&odd));
    assert!(!out.contains("\"logprob\""), "{out}");
}

#[test]
fn every_other_string_is_seen() {
    let odd = json!({"deep":[CANARY, {CANARY: "x"}]});
    let mut events = written(&one_of_each("t", 1));
    for event in &mut events {
        event["novel"] = odd.clone();
        for inner in ["item", "part", "response"] {
            if event[inner].is_object() {
                event[inner]["novel"] = odd.clone();
            }
        }
    }
    let others = [
        json!({"type":"response.output_text.annotation.added","output_index":2,"annotation":{"type":"url_citation","url":CANARY,"title":CANARY}}),
        json!({"type":"response.brand_new.delta","delta":CANARY}),
        json!({"type":"response.shell_call_command.delta","output_index":9,"command_index":0,"delta":CANARY}),
        json!({"type":"response.shell_call_output_content.delta","output_index":9,"command_index":0,"delta":{"stdout":CANARY,"stderr":CANARY}}),
        json!({"type":"response.image_generation_call.partial_image","output_index":10,"partial_image_b64":CANARY}),
        json!({"type":"response.audio.transcript.delta","delta":CANARY}),
        json!({"type":"response.audio.delta","delta":CANARY}),
        json!({"type":"response.output_item.done","output_index":11,"item":{"id":"x","type":"shell_call","call_id":"s","action":{"commands":[CANARY]}}}),
        json!({"type":"response.output_item.done","output_index":12,"item":{"id":"y","type":"web_search_call","action":{"query":CANARY}}}),
        json!({"type":"response.output_item.done","output_index":13,"item":{"id":"z","type":"file_search_call","queries":[CANARY],"results":[{"text":CANARY}]}}),
        json!({"type":"response.output_item.done","output_index":14,"item":{"id":"w","type":"unheard_of","words":CANARY}}),
        json!({"type":"response.output_item.done","output_index":15,"item":{"id":"v","type":"reasoning","summary":[],"encrypted_content":CANARY}}),
        json!({"type":"error","code":CANARY,"message":CANARY,"param":null}),
        json!({"error":{"message":CANARY}, "type":"x"}),
        json!({"type":"response.in_progress","response":{"error":{"code":"server_error","message":CANARY},"instructions":CANARY,"tools":[{"name":CANARY}]}}),
    ];
    for (at, event) in (events.len() - 1..).zip(others) {
        events.insert(at, event);
    }
    let body = sse(&events);
    let out = masked(stream(), &body);
    assert!(support::events(out.as_bytes()).iter().all(|event| clean(&value(event))), "{out}");
    assert_eq!(out, body.replace(CANARY, MASK));
}

#[test]
fn unknown_deltas_go_on_from_event_to_event() {
    let piece = |text: &str| json!({"type":"response.brand_new.delta","output_index":0,"delta":text});
    let out = masked(stream(), &sse(&[piece(&CANARY[..5]), piece(&CANARY[5..])]));
    assert_eq!(out, sse(&[piece(MASK), piece("")]));
}

#[test]
fn what_can_not_be_judged_as_clients_join_it_is_refused() {
    let delta = |output: u64, id: &str| json!({"type":"response.output_text.delta","item_id":id,"output_index":output,"content_index":0,"delta":"x"});
    let done = json!({"type":"response.output_text.done","item_id":"a","output_index":0,"content_index":0,"text":"x"});
    let bad = [
        vec![delta(0, "a"), delta(1, "a")],
        vec![delta(0, "a"), done, delta(0, "a")],
        vec![json!({"type":"response.output_text.delta","output_index":-1,"delta":"x"})],
        vec![json!({"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":["x"]}})],
    ];
    for events in bad {
        let got = run(stream(), &mut Judge::default(), sse(&events).as_bytes(), &[]);
        assert!(got.is_err(), "{events:?}");
    }
    for body in ["data: hello\n\n", "data: [1]\n\n", "data: [DONE]\n\ndata: {}\n\n", "data: {\"ty"] {
        assert!(run(stream(), &mut Judge::default(), body.as_bytes(), &[]).is_err(), "{body}");
    }
}

#[test]
fn an_event_is_what_its_name_and_its_type_say() {
    let delta = |name: &str, kind: &str, text: &str| {
        format!("{name}data: {{{kind}\"output_index\":0,\"content_index\":0,\"delta\":\"{text}\"}}\n\n")
    };
    let named = "event: response.output_text.delta\n";
    let typed = "\"type\":\"response.output_text.delta\",";
    let forms = [(named, ""), ("", typed), (named, typed), ("event: message\n", typed)];
    for (name, kind) in forms {
        let body = delta(name, kind, "078-05") + &delta(name, kind, "-1120");
        assert_eq!(masked(stream(), &body), delta(name, kind, MASK) + &delta(name, kind, ""));
    }
    let body = delta(named, "\"type\":\"novel\",", "x");
    assert!(run(stream(), &mut Judge::default(), body.as_bytes(), &[]).is_err());
}

#[test]
fn long_runs_of_base64_are_opaque() {
    let long = "QUJD".repeat(100);
    let body = json!({"object":"response","output":[
        {"id":"r","type":"reasoning","summary":[],"encrypted_content":long},
        {"id":"i","type":"image_generation_call","result":long}]});
    let judge = told(whole(), &body.to_string());
    assert_eq!(judge.texts(Channel::Field), ["r", "i"]);
}

#[test]
fn refusals_and_complaints_are_in_the_dialect() {
    let complaint = Complaint {
        status: 403,
        code: "blocked".into(),
        message: "I can't help.".into(),
        request_id: "r1".into(),
        policy: "20-block".into(),
        replies: Vec::new(),
    };
    let expected = "I can't help. (policy 20-block, request r1)";
    let answer = responses().refusal("m", false, &complaint);
    let judge = told(whole(), std::str::from_utf8(&answer.body).unwrap());
    assert_eq!(judge.texts(Channel::Content), [expected]);
    let answer = responses().refusal("m", true, &complaint);
    let body = std::str::from_utf8(&answer.body).unwrap();
    assert_eq!(told(stream(), body).texts(Channel::Content), [expected]);
    let client = client(body.as_bytes());
    client.agree();
    assert_eq!(client.last.unwrap()["incomplete_details"]["reason"], "content_filter");
    let event = value(&events(&responses().stream_complaint(&complaint))[0]);
    assert_eq!(
        (&event["type"], &event["code"], &event["error"]["code"]),
        (&"error".into(), &"blocked".into(), &"blocked".into())
    );
    assert!(event["message"].as_str().unwrap().contains("20-block"));
}

#[test]
fn endpoints_about_a_response_are_claimed() {
    let dialect = |method, path| wire::claim(model::Family::Openai, method, path).map(wire::Endpoint::dialect);
    let known = [
        ("POST", "/v1/responses"),
        ("POST", "/openai/v1/responses"),
        ("POST", "/v1/responses/compact"),
        ("POST", "/v1/responses/input_tokens"),
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
    ];
    for (method, path) in known {
        assert_eq!(dialect(method, path), Some("openai-responses"), "{method} {path}");
    }
    let unknown = [
        ("GET", "/v1/responses"),
        ("PUT", "/v1/responses/x"),
        ("POST", "/v1/responses/x"),
        ("GET", "/v1/responses/x/novel"),
        ("GET", "/v1/responses/"),
        ("GET", "/v1/responses/.."),
        ("POST", "/v1/responses/x/cancel/y"),
        ("GET", "/v1/responsesx"),
    ];
    for (method, path) in unknown {
        assert_eq!(dialect(method, path), None, "{method} {path}");
    }
    let items = wire::claim(model::Family::Openai, "GET", "/v1/responses/r/input_items").unwrap();
    let flow = items.response(200, "application/json", Limits::default()).unwrap();
    let judge = told(
        flow,
        r#"{"object":"list","data":[{"id":"m","type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"has_more":false}"#,
    );
    assert_eq!(judge.texts(Channel::Content), ["hi"]);
}

#[test]
fn a_text_whose_items_have_several_ids_is_judged_by_each_of_them_too() {
    let delta = |id: &str, text: &str| json!({"type":"response.output_text.delta","item_id":id,"output_index":0,"content_index":0,"delta":text});
    let body = sse(&[delta("a", "x "), delta("a", CANARY), delta("b", "5"), delta("b", "6"), delta("c", "7")]);
    let judge = told(stream(), &body);
    let alone = format!("x {CANARY}");
    assert_eq!(judge.texts(Channel::Content), [&*format!("{alone}567"), &alone, "56", "7"]);
    let halves = |one: &str, two: &str| sse(&[delta("a", one), delta("b", two)]);
    assert_eq!(masked(stream(), &halves("a 078-05", "-1120")), halves("a [SSN]", ""));
    let refused = |pieces: &[Value]| run(stream(), &mut Judge::masking(), sse(pieces).as_bytes(), &[]).unwrap_err();
    let said = ["my ssn 078-05-", "x y z ", "1120 ok"];
    let none = |text: &str| {
        let mut delta = delta("", text);
        delta["item_id"] = Value::Null;
        delta
    };
    for pieces in [
        [delta("a", said[0]), delta("b", said[1]), delta("a", said[2])],
        [delta("a", said[0]), none(said[1]), delta("a", said[2])],
        [none(said[0]), delta("b", said[1]), delta("", said[2])],
    ] {
        let error = refused(&pieces).to_string();
        assert!(error.contains("comes back"), "{error}: {pieces:?}");
    }
    let added = |text: &str| {
        json!({"type":"response.content_part.added","item_id":"a","output_index":0,"content_index":0,
            "part":{"type":"output_text","text":text}})
    };
    refused(&[added(said[0]), delta("b", said[1])]);
    let judge = told(stream(), &sse(&[added(""), delta("a", "x "), delta("b", "5")]));
    assert_eq!(judge.texts(Channel::Content), ["x 5", "x ", "5"]);
    // However it is spelled.
    let spelled = sse(&[delta("a", said[0]), delta("b", said[1]), delta("QQ", said[2])]).replace("QQ", "\\u0061");
    assert!(run(stream(), &mut Judge::masking(), spelled.as_bytes(), &[]).is_err());
    let mut number = delta("a", "x");
    number["item_id"] = 1.into();
    refused(&[number]);
    // Another text may have the same ids again.
    let mut other = ["a", "b"].map(|id| delta(id, "x"));
    other.iter_mut().for_each(|delta| delta["content_index"] = 1.into());
    told(stream(), &sse(&[&["a", "b"].map(|id| delta(id, "x"))[..], &other].concat()));
}
