//! Upstreams that answer in a form that could be read in two ways, say more than they were asked, or break off.

use scenarios::rig::{
    Channel, End, Heard, Setup, Upstream, entries, events, json_head, request, sse_head, whole, within,
};

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// What an upstream says to one request, what the caller gets, and that the connection is not used again.
async fn answered(bytes: &[u8]) -> (u16, Vec<u8>) {
    let mut upstream = Upstream::start().await;
    let host = Setup::new().start(upstream.address).await;
    let client = host.client();
    let asked = tokio::spawn(async move { client.whole(&request("hello", false)).await });
    let mut turn = upstream.turn().await;
    turn.write(bytes).await;
    let (reply, body) = within("the answer", asked).await.expect("the caller does not panic");
    turn.dropped_by_host().await;
    (reply.status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_could_be_read_in_two_ways_is_a_502_and_its_connection_is_not_used_again() {
    let body = whole(Channel::Content, "smuggled");
    let (text, length) = (String::from_utf8(body.clone()).unwrap(), body.len());
    let chunked = format!("{length:x}\r\n{text}\r\n0\r\n\r\n");
    for answer in [
        format!("{JSON}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
        format!("{JSON}transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n{chunked}"),
        format!("{JSON}content-length: {length}\r\ncontent-length: {length}\r\n\r\n{text}"),
        format!("{JSON}content-length: {length}, {length}\r\n\r\n{text}"),
        format!("{JSON}transfer-encoding: gzip, chunked\r\n\r\n{chunked}"),
        format!("{JSON}content-length: {length}\r\nx : y\r\n\r\n{text}"),
        format!("{}{JSON}content-length: {length}\r\n\r\n{text}", "HTTP/1.1 103 Hints\r\n\r\n".repeat(9)),
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_owned(),
        format!("HTTP/1.1 204 No Content\r\ncontent-length: {length}\r\n\r\n{text}"),
        format!("{JSON}x: {}\r\ncontent-length: {length}\r\n\r\n{text}", "y".repeat(40 << 10)),
    ] {
        let (status, told) = answered(answer.as_bytes()).await;
        let told = String::from_utf8_lossy(&told);
        assert_eq!(status, 502, "{}: {told}", answer.chars().take(200).collect::<String>());
        assert!(!told.contains("smuggled"), "{told}");
    }
}

/// A bound that is reached is named: to the caller, in the record, in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_an_upstream_reaches_is_named() {
    let mut upstream = Upstream::start().await;
    let host =
        Setup::new().limits("upstream_first_byte = \"1s\"\nhead_bytes = \"4 KiB\"").start(upstream.address).await;
    let large = format!("{JSON}x: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(5 << 10));
    for (said, code, bound) in
        [(&b""[..], "upstream_silent", "upstream_first_byte"), (large.as_bytes(), "upstream_unreadable", "head_bytes")]
    {
        let client = host.client();
        let asked = tokio::spawn(async move { client.whole(&request("hello", false)).await });
        let mut turn = upstream.turn().await;
        if !said.is_empty() {
            turn.write(said).await;
        }
        let (reply, body) = within("the answer", asked).await.unwrap();
        let told = String::from_utf8_lossy(&body);
        assert!(reply.status == 502 && told.contains(code) && told.contains(bound), "{told}");
        let record = host.record(reply.header("x-request-id").unwrap()).await;
        let closed = entries(&record, "Closed").next().unwrap()["detail"].as_str().unwrap().to_owned();
        assert!(closed.contains(bound), "{closed}");
        let warned = |line: &str| line.contains("WARN") && line.contains("an upstream failed");
        host.logged(|line| warned(line) && line.contains(code) && line.contains(bound)).await;
    }
    let mut reply = host.client().send("GET", "/v1/models", &[("x-large", &"y".repeat(5 << 10))], b"").await;
    let told = String::from_utf8(reply.rest().await).unwrap();
    assert!(reply.status == 431 && told.contains("head_bytes"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_behind_an_answer_is_nobodys_and_its_connection_is_not_used_again() {
    let body = whole(Channel::Content, "said");
    let behind = whole(Channel::Content, "smuggled");
    let bytes = [json_head(200, body.len()), body.clone(), json_head(200, behind.len()), behind].concat();
    assert_eq!(answered(&bytes).await, (200, body));
}

#[tokio::test(flavor = "multi_thread")]
async fn up_to_eight_interim_answers_are_passed_over() {
    let body = whole(Channel::Content, "said");
    let sent = body.clone();
    let interim = "HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n".repeat(8).into_bytes();
    let upstream = Upstream::answering(move |_| vec![interim.clone(), json_head(200, sent.len()), sent.clone()]).await;
    let host = Setup::new().start(upstream.address).await;
    let (reply, got) = host.client().whole(&request("hello", false)).await;
    assert_eq!((reply.status, got), (200, body));
    assert_eq!(reply.header("link"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_an_answer_go_nowhere() {
    let body = events(Channel::Content, &["said"]).concat();
    let sent = body.clone();
    let upstream = Upstream::answering(move |_| {
        let chunk = [format!("{:x};note=x\r\n", sent.len()).as_bytes(), &sent, b"\r\n"].concat();
        vec![sse_head(), chunk, b"0\r\nx-late: smuggled\r\nx-ratelimit-limit-requests: 9\r\n\r\n".to_vec()]
    })
    .await;
    let host = Setup::new().start(upstream.address).await;
    // The rig's caller takes no trailer for the end of a body.
    let (reply, got) = host.client().whole(&request("hello", true)).await;
    assert_eq!((reply.status, reply.end, got), (200, Some(End::Complete), body));
    assert!(reply.headers.iter().all(|(name, _)| !name.starts_with("x-late") && name != "trailer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_with_its_connection_is_whole_only_with_its_own_end() {
    let said = events(Channel::Content, &["said"]);
    let done = said.concat();
    let cut: Vec<u8> = done[..done.len() - b"data: [DONE]\n\n".len()].to_vec();
    assert!(!cut.ends_with(b"[DONE]\n\n") && done.ends_with(b"data: [DONE]\n\n"));
    for (body, whole) in [(done, true), (cut, false)] {
        let mut upstream = Upstream::start().await;
        let host = Setup::new().start(upstream.address).await;
        let client = host.client();
        let asked = tokio::spawn(async move { client.whole(&request("hello", true)).await });
        let mut turn = upstream.turn().await;
        turn.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").await;
        turn.write(&body).await;
        turn.read_by_host().await;
        drop(turn);
        let (reply, got) = within("the answer", asked).await.unwrap();
        let heard = Heard::stream(&got);
        assert_eq!((reply.status, heard.text(0, "content")), (200, "said"));
        assert_eq!(reply.end == Some(End::Complete), whole, "{heard:?}");
        assert_eq!((heard.done, heard.error.is_none()), (whole, whole), "{heard:?}");
    }
}
