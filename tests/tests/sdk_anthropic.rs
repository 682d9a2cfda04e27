//! Anthropic's own SDKs, unmodified, with only base URL and key changed: masked text and tool input, a block (as
//! an error or a refusal), and the gate that comes down in mid-stream. `tests/setup` installs them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use scenarios::rig::{Host, Language, SSN, Setup, Upstream, Vendor, Walk, http_chunks, json_head, raised, sse_head};
use serde_json::{Value, json};

/// The class that the SDKs raise for a 403.
const FORBIDDEN: &str = "PermissionDeniedError";

/// What the model answers with.
#[derive(Clone, Copy)]
enum Block {
    Text,
    ToolUse,
}

fn said() -> String {
    format!("my ssn is {SSN} ok")
}

fn message(content: &Value, stop: &str) -> Value {
    json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test", "content": content,
        "stop_reason": stop, "stop_sequence": null, "usage": { "input_tokens": 3, "output_tokens": 5 } })
}

fn whole(block: Block) -> Vec<u8> {
    let (content, stop) = match block {
        Block::Text => (json!([{ "type": "text", "text": said() }]), "end_turn"),
        Block::ToolUse => {
            let call = json!({ "type": "tool_use", "id": "toolu_1", "name": "note", "input": { "note": said() } });
            (json!([call]), "tool_use")
        }
    };
    message(&content, stop).to_string().into_bytes()
}

fn event(data: &Value) -> Vec<u8> {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()).into_bytes()
}

/// The events up to the first text of a block, one for each piece, and the rest.
fn opening(block: Block) -> Vec<Vec<u8>> {
    let mut start = message(&json!([]), "");
    start["stop_reason"] = Value::Null;
    let begin = match block {
        Block::Text => json!({ "type": "text", "text": "" }),
        Block::ToolUse => json!({ "type": "tool_use", "id": "toolu_1", "name": "note", "input": {} }),
    };
    vec![
        event(&json!({ "type": "message_start", "message": start })),
        event(&json!({ "type": "content_block_start", "index": 0, "content_block": begin })),
    ]
}

fn piece(block: Block, text: &str) -> Vec<u8> {
    let delta = match block {
        Block::Text => json!({ "type": "text_delta", "text": text }),
        Block::ToolUse => json!({ "type": "input_json_delta", "partial_json": text }),
    };
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

fn closing(stop: &str) -> Vec<Vec<u8>> {
    vec![
        event(&json!({ "type": "content_block_stop", "index": 0 })),
        event(&json!({ "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null },
            "usage": { "output_tokens": 5 } })),
        event(&json!({ "type": "message_stop" })),
    ]
}

fn streamed(block: Block) -> Vec<u8> {
    let (text, stop) = match block {
        Block::Text => (said(), "end_turn"),
        Block::ToolUse => (json!({ "note": said() }).to_string(), "tool_use"),
    };
    let letters: Vec<char> = text.chars().collect();
    let pieces = letters.chunks(4).map(|four| piece(block, &four.iter().collect::<String>()));
    opening(block).into_iter().chain(pieces).chain(closing(stop)).flatten().collect()
}

/// Answers with the block, streamed or whole as asked.
async fn upstream(block: Block) -> Upstream {
    Upstream::answering(move |received| {
        let request: Value = serde_json::from_slice(&received.body).unwrap();
        if request["stream"] == true {
            let body = streamed(block);
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&body.chunks(50).collect::<Vec<_>>()));
            pieces
        } else {
            let body = whole(block);
            vec![json_head(200, body.len()), body]
        }
    })
    .await
}

async fn host(upstream: &Upstream, setup: Setup) -> Host {
    setup.dialect("anthropic").start(upstream.address).await
}

async fn masked(language: Language) {
    let upstream = upstream(Block::Text).await;
    let host = host(&upstream, Setup::new().policy("10-mask.wasm", "mask")).await;
    for mode in ["whole", "stream"] {
        let met = Walk::start((Vendor::Anthropic, language), &host, mode, &format!("it is {SSN}")).last().await;
        assert_eq!(
            (&met["content"], &met["finish"]),
            (&"my ssn is [SSN] ok".into(), &"end_turn".into()),
            "{mode}: {met}"
        );
    }
    for received in upstream.received() {
        assert!(!String::from_utf8_lossy(&received.body).contains(SSN));
        assert_eq!(received.header("x-api-key"), None, "the caller's key never goes upstream");
    }
}

async fn tools(language: Language) {
    let upstream = upstream(Block::ToolUse).await;
    let host = host(&upstream, Setup::new().policy("10-mask.wasm", "mask")).await;
    for mode in ["whole tools", "stream tools"] {
        let met = Walk::start((Vendor::Anthropic, language), &host, mode, "note it").last().await;
        assert_eq!(met["input"], json!([{ "note": "my ssn is [SSN] ok" }]), "{mode}: {met}");
    }
}

async fn blocked(language: Language) {
    let upstream = upstream(Block::Text).await;
    let settings = "[settings]\nwords = [\"launch codes\"]\n";
    let host = host(&upstream, Setup::new().policy_with("20-block.wasm", "block", settings)).await;
    for mode in ["whole", "stream"] {
        let met = Walk::start((Vendor::Anthropic, language), &host, mode, "the launch codes").last().await;
        assert!(raised(&met, FORBIDDEN), "{mode}: {met}");
        assert_eq!(met["status"], 403);
    }
    assert_eq!(upstream.received().len(), 0);
}

async fn refused(language: Language) {
    let upstream = upstream(Block::Text).await;
    let settings = "[settings]\nwords = [\"launch codes\"]\n";
    let setup = Setup::new().policy_with("20-block.wasm", "block", settings);
    let setup = setup.connection("anthropic", "/", "anthropic", "on_block = \"refusal\"");
    let host = setup.start(upstream.address).await;
    for mode in ["whole", "stream"] {
        let met = Walk::start((Vendor::Anthropic, language), &host, mode, "the launch codes").last().await;
        assert_eq!(met["finish"], "refusal", "{mode}: {met}");
        assert!(met["content"].as_str().unwrap().contains("20-block"), "{mode}: {met}");
    }
    assert_eq!(upstream.received().len(), 0);
}

async fn lockdown(language: Language) {
    let mut upstream = Upstream::start().await;
    let host = host(&upstream, Setup::new().policy("10-mask.wasm", "mask")).await;
    let mut walk = Walk::start((Vendor::Anthropic, language), &host, "stream", "hello");
    let mut turn = upstream.turn().await;
    turn.write(&sse_head()).await;
    for event in opening(Block::Text) {
        turn.chunk(&event).await;
    }
    turn.chunk(&piece(Block::Text, "One thing. ")).await;
    assert!(walk.next().await.unwrap()["heard"].as_str().unwrap().starts_with("One"));
    host.install_shipped("00-lockdown.wasm", "lockdown");
    host.until_policy("00-lockdown").await;
    let _ = turn.chunk(&piece(Block::Text, "Another. ")).await;
    let met = walk.last().await;
    assert!(raised(&met, "APIError"), "{met}");
    assert!(met["body"].to_string().contains("lockdown"), "{met}");
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
in_each_language!(masked, tools, blocked, refused, lockdown);
