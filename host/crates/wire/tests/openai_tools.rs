//! Tools that a request to `openai-chat`, `openai-responses`, `openai-completions` or `ollama` offers elsewhere than in its
//! lists of tools: each is told by its names and can be taken away.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::Family;
use serde_json::{Value, json};
use support::{left_of, told};
use wire::{Flow, Limits};

/// Where requests go to, with one that offers nothing.
fn places() -> [(Family, &'static str, Value); 4] {
    let messages = json!([{"role":"user","content":"hi"}]);
    [
        (Family::Openai, "/v1/chat/completions", json!({"model":"m","messages":messages})),
        (Family::Openai, "/v1/responses", json!({"model":"m","input":messages})),
        (Family::Openai, "/v1/completions", json!({"model":"m","prompt":"hi"})),
        (Family::Ollama, "/api/chat", json!({"model":"m","messages":messages})),
    ]
}

fn request(family: Family, path: &str) -> Box<dyn Flow> {
    let endpoint = wire::claim(family, "POST", path).unwrap();
    endpoint.request_at(path, "application/json", Limits::default()).unwrap()
}

fn names((family, path, _): &(Family, &'static str, Value), body: &Value) -> Vec<String> {
    let asked = told(request(*family, path), &body.to_string()).asked.unwrap();
    asked.tools.into_iter().map(|tool| tool.name).collect()
}

/// A tool as the chat API has it, as the responses API has it, and as servers of tools do.
fn shells() -> [Value; 3] {
    [
        json!({"type":"function","function":{"name":"shell","parameters":{"type":"object"}}}),
        json!({"type":"function","name":"shell"}),
        json!({"name":"shell","inputSchema":{"type":"object"}}),
    ]
}

#[test]
fn a_tool_in_a_member_that_nobody_knows_is_told_and_taken_away() {
    let fine = json!({"type":"function","function":{"name":"fine"}});
    for place in places() {
        let with = |name: &str, value: Value| {
            let mut body = place.2.clone();
            body[name] = value;
            body
        };
        let check = |body: &Value, told: &[&str], left: &Value| {
            assert_eq!(names(&place, body), told, "{body}");
            assert_eq!(left_of(request(place.0, place.1), body, &["shell"]), *left, "{body}");
            assert_eq!(left_of(request(place.0, place.1), body, &["other"]), *body, "{body}");
        };
        for shell in shells() {
            let within = |tools: &[&Value]| with("extra_body", json!({"deep":[{"Tools":tools}]}));
            check(&within(&[&fine, &shell]), &["fine", "shell"], &within(&[&fine]));
            check(&within(&[&shell]), &["shell"], &within(&[]));
            let unnamed = |tools: &[&Value]| with("novel", json!({"list":tools}));
            check(&unnamed(&[&shell]), &["shell"], &unnamed(&[]));
            // What stands in no list is a member.
            check(&with("novel", json!({"a":1,"one":shell})), &["shell"], &with("novel", json!({"a":1})));
            check(&with("novel", json!({"a":1,"tools":shell})), &["shell"], &with("novel", json!({"a":1})));
            check(&with("novel", shell), &["shell"], &place.2);
        }
        let texts = |names: &[&str]| with("novel", json!({"tools":names}));
        check(&texts(&["fine", "shell"]), &["fine", "shell"], &texts(&["fine"]));
        let connector = json!({"type":"mcp","connector_id":"c","allowed_tools":["shell"]});
        check(&with("novel", json!([connector, 1])), &["mcp", "shell"], &with("novel", json!([1])));
    }
}

#[test]
fn a_tool_deep_in_the_conversation_is_told_and_taken_away() {
    for place in places().into_iter().filter(|place| place.1 != "/v1/completions") {
        let list = if place.1 == "/v1/responses" { "input" } else { "messages" };
        let with = |tools: &[&Value]| {
            let mut body = place.2.clone();
            body[list][0]["novel"] = json!({"deep":[{"tools":tools}]});
            body
        };
        for shell in shells() {
            assert_eq!(names(&place, &with(&[&shell])), ["shell"]);
            assert_eq!(left_of(request(place.0, place.1), &with(&[&shell]), &["shell"]), with(&[]));
        }
    }
}

#[test]
fn a_tool_within_a_tool_is_told_and_taken_away_with_what_would_be_nothing_without_it() {
    for place in places() {
        let with = |tools: &[Value]| {
            let mut body = place.2.clone();
            body["tools"] = tools.into();
            body
        };
        let fine = json!({"type":"function","function":{"name":"fine"}});
        for shell in shells() {
            let space = |tools: &[&Value]| json!({"type":"namespace","name":"n","tools":tools});
            let deep = with(&[fine.clone(), space(&[&fine, &space(&[&shell])])]);
            assert_eq!(names(&place, &deep), ["fine", "n", "fine", "n", "shell"]);
            let left = with(&[fine.clone(), space(&[&fine])]);
            assert_eq!(left_of(request(place.0, place.1), &deep, &["shell"]), left);
            for holder in [
                json!({"type":"novel","function":{"name":"n","functions":[shell]}}),
                json!({"type":"novel","definition":{"name":"n","parameters":{},"tools":[shell]}}),
            ] {
                let body = with(&[fine.clone(), holder]);
                assert!(names(&place, &body).contains(&"shell".to_owned()), "{body}");
                assert_eq!(left_of(request(place.0, place.1), &body, &["shell"]), with(std::slice::from_ref(&fine)));
            }
        }
    }
}

#[test]
fn what_a_choice_names_is_told_once_and_the_choice_goes_with_it() {
    let (family, path, bare) = places()[0].clone();
    let place = (family, path, bare.clone());
    let tool = |name: &str| json!({"type":"function","function":{"name":name}});
    for choice in [
        tool("shell"),
        json!({"type":"function","name":"shell"}),
        json!({"type":"tool","name":"shell"}),
        json!({"type":"allowed_tools","mode":"auto","tools":[tool("shell"), tool("fine")]}),
        json!({"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[tool("fine"), tool("shell")]}}),
    ] {
        let mut body = bare.clone();
        body["tools"] = json!([tool("fine")]);
        let left = body.clone();
        // Of a prompt that the server stores, say.
        body["tool_choice"] = choice;
        assert_eq!(names(&place, &body), ["fine", "shell"], "{body}");
        assert_eq!(left_of(request(family, path), &body, &["shell"]), left);
        body["tools"] = json!([tool("fine"), tool("shell")]);
        assert_eq!(names(&place, &body), ["fine", "shell"], "{body}");
        assert_eq!(left_of(request(family, path), &body, &["shell"]), left);
    }
    for choice in [json!("auto"), json!("none"), json!({"type":"auto"}), json!({"type":"any"})] {
        let mut body = bare.clone();
        body["tool_choice"] = choice;
        assert_eq!(names(&place, &body), [""; 0], "{body}");
    }
}

#[test]
fn a_list_of_what_may_be_called_is_not_left_empty() {
    for place in places() {
        let server = |names: &[&str]| json!({"name":"s","allowed_tools":names});
        let with = |servers: &[Value]| {
            let mut body = place.2.clone();
            body["servers"] = servers.into();
            body
        };
        let body = with(&[server(&["find", "shell"]), server(&["shell"])]);
        assert_eq!(names(&place, &body), ["find", "shell", "shell"]);
        // Of an empty list some servers say that it allows all.
        assert_eq!(left_of(request(place.0, place.1), &body, &["shell"]), with(&[server(&["find"])]));
    }
}

#[test]
fn what_only_looks_like_tools_is_left_alone() {
    for place in places() {
        let mut body = place.2.clone();
        body["metadata"] = json!({"tools":["a"]});
        body["response_format"] = json!({"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object",
            "properties":{"tools":{"type":"array","items":{"type":"string","enum":["a"]},"default":[{"tools":["a"]}]},
                "function":{"name":"a","parameters":{}}},
            "$defs":{"tools":[{"name":"a","parameters":{}}]},"examples":[{"tools":["a"]}]}}});
        body["tools"] = json!([{"type":"function","function":{"name":"fine","parameters":{"type":"object",
            "properties":{"tools":{"type":"array","enum":["a"]},"functions":{"name":"a","parameters":{}}},
            "required":["tools"],"default":{"tools":["a"]},"examples":[{"functions":["a"]}]}}}]);
        match place.1 {
            "/v1/responses" => body["input"].as_array_mut().unwrap().extend([
                json!({"type":"function_call","call_id":"c","name":"a","arguments":"{\"tools\":[\"a\"]}"}),
                json!({"type":"custom_tool_call","call_id":"c","name":"a","input":"x"}),
                json!({"type":"mcp_approval_request","id":"i","server_label":"s","name":"a","arguments":"{}"}),
            ]),
            "/v1/completions" => {}
            _ => body["messages"].as_array_mut().unwrap().extend([
                json!({"role":"assistant","content":"","tool_calls":[{"id":"c","type":"function",
                    "function":{"name":"a","arguments":if place.0 == Family::Ollama { json!({"tools":["a"]}) } else { json!("{}") }}}]}),
                json!({"role":"tool","content":"{\"tools\":[\"a\"]}","name":"a"}),
            ]),
        }
        assert_eq!(names(&place, &body), ["fine"], "{body}");
        assert_eq!(left_of(request(place.0, place.1), &body, &["a"]), body);
    }
}

#[test]
fn a_model_that_a_tool_anywhere_names_is_told() {
    let advisor = json!({"type":"advisor","name":"a","parameters":{"model":"big"}});
    for (family, path, mut body) in places() {
        for novel in [json!({"tools":[advisor]}), json!({"deep":{"one":advisor}})] {
            body["novel"] = novel;
            assert_eq!(told(request(family, path), &body.to_string()).asked.unwrap().tool_models, ["big"], "{body}");
        }
    }
}
