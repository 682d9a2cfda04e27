//! No string has a place where it is not seen: random JSON, put everywhere a dialect does not look for it, comes out
//! with the canary masked and nothing else changed.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{
    CANARY, Judge, MASK, events,
    openai_chat::{request, stream, whole},
    openai_completions, openai_responses, run,
};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(CANARY.to_owned()),
        2 => any::<String>(),
        2 => (any::<char>(), any::<char>()).prop_map(|(before, after)| format!("{before}{CANARY}{after}")),
        2 => prop::sample::select(vec!["type", "text", "content", "id", "index", "arguments", "token", "\"\\", "url"])
            .prop_map(str::to_owned),
    ]
}

/// The same as the name of a member: none that is one of a dialect's but for case, which is refused.
fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| {
        let plain = text.to_lowercase() == text && !text.contains('\u{17f}');
        if plain { text } else { format!("~{text}") }
    })
}

/// JSON with canaries in its strings and names.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        4 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value with the canary masked in every string and name.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace(CANARY, MASK).into(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(members) => Value::Object(
            members.iter().map(|(name, value)| (name.replace(CANARY, MASK), masked(value))).collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}

fn through(flow: Box<dyn wire::Flow>, body: &str) -> Value {
    let out = run(flow, &mut Judge::masking(), body.as_bytes(), &[]).unwrap().concat();
    serde_json::from_slice(&out).unwrap()
}

/// An answer as two events, of which the second has its error.
fn apart(mut answer: Value) -> [Value; 2] {
    let error = answer.as_object_mut().unwrap().remove("error");
    [answer, json!({ "error": error })]
}

/// The same through a stream.
fn through_events(flow: Box<dyn wire::Flow>, documents: &[Value]) -> Vec<Value> {
    let text: String = documents.iter().map(|document| format!("data: {document}\n\n")).collect();
    let out = run(flow, &mut Judge::masking(), text.as_bytes(), &[]).unwrap().concat();
    events(&out).iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_string_of_a_request_is_seen(odd in prop::array::uniform8(odd()), said in text(), pretty in any::<bool>()) {
        let [a, b, c, d, e, f, g, h] = odd;
        let body = json!({
            "model": "m", "novel": a, "metadata": b, "stop": c,
            "messages": [
                { "role": "user", "content": said, "novel": d },
                { "role": "user", "content": [{ "type": "text", "text": said, "novel": e }, { "type": "new", "x": f }] },
                { "role": "assistant", "content": null, "tool_calls": [{ "id": said, "function": { "name": said, "x": g } }] },
            ],
            "tools": [{ "type": "function", "function": { "name": said, "parameters": h } }],
        });
        let text = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
        prop_assert_eq!(through(request(), &text), masked(&body));
    }

    #[test]
    fn every_string_of_an_answer_is_seen(odd in prop::array::uniform8(odd()), said in text()) {
        let [a, b, c, d, e, f, g, h] = odd;
        let message = json!({
            "role": said, "content": said, "novel": a, "audio": { "transcript": said, "novel": b }, "annotations": c,
            "tool_calls": [{ "id": said, "type": said, "function": { "name": said, "arguments": "{}", "novel": d } }],
        });
        let rest = json!({ "id": said, "object": said, "novel": e, "usage": { "prompt_tokens": 1, "novel": f } });
        let answer = |name: &str| {
            let mut answer = rest.clone();
            answer["choices"] = json!([{ "index": 0, name: message, "finish_reason": said, "novel": g }]);
            answer["error"] = json!({ "message": said, "novel": h });
            answer
        };
        let body = answer("message");
        prop_assert_eq!(through(whole(), &body.to_string()), masked(&body));

        let in_events = apart(answer("delta"));
        prop_assert_eq!(through_events(stream(), &in_events), in_events.map(|event| masked(&event)));
    }

    #[test]
    fn every_string_of_arguments_is_seen(arguments in odd(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let text = arguments.to_string();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.retain(|&cut| text.is_char_boundary(cut));
        cuts.push(text.len());
        cuts.sort_unstable();
        let mut from = 0;
        let body: String = cuts
            .into_iter()
            .map(|cut| {
                let fragment = &text[std::mem::replace(&mut from, cut)..cut];
                let call = json!({ "index": 0, "function": { "arguments": fragment } });
                format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] }))
            })
            .collect();
        let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &[]).unwrap().concat();
        let client = support::openai_chat::client(&out);
        let got = &client[&(0, "/tool_calls/0/function/arguments".to_owned())];
        prop_assert_eq!(serde_json::from_str::<Value>(got).unwrap(), masked(&arguments));
    }

    #[test]
    fn every_string_of_a_request_for_a_response_is_seen(odd in prop::array::uniform8(odd()), said in text()) {
        let [a, b, c, d, e, f, g, h] = odd;
        let body = json!({
            "model": "m", "instructions": said, "novel": a, "metadata": b, "prompt": { "variables": { "x": c }, "novel": c },
            "input": [
                { "role": "user", "content": said, "novel": d },
                { "type": "message", "role": said, "content": [{ "type": "input_text", "text": said, "novel": e }] },
                { "type": "function_call", "call_id": said, "name": said, "arguments": "{}", "novel": f },
                { "type": "function_call_output", "call_id": said, "output": g },
                { "type": said, "novel": g }, { "type": "shell_call", "action": { "commands": [said] } },
            ],
            "tools": [{ "type": "function", "name": said, "parameters": h }],
        });
        prop_assert_eq!(through(openai_responses::request(), &body.to_string()), masked(&body));
    }

    #[test]
    fn every_string_of_a_response_is_seen(odd in prop::array::uniform8(odd()), said in text(), kind in text()) {
        let [a, b, c, d, e, f, g, h] = odd;
        let item = json!({ "id": "i", "type": "message", "role": said, "novel": a, "content": [
            { "type": "output_text", "text": said, "annotations": b, "novel": c }, { "type": kind, "text": said, "refusal": said } ] });
        let other = json!({ "id": "j", "type": format!("{kind}_call"), "name": said, "input": said, "novel": d, "output": e });
        let body = json!({ "id": said, "object": said, "instructions": f, "tools": g, "novel": h, "output": [item, other] });
        prop_assert_eq!(through(openai_responses::whole(), &body.to_string()), masked(&body));

        let events_in = [
            json!({ "type": "response.created", "response": { "instructions": f, "tools": g, "output": [] } }),
            json!({ "type": "response.output_item.added", "output_index": 0, "item": item, "novel": a }),
            json!({ "type": kind, "output_index": 0, "delta": said, "item_id": "i", "novel": b, "part": { "text": said } }),
            json!({ "type": "response.output_item.done", "output_index": 0, "item": item, "novel": c }),
            json!({ "type": "response.output_item.done", "output_index": 1, "item": other, "obfuscation": said }),
            json!({ "type": "response.completed", "response": body }),
            json!({ "type": "error", "message": said, "code": said, "error": d }),
        ];
        let text: String = events_in.iter().map(|event| format!("data: {event}\n\n")).collect();
        let out = run(openai_responses::stream(), &mut Judge::masking(), text.as_bytes(), &[]).unwrap().concat();
        for (before, after) in events_in.iter().zip(events(&out)) {
            prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), masked(before));
        }
    }

    #[test]
    fn every_string_of_a_completion_is_seen(odd in prop::array::uniform4(odd()), said in text()) {
        let [a, b, c, d] = odd;
        let body = json!({ "model": "m", "prompt": [said], "suffix": said, "novel": a, "stop": b });
        prop_assert_eq!(through(openai_completions::request(), &body.to_string()), masked(&body));
        let body = json!({ "id": said, "object": said, "novel": c, "error": { "message": said, "novel": d },
            "choices": [{ "index": 0, "text": said, "finish_reason": said, "novel": a }] });
        prop_assert_eq!(through(openai_completions::whole(), &body.to_string()), masked(&body));
        let in_events = apart(body);
        prop_assert_eq!(through_events(openai_completions::stream(), &in_events), in_events.map(|event| masked(&event)));
    }
}
