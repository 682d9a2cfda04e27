//! Compressed bodies on the path: judged as what they say, delivered as it is.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod rig;

use std::io::Write;

use exchange::Limits;
use flate2::{Compression, write::GzEncoder};
use futures_util::StreamExt;
use http::StatusCode;
use model::Outcome;
use rig::{Does, FINISH, Rig, SSE, Setting, answer, chat, closed, event, policy, read};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn setting(encoding: &'static str) -> Setting {
    Setting {
        policies: vec![policy("10-mask", Does::Mask("secret", "[X]"))],
        headers: vec![("content-encoding", encoding), ("vary", "accept-encoding"), ("etag", "\"secret\"")],
        ..Setting::default()
    }
}

#[tokio::test]
async fn a_whole_answer_is_unpacked_masked_and_measured() {
    for (encoding, packed) in [
        ("gzip", gzip(answer("a secret it is").as_bytes())),
        ("x-gzip", gzip(answer("a secret it is").as_bytes())),
        ("gzip, gzip", gzip(&gzip(answer("a secret it is").as_bytes()))),
    ] {
        let mut rig = Rig::new(setting(encoding));
        rig.say_bytes(&packed);
        rig.hang_up();
        let response = rig.ask("hi", false).await;
        assert_eq!(response.status(), StatusCode::OK, "{encoding}");
        let headers = response.headers().clone();
        for gone in ["content-encoding", "vary", "etag"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        let (body, cut) = read(response).await;
        assert!(!cut && body == answer("a [X] it is"), "{body}");
        assert_eq!(headers["content-length"], body.len().to_string());
    }
}

#[tokio::test]
async fn each_flushed_event_is_delivered_before_the_next_one_comes() {
    let mut rig = Rig::new(Setting { content_type: SSE, ..setting("gzip") });
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    let mut flushed = |text: &str| {
        packed.write_all(text.as_bytes()).unwrap();
        packed.flush().unwrap();
        std::mem::take(packed.get_mut())
    };
    rig.say_bytes(&flushed(&event("one")));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), event("one"));
    rig.say_bytes(&flushed(&event("two, a sec")));
    rig.say_bytes(&flushed(&event("ret")));
    assert_eq!(body.next().await.unwrap().unwrap(), event("two, a [X]") + &event(""));
    rig.say_bytes(&flushed(FINISH));
    rig.say_bytes(&packed.finish().unwrap());
    rig.hang_up();
    assert_eq!(body.next().await.unwrap().unwrap(), FINISH);
    assert_eq!(body.next().await, None);
    assert_eq!(closed(&rig).0, Outcome::Completed);
}

#[tokio::test]
async fn what_can_not_be_unpacked_is_not_passed_on() {
    let good = gzip(answer("a secret").as_bytes());
    let mut wrong_sum = good.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    let cases: [(&str, Vec<u8>); 8] = [
        ("compress", good.clone()),
        ("secret", good.clone()),
        ("gzip, gzip, gzip, gzip", good.clone()),
        ("br", good.clone()),
        ("gzip", answer("a secret").into_bytes()),
        ("gzip", good[..good.len() - 4].to_vec()),
        ("gzip", [&good[..], b"secret"].concat()),
        ("gzip", wrong_sum),
    ];
    for (encoding, bytes) in cases {
        let mut rig = Rig::new(setting(encoding));
        rig.say_bytes(&bytes);
        rig.hang_up();
        let response = rig.ask("hi", false).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{encoding}");
        let (body, _) = read(response).await;
        assert!(!body.contains("secret") && body.contains("upstream_unreadable"), "{encoding}: {body}");
        assert_eq!(closed(&rig).0, Outcome::UpstreamError);
    }
}

#[tokio::test]
async fn a_stream_that_turns_out_damaged_is_cut() {
    let mut rig = Rig::new(Setting { content_type: SSE, ..setting("gzip") });
    let whole = gzip((event("fine") + FINISH).as_bytes());
    rig.say_bytes(&whole[..whole.len() - 1]);
    rig.hang_up();
    let (body, cut) = read(rig.ask("hi", true).await).await;
    assert!(cut && body.contains("upstream_unreadable"), "{body}");
}

#[tokio::test]
async fn a_bomb_is_defused_in_both_directions() {
    let bomb = gzip(&vec![b' '; 16 << 20]);
    let rig = Rig::new(setting("gzip"));
    rig.say_bytes(&bomb);
    let response = rig.ask("hi", false).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(read(response).await.0.contains("decode_ratio exceeded"));

    let rig = Rig::new(Setting::default());
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let response = rig.post(&headers, bomb.clone()).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(read(response).await.0.contains("decode_ratio exceeded"));
    let mut limits = Limits::default();
    limits.coding.decode_ratio = 1 << 20;
    limits.wire.body_bytes = 1 << 20;
    let rig = Rig::new(Setting { limits, ..Setting::default() });
    let response = rig.post(&headers, bomb).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(read(response).await.0.contains("body_bytes exceeded"));
    assert!(rig.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_packed_request_is_judged_and_goes_up_unpacked() {
    let mut rig = Rig::new(Setting { headers: vec![], ..setting("identity") });
    rig.say(&answer("ok"));
    rig.hang_up();
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip"), ("content-md5", "abc")];
    let response = rig.post(&headers, gzip(chat("my secret", false).as_bytes())).await;
    assert_eq!(response.status(), StatusCode::OK);
    let sent = rig.received.lock().unwrap()[0].clone();
    assert_eq!(sent, chat("my [X]", false));
    let head = rig.heads.lock().unwrap()[0].clone();
    assert!(!head.contains_key("content-encoding") && !head.contains_key("content-md5"), "{head:?}");
}

#[tokio::test]
async fn a_request_that_can_not_be_unpacked_is_told_why() {
    let good = gzip(chat("hi", false).as_bytes());
    for (encoding, bytes, status, word) in [
        ("compress", good.clone(), 415, "gzip, br, deflate, zstd, identity"),
        ("gzip,gzip,gzip,gzip", good.clone(), 415, "more than 3"),
        ("zstd", good.clone(), 400, "zstd coding is damaged"),
        ("gzip", good[..10].to_vec(), 400, "gzip coding broke off"),
        ("gzip", [&good[..], b"x"].concat(), 400, "behind the end"),
    ] {
        let rig = Rig::new(Setting::default());
        let response = rig.post(&[("content-type", "application/json"), ("content-encoding", encoding)], bytes).await;
        assert_eq!(response.status(), status, "{encoding}");
        assert_eq!(response.headers().contains_key("accept-encoding"), status == 415);
        let (body, _) = read(response).await;
        assert!(body.contains(word), "{encoding}: {body}");
        assert!(rig.received.lock().unwrap().is_empty());
    }
}
