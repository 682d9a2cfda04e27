//! What comes in over the network in a form that could be read in two ways, or takes its time for ever: raw bytes, and
//! what the gate and its upstream make of them.

use std::time::Duration;

use scenarios::rig::{Channel, Client, End, Host, Setup, Upstream, json_head, request, whole, within};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

async fn answering(text: &'static str) -> Upstream {
    Upstream::answering(move |_| {
        let body = whole(Channel::Content, text);
        vec![json_head(200, body.len()), body]
    })
    .await
}

/// A chat completion with these header lines (`|` between two) and this body, as it stands on the wire.
fn post(client: &Client, lines: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {}\r\ncontent-type: application/json",
        client.token
    );
    format!("{head}\r\n{}\r\n\r\n{body}", lines.replace('|', "\r\n")).into_bytes()
}

fn chunked(body: &[u8], trailers: &str) -> String {
    let text = String::from_utf8_lossy(body);
    format!("{:x};note=x\r\n{text}\r\n0\r\n{trailers}\r\n", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_read_in_two_ways_is_refused_and_nothing_goes_upstream() {
    let upstream = answering("never said").await;
    let host = Setup::new().start(upstream.address).await;
    let client = host.client();
    let body = String::from_utf8(request("hello", false)).unwrap();
    let (length, chunks) = (format!("content-length: {}", body.len()), chunked(body.as_bytes(), ""));
    let probes = vec![
        (400, post(&client, "content-length: 4|transfer-encoding: gzip, chunked", &chunks)),
        (400, post(&client, &format!("{length}|transfer-encoding: chunked"), &chunks)),
        (400, post(&client, &format!("{length}|{length}"), &body)),
        (501, post(&client, "transfer-encoding: gzip, chunked", &chunks)),
        (400, post(&client, "transfer-encoding: chunked|transfer-encoding: chunked", &chunks)),
        (400, post(&client, &format!("{length}|x: a\n"), &body)),
        (400, post(&client, &format!("{length}|host: other"), &body)),
        (400, post(&client, &format!("{length}|x_real_ip: a"), &body)),
        (417, post(&client, &format!("{length}|expect: something"), &body)),
        (431, post(&client, &format!("{length}|x: {}", "y".repeat(33 << 10)), &body)),
        (400, post(&client, "transfer-encoding: chunked", &chunks.replacen(';', "x;", 1))),
        (400, post(&client, "transfer-encoding: chunked", &chunks.replacen("\r\n0", "\n0", 1))),
        (400, post(&client, "transfer-encoding: chunked", &chunked(body.as_bytes(), "authorization: Bearer x\r\n"))),
        (400, b"CONNECT gate:443 HTTP/1.1\r\nhost: gate:443\r\n\r\n".to_vec()),
        (400, b"GET /v1/models#x HTTP/1.1\r\nhost: gate\r\n\r\n".to_vec()),
    ];
    for (status, probe) in probes {
        let mut reply = client.send_raw(&probe).await;
        let told = reply.rest().await;
        let shown = String::from_utf8_lossy(&probe).chars().take(400).collect::<String>();
        assert_eq!((reply.status, reply.end), (status, Some(End::Complete)), "{shown}");
        assert_eq!(reply.header("connection"), Some("close"), "{shown}");
        assert!(reply.header("x-request-id").is_some(), "{shown}");
        let told: Value = serde_json::from_slice(&told).expect("JSON");
        assert!(told["error"]["message"].is_string(), "{told}");
    }
    assert_eq!(upstream.received().len(), 0, "nothing went up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_closes_behind_what_was_refused() {
    let upstream = answering("said once").await;
    let host = Setup::new().start(upstream.address).await;
    let client = host.client();
    let body = String::from_utf8(request("hello", false)).unwrap();
    let good = post(&client, &format!("content-length: {}", body.len()), &body);
    let smuggled = post(&client, "content-length: 4|transfer-encoding: chunked", "0\r\n\r\n");
    let mut stream = TcpStream::connect(client.address).await.unwrap();
    stream.write_all(&[good.clone(), smuggled, good].concat()).await.unwrap();
    let mut all = Vec::new();
    within("the end of the connection", stream.read_to_end(&mut all)).await.unwrap();
    let all = String::from_utf8_lossy(&all);
    let statuses: Vec<&str> = all.matches("HTTP/1.1 ").collect();
    assert_eq!((statuses.len(), all.contains("HTTP/1.1 400")), (2, true), "{all}");
    assert_eq!(upstream.received().len(), 1, "what came before it, and nothing behind it");
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_and_chunk_extensions_of_a_request_go_nowhere() {
    let upstream = answering("ok").await;
    let host = Setup::new().start(upstream.address).await;
    let client = host.client();
    let body = request("hello", false);
    let probe = post(&client, "transfer-encoding: chunked|trailer: x-late", &chunked(&body, "x-late: smuggled\r\n"));
    let reply = client.send_raw(&probe).await;
    assert_eq!(reply.status, 200);
    let received = upstream.received();
    let [up] = received.as_slice() else { unreachable!("one request: {received:?}") };
    assert_eq!(up.body, body);
    assert_eq!(
        (up.header("content-length"), up.header("transfer-encoding")),
        (Some(body.len().to_string().as_str()), None)
    );
    let names: Vec<&str> = up.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(!names.contains(&"x-late") && !names.contains(&"trailer"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_protocol_is_spoken_on_a_path_that_is_served() {
    let upstream = answering("never said").await;
    let host = Setup::new().start(upstream.address).await;
    let client = host.client();
    let socket = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let mut lines = socket.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    lines.push_str(&format!(
        "authorization: Bearer {}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        client.token
    ));
    let probe = format!("GET /v1/models HTTP/1.1\r\nhost: gate\r\n{lines}\r\n");
    let reply = client.send_raw(probe.as_bytes()).await;
    assert_eq!((reply.status, reply.header("upgrade")), (400, None));
    assert_eq!(upstream.received().len(), 0);
    // A wish that may be ignored is, and goes no further.
    let body = String::from_utf8(request("hello", false)).unwrap();
    let lines =
        format!("content-length: {}|connection: upgrade, http2-settings|upgrade: h2c|http2-settings: AAMA", body.len());
    assert_eq!(client.send_raw(&post(&client, &lines, &body)).await.status, 200);
    let received = upstream.received();
    assert!(received.len() == 1 && received[0].header("upgrade").is_none(), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_make_room_when_their_time_is_over() {
    let upstream = answering("served").await;
    let limits = "client_connections = 16\nhead_deadline = \"1s\"";
    let host = Setup::new().limits(limits).start(upstream.address).await;
    let client = host.client();
    let began = Instant::now();
    let mut slow = Vec::new();
    for count in 0..16 {
        let mut stream = TcpStream::connect(client.address).await.unwrap();
        let begin: &[u8] = if count % 2 == 0 { b"" } else { b"GET /v1/models HTTP/1.1\r\nhost: ga" };
        stream.write_all(begin).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(client.whole(&request("hello", false)).await.0.status, 200);
    assert!(began.elapsed() < Duration::from_secs(15), "keep_alive is 75 s: {:?}", began.elapsed());
    for (count, stream) in slow.iter_mut().enumerate() {
        let mut told = String::new();
        within("the slow one is told", stream.read_to_string(&mut told)).await.unwrap();
        assert_eq!(told.starts_with("HTTP/1.1 408"), count % 2 == 1, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_the_bound_that_the_configuration_says() {
    let upstream = answering("ok").await;
    let host = Setup::new().limits("head_bytes = \"2 KiB\"").start(upstream.address).await;
    let client = host.client();
    let long = "y".repeat(1500);
    let path = "/v1/chat/completions";
    let sent = |value: String| {
        let client = client.clone();
        async move {
            let headers = [("content-type", "application/json"), ("x-long", value.as_str())];
            client.send("POST", path, &headers, &request("hello", false)).await.status
        }
    };
    assert_eq!(sent(long.clone()).await, 200);
    assert_eq!(sent(long.repeat(2)).await, 431);
    assert_eq!(client.send("POST", &format!("{path}?{}", "x".repeat(3000)), &[], b"").await.status, 414);
}

async fn crowded(dialect: &str, path: &str) -> (Host, u16, Vec<(String, String)>, Value) {
    let mut upstream = Upstream::start().await;
    let host = Setup::new().dialect(dialect).limits("exchanges = 1").start(upstream.address).await;
    let client = host.client();
    let (first, of) = (client.clone(), path.to_owned());
    let body = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}"#;
    let json = [("content-type", "application/json")];
    let running = tokio::spawn(async move { first.send("POST", &of, &json, body).await });
    let turn = upstream.turn().await;
    let mut reply = client.send("POST", path, &json, body).await;
    let told = serde_json::from_slice(&reply.rest().await).expect("JSON");
    running.abort();
    drop(turn);
    (host, reply.status, reply.headers, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_place_is_told_so_in_its_own_form() {
    for (dialect, path) in [("openai", "/v1/chat/completions"), ("anthropic", "/v1/messages")] {
        let (_host, status, headers, told) = crowded(dialect, path).await;
        assert_eq!(status, 503, "{told}");
        let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        assert_eq!((header("x-should-retry"), header("retry-after")), (Some("true"), Some("1")));
        assert!(header("x-request-id").is_some() && header("request-id") == header("x-request-id"));
        assert_eq!(told["type"] == "error", dialect == "anthropic", "{told}");
        assert!(told["error"]["message"].as_str().unwrap().contains("too many exchanges"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_caller_left_can_not_be_approved_whatever_was_sent_behind_it() {
    let upstream = answering("never said").await;
    let host = Setup::new().policy("30-approve.wasm", "approve").start(upstream.address).await;
    let client = host.client();
    let body = String::from_utf8(request("please delete it", false)).unwrap();
    let one = post(&client, &format!("content-length: {}", body.len()), &body);
    let mut stream = TcpStream::connect(client.address).await.unwrap();
    stream.write_all(&one.repeat(2)).await.unwrap();
    let id = host.until_asked().await["id"].as_str().unwrap().to_owned();
    drop(stream);
    within("the question is taken back", async {
        while host.look(&format!("/v1/approvals/{id}")).await["state"] == "pending" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_ne!(host.cli().run(&["approvals", "approve", &id]).code, Some(0));
    assert_eq!(upstream.received().len(), 0);
}
