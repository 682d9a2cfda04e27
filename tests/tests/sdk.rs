//! OpenAI's own SDKs, unmodified, with only base URL and key changed: what a program that uses them meets when a policy
//! masks, blocks (before the answer or in its middle, as an error or a refusal), asks, or the gate comes down.
//! `tests/setup` installs them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use scenarios::rig::{
    Channel, Language, SSN, Setup, Upstream, Vendor, Walk, delivered, entries, events, http_chunks, json_head, raised,
    sse_head, streamed, whole,
};
use serde_json::{Value, json};

/// The class that the SDKs raise for a 403.
const FORBIDDEN: &str = "PermissionDeniedError";

/// Answers on the channel, streamed or whole as asked.
async fn upstream(channel: Channel) -> Upstream {
    let said = format!("my ssn is {SSN} ok");
    Upstream::answering(move |received| {
        let request: Value = serde_json::from_slice(&received.body).unwrap();
        if request["stream"] == true {
            let body = streamed(channel, &said, 4);
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&body.chunks(50).collect::<Vec<_>>()));
            pieces
        } else {
            let body = whole(channel, &said);
            vec![json_head(200, body.len()), body]
        }
    })
    .await
}

async fn masked(language: Language) {
    let content = upstream(Channel::Content).await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(content.address).await;
    for mode in ["whole", "stream"] {
        let met = Walk::start((Vendor::Openai, language), &host, mode, &format!("it is {SSN}")).last().await;
        assert_eq!((&met["content"], &met["finish"]), (&"my ssn is [SSN] ok".into(), &"stop".into()), "{mode}: {met}");
    }
    for received in content.received() {
        assert!(!String::from_utf8_lossy(&received.body).contains(SSN));
    }
}

async fn tools(language: Language) {
    let upstream = upstream(Channel::ToolArguments).await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    for mode in ["whole tools", "stream tools"] {
        let met = Walk::start((Vendor::Openai, language), &host, mode, "note it").last().await;
        assert_eq!(met["arguments"], Channel::ToolArguments.carried("my ssn is [SSN] ok"), "{mode}: {met}");
    }
}

async fn blocked(language: Language) {
    let upstream = upstream(Channel::Content).await;
    let settings = "[settings]\nwords = [\"launch codes\"]\n";
    let host = Setup::new().policy_with("20-block.wasm", "block", settings).start(upstream.address).await;
    for mode in ["whole", "stream"] {
        let met = Walk::start((Vendor::Openai, language), &host, mode, "the launch codes").last().await;
        assert!(raised(&met, FORBIDDEN), "{mode}: {met}");
        assert_eq!(met["status"], 403);
    }
    assert_eq!(upstream.received().len(), 0, "an SDK that tried again would show nothing here, but count the host's");
    let tried = host.look("/v1/exchanges").await["exchanges"].as_array().unwrap().len();
    assert_eq!(tried, 2, "a blocked request is not tried again");
}

/// All of it in one call: three policies, a value that is masked in the middle of a stream, a gate that comes down, and the
/// record of it.
async fn lockdown(language: Language) {
    let mut upstream = Upstream::start().await;
    let settings = "[settings]\nwords = [\"launch codes\"]\n";
    let setup = Setup::new().policy("10-mask.wasm", "mask").policy_with("20-block.wasm", "block", settings);
    let host = setup.policy("30-approve.wasm", "approve").start(upstream.address).await;
    let mut walk = Walk::start((Vendor::Openai, language), &host, "stream", &format!("it is {SSN}"));
    let mut turn = upstream.turn().await;
    turn.write(&sse_head()).await;
    let word = |word: &str| events(Channel::Content, &[word])[1].clone();
    for piece in ["One thing: 078-", "05-1120, ", "that is ", "it. "] {
        turn.chunk(&word(piece)).await;
    }
    let mut heard = String::new();
    while !heard.contains("that is ") {
        walk.next().await.unwrap()["heard"].as_str().unwrap().clone_into(&mut heard);
    }
    assert!(heard.starts_with("One thing: [SSN], that is "), "{heard}");
    host.install_shipped("00-lockdown.wasm", "lockdown");
    host.until_policy("00-lockdown").await;
    let _ = turn.chunk(&word("Another. ")).await;
    let met = walk.last().await;
    assert!(raised(&met, "APIError"), "{met}");
    assert_eq!(met["code"], "lockdown", "{met}");

    let listed = host.look("/v1/exchanges").await;
    let record = host.record(listed["exchanges"][0]["exchange"].as_str().unwrap()).await;
    let told = delivered(&record);
    assert!(told.contains("[SSN]") && told.contains("lockdown") && !told.contains("Another"), "{told}");
    assert!(!record.to_string().contains(SSN), "neither asked nor answered");
    let closed = entries(&record, "Closed").next().unwrap();
    assert_eq!(closed["outcome"], "blocked", "{closed}");
    let judged: Vec<&str> = entries(&record, "Judged").filter_map(|it| it["policy"].as_str()).collect();
    assert_eq!((judged.first(), judged.last()), (Some(&"10-mask"), Some(&"00-lockdown")), "{judged:?}");
    let sets = entries(&record, "Switched").count();
    assert_eq!(sets, 1, "the set that it began with, and the one that stopped it: {record}");
}

async fn limited(language: Language) {
    let upstream = upstream(Channel::Content).await;
    let host = Setup::new().limits("caller_usage = 1").start(upstream.address).await;
    let first = Walk::start((Vendor::Openai, language), &host, "whole", "hello").last().await;
    assert_eq!(first["finish"], "stop", "{first}");
    for mode in ["whole", "stream"] {
        let met = Walk::start((Vendor::Openai, language), &host, mode, "hello").last().await;
        assert!(raised(&met, "RateLimitError") && met["status"] == 429, "{mode}: {met}");
    }
    assert_eq!(upstream.received().len(), 1, "a day is too long for an SDK to try again by itself");
}

/// A piece of a streamed answer of the API that the mode names.
fn piece(mode: &str, text: &str) -> Vec<u8> {
    let (name, data) = match mode {
        "stream responses" => {
            let name = "response.output_text.delta";
            let at = json!({ "type": name, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text });
            (format!("event: {name}\n"), at)
        }
        "stream completions" => (String::new(), json!({ "choices": [{ "index": 0, "text": text }] })),
        _ => return events(Channel::Content, &[text])[1].clone(),
    };
    format!("{name}data: {data}\n\n").into_bytes()
}

async fn stopped(language: Language) {
    let mut upstream = Upstream::start().await;
    let settings = "[settings]\nwords = [\"launch codes\"]\ndirections = [\"response\"]\nspeakers = []\n";
    let host = Setup::new().policy_with("20-block.wasm", "block", settings).start(upstream.address).await;
    for mode in ["stream", "stream responses", "stream completions"] {
        let mut walk = Walk::start((Vendor::Openai, language), &host, mode, "hello");
        let mut turn = upstream.turn().await;
        turn.write(&sse_head()).await;
        turn.chunk(&piece(mode, "One thing. ")).await;
        assert!(walk.next().await.unwrap()["heard"].as_str().unwrap().starts_with("One"), "{mode}");
        turn.chunk(&piece(mode, "The launch ")).await;
        turn.chunk(&piece(mode, "codes are here. ")).await;
        let met = walk.last().await;
        assert!(raised(&met, "APIError"), "{mode}: {met}");
        assert_eq!(met["code"], "block.word", "{mode}: {met}");
    }
}

async fn refused(language: Language) {
    let upstream = upstream(Channel::Content).await;
    let settings = "[settings]\nwords = [\"launch codes\"]\n";
    let setup = Setup::new().policy_with("20-block.wasm", "block", settings);
    let setup = setup.connection("openai", "/", "openai", "on_block = \"refusal\"");
    let host = setup.start(upstream.address).await;
    for api in ["", " responses", " completions"] {
        for mode in ["whole", "stream"] {
            let mode = format!("{mode}{api}");
            let met = Walk::start((Vendor::Openai, language), &host, &mode, "the launch codes").last().await;
            assert_eq!(met["finish"], "content_filter", "{mode}: {met}");
            assert!(met["content"].as_str().unwrap().contains("20-block"), "{mode}: {met}");
        }
    }
    assert_eq!(upstream.received().len(), 0);
}

async fn held(language: Language) {
    let upstream = upstream(Channel::Content).await;
    let setup = Setup::new().policy("10-mask.wasm", "mask").policy("30-approve.wasm", "approve");
    let host = setup.approvals("heartbeat = \"100ms\"").start(upstream.address).await;
    for mode in ["whole", "stream"] {
        let walk = Walk::start((Vendor::Openai, language), &host, mode, &format!("please delete it, {mode}"));
        let id = host.until_asked().await["id"].as_str().unwrap().to_owned();
        assert_eq!(host.cli().run(&["approvals", "approve", &id]).code, Some(0));
        assert_eq!(walk.last().await["content"], "my ssn is [SSN] ok", "{mode}");
    }
}

macro_rules! in_each_language {
    ($($walk:ident),*) => {
        mod python { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $walk() { super::$walk(scenarios::rig::Language::Python).await; }
        )* }
        mod node { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $walk() { super::$walk(scenarios::rig::Language::Node).await; }
        )* }
    };
}
in_each_language!(masked, tools, blocked, stopped, refused, lockdown, held, limited);
