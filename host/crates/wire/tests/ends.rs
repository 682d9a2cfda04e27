//! The end that a dialect's streams have of their own: a body whose framing has none is whole only with it.

use model::Family;
use wire::{Limits, claim};

/// A stream's family, path, content type, what is said, and its end.
const STREAMS: &[(Family, &str, &str, &str, &str)] = &[
    (
        Family::Openai,
        "/v1/chat/completions",
        "text/event-stream",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n",
        "data: [DONE]\n\n",
    ),
    (
        Family::Openai,
        "/v1/completions",
        "text/event-stream",
        "data: {\"choices\":[{\"index\":0,\"text\":\"hi\"}]}\n\n",
        "data: [DONE]",
    ),
    (
        Family::Openai,
        "/v1/responses",
        "text/event-stream",
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"output\":[]}}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[]}}\n\n",
    ),
    (
        Family::Anthropic,
        "/v1/messages",
        "text/event-stream",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        Family::Ollama,
        "/api/chat",
        "application/x-ndjson",
        "{\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"done\":false}\n",
        "{\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true}\n",
    ),
];

#[test]
fn a_stream_is_over_with_its_own_end_and_not_before() {
    for (family, path, content_type, said, end) in STREAMS {
        let endpoint = claim(*family, "POST", path).unwrap();
        let over = |body: &str| {
            let mut flow = endpoint.response(200, content_type, Limits::default()).unwrap();
            flow.push(body.as_bytes()).unwrap();
            flow.finish().unwrap();
            flow.is_over()
        };
        assert!(!over(said), "{path}");
        assert!(over(&format!("{said}{end}")), "{path}");
    }
}

#[test]
fn what_has_no_end_of_its_own_is_over_with_its_body() {
    for (family, path, content_type, body) in [
        (Family::Openai, "/v1/chat/completions", "application/json", "{\"choices\":[]}"),
        (
            Family::Gemini,
            "/v1beta/models/g:streamGenerateContent",
            "text/event-stream",
            "data: {\"candidates\":[]}\n\n",
        ),
        (Family::Raw, "/", "text/plain", "text"),
    ] {
        let mut flow = claim(family, "POST", path).unwrap().response(200, content_type, Limits::default()).unwrap();
        flow.push(body.as_bytes()).unwrap();
        flow.finish().unwrap();
        assert!(flow.is_over(), "{path}");
    }
}
