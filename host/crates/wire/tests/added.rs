//! Events that the gate adds to a stream: they look as the stream's own do.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::collections::BTreeMap;

use bytes::BytesMut;
use serde_json::{Value, json};
use support::{add_at_ends, anthropic, events, openai_chat, openai_completions, openai_responses, value};
use wire::Flow;

fn chunk(object: &str, choice: &Value) -> Value {
    json!({"id":"chatcmpl-1","object":object,"created":1_700_000_000,"model":"m-1","choices":[choice]})
}

fn line(document: &Value) -> String {
    format!("data: {document}\n\n")
}

/// Streams whose text ends in an event that has no place for more of it: the last but one of each.
fn streams() -> [(Box<dyn Flow>, Vec<String>); 4] {
    let chat = "chat.completion.chunk";
    let message = openai_responses::written(&[openai_responses::Item::Message(vec![vec!["hi".into()]])]);
    let message = message.iter().map(|event| openai_responses::sse(std::slice::from_ref(event))).collect();
    let block = [
        anthropic::block_of(0, json!({"type":"text","text":""})),
        anthropic::at(0, json!({"type":"text_delta","text":"hi"})),
        anthropic::stop(0),
    ];
    let block = anthropic::sse(&block, "end_turn").split_inclusive("\n\n").map(str::to_owned).collect();
    [
        (
            openai_chat::stream(),
            vec![
                line(&chunk(chat, &json!({"index":0,"delta":{"content":"hi"},"finish_reason":null}))),
                line(&chunk(chat, &json!({"index":0,"finish_reason":"stop"}))),
                "data: [DONE]\n\n".to_owned(),
            ],
        ),
        (
            openai_completions::stream(),
            vec![
                line(&chunk("text_completion", &json!({"index":0,"text":"hi","finish_reason":null}))),
                line(&chunk("text_completion", &json!({"index":0,"finish_reason":"stop"}))),
                "data: [DONE]\n\n".to_owned(),
            ],
        ),
        (openai_responses::stream(), message),
        (anthropic::stream(), block),
    ]
}

/// What leaves of a stream when words are added behind each text of it. `anew`: others judge before each event.
fn added(flow: &mut dyn Flow, chunks: &[String], anew: bool) -> String {
    let (mut out, mut lens) = (BytesMut::new(), BTreeMap::new());
    for chunk in chunks {
        if anew {
            flow.judged_anew();
        }
        flow.push(chunk.as_bytes()).unwrap();
        add_at_ends(flow, &mut lens, &mut out);
    }
    flow.finish().unwrap();
    add_at_ends(flow, &mut lens, &mut out);
    assert_eq!(flow.held(), 0);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn the_lines_of_what_is_added_end_as_the_streams_do() {
    for ((mut flow, chunks), (mut other, _)) in streams().into_iter().zip(streams()) {
        let plain = added(&mut *flow, &chunks, false);
        assert!(plain.contains("(end)") && !plain.contains('\r'), "{plain}");
        let chunks: Vec<String> = chunks.iter().map(|chunk| chunk.replace('\n', "\r\n")).collect();
        assert_eq!(added(&mut *other, &chunks, false), plain.replace('\n', "\r\n"));
    }
    // Nothing comes behind the text, not even an end of its event.
    let (mut flow, chunks) = streams().into_iter().next().unwrap();
    let out = added(&mut *flow, &[chunks[0].trim_end().replace('\n', "\r\n") + "\r\n"], false);
    assert!(out.contains("(end)") && out.matches('\n').count() == out.matches("\r\n").count(), "{out:?}");
}

#[test]
fn what_is_added_has_the_head_of_the_other_events_whoever_judges() {
    for ((mut flow, chunks), (mut other, _)) in streams().into_iter().zip(streams()) {
        let out = added(&mut *flow, &chunks, true);
        assert_eq!(out, added(&mut *other, &chunks, false));
        let events: Vec<Value> =
            events(out.as_bytes()).iter().filter(|event| *event != "[DONE]").map(|event| value(event)).collect();
        let one = events.iter().find(|event| event.to_string().contains("(end)")).unwrap();
        for name in ["id", "object", "created", "model", "item_id"] {
            let said = events.iter().find_map(|event| event.get(name));
            assert_eq!(one.get(name), said, "{name}: {one}");
        }
    }
}

#[test]
fn an_id_that_is_masked_is_not_repeated_in_what_is_added() {
    let (mut flow, chunks) = streams().into_iter().next().unwrap();
    let mut out = BytesMut::new();
    for chunk in &chunks {
        flow.judged_anew();
        flow.push(chunk.as_bytes()).unwrap();
        let mut parts = BTreeMap::new();
        while let Some(step) = flow.next() {
            match step {
                wire::Step::Begin(part) => drop(parts.insert(part.id, (part.channel, String::new()))),
                wire::Step::Text { part, text } => {
                    let len = text.len() as u64;
                    let by = wire::Change { span: 0..len, by: "x".to_owned() };
                    let changes = if text == "chatcmpl-1" { vec![by] } else { Vec::new() };
                    flow.release(part, len, changes);
                }
                wire::Step::End(part) => {
                    // The answer's text is the one that began before this event, or in the first one.
                    let added = wire::Change { span: 2..2, by: "(end)".to_owned() };
                    let is_field = parts.get(&part).is_some_and(|(channel, _)| *channel == model::Channel::Field);
                    if !is_field {
                        flow.release(part, 2, vec![added]);
                    }
                }
                _ => {}
            }
        }
        flow.take(&mut out);
    }
    let out = String::from_utf8(out.to_vec()).unwrap();
    assert!(out.contains("(end)") && !out.contains("chatcmpl-1"), "{out}");
}
