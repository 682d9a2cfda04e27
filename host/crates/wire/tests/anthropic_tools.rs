//! Tools that a request to `anthropic-messages` offers elsewhere than in `tools`: each is told by its names and can be
//! taken away.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::{Channel, Speaker};
use serde_json::{Value, json};
use support::{Judge, anthropic::request, left_of, run, told};
use wire::Malformed;

fn shell() -> Value {
    json!({"name":"shell","description":"runs","input_schema":{"type":"object"}})
}

fn fine() -> Value {
    json!({"name":"fine","input_schema":{"type":"object","properties":{"tools":{"type":"string"}}}})
}

fn message(role: &str, blocks: &[Value]) -> Value {
    json!({"role":role,"content":blocks})
}

fn text(say: &str) -> Value {
    json!({"type":"text","text":say})
}

/// A block with a tool, by value or by name.
fn change(kind: &str, tool: &Value) -> Value {
    json!({"type":kind,"tool":tool})
}

fn addition(definition: &Value) -> Value {
    change("tool_addition", &json!({"type":"tool_definition","definition":definition}))
}

/// A request of these messages behind a first one.
fn with(messages: &[Value]) -> Value {
    let all: Vec<Value> = [message("user", &[text("hi")])].iter().chain(messages).cloned().collect();
    json!({"model":"m","max_tokens":5,"messages":all})
}

fn names(body: &Value) -> Vec<String> {
    told(request(), &body.to_string()).asked.unwrap().tools.into_iter().map(|tool| tool.name).collect()
}

#[test]
fn a_tool_in_a_message_is_told_and_taken_away() {
    let reference = json!({"type":"tool_reference","name":"shell"});
    let of_server = json!({"type":"mcp_tool_reference","server_name":"s","name":"shell"});
    let cases = [
        addition(&shell()),
        addition(&json!({"type":"bash_20250124","name":"shell"})),
        addition(&json!({"type":"mcp_toolset","mcp_server_name":"s","tools":[shell()]})),
        addition(&json!({"type":"mcp_toolset","mcp_server_name":"s","configs":{"shell":{}}})),
        change("tool_addition", &reference),
        change("tool_addition", &of_server),
        change("tool_addition", &shell()),
        change("tool_removal", &reference),
        json!({"type":"novel","definition":shell()}),
        json!({"type":"novel","name":"shell","input_schema":{}}),
        json!({"type":"tool_reference","tool_name":"shell"}),
    ];
    for block in cases {
        let body = with(&[message("system", &[addition(&fine()), block.clone()]), message("user", &[text("go")])]);
        assert!(names(&body).contains(&"shell".to_owned()), "{block}: {:?}", names(&body));
        let left = with(&[message("system", &[addition(&fine())]), message("user", &[text("go")])]);
        assert_eq!(left_of(request(), &body, &["shell"]), left, "{block}");
        assert_eq!(left_of(request(), &body, &["other"]), body, "{block}");
        // A message of which nothing stays goes.
        let body = with(&[message("system", std::slice::from_ref(&block)), message("user", &[text("go")])]);
        assert_eq!(left_of(request(), &body, &["shell"]), with(&[message("user", &[text("go")])]), "{block}");
    }
}

#[test]
fn tools_in_lists_at_any_depth_are_taken_out_of_them() {
    let listing = |tools: &[Value]| with(&[message("assistant", &[json!({"type":"mcp_tool_listing","tools":tools})])]);
    assert_eq!(names(&listing(&[fine(), shell()])), ["fine", "shell"]);
    assert_eq!(left_of(request(), &listing(&[fine(), shell()]), &["shell"]), listing(&[fine()]));
    // Without the list the server would be asked.
    assert_eq!(left_of(request(), &listing(&[shell()]), &["shell"]), listing(&[]));

    let found = |names: &[&str]| {
        let references: Vec<Value> =
            names.iter().map(|name| json!({"type":"tool_reference","tool_name":name})).collect();
        let result = json!({"type":"tool_search_tool_search_result","tool_references":references});
        with(&[message("assistant", &[json!({"type":"tool_search_tool_result","tool_use_id":"t","content":result})])])
    };
    assert_eq!(left_of(request(), &found(&["a", "shell"]), &["shell"]), found(&["a"]));

    let deep = |tools: &[Value]| with(&[message("user", &[json!({"type":"novel","Deep":{"er":[{"Tools":tools}]}})])]);
    assert_eq!(names(&deep(&[fine(), shell(), json!("named")])), ["fine", "shell", "named"]);
    assert_eq!(left_of(request(), &deep(&[fine(), shell(), json!("named")]), &["shell", "named"]), deep(&[fine()]));

    let set = |tools: &[Value]| {
        let mut body = with(&[]);
        body["tools"] = json!([fine(), {"type":"mcp_toolset","mcp_server_name":"s","tools":tools}]);
        body
    };
    assert_eq!(names(&set(&[shell()])), ["fine", "mcp_toolset", "shell"]);
    assert_eq!(left_of(request(), &set(&[shell(), fine()]), &["shell"]), set(&[fine()]));
    // A list that is empty might mean all.
    assert_eq!(left_of(request(), &set(&[shell()]), &["shell"])["tools"], json!([fine()]));
}

#[test]
fn what_may_be_called_of_a_server_is_told_and_taken_away() {
    let server = |name: &str, tools: &[&str]| json!({"type":"url","name":name,"url":"https://x.example","tool_configuration":{"enabled":true,"allowed_tools":tools}});
    let body = |servers: &[Value]| {
        let mut body = with(&[]);
        body["mcp_servers"] = servers.into();
        body
    };
    let asked = body(&[server("a", &["find", "shell"]), server("b", &["shell"])]);
    assert_eq!(names(&asked), ["find", "shell", "shell"]);
    // A server with an empty list might let call all.
    assert_eq!(left_of(request(), &asked, &["shell"]), body(&[server("a", &["find"])]));
    // A policy's own list stands.
    let mut flow = request();
    flow.patch_parameters(r#"{"mcp_servers":null}"#).unwrap();
    assert_eq!(left_of(flow, &asked, &["shell"]), with(&[]));
}

#[test]
fn a_model_that_a_tool_in_a_message_names_is_told() {
    let advisor = json!({"type":"advisor_20260301","name":"advisor","model":"big"});
    let inline = with(&[message("system", &[addition(&advisor)])]);
    let listed = with(&[message("user", &[json!({"type":"novel","tools":[{"definition":advisor}]})])]);
    let bare = with(&[message("user", &[json!({"type":"novel","tool":advisor})])]);
    for body in [inline, listed, bare] {
        assert_eq!(told(request(), &body.to_string()).asked.unwrap().tool_models, ["big"], "{body}");
    }
    // What was asked before is no tool.
    let past = json!({"type":"fallback","from":{"model":"big"},"to":{"model":"big"}});
    let body = with(&[message("assistant", &[past])]);
    assert!(told(request(), &body.to_string()).asked.unwrap().tool_models.is_empty());
}

#[test]
fn a_tool_that_could_not_be_taken_out_is_refused() {
    let in_block = |block: Value| with(&[message("user", &[block])]);
    let at_top = |name: &str, value: Value| {
        let mut body = with(&[]);
        body[name] = value;
        body
    };
    for (body, place) in [
        (in_block(json!({"type":"novel","deep":{"tool":shell()}})), "/messages/1/content/0/deep/tool"),
        (in_block(json!({"type":"novel","tools":shell()})), "/messages/1/content/0/tools"),
        (in_block(json!({"type":"novel","deep":shell()})), "/messages/1/content/0/deep"),
        (
            in_block(json!({"type":"tool_result","content":{"type":"tool_reference","tool_name":"shell"}})),
            "/messages/1/content/0/content",
        ),
        (at_top("tools", shell()), "/tools"),
        (at_top("novel", json!({"allowed_tools":["shell"]})), "/novel/allowed_tools"),
        (at_top("tool", shell()), "/tool"),
    ] {
        let error = run(request(), &mut Judge::default(), body.to_string().as_bytes(), &[]).unwrap_err();
        assert!(matches!(&error, Malformed::Shape { path, .. } if path == place), "{body}: {error}");
    }
}

#[test]
fn what_only_looks_like_tools_is_left_alone() {
    let body = json!({"model":"m","messages":[
        message("assistant", &[json!({"type":"tool_use","id":"t","name":"f","input":{"tools":["a"],"tool":{"name":"b"}}})]),
        message("user", &[json!({"type":"tool_result","tool_use_id":"t","content":[text("{\"tools\":[\"c\"]}")]})])],
        "metadata":{"tools":["d"]}, "tool_choice":{"type":"tool","name":"e"},
        "output_config":{"format":{"type":"json_schema","schema":{"properties":{"tool":{"input_schema":{}}}}}}});
    assert_eq!(names(&body), [""; 0]);
    assert_eq!(left_of(request(), &body, &["a", "b", "c", "d", "e"]), body);
}

#[test]
fn a_definition_in_a_message_is_one_to_policies() {
    let body = with(&[message("system", &[addition(&shell())])]);
    let judge = told(request(), &body.to_string());
    let said = judge.said();
    let definition = |text: &str| (Channel::ToolDefinition, Speaker::Developer, text.to_owned());
    assert!(said.contains(&definition("runs")) && said.contains(&definition("shell")), "{said:?}");
}
