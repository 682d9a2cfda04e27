//! The rig itself, with no host between: what the client says it saw is what the upstream sent, cut for cut.

use scenarios::rig::{Channel, Client, End, Heard, Upstream, http_chunks, request, sse_head, streamed};

#[tokio::test]
async fn the_client_sees_every_chunk_and_how_the_body_ended() {
    let mut upstream = Upstream::start().await;
    let client = Client { address: upstream.address, token: "x".to_owned() };
    let asked = tokio::spawn(async move {
        let mut reply = client.ask(b"{}").await;
        let first = reply.chunk().await;
        let (second, end) = (reply.chunk().await, reply.end);
        (first, second, end)
    });
    let mut turn = upstream.turn().await;
    assert_eq!((turn.received.body.as_slice(), turn.received.header("authorization")), (&b"{}"[..], Some("Bearer x")));
    turn.write(&sse_head()).await;
    turn.chunk(b"one").await;
    turn.read_by_host().await;
    drop(turn);
    assert_eq!(asked.await.unwrap(), (Some(b"one".to_vec()), None, Some(End::Broken)));
}

#[tokio::test]
async fn every_cut_is_one() {
    let body = streamed(Channel::Content, "hello", 2);
    let sent = body.clone();
    let upstream = Upstream::answering(move |_| {
        let mut pieces = vec![sse_head()];
        pieces.extend(http_chunks(&sent.chunks(7).collect::<Vec<_>>()));
        pieces
    })
    .await;
    let client = Client { address: upstream.address, token: "x".to_owned() };
    let mut reply = client.ask(&request("hi", true)).await;
    let mut chunks = Vec::new();
    while let Some(chunk) = reply.chunk().await {
        chunks.push(chunk);
    }
    assert_eq!(reply.end, Some(End::Complete));
    assert_eq!(chunks, body.chunks(7).map(<[u8]>::to_vec).collect::<Vec<_>>());
    assert_eq!(Heard::stream(&chunks.concat()).text(0, "content"), "hello");
}
