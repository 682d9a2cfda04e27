//! `openai-completions`, `openai-embeddings` and `openai-moderations`, feature by feature.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use model::{Channel, Family};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{
    CANARY, Judge, MASK, events, masked,
    openai_completions::{client, completions, request, stream, whole},
    run, told, unbroken, value,
};
use wire::{Complaint, Endpoint, Limits, Malformed};

fn chunk(index: u64, text: &str, finish: Option<&str>) -> Value {
    json!({"id":"cmpl-1","object":"text_completion","created":1_700_000_000,"model":"m-1",
        "choices":[{"index":index,"text":text,"logprobs":null,"finish_reason":finish}]})
}

fn sse(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect::<String>() + "data: [DONE]\n\n"
}

#[test]
fn a_request_is_told_by_channel() {
    let body =
        r#"{"model":"m","prompt":["one","two"],"suffix":"three","stream":true,"stop":["four"],"n":2,"max_tokens":7}"#;
    let judge = told(request(), body);
    assert_eq!(judge.texts(Channel::Content), ["one", "two", "three"]);
    assert_eq!(judge.texts(Channel::Field), ["four"]);
    let asked = judge.asked.unwrap();
    assert_eq!((asked.model.as_str(), asked.streaming), ("m", true));
    assert_eq!(value(&asked.parameters), json!({"stop":["four"],"n":2,"max_tokens":7}));
    assert_eq!(told(request(), r#"{"model":"m","prompt":"p"}"#).texts(Channel::Content), ["p"]);
    assert_eq!(
        masked(request(), &format!(r#"{{"prompt":"{CANARY}","echo":true}}"#)),
        r#"{"prompt":"[SSN]","echo":true}"#
    );
}

#[test]
fn numbers_of_tokens_are_refused() {
    let embeddings = || of("/v1/embeddings").request("application/json", Limits::default()).unwrap();
    for tokens in ["[1,2]", "[[1,2],[3]]", "7", "[\"a\",1]", "{\"a\":1}"] {
        let error =
            run(request(), &mut Judge::default(), format!(r#"{{"prompt":{tokens}}}"#).as_bytes(), &[]).unwrap_err();
        assert!(matches!(&error, Malformed::Shape { path, .. } if path == "/prompt"), "{tokens}: {error}");
        let error =
            run(embeddings(), &mut Judge::default(), format!(r#"{{"input":{tokens}}}"#).as_bytes(), &[]).unwrap_err();
        assert_eq!(error.to_string(), "/input must be text or a list of texts (numbers of tokens can't be judged)");
    }
}

#[test]
fn a_canary_is_masked_at_every_split() {
    let text = format!("é {CANARY}.");
    for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
        let body = sse(&[
            chunk(0, &text[..at], None),
            chunk(1, &text[..at], None),
            chunk(0, &text[at..], None),
            chunk(0, "", Some("stop")),
            chunk(1, &text[at..], Some("length")),
        ]);
        for cut in 0..=body.len() {
            let mut judge = Judge::masking();
            let out = run(stream(), &mut judge, body.as_bytes(), &[cut]).unwrap().concat();
            assert!(client(&out).values().all(|text| text == "é [SSN]."));
            assert_eq!(events(&out).len(), 6);
            assert_eq!(judge.texts(Channel::Content), [text.as_str(), text.as_str()]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_stay_whole_and_are_masked_as_whole_answers(
        words in prop::collection::vec((0_u64..3, word()), 0..12),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut chunks: Vec<Value> = words.iter().map(|(index, word)| chunk(*index, word, None)).collect();
        chunks.extend((0..3).map(|index| chunk(index, "", Some("stop"))));
        let body = sse(&chunks);
        let mut cuts: Vec<usize> = at.iter().map(|at| at.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        let out = run(stream(), &mut Judge::default(), body.as_bytes(), &cuts).unwrap().concat();
        prop_assert_eq!(String::from_utf8(out).unwrap(), unbroken(&body));
        let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &cuts).unwrap().concat();
        let before = client(body.as_bytes());
        let choices: Vec<Value> = before.iter().map(|(index, text)| json!({"index":index,"text":text})).collect();
        let whole = value(&masked(whole(), &json!({"choices":choices}).to_string()));
        for (index, text) in client(&out) {
            prop_assert_eq!(&text, &before[&index].replace(CANARY, MASK));
            prop_assert_eq!(whole["choices"][index as usize]["text"].as_str().unwrap(), text);
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(CANARY.to_owned()),
        2 => (0..=CANARY.len()).prop_map(|at| CANARY[..at].to_owned()),
        2 => (0..=CANARY.len()).prop_map(|at| CANARY[at..].to_owned()),
        2 => prop::sample::select(vec!["\"", "\\", "\n", "é", "😀", "data: "]).prop_map(str::to_owned),
    ]
}

#[test]
fn log_probabilities_of_changed_text_are_dropped() {
    let with = |text: &str, logprobs: Value| {
        let mut chunk = chunk(0, text, None);
        chunk["choices"][0]["logprobs"] = logprobs;
        chunk
    };
    let lists = |tokens: &[&str]| {
        let numbers = vec![-0.123_456_789; tokens.len()];
        let tops: Vec<Value> = tokens.iter().map(|&token| json!({token: -0.5, "x": -7.1})).collect();
        json!({"tokens":tokens,"token_logprobs":numbers,"top_logprobs":tops,"text_offset":vec![1_234_567; tokens.len()]})
    };
    let body = sse(&[
        with("a 078-", lists(&["a ", "078-"])),
        with("05-1120", lists(&["05-", "1120"])),
        with("é ok", lists(&["bytes:\\xc3", "bytes:\\xa9", " ok"])),
        chunk(0, "", Some("stop")),
    ]);
    assert!(told(stream(), &body).texts(Channel::Logprobs).is_empty(), "covered by the text");
    let out = masked(stream(), &body);
    let kept: Vec<bool> =
        events(out.as_bytes())[..3].iter().map(|event| value(event)["choices"][0]["logprobs"].is_object()).collect();
    assert_eq!(kept, [false, false, true]);
    for odd in [lists(&[CANARY]), json!({"tokens":["x"],"top_logprobs":[{CANARY: -1}]}), json!({"novel":CANARY})] {
        let out = masked(stream(), &sse(&[with("x", odd), chunk(0, "", Some("stop"))]));
        assert!(!out.contains(CANARY), "{out}");
    }
    let split = [with("x", json!({"tokens":["078-05"]})), with("y", json!({"tokens":["-1120"]}))];
    let out = masked(stream(), &sse(&split));
    assert!(!out.contains("tokens"), "{out}");
}

#[test]
fn every_other_string_is_seen() {
    let mut odd = chunk(0, "t", Some("stop"));
    odd["novel"] = json!({"deep":[CANARY]});
    odd["choices"][0]["novel"] = json!({CANARY: CANARY});
    odd["choices"][0]["finish_reason"] = CANARY.into();
    odd["id"] = CANARY.into();
    let error = json!({"message":CANARY});
    let body = sse(&[odd.clone(), json!({ "error": error })]);
    odd["error"] = error;
    assert_eq!(masked(stream(), &body), body.replace(CANARY, MASK));
    assert_eq!(masked(whole(), &odd.to_string()), odd.to_string().replace(CANARY, MASK));
}

#[test]
fn text_can_be_added_behind_the_end() {
    let ends =
        [vec![chunk(0, "", Some("stop"))], vec![], vec![json!({"choices":[{"index":0,"finish_reason":"stop"}]})]];
    for end in ends {
        let mut flow = stream();
        let (mut out, mut lens) = (BytesMut::new(), std::collections::BTreeMap::new());
        for event in std::iter::once(chunk(0, "hi", None)).chain(end) {
            flow.push(format!("data: {event}\n\n").as_bytes()).unwrap();
            support::add_at_ends(&mut *flow, &mut lens, &mut out);
        }
        flow.finish().unwrap();
        support::add_at_ends(&mut *flow, &mut lens, &mut out);
        assert_eq!(client(&out)[&0], "hi\"(end)");
    }
}

#[test]
fn what_comes_behind_the_end_is_refused() {
    let late = sse(&[chunk(0, "a", Some("stop")), chunk(0, "b", None)]);
    assert!(run(stream(), &mut Judge::default(), late.as_bytes(), &[]).is_err());
    let over = sse(&[chunk(0, "a", None)]) + "data: {}\n\n";
    assert!(run(stream(), &mut Judge::default(), over.as_bytes(), &[]).is_err());
}

#[test]
fn refusals_are_answers_that_this_dialect_reads() {
    let complaint = Complaint {
        status: 403,
        code: "blocked".into(),
        message: "No.".into(),
        request_id: "r1".into(),
        policy: String::new(),
        replies: Vec::new(),
    };
    let answer = completions().refusal("m", false, &complaint);
    let body = std::str::from_utf8(&answer.body).unwrap();
    assert_eq!(told(whole(), body).texts(Channel::Content), ["No. (request r1)"]);
    let answer = completions().refusal("m", true, &complaint);
    let body = std::str::from_utf8(&answer.body).unwrap();
    assert_eq!(told(stream(), body).texts(Channel::Content), ["No. (request r1)"]);
    assert!(body.ends_with("data: [DONE]\n\n"));
    let event = completions().stream_complaint(&complaint);
    assert_eq!(value(&events(&event)[0])["error"]["code"], "blocked");
    assert_eq!(of("/v1/embeddings").refusal("m", false, &complaint).status, 403);
}

fn of(path: &str) -> &'static dyn Endpoint {
    wire::claim(Family::Openai, "POST", path).unwrap()
}

#[test]
fn embeddings_are_left_alone_and_the_rest_is_seen() {
    let flow = || of("/v1/embeddings").response(200, "application/json", Limits::default()).unwrap();
    let long = "QUJD".repeat(100);
    let body = format!(
        r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[0.123456789,-1.5e-7]}},
        {{"object":"embedding","index":1,"embedding":"{long}"}},{{"index":2,"embedding":["{CANARY}"],"novel":"{CANARY}"}}],
        "model":"m-1","usage":{{"prompt_tokens":12345678,"total_tokens":12345678}}}}"#
    );
    let judge = told(flow(), &body);
    assert_eq!(judge.texts(Channel::Field), [CANARY, "novel", "\"novel\":\"078-05-1120\"", "m-1"]);
    assert_eq!(masked(flow(), &body), body.replace(CANARY, MASK));
    let request = of("/v1/embeddings").request("application/json", Limits::default()).unwrap();
    let judge =
        told(request, r#"{"model":"m","input":["a","b"],"dimensions":8,"encoding_format":"base64","user":"u"}"#);
    assert_eq!(judge.texts(Channel::Content), ["a", "b"]);
    assert_eq!(judge.texts(Channel::Field), ["base64", "u"]);
    let failed = of("/v1/embeddings").response(429, "application/json", Limits::default()).unwrap();
    assert_eq!(told(failed, r#"{"error":{"message":"slow down"}}"#).texts(Channel::Error), ["slow down"]);
    assert!(of("/v1/embeddings").response(200, "text/event-stream", Limits::default()).is_err());
}

#[test]
fn moderations_are_asked_with_texts_and_images() {
    let request = || of("/v1/moderations").request("application/json", Limits::default()).unwrap();
    let body = r#"{"model":"m","input":[{"type":"text","text":"bad"},{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}]}"#;
    let judge = told(request(), body);
    assert_eq!(judge.texts(Channel::Content), ["bad"]);
    assert_eq!(judge.texts(Channel::Field), ["https://x.example/a.png"]);
    assert_eq!(told(request(), r#"{"input":"bad"}"#).texts(Channel::Content), ["bad"]);
    let flow = of("/v1/moderations").response(200, "application/json", Limits::default()).unwrap();
    let body = r#"{"id":"modr-1","model":"m","results":[{"flagged":true,"categories":{"hate":true},"category_scores":{"hate":0.987654321}}]}"#;
    assert_eq!(told(flow, body).texts(Channel::Field), ["modr-1", "m"]);
}
