//! What HTTP has besides heads and bodies, and what an upstream says of the gate's own: nothing of it passes.

use scenarios::rig::{
    CHANNELS, End, Heard, SSN, Setup, Upstream, delivered, events, http_chunks, json_head, request, sse_head, streamed,
};

/// The gate's own credential for the upstream, before and after it changes.
const OWN: [&str; 2] = ["sk-own-4f9c1b77aa02", "sk-own-88d2e6c3ff41"];

#[tokio::test(flavor = "multi_thread")]
async fn trailers_are_dropped_in_both_directions() {
    let body = streamed(CHANNELS[0], "fine", 4);
    let upstream = Upstream::answering(move |_| {
        let mut head = sse_head();
        head.truncate(head.len() - 2);
        head.extend_from_slice(b"trailer: openai-note, x-note\r\n\r\n");
        let mut pieces = http_chunks(&[&body]);
        pieces.pop();
        pieces.push(b"0\r\nopenai-note: it is 078-05-1120\r\nx-note: 078-05-1120\r\n\r\n".to_vec());
        [vec![head], pieces].concat()
    })
    .await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let client = host.client();
    let mut asked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nte: trailers\r\n\
         content-type: application/json\r\ntrailer: x-note\r\ntransfer-encoding: chunked\r\n\r\n",
        client.address, client.token
    )
    .into_bytes();
    let text = request("hello", true);
    asked.extend(format!("{:x}\r\n", text.len()).bytes().chain(text.clone()));
    asked.extend_from_slice(b"\r\n0\r\nx-note: 078-05-1120\r\nopenai-organization: another\r\n\r\n");
    let mut reply = client.send_raw(&asked).await;
    let got = reply.rest().await;
    assert_eq!((reply.status, reply.end), (200, Some(End::Complete)));
    assert_eq!(Heard::stream(&got).text(0, "content"), "fine");
    assert!(!String::from_utf8_lossy(&got).contains("078-05") && reply.header("trailer").is_none());
    let received = &upstream.received()[0];
    assert_eq!(received.body, text);
    for name in ["trailer", "te", "x-note", "openai-organization"] {
        assert_eq!(received.header(name), None, "{name}");
    }
    let record = host.record(reply.header("x-request-id").unwrap()).await;
    assert!(!record.to_string().contains("078-05"), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_becomes_another_protocols() {
    let upstream = Upstream::answering(|_| {
        vec![
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n\x81\x05hello"
                .to_vec(),
        ]
    })
    .await;
    let host = Setup::new()
        .connection("tools", "/tools", "mcp", "")
        .connection("bytes", "/bytes", "raw", "")
        .start(upstream.address)
        .await;
    let client = host.client();
    for path in ["/tools/mcp", "/tools", "/bytes/socket"] {
        let asked = [
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("accept", "text/event-stream"),
        ];
        let mut reply = client.send("GET", path, &asked, b"").await;
        let said = String::from_utf8_lossy(&reply.rest().await).into_owned();
        assert_eq!(reply.status, 400, "{path}: {said}");
        assert!(said.contains("WebSocket"), "{said}");
    }
    assert!(upstream.received().is_empty());
    // Nobody asked for it, and all the same the upstream switches.
    for path in ["/tools/mcp", "/bytes/socket"] {
        let mut reply = client.send("GET", path, &[("accept", "text/event-stream")], b"").await;
        let said = String::from_utf8_lossy(&reply.rest().await).into_owned();
        assert_eq!(reply.status, 502, "{path}: {said}");
        assert!(!said.contains("hello"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_echoes_the_gates_credential_tells_it_nobody() {
    let upstream = Upstream::answering(|received| {
        let sent = received.header("authorization").unwrap_or_default().to_owned();
        if received.line.contains("/echo") {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nopenai-note: {sent}\r\n");
            let (first, rest) = sent.split_at(12);
            return vec![
                format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes(),
                http_chunks(&[first.as_bytes()])[0].clone(),
                http_chunks(&[rest.as_bytes()]).concat(),
            ];
        }
        let both = format!("bad key: {sent}; not {} either", OWN[0]);
        let error =
            format!(r#"{{"error":{{"message":"{both}","type":"invalid_request_error","param":null,"code":null}}}}"#);
        vec![json_head(401, error.len()), error.into_bytes()]
    })
    .await;
    let credential = "credential = { header = \"authorization\", file = \"./own\", refresh = \"1s\" }";
    let host = Setup::new()
        .policy("10-mask.wasm", "mask")
        .file("own", OWN[0])
        .connection("openai", "/", "openai", credential)
        .connection("bytes", "/bytes", "raw", credential)
        .start(upstream.address)
        .await;
    let client = host.client();
    let quiet = |text: &str| assert!(OWN.iter().all(|own| !text.contains(own) && !text.contains(&own[..12])), "{text}");
    let mut sent = std::collections::BTreeSet::new();
    while sent.len() < 2 {
        let (reply, body) = client.whole(&request("hello", false)).await;
        let said = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(reply.status, 401);
        assert!(said.contains("bad key: Bearer [credential]; not [credential] either"), "{said}");
        quiet(&said);
        let record = host.record(reply.header("x-request-id").unwrap()).await;
        quiet(&record.to_string());
        quiet(&delivered(&record));
        let mut reply = client.send("POST", "/bytes/echo", &[], b"hello").await;
        assert_eq!(reply.header("openai-note"), Some("Bearer [credential]"));
        assert_eq!(String::from_utf8_lossy(&reply.rest().await), "Bearer [credential]");
        quiet(&host.record(reply.header("x-request-id").unwrap()).await.to_string());
        sent.extend(
            upstream.received().iter().filter_map(|received| received.header("authorization").map(str::to_owned)),
        );
        // From here on it is another, and the upstream remembers the one before.
        host.rewrite("own", OWN[1]);
    }
    quiet(&host.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_heard_before_an_upstream_breaks_off_arrives() {
    let upstream = Upstream::answering(|_| {
        let events = events(CHANNELS[0], &["The number is 078-05-1120 ", "and the other one 212-09-"]);
        let mut pieces = http_chunks(&events.iter().map(Vec::as_slice).collect::<Vec<_>>()[..3]);
        pieces.pop();
        // No chunk at all, and no end.
        pieces.push(b"what".to_vec());
        [vec![sse_head()], pieces].concat()
    })
    .await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let (reply, got) = host.client().whole(&request("hello", true)).await;
    assert_eq!((reply.status, reply.end), (200, Some(End::Broken)));
    let heard = Heard::stream(&got);
    assert_eq!(heard.text(0, "content"), "The number is [SSN] and the other one ");
    assert_eq!(heard.error.as_ref().map(|error| error["code"].clone()), Some("upstream_broke".into()));
    assert!(!String::from_utf8_lossy(&got).contains("212-09"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_cut_over_two_parts_goes_from_both() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    let key = format!(
        "-----BEGIN RSA PRIVATE KEY-----\n{}-----END RSA PRIVATE KEY-----\n",
        [line, "\n"].concat().repeat(100)
    );
    let upstream = Upstream::answering(|_| vec![json_head(200, 2), b"{}".to_vec()]).await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    for cut in [32, 1000, 3000, 6000] {
        let text = |text: &str| serde_json::json!({"type": "text", "text": text});
        let content = [text(&key[..cut]), text(&key[cut..])];
        let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": content}]});
        host.client().whole(body.to_string().as_bytes()).await;
        let sent = String::from_utf8(upstream.received().last().unwrap().body.clone()).unwrap();
        assert!(sent.contains("[PRIVATE_KEY]"), "{cut}: {sent}");
        assert!(!sent.contains(&line[..20]) && !sent.contains("END RSA"), "{cut}: {sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_of_unseen_characters_parts_a_value() {
    let tags: String = SSN.chars().filter_map(|char| char::from_u32(char as u32 + 0xE0000)).collect();
    for spelled in [
        format!("078-05{}-1120", "\u{200B}".repeat(85)),
        SSN.chars().map(String::from).collect::<Vec<_>>().join(&"\u{2060}\u{200D}\u{E0100}".repeat(50)),
        format!("0{}78-05-1120", "\u{E0041}".repeat(20_000)),
        "07\u{1}8-\u{7F}05-11\u{0}20".to_owned(),
        format!("078-05-11{}20", "\0".repeat(300)),
        tags,
    ] {
        let text = format!("it is {spelled} so far");
        let (asked, said) = (text.clone(), text.clone());
        let upstream = Upstream::answering(move |_| {
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&streamed(CHANNELS[0], &said, 7).chunks(1000).collect::<Vec<_>>()));
            pieces
        })
        .await;
        let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
        let (reply, got) = host.client().whole(&request(&asked, true)).await;
        assert_eq!((reply.status, reply.end), (200, Some(End::Complete)));
        assert_eq!(Heard::stream(&got).text(0, "content"), "it is [SSN] so far");
        let sent: serde_json::Value = serde_json::from_slice(&upstream.received()[0].body).unwrap();
        assert_eq!(sent["messages"][0]["content"], "it is [SSN] so far");
    }
}
