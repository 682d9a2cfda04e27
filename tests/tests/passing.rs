//! What there is nothing to change in goes through byte for byte; what is masked in a request is all that changes.

use scenarios::rig::{
    CHANNELS, End, Heard, SSN, Setup, Upstream, delivered, entries, events, http_chunks, json_head, request, sse_head,
    streamed, whole,
};

const CLEAN: &str = "nothing to hide: 12 apples, 日本語 and a \"quote\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stream_is_the_upstreams_byte_for_byte() {
    for channel in CHANNELS {
        let body = streamed(channel, CLEAN, 5);
        let sent = body.clone();
        let upstream = Upstream::answering(move |_| {
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&sent.chunks(61).collect::<Vec<_>>()));
            pieces
        })
        .await;
        let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
        let (reply, got) = host.client().whole(&request("hello", true)).await;
        assert_eq!((reply.status, reply.end), (200, Some(End::Complete)));
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&body), "{channel:?}");
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_whole_answer_is_the_upstreams_byte_for_byte() {
    let bodies: Vec<Vec<u8>> = CHANNELS
        .iter()
        .map(|channel| whole(*channel, CLEAN))
        .chain([b" { \"choices\" : [ ] , \"x\" : 12345678901234567890123 , \"y\": 1.0e2 }\n".to_vec()])
        .collect();
    for body in bodies {
        let sent = body.clone();
        let upstream = Upstream::answering(move |_| vec![json_head(200, sent.len()), sent.clone()]).await;
        let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
        let (reply, got) = host.client().whole(&request("hello", false)).await;
        assert_eq!((reply.status, reply.end), (200, Some(End::Complete)));
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_request_differs_in_the_secret_alone() {
    let upstream = Upstream::answering(|_| {
        let body = whole(CHANNELS[0], "thanks");
        vec![json_head(200, body.len()), body]
    })
    .await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let body = format!(
        concat!(
            "{{ \"model\":\"gpt-test\",\n \"seed\": 12345678901234567890, \"messages\" : [\n",
            "{{\"role\":\"system\",\"content\":\"caf\\u00e9\"}}, {{\"role\":\"user\",\"content\":[",
            "{{\"type\":\"text\",\"text\":\"my ssn is {ssn}\"}}, {{\"text\":\"and {ssn}\",\"type\":\"text\"}}]}} ] }}\n"
        ),
        ssn = SSN
    );
    let (reply, got) = host.client().whole(body.as_bytes()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(Heard::whole(&got).text(0, "content"), "thanks");
    let received = upstream.received();
    assert_eq!(received.len(), 1);
    assert_eq!(String::from_utf8_lossy(&received[0].body), body.replace(SSN, "[SSN]"));
    assert_eq!(received[0].header("authorization"), None, "the caller's credential stays here");
    let record = host.record(reply.header("x-request-id").unwrap()).await;
    let recorded: Vec<&str> = entries(&record, "Request").filter_map(|request| request["body"].as_str()).collect();
    assert_eq!(recorded, [body.replace(SSN, "[SSN]")]);
    assert!(!record.to_string().contains(SSN), "what was masked is not in the record");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_clear_is_not_kept_waiting() {
    let mut upstream = Upstream::start().await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let client = host.client();
    let events = events(CHANNELS[0], &["One thing. ", "Then another. "]);
    let first = events[..2].concat();
    let asked = tokio::spawn(async move {
        let mut reply = client.ask(&request("hello", true)).await;
        let mut got = Vec::new();
        while Heard::stream(&got).text(0, "content").is_empty() {
            got.extend(reply.chunk().await.expect("the stream goes on"));
        }
        (reply, got)
    });
    let mut turn = upstream.turn().await;
    turn.write(&sse_head()).await;
    turn.chunk(&first).await;
    // The upstream says no more until the caller has heard this.
    let (mut reply, mut got) = asked.await.unwrap();
    turn.chunk(&events[2..].concat()).await;
    turn.write(b"0\r\n\r\n").await;
    turn.done();
    got.extend(reply.rest().await);
    assert_eq!(Heard::stream(&got).text(0, "content"), "One thing. Then another. ");
    let record = host.record(reply.header("x-request-id").unwrap()).await;
    assert_eq!(delivered(&record).as_bytes(), got);
}
