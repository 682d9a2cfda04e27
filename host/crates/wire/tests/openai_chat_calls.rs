//! Tool calls of streamed chats, which clients put together by index or by id, with names that come in pieces: a call is
//! judged as each of them makes it, or is refused.

#![expect(clippy::needless_pass_by_value, reason = "JSON is easier to read by value")]

mod support;

use serde_json::{Value, json};
use support::{CANARY, Judge, masked, openai_chat, run, told, value};

fn sse(deltas: &[Value]) -> String {
    let event = |delta| json!({"id":"x","choices":[{"index":0,"delta":delta,"finish_reason":null}]});
    let last = json!({"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]});
    let events = deltas.iter().map(event).chain([last]);
    events.map(|event| format!("data: {event}\n\n")).collect::<String>() + "data: [DONE]\n\n"
}

/// A fragment of a call.
fn fragment(index: Value, id: Value, name: &str, arguments: &str) -> Value {
    let mut function = json!({ "arguments": arguments });
    if !name.is_empty() {
        function["name"] = name.into();
    }
    json!({"tool_calls":[{"index":index,"id":id,"type":"function","function":function}]})
}

fn refused(deltas: &[Value]) -> bool {
    run(openai_chat::stream(), &mut Judge::masking(), sse(deltas).as_bytes(), &[]).is_err()
}

/// The names of the calls that are told.
fn names(deltas: &[Value]) -> Vec<String> {
    let mut names: Vec<String> =
        told(openai_chat::stream(), &sse(deltas)).calls.into_iter().map(|(_, _, name)| name).collect();
    names.sort();
    names
}

#[test]
fn fragments_that_clients_would_put_together_in_different_ways_are_refused() {
    let half = |index: Value, id: Value| fragment(index, id, "f", "{\"x\":\"078-05-");
    let rest = |index: Value, id: Value, name: &str| fragment(index, id, name, "1120\"}");
    let whole = |index: Value, id: Value| fragment(index, id, "f", "{}");
    let cases = [
        // One index, and another id: with arguments that go on, with no name, with what is no object.
        [half(json!(0), json!("a")), rest(json!(0), json!("b"), "")],
        [half(json!(0), json!("a")), rest(json!(0), json!("b"), "g")],
        [half(json!(0), json!("a")), whole(json!(0), json!("b"))],
        [whole(json!(0), json!("a")), rest(json!(0), json!("b"), "g")],
        [whole(json!(0), json!("a")), fragment(json!(0), json!("b"), "", "{}")],
        // An id where there was none.
        [half(json!(0), json!(null)), rest(json!(0), json!("b"), "g")],
        // One id, and another index.
        [half(json!(0), json!("a")), rest(json!(1), json!("a"), "g")],
        // One number that is written in two ways, and what is none.
        [half(json!(1), json!("a")), rest(json!(1.0), json!("a"), "")],
        [half(json!(1), json!("a")), rest(json!("1"), json!("a"), "")],
        [half(json!(-1), json!("a")), rest(json!(-1), json!("a"), "")],
        // An index, and none.
        [half(json!(0), json!("a")), rest(json!(null), json!("a"), "")],
        [half(json!(null), json!("a")), rest(json!(0), json!("a"), "")],
        // Ids that are no text.
        [half(json!(0), json!(7)), rest(json!(0), json!(7), "")],
    ];
    for case in cases {
        assert!(refused(&case), "{case:?}");
    }
    let three = [whole(json!(0), json!("a")), whole(json!(1), json!("b")), half(json!(2), json!("a"))];
    assert!(refused(&three), "an id that was another call's");
    let call = |name: &str| json!({"id":name,"function":{"name":name,"arguments":"{}"}});
    assert!(refused(&[json!({"tool_calls":[call("a"), call("b")]}), json!({"tool_calls":[call("c")]})]), "no index");
}

#[test]
fn calls_with_one_index_are_judged_apart_and_as_one() {
    let calls = |first: &str| {
        let (one, two) =
            (fragment(json!(0), json!("a"), "sh", first), fragment(json!(0), json!("b"), "ell", "{\"y\":"));
        [one, two, fragment(json!(0), json!(""), "", "\"rm\"}")]
    };
    for first in ["{}", "{\"x\":1}", ""] {
        assert_eq!(names(&calls(first)), ["ell", "sh", "shell"], "{first}");
    }
    // No index at all is one index, too.
    let none = |id: &str, name: &str| json!({"id":id,"function":{"name":name,"arguments":"{}"}});
    assert_eq!(names(&[json!({"tool_calls":[none("a", "sh"), none("b", "ell")]})]), ["ell", "sh", "shell"]);
    let one_id = [fragment(json!(0), json!("a"), "sh", "{}"), fragment(json!(1), json!("a"), "ell", "{}")];
    assert_eq!(names(&one_id), ["ell", "sh", "shell"]);
    let apart = [fragment(json!(0), json!("a"), "sh", "{}"), fragment(json!(1), json!("b"), "ell", "{}")];
    assert_eq!(names(&apart), ["ell", "sh"]);
    let then = [calls("{}").as_slice(), &[fragment(json!(1), json!("c"), "f", "{}")]].concat();
    assert_eq!(names(&then), ["ell", "f", "sh", "shell"]);
}

/// A fragment with neither index nor id.
fn bare(name: &str, arguments: &str) -> Value {
    json!({"function":{"name":name,"arguments":arguments}})
}

#[test]
fn calls_with_neither_index_nor_id_are_judged_apart_and_as_one() {
    let three = ["safe1", "shell", "safe2"];
    let all = ["safe1", "safe1shellsafe2", "safe2", "shell"];
    for arguments in ["{\"a\":1}", "{\"a\":\"}\\\"\"} ", "{}"] {
        let calls = three.map(|name| bare(name, arguments));
        assert_eq!(names(&[json!({ "tool_calls": calls })]), all, "in one event: {arguments}");
        assert_eq!(names(&calls.clone().map(|call| json!({"tool_calls":[call]}))), all, "over events: {arguments}");
        let ids = calls.clone().map(|mut call| {
            call["id"] = "".into();
            call
        });
        assert_eq!(names(&[json!({ "tool_calls": ids })]), all, "empty ids: {arguments}");
        let legacy = calls.clone().map(|call| json!({"function_call":call["function"]}));
        assert_eq!(names(&legacy), all, "function_call: {arguments}");
        // The same with an index, or an id, that says that they are one.
        for id in [json!(null), json!("a")] {
            let one = three.map(|name| fragment(json!(0), id.clone(), name, arguments));
            assert_eq!(names(&one), all, "one index: {arguments}");
        }
    }
    assert_eq!(names(&[json!({"tool_calls":[bare("get", "{}"), bare("put", "{}")]})]), ["get", "getput", "put"]);
    // Arguments that come in pieces, none, and a name that comes again with each of them.
    let pieces = [bare("sh", "{\"a\""), bare("", ":1}"), bare("ell", "{"), bare("", "}")];
    assert_eq!(names(&pieces.map(|call| json!({"tool_calls":[call]}))), ["ell", "sh", "shell"]);
    let blank = three.map(|name| json!({"tool_calls":[bare(name, "")]}));
    assert_eq!(names(&blank), all);
    assert_eq!(names(&[json!({"tool_calls":three.map(|name| bare(name, ""))})]), all);
    let again = ["{\"a\"", ":1", "}"].map(|arguments| json!({"tool_calls":[bare("f", arguments)]}));
    assert_eq!(names(&again), ["f", "fff"]);
    // Which of them a fragment goes on with, nobody can tell.
    let event = |calls: &[Value]| json!({ "tool_calls": calls });
    assert!(refused(&[event(&[bare("f", "{\"x\":\"078-05-"), bare("", "1120\"}")])]));
    assert!(refused(&[event(&[bare("f", "{}"), bare("g", "{}")]), event(&[bare("h", "{}")])]));
    assert!(refused(&[event(&[bare("f", "{}")]), event(&[bare("g", "{}"), bare("h", "{}")])]));
}

#[test]
fn a_call_gets_its_id_later_or_another_one_before_its_arguments() {
    let first = |id: Value, arguments: &str| fragment(json!(0), id, "f", arguments);
    let more = |id: &str, arguments: &str| fragment(json!(0), json!(id), "", arguments);
    let ssn = ["{\"x\":\"078-05-", "1120\"}"];
    let calls = |deltas: &[Value]| {
        let out = masked(openai_chat::stream(), &sse(deltas));
        assert!(out.contains("[SSN]") && !out.contains("1120"), "{out}");
        let told = told(openai_chat::stream(), &sse(deltas)).calls;
        told.into_iter().map(|(_, id, name)| format!("{id} {name}")).collect::<Vec<_>>()
    };
    for none in [json!(null), json!("")] {
        assert_eq!(calls(&[first(none.clone(), ssn[0]), more("a", ssn[1])]), ["a f"]);
        let unnamed = fragment(json!(0), none, "", "");
        assert_eq!(calls(&[unnamed, first(json!("a"), ssn[0]), more("a", ssn[1])]), ["a f"]);
    }
    assert_eq!(calls(&[first(json!("a"), ""), more("b", ssn[0]), more("b", ssn[1])]), ["a f"]);
    // Both ids are that call's now.
    let two = [first(json!("a"), ""), more("b", "{}")];
    for id in ["a", "b"] {
        let later = [fragment(json!(1), json!("c"), "g", "{}"), fragment(json!(2), json!(id), "h", "{}")];
        assert!(refused(&[two.as_slice(), &later].concat()), "{id}");
    }
    assert!(refused(&[first(json!("a"), ""), more("b", ""), more("a", "{}")]), "back to the first");
    assert!(refused(&[first(json!("a"), ""), more("b", ssn[0]), more("c", ssn[1])]), "in the midst of arguments");
}

#[test]
fn names_and_arguments_of_calls_with_one_index_are_masked_as_one() {
    let calls = |names: [&str; 2], arguments: &str| {
        sse(&[fragment(json!(0), json!("a"), names[0], arguments), fragment(json!(0), json!("b"), names[1], arguments)])
    };
    let out = masked(openai_chat::stream(), &calls(["x078-05-", "1120y"], &format!("{{\"x\":\"{CANARY}\"}}")));
    assert_eq!(out, calls(["x[SSN]", "y"], "{\"x\":\"[SSN]\"}"));
}

#[test]
fn a_name_in_pieces_is_judged_in_every_way_it_may_be_read() {
    let named = |name: &str| fragment(json!(0), json!("a"), name, "");
    assert_eq!(names(&[named("sh"), named("ell")]), ["ell", "sh", "shell"]);
    assert_eq!(names(&[named("shell"), named("shell")]), ["shell", "shellshell"]);
    assert_eq!(names(&[named("a"), named("b"), named("c")]), ["a", "abc", "b", "c"]);
    assert_eq!(names(&[named("shell"), named(""), named("")]), ["shell"]);
    let many: Vec<Value> = (0..65).map(|piece| named(&format!("{piece},"))).collect();
    assert!(!refused(&many[..64]) && refused(&many));
    let both = json!({"index":0,"id":"a","function":{"name":"a"},"custom":{"name":"b"}});
    assert!(refused(&[json!({ "tool_calls": [both] })]));
    let both = json!({"index":0,"id":"a","function":{"name":"a","arguments":"{}","input":"x"}});
    assert!(refused(&[json!({ "tool_calls": [both] })]));
}

#[test]
fn calls_of_a_whole_answer_are_each_their_own() {
    let call = |name: &str, arguments: &str| json!({"index":0,"id":"a","type":"function","function":{"name":name,"arguments":arguments}});
    let choice = |calls: [Value; 2]| json!({"index":0,"message":{"role":"assistant","tool_calls":calls}});
    let body = json!({"choices":[choice([call("sh", "{}"), call("ell", "{}")])]});
    let names: Vec<String> =
        told(openai_chat::whole(), &body.to_string()).calls.into_iter().map(|(_, _, name)| name).collect();
    assert_eq!(names, ["sh", "ell"]);
}

#[test]
fn choices_of_one_event_have_indices_of_their_own() {
    let choice = |index: Value, text: &str| json!({"index":index,"delta":{"content":text},"finish_reason":null});
    let event = |choices: [Value; 2]| format!("data: {}\n\n", json!({ "choices": choices }));
    for body in [
        event([choice(json!(0), CANARY), choice(json!(0), "5")]),
        event([choice(json!(0), "078-05-"), json!({"delta":{"content":"1120"}})]),
        event([choice(json!(1), "078-05-"), choice(json!(1.0), "1120")]),
    ] {
        assert!(run(openai_chat::stream(), &mut Judge::masking(), body.as_bytes(), &[]).is_err(), "{body}");
    }
    // Nobody puts together what comes whole.
    let message = |text: &str| json!({"index":0,"message":{"role":"assistant","content":text}});
    let body = json!({"choices":[message(CANARY), message("5")]}).to_string();
    let judge = told(openai_chat::whole(), &body);
    assert_eq!(judge.texts(model::Channel::Content), [CANARY, "5"]);
    assert_eq!(value(&masked(openai_chat::whole(), &body))["choices"][0]["message"]["content"], "[SSN]");
}
