//! The shipped `block` on a real host: a rule holds wherever a request names what it is about, and alone.

use scenarios::rig::{Setup, Upstream, json_head};
use serde_json::{Value, json};

const MODELS: &str = "[settings]\nwords = []\nmodels = { deny = [\"big*\"] }\n";
const TOOLS: &str = "[settings]\nwords = []\ntools = { deny = [\"shell\", \"web_search*\"] }\n";

/// An upstream that answers each request in the same way.
async fn upstream() -> Upstream {
    Upstream::answering(|_| {
        let answer = r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[]}"#;
        vec![json_head(200, answer.len()), answer.as_bytes().to_vec()]
    })
    .await
}

/// The request with more members.
fn with(more: &Value) -> Vec<u8> {
    let mut body = json!({"model":"small-1","messages":[{"role":"user","content":"hi"}]});
    let members = more.as_object().expect("members").clone();
    body.as_object_mut().expect("members").extend(members);
    body.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_model_is_denied_wherever_a_request_names_it() {
    let upstream = upstream().await;
    let host = Setup::new().policy_with("20-block.wasm", "block", MODELS).start(upstream.address).await;
    let client = host.client();
    for fine in [json!({}), json!({"models":["small-2"]}), json!({"tools":[{"type":"image_generation"}]})] {
        let (reply, _) = client.whole(&with(&fine)).await;
        assert_eq!(reply.status, 200, "{fine}");
    }
    let passed = upstream.received().len();
    for denied in [
        json!({"model":"big-1"}),
        json!({"models":["small-2","big-1"]}),
        json!({"models":["small-2"],"fallbacks":["big-2"]}),
        json!({"engine":"big-1"}),
        json!({"deployment":"big-1"}),
        json!({"tools":[{"type":"image_generation","model":"big-image"}]}),
    ] {
        let (reply, got) = client.whole(&with(&denied)).await;
        let got = String::from_utf8_lossy(&got).into_owned();
        assert!(reply.status >= 400 && got.contains("block.model"), "{denied}: {got}");
    }
    assert_eq!(upstream.received().len(), passed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_tool_is_offered_under_no_name() {
    let upstream = upstream().await;
    let host = Setup::new().policy_with("20-block.wasm", "block", TOOLS).start(upstream.address).await;
    let fine = json!({"type":"function","function":{"name":"find"}});
    for denied in [
        json!({"type":"function","function":{"name":"shell"}}),
        json!({"type":"web_search_preview","name":"ok"}),
        json!({"type":"function","name":"shell","function":{"name":"ok"}}),
        json!({"type":"namespace","name":"n","tools":[{"type":"function","name":"shell"}]}),
    ] {
        let (reply, _) = host.client().whole(&with(&json!({"tools":[fine, denied]}))).await;
        assert_eq!(reply.status, 200, "{denied}");
        let sent: Value = serde_json::from_slice(&upstream.received().last().expect("a request").body).expect("JSON");
        assert_eq!(sent["tools"], json!([fine]), "{denied}");
    }
}
