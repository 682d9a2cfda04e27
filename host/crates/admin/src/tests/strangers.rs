//! Those who have not shown the token, over sockets: they keep nobody out.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Rig;

/// More than there are places.
const STRANGERS: usize = 200;
/// Less than any time that a stranger has.
const SOON: Duration = Duration::from_secs(5);

/// Serves on a thread of its own until the guard is dropped.
fn listen(rig: &Rig) -> (SocketAddr, DropGuard) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    crate::on_own_thread(listener, Arc::clone(&rig.control), shutdown.clone()).unwrap();
    (address, shutdown.drop_guard())
}

/// Asks, with these lines more in the head.
fn livez(lines: &str) -> String {
    format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n")
}

/// A connection on which this is sent and nothing is read, with little room for what comes.
async fn stalled(address: SocketAddr, sent: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let stream = socket.connect(address).await.unwrap();
    stream.writable().await.unwrap();
    stream.try_write(sent.as_bytes()).unwrap();
    stream
}

/// All that comes back.
async fn talk(address: SocketAddr, sent: &str) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::time::timeout(SOON, talk).await.expect("an answer soon")
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_that_take_no_answer_keep_nobody_out() {
    let rig = Rig::new();
    let (address, _stop) = listen(&rig);
    let body = r#"{"target":{"caller":{"subject":"ci"}},"reason":"INC-1"}"#;
    let order = format!(
        "POST /v1/revoke HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        rig.token,
        body.len()
    );
    let mut held = Vec::new();
    for sent in [livez("").repeat(5_000), livez("").trim_end().to_owned()] {
        for _ in 0..STRANGERS {
            held.push(stalled(address, &sent).await);
        }
        for sent in [&livez("connection: close\r\n"), &order] {
            let answer = talk(address, sent).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_shown_the_token_gets_one_answer() {
    let rig = Rig::new();
    let (address, _stop) = listen(&rig);
    let token = format!("authorization: Bearer {}\r\n", rig.token);
    for (credential, answers) in [("", 1), ("authorization: Bearer wrong\r\n", 1), (&token, 3)] {
        let asks = livez(credential).repeat(2) + &livez(&format!("{credential}connection: close\r\n"));
        let answer = talk(address, &asks).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), answers, "{credential}: {answer}");
    }
}
