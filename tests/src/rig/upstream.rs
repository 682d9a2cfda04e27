//! A scripted upstream on raw sockets: it records what it was sent, and the test says every byte that it answers and
//! where the network cuts them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{queue, within};

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method, path and version.
    pub line: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, transfer coding undone.
    pub body: Vec<u8>,
}

impl Received {
    /// A header's value.
    #[must_use]
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

type Log = Arc<Mutex<Vec<Received>>>;
type Handler = Arc<dyn Fn(Turn) -> BoxFuture<'static, ()> + Send + Sync>;

/// The upstream. It stops when it is dropped.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    log: Log,
    turns: mpsc::UnboundedReceiver<Turn>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    /// An upstream that leaves each answer to the test: see [`Upstream::turn`].
    pub async fn start() -> Self {
        let (send, turns) = mpsc::unbounded_channel();
        let handler = move |turn| -> BoxFuture<'static, ()> {
            // Nobody waits for the turn any more: dropping it closes the connection.
            let _ = send.send(turn);
            Box::pin(async {})
        };
        Self::with(Arc::new(handler), turns).await
    }

    /// An upstream that answers each request with these pieces; the host has read each before the next is sent, so
    /// that every cut is one.
    pub async fn answering(answer: impl Fn(&Received) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let handler = move |mut turn: Turn| -> BoxFuture<'static, ()> {
            let answer = Arc::clone(&answer);
            Box::pin(async move {
                let pieces = answer(&turn.received);
                for (at, piece) in pieces.iter().enumerate() {
                    if !turn.write(piece).await {
                        return;
                    }
                    if at + 1 < pieces.len() {
                        turn.read_by_host().await;
                    }
                }
                turn.done();
            })
        };
        Self::with(Arc::new(handler), mpsc::unbounded_channel().1).await
    }

    pub(super) async fn with(handler: Handler, turns: mpsc::UnboundedReceiver<Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let log = Log::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&log), handler));
        Self { address, log, turns, accepting }
    }

    /// The next request, to be answered by the test.
    pub async fn turn(&mut self) -> Turn {
        within("a request at the upstream", self.turns.recv()).await.expect("the upstream accepts while it lives")
    }

    /// All requests so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A request that waits for its answer. Dropped before [`Turn::done`], its connection closes.
pub struct Turn {
    /// What came in.
    pub received: Received,
    stream: Option<TcpStream>,
    back: Option<oneshot::Sender<TcpStream>>,
}

impl Turn {
    /// Sends exactly these bytes; false when the host has gone away.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        within("the host reads the answer", stream.write_all(bytes)).await.is_ok()
    }

    /// Sends data as one HTTP chunk.
    pub async fn chunk(&mut self, data: &[u8]) -> bool {
        self.write(&http_chunk(data)).await
    }

    /// Waits until the host has read all that was sent: its socket's receive queue is empty.
    pub async fn read_by_host(&mut self) {
        let Some(stream) = &self.stream else { return };
        let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else {
            return;
        };
        within("the host reads what the upstream sends", async {
            while queue::unread(there, here).is_some_and(|bytes| bytes > 0) {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        })
        .await;
    }

    /// Waits until the host closes the connection.
    pub async fn dropped_by_host(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut rest = [0; 256];
        within("the host drops the upstream's connection", async {
            while matches!(stream.read(&mut rest).await, Ok(count) if count > 0) {}
        })
        .await;
    }

    /// The answer is complete; the connection may carry the next request.
    pub fn done(mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            let _ = back.send(stream);
        }
    }
}

/// The head of an event stream, framed by chunks.
#[must_use]
pub fn sse_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

/// The head of a JSON body of this length.
#[must_use]
pub fn json_head(status: u16, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
        .into_bytes()
}

/// Each piece as one HTTP chunk, and the last chunk.
#[must_use]
pub fn http_chunks(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut chunks: Vec<Vec<u8>> =
        pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| http_chunk(piece)).collect();
    chunks.push(b"0\r\n\r\n".to_vec());
    chunks
}

fn http_chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

async fn accept(listener: TcpListener, log: Log, handler: Handler) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream, Arc::clone(&log), Arc::clone(&handler)));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, log: Log, handler: Handler) {
    let mut unread = Vec::new();
    while let Some(received) = read_request(&mut stream, &mut unread).await {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(received.clone());
        let (back, returned) = oneshot::channel();
        handler(Turn { received, stream: Some(stream), back: Some(back) }).await;
        match returned.await {
            Ok(kept) => stream = kept,
            Err(_) => return,
        }
    }
}

async fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Received> {
    let head_end = loop {
        if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        more(stream, unread).await?;
    };
    let head = String::from_utf8_lossy(&unread[..head_end]).into_owned();
    unread.drain(..head_end + 4);
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut received = Received { line, headers, body: Vec::new() };
    if received.header("transfer-encoding").is_some() {
        received.body = read_chunked(stream, unread).await?;
    } else if let Some(length) = received.header("content-length").and_then(|length| length.parse().ok()) {
        while unread.len() < length {
            more(stream, unread).await?;
        }
        received.body = unread.drain(..length).collect();
    }
    Some(received)
}

async fn read_chunked(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            if let Some(at) = unread.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            more(stream, unread).await?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&unread[..line_end]).ok()?, 16).ok()?;
        let whole = line_end + 2 + size + 2;
        while unread.len() < whole {
            more(stream, unread).await?;
        }
        body.extend(unread.drain(..whole).skip(line_end + 2).take(size));
        if size == 0 {
            return Some(body);
        }
    }
}

async fn more(stream: &mut TcpStream, into: &mut Vec<u8>) -> Option<()> {
    matches!(stream.read_buf(into).await, Ok(count) if count > 0).then_some(())
}
