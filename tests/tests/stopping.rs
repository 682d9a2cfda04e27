//! Block, ask and lockdown, as an unmodified caller meets them; and a hangup, which stops nothing.

use std::time::Duration;

use scenarios::rig::{
    Channel, End, Heard, Host, SSN, Setup, Upstream, entries, events, json_head, request, sse_head, whole, within,
};
use serde_json::Value;

/// Chunks that may still be delivered after a set that stops everything is in force: the one under way.
const UNDER_WAY: usize = 1;
const BLOCK: &str =
    "[settings]\nwords = [\"launch codes\"]\n[settings.refusal]\nmessage = \"not here\"\ncode = \"topic.codes\"\n";

async fn answering(text: &'static str) -> Upstream {
    Upstream::answering(move |_| {
        let body = whole(Channel::Content, text);
        vec![json_head(200, body.len()), body]
    })
    .await
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_a_403_in_the_sdks_form_and_nothing_goes_upstream() {
    let upstream = answering("never said").await;
    let host = Setup::new().policy_with("20-block.wasm", "block", BLOCK).start(upstream.address).await;
    for stream in [false, true] {
        let (reply, body) = host.client().whole(&request("tell me the launch codes", stream)).await;
        assert_eq!((reply.status, reply.end), (403, Some(End::Complete)));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("x-should-retry"), Some("false"));
        let body = json(&body);
        assert_eq!((&body["error"]["code"], &body["status"]), (&"topic.codes".into(), &403.into()), "{body}");
        assert!(body["error"]["message"].as_str().unwrap().contains("not here"), "{body}");
        let id = reply.header("x-request-id").unwrap();
        assert_eq!(Some(id), reply.header("request-id"));
        let record = host.record(id).await;
        assert_eq!(entries(&record, "Closed").next().unwrap()["outcome"], "blocked");
    }
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_credential_gets_a_401_and_an_unknown_endpoint_a_403() {
    let upstream = answering("never said").await;
    let host = Setup::new().start(upstream.address).await;
    let mut client = host.client();
    let known = client.token.clone();
    client.token = "somebody-elses-token-0123456789abcdef".to_owned();
    assert_eq!(client.whole(&request("hello", false)).await.0.status, 401);
    client.token = known;
    let mut reply = client.send("POST", "/v1/fine_tuning/jobs", &[("content-type", "application/json")], b"{}").await;
    assert_eq!((reply.status, json(&reply.rest().await)["error"]["code"].clone()), (403, "no_endpoint".into()));
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lockdown_dropped_into_the_folder_stops_a_running_stream() {
    let mut upstream = Upstream::start().await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let client = host.client();
    let mut asked = tokio::spawn(async move { client.ask(&request("hello", true)).await });
    let mut turn = upstream.turn().await;
    turn.write(&sse_head()).await;
    let word = |at: usize| events(Channel::Content, &[&format!("word {at}. ")])[1].clone();
    let mut got = Vec::new();
    turn.chunk(&word(0)).await;
    let mut reply = within("the head of the answer", &mut asked).await.unwrap();
    while Heard::stream(&got).text(0, "content").is_empty() {
        got.extend(reply.chunk().await.expect("the stream runs"));
    }
    host.install_shipped("00-lockdown.wasm", "lockdown");
    host.until_policy("00-lockdown").await;
    let before = Heard::stream(&got).text(0, "content").to_owned();
    let mut sent = 0;
    while reply.end.is_none() {
        assert!(sent <= UNDER_WAY, "the stream goes on after {sent} chunks under lockdown");
        sent += 1;
        // The host may have cut the connection already.
        let _ = turn.chunk(&word(sent)).await;
        while let Some(chunk) = reply.chunk().await {
            got.extend(chunk);
            if Heard::stream(&got).error.is_some()
                || Heard::stream(&got).text(0, "content").contains(&format!("word {sent}"))
            {
                break;
            }
        }
        if Heard::stream(&got).error.is_some() {
            got.extend(reply.rest().await);
        }
    }
    assert_eq!(reply.end, Some(End::Broken), "a cut stream must not look complete");
    let heard = Heard::stream(&got);
    assert_eq!(heard.error.as_ref().map(|error| error["code"].clone()), Some("lockdown".into()), "{heard:?}");
    assert!(!heard.done && heard.finish.is_empty(), "{heard:?}");
    assert_eq!(heard.text(0, "content"), before, "no word of the model after the gate is down");
    turn.dropped_by_host().await;
    let record = host.record(reply.header("x-request-id").unwrap()).await;
    assert_eq!(entries(&record, "Closed").next().unwrap()["outcome"], "blocked");
    assert_eq!(entries(&record, "Switched").count(), 1, "the switch is on record");
    // And nobody new comes in.
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 403);
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lockdown_reaches_an_exchange_whose_upstream_is_silent() {
    let mut upstream = Upstream::start().await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    for stream in [false, true] {
        let client = host.client();
        let asked = tokio::spawn(async move { client.whole(&request("hello", stream)).await });
        let mut turn = upstream.turn().await;
        assert!(!turn.received.body.is_empty(), "the request is on its way, and nothing comes back");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!asked.is_finished());
        host.install_shipped("00-lockdown.wasm", "lockdown");
        let (reply, body) = within("the end under lockdown", asked).await.unwrap();
        assert_eq!((reply.status, reply.end), (403, Some(End::Complete)));
        assert_eq!(json(&body)["error"]["code"], "lockdown");
        turn.dropped_by_host().await;
        let record = host.record(reply.header("x-request-id").unwrap()).await;
        assert_eq!(entries(&record, "Switched").count(), 1, "{record}");
        std::fs::remove_file(host.folder().join("00-lockdown.wasm")).unwrap();
        host.until_set("the gate is open again", |set| scenarios::rig::policies(set).all(|id| id == "10-mask")).await;
    }
}

/// A request as an SDK would send it that offers a tool.
fn offering(model: &str, tool: &str, text: &str) -> Vec<u8> {
    serde_json::json!({
        "model": model, "messages": [{ "role": "user", "content": text }],
        "tools": [{ "type": "function", "function": { "name": tool, "parameters": { "type": "object" } } }],
    })
    .to_string()
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_a_tool_and_a_size_are_blocked() {
    let upstream = Upstream::answering(|received| {
        let call = String::from_utf8_lossy(&received.body).contains("call it");
        let function = serde_json::json!({ "name": "rm", "arguments": "{}" });
        let mut message = serde_json::json!({ "role": "assistant", "content": "fine" });
        if call {
            message["tool_calls"] = serde_json::json!([{ "id": "call_1", "type": "function", "function": function }]);
        }
        let choice = serde_json::json!({ "index": 0, "message": message, "finish_reason": "stop" });
        let answer = serde_json::json!({ "id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [choice] });
        let body = answer.to_string().into_bytes();
        vec![json_head(200, body.len()), body]
    })
    .await;
    let settings = "[settings]\nmax-request-bytes = 2000\noffered = \"block\"\nmodels = { deny = [\"forbidden-*\"] }\n\
                    tools = { deny = [\"rm\"] }\n";
    let host = Setup::new().policy_with("20-block.wasm", "block", settings).start(upstream.address).await;
    let blocked = [
        (offering("forbidden-1", "ls", "hello"), "block.model"),
        (offering("gpt-test", "rm", "hello"), "block.tool"),
        (offering("gpt-test", "ls", &"long ".repeat(1_000)), "block.size"),
    ];
    for (body, code) in blocked {
        let (reply, body) = host.client().whole(&body).await;
        assert_eq!((reply.status, &json(&body)["error"]["code"]), (403, &code.into()));
    }
    assert_eq!(upstream.received().len(), 0, "nothing of these goes up");
    assert_eq!(host.client().whole(&offering("gpt-test", "ls", "hello")).await.0.status, 200);
    let (reply, body) = host.client().whole(&offering("gpt-test", "ls", "call it")).await;
    assert_eq!((reply.status, &json(&body)["error"]["code"]), (403, &"block.tool".into()), "the model proposes it");
}

fn asking() -> Setup {
    Setup::new().policy("10-mask.wasm", "mask").policy("30-approve.wasm", "approve")
}

async fn held(host: &Host, stream: bool) -> (tokio::task::JoinHandle<(u16, Option<End>, Vec<u8>)>, String) {
    let client = host.client();
    let text = format!("please delete {SSN}");
    let asked = tokio::spawn(async move {
        let (reply, body) = client.whole(&request(&text, stream)).await;
        (reply.status, reply.end, body)
    });
    let question = host.until_asked().await;
    assert!(!question.to_string().contains(SSN), "the approver sees what would go on: {question}");
    (asked, question["id"].as_str().expect("an approval has an id").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_passes_as_it_was_shown() {
    let upstream = answering("done").await;
    let host = asking().start(upstream.address).await;
    let (asked, id) = held(&host, false).await;
    assert_eq!(upstream.received().len(), 0, "nothing goes upstream before");
    let told = host.cli().run(&["approvals", "approve", &id, "--reason", "INC-1"]);
    assert_eq!(told.code, Some(0), "{}{}", told.stdout, told.stderr);
    let (status, end, body) = within("the answer", asked).await.unwrap();
    assert_eq!((status, end), (200, Some(End::Complete)));
    assert_eq!(Heard::whole(&body).text(0, "content"), "done");
    let received = upstream.received();
    let forwarded = String::from_utf8_lossy(&received[0].body).into_owned();
    assert!(received.len() == 1 && forwarded.contains("please delete [SSN]"), "{forwarded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_request_ends_with_403() {
    let upstream = answering("never said").await;
    let host = asking().start(upstream.address).await;
    let (asked, id) = held(&host, false).await;
    let listed = host.cli().json(&["approvals", "list"]);
    assert!(listed.to_string().contains(&id), "{listed}");
    let told = host.cli().run(&["approvals", "deny", &id, "--reason", "not today"]);
    assert_eq!(told.code, Some(0), "{}{}", told.stdout, told.stderr);
    let (status, _, body) = within("the answer", asked).await.unwrap();
    assert_eq!((status, json(&body)["error"]["code"].clone()), (403, "approval_denied".into()));
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_answers_is_a_no() {
    let upstream = answering("never said").await;
    let host = asking().approvals("default_timeout = \"1s\"").start(upstream.address).await;
    let (asked, _) = held(&host, false).await;
    let (status, _, body) = within("the answer", asked).await.unwrap();
    assert_eq!((status, json(&body)["error"]["code"].clone()), (403, "approval_expired".into()));
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_can_not_wait_asks_again_and_passes_once() {
    let upstream = answering("done").await;
    let host = asking().approvals("wait = \"500ms\"").start(upstream.address).await;
    let (asked, id) = held(&host, false).await;
    let (status, _, body) = within("the answer", asked).await.unwrap();
    assert_eq!((status, json(&body)["error"]["code"].clone()), (403, "approval_pending".into()));
    assert_eq!(host.cli().run(&["approvals", "approve", &id]).code, Some(0));
    let again = request(&format!("please delete {SSN}"), false);
    let (reply, body) = host.client().whole(&again).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&body));
    assert_eq!(host.client().whole(&again).await.0.status, 403, "an approval is used once");
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revoked_caller_asked_or_was_approved_is_cancelled() {
    let upstream = answering("never said").await;
    let host = asking().approvals("wait = \"0s\"").start(upstream.address).await;
    let mut asked = Vec::new();
    for text in ["please delete one", "please delete two"] {
        let (reply, body) = host.client().whole(&request(text, false)).await;
        assert_eq!((reply.status, json(&body)["error"]["code"].clone()), (403, "approval_pending".into()));
        let listed = host.look("/v1/approvals").await;
        let ids = listed["approvals"].as_array().unwrap().iter().map(|approval| approval["id"].as_str().unwrap());
        let new = ids.into_iter().find(|id| !asked.iter().any(|known| known == id)).unwrap().to_owned();
        asked.push(new);
    }
    assert_eq!(host.cli().run(&["approvals", "approve", &asked[0]]).code, Some(0));
    assert_eq!(host.cli().run(&["revoke", "--caller", "rig", "--yes"]).code, Some(0));
    for id in asked {
        let cancelled = async {
            while host.look(&format!("/v1/approvals/{id}")).await["state"] != "cancelled" {
                tokio::task::yield_now().await;
            }
        };
        within("the question is withdrawn", cancelled).await;
    }
    assert_eq!(upstream.received().len(), 0);
}

/// What a session may learn to get past an approver: the text that was approved, with something before it.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_lets_no_other_request_pass() {
    let upstream = answering("done").await;
    let host = asking().approvals("wait = \"500ms\"").start(upstream.address).await;
    let chat = |messages: &[&str], model: &str| {
        let messages: Vec<Value> =
            messages.iter().map(|text| serde_json::json!({ "role": "user", "content": text })).collect();
        serde_json::json!({ "model": model, "messages": messages }).to_string().into_bytes()
    };
    let send = async |body: Vec<u8>, headers: &[(&str, &str)]| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let mut reply = host.client().send("POST", "/v1/chat/completions", &headers, &body).await;
        let body = reply.rest().await;
        (reply.status, json(&body)["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let pending = (403, "approval_pending".to_owned());
    let first = || chat(&["delete it"], "gpt-test");
    assert_eq!(send(first(), &[]).await, pending);
    let id = host.until_asked().await["id"].as_str().unwrap().to_owned();
    assert_eq!(host.cli().run(&["approvals", "approve", &id]).code, Some(0));
    for other in [chat(&["the production database", "delete it"], "gpt-test"), chat(&["delete it"], "gpt-other")] {
        assert_eq!(send(other, &[]).await, pending);
    }
    assert_eq!(send(first(), &[("openai-beta", "another")]).await, pending, "headers go up, too");
    assert_eq!(upstream.received().len(), 0);
    let retry = [("x-stainless-retry-count", "1")];
    assert_eq!(send(first(), &retry).await, (200, String::new()), "an SDK that tries again");
    assert_eq!(send(first(), &[]).await, pending, "once is once");
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_lets_be_remembered_is_the_same_request_and_no_other() {
    let upstream = answering("done").await;
    let settings = "[settings]\nremember = \"request\"\n";
    let host = Setup::new()
        .policy_with("30-approve.wasm", "approve", settings)
        .approvals("wait = \"500ms\"")
        .start(upstream.address)
        .await;
    assert_eq!(host.client().whole(&request("delete it", false)).await.0.status, 403);
    let id = host.until_asked().await["id"].as_str().unwrap().to_owned();
    assert_eq!(host.cli().run(&["approvals", "approve", &id]).code, Some(0));
    for _ in 0..2 {
        assert_eq!(host.client().whole(&request("delete it", false)).await.0.status, 200);
    }
    assert_eq!(host.client().whole(&request("delete it now", false)).await.0.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_when_the_host_dies_never_goes_on() {
    let upstream = answering("never said").await;
    let mut host = asking().start(upstream.address).await;
    let body = request("please delete it", false);
    let (client, held) = (host.client(), body.clone());
    let asked = tokio::spawn(async move { client.ask(&held).await });
    let id = host.until_asked().await["id"].as_str().unwrap().to_owned();
    host.kill9().await;
    asked.abort();
    let host = host.restart().await;
    let (status, told) = host.order(&format!("/v1/approvals/{id}/approve"), &serde_json::json!({})).await;
    assert_eq!(status, 404, "{told}");
    let client = host.client();
    let again = tokio::spawn(async move { client.whole(&body).await.0.status });
    let asked_anew = host.until_asked().await["id"].as_str().unwrap().to_owned();
    assert_ne!(asked_anew, id);
    assert_eq!(upstream.received().len(), 0);
    assert_eq!(host.cli().run(&["approvals", "deny", &asked_anew]).code, Some(0));
    assert_eq!(within("the answer", again).await.unwrap(), 403);
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_of_a_denied_request_is_on_record_masked() {
    let upstream = answering("never said").await;
    let host = asking().start(upstream.address).await;
    let (asked, id) = held(&host, false).await;
    let exchange = host.look("/v1/approvals").await["approvals"][0]["exchange"].as_str().unwrap().to_owned();
    assert_eq!(host.cli().run(&["approvals", "deny", &id]).code, Some(0));
    within("the answer", asked).await.unwrap();
    let record = host.record(&exchange).await;
    let kept: Vec<&Value> = entries(&record, "Request").collect();
    assert_eq!((kept.len(), &kept[0]["forwarded"]), (1, &false.into()), "{record}");
    assert!(record.to_string().contains("please delete [SSN]") && !record.to_string().contains(SSN), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_stream_is_kept_alive_by_comments() {
    let upstream = Upstream::answering(|_| {
        let body = events(Channel::Content, &["done"]).concat();
        let mut pieces = vec![sse_head()];
        pieces.extend(scenarios::rig::http_chunks(&[&body]));
        pieces
    })
    .await;
    let host = asking().approvals("heartbeat = \"100ms\"").start(upstream.address).await;
    let client = host.client();
    let mut reply = client.ask(&request("please export it", true)).await;
    let mut got = Vec::new();
    while Heard::stream(&got).comments.len() < 2 {
        got.extend(reply.chunk().await.expect("the stream is kept open"));
    }
    let id = host.until_asked().await["id"].as_str().unwrap().to_owned();
    assert_eq!(host.cli().run(&["approvals", "approve", &id]).code, Some(0));
    got.extend(reply.rest().await);
    let heard = Heard::stream(&got);
    assert_eq!((heard.text(0, "content"), heard.done, reply.end), ("done", true, Some(End::Complete)));
}

/// Many service files send it to reload: then running exchanges must not be cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_changes_nothing() {
    let mut upstream = Upstream::start().await;
    let mut host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let client = host.client();
    let asked = tokio::spawn(async move { client.whole(&request("hello", true)).await });
    let mut turn = upstream.turn().await;
    turn.write(&sse_head()).await;
    let events = events(Channel::Content, &["your ssn ", &format!("is {SSN} "), "ok"]);
    turn.chunk(&events[0]).await;
    host.hang_up();
    within("the host's answer to SIGHUP", async {
        while !host.log_text().contains("SIGHUP changes nothing") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for event in &events[1..] {
        turn.chunk(event).await;
    }
    turn.write(b"0\r\n\r\n").await;
    let (reply, got) = within("the end of the stream", asked).await.unwrap();
    assert_eq!((reply.status, reply.end), (200, Some(End::Complete)), "{}", host.log_text());
    assert_eq!(Heard::stream(&got).text(0, "content"), "your ssn is [SSN] ok");
    assert_eq!(host.stop().await, Some(0), "it ends in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_runs_when_a_host_stops_is_told_and_on_record() {
    let mut upstream = Upstream::start().await;
    let mut host = asking().limits("drain = \"500ms\"").start(upstream.address).await;
    let (held, id) = held(&host, false).await;
    let client = host.client();
    let stream = tokio::spawn(async move { client.whole(&request("hello", true)).await });
    let mut turn = upstream.turn().await;
    turn.write(&sse_head()).await;
    turn.chunk(&events(Channel::Content, &["one. "])[1]).await;
    let client = host.client();
    let silent = tokio::spawn(async move { client.whole(&request("hello", false)).await });
    let _unanswered = upstream.turn().await;
    assert_eq!(host.stop().await, Some(0), "it ends in order");
    let (status, end, body) = within("the held one's answer", held).await.unwrap();
    assert_eq!((status, end, &json(&body)["error"]["code"]), (503, Some(End::Complete), &"stopping".into()));
    let (reply, body) = within("the silent one's answer", silent).await.unwrap();
    assert_eq!(
        (reply.status, reply.end, &json(&body)["error"]["code"]),
        (503, Some(End::Complete), &"stopping".into())
    );
    let (reply, got) = within("the end of the stream", stream).await.unwrap();
    let heard = Heard::stream(&got);
    assert_eq!((reply.end, heard.done), (Some(End::Broken), false), "{heard:?}");
    assert_eq!(heard.error.as_ref().map(|error| error["code"].clone()), Some("stopping".into()), "{heard:?}");
    let told = host.cli().run(&["sessions", "events"]);
    let id = id.replace('-', "");
    assert!(told.stdout.lines().any(|line| line.contains(&id) && line.contains("cancelled")), "{}", told.stdout);
}
