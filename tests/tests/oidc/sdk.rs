//! Vendors' own SDKs, unmodified, with only base URL and key changed: the key is a token of the gate.

use scenarios::rig::{Language, SSN, Setup, Upstream, Vendor, Walk, json_head, raised};
use serde_json::json;

use super::rig::{Gate, talkative};

#[tokio::test(flavor = "multi_thread")]
async fn openais_sdk_streams_with_a_token_of_the_gate_as_its_key() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let caller = gate.host.caller(&gate.token("").await);
    // Azure's client sends the key as `api-key`, to paths that name the model.
    for mode in ["whole", "stream", "azure whole", "azure stream"] {
        let met = Walk::start_as(caller.clone(), (Vendor::Openai, Language::Python), mode, "hello").last().await;
        assert_eq!((&met["content"], &met["finish"]), (&"my ssn is [SSN] ok".into(), &"stop".into()), "{mode}: {met}");
    }
    let narrow = gate.host.caller(&gate.token("&scope=model%3Agpt-other").await);
    for mode in ["whole", "azure whole"] {
        let met = Walk::start_as(narrow.clone(), (Vendor::Openai, Language::Python), mode, "hello").last().await;
        assert!(raised(&met, "PermissionDeniedError") && met["status"] == 403, "{mode}: {met}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_sdk_sends_it_as_x_api_key() {
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test",
        "content": [{ "type": "text", "text": format!("my ssn is {SSN} ok") }],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": { "input_tokens": 3, "output_tokens": 5 } });
    let message = message.to_string().into_bytes();
    let upstream = Upstream::answering(move |_| vec![json_head(200, message.len()), message.clone()]).await;
    let setup = Setup::new().dialect("anthropic").policy("10-mask.wasm", "mask");
    let gate = Gate::with(setup, "", &upstream).await;
    let caller = gate.host.caller(&gate.token("").await);
    let met = Walk::start_as(caller, (Vendor::Anthropic, Language::Node), "whole", "hello").last().await;
    assert_eq!(met["content"], "my ssn is [SSN] ok", "{met}");
    assert!(upstream.received().iter().all(|received| received.header("x-api-key").is_none()));
}
