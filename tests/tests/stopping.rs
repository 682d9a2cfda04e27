//! Block, ask and lockdown, as an unmodified caller meets them.

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
    let never = "[settings]\nremember = \"never\"\n";
    let setup = Setup::new().policy("10-mask.wasm", "mask").policy_with("30-approve.wasm", "approve", never);
    let host = setup.approvals("wait = \"50ms\"").start(upstream.address).await;
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
