//! The upstream of the measurements: answers from memory, a JSON body or 100 events, each written by itself; at once, or
//! after [`THINKS`] where it is asked to take its time.

use std::{sync::Arc, time::Duration};

use scenarios::rig::{Channel, events, http_chunks, json_head, sse_head, whole};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::load::Kind;

/// Events of a stream that carry text.
pub(crate) const EVENTS: usize = 100;
/// What makes it take its time, when a request says so.
pub(crate) const SLOWLY: &str = "Take your time. ";
/// How long that is.
pub(crate) const THINKS: Duration = Duration::from_millis(20);

struct Answers {
    whole: Vec<u8>,
    stream: Vec<Vec<u8>>,
}

/// Serves until the process is killed; says its address on standard output.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    println!("{}", listener.local_addr().expect("a bound listener has an address"));
    let answers = Arc::new(Answers::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(converse(stream, Arc::clone(&answers)));
    }
}

impl Answers {
    fn new() -> Self {
        let sentence = "The quick brown fox jumps over the lazy dog, twelve times a day. ";
        let body = whole(Channel::Content, &sentence.repeat(12));
        let mut answer = json_head(200, body.len());
        answer.extend(body);
        let words: Vec<&str> = sentence.split_inclusive(' ').cycle().take(EVENTS).collect();
        let events = events(Channel::Content, &words);
        let mut stream = vec![sse_head()];
        stream.extend(http_chunks(&events.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        Self { whole: answer, stream }
    }
}

async fn converse(mut stream: TcpStream, answers: Arc<Answers>) {
    let _ = stream.set_nodelay(true);
    let mut unread = Vec::with_capacity(4096);
    while let Some(kind) = request(&mut stream, &mut unread).await {
        if kind == Kind::Slow {
            tokio::time::sleep(THINKS).await;
        }
        if kind != Kind::Stream {
            if stream.write_all(&answers.whole).await.is_err() {
                return;
            }
            continue;
        }
        for piece in &answers.stream {
            if stream.write_all(piece).await.is_err() {
                return;
            }
        }
    }
}

/// Reads a request; what it asks for.
pub(crate) async fn request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Kind> {
    loop {
        if let Some(head) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&unread[..head]).to_ascii_lowercase();
            let length: usize = text.split("content-length:").nth(1)?.split("\r\n").next()?.trim().parse().ok()?;
            let whole = head + 4 + length;
            if unread.len() >= whole {
                let says = |what: &str| unread[head..whole].windows(what.len()).any(|part| part == what.as_bytes());
                let kind = match () {
                    () if says("\"stream\":true") => Kind::Stream,
                    () if says(SLOWLY) => Kind::Slow,
                    () => Kind::Whole,
                };
                unread.drain(..whole);
                return Some(kind);
            }
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}
