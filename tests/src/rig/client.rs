//! A caller that sees exact bytes: one HTTP/1.1 request on a connection of its own, the answer's head, and every chunk
//! of its body as the host framed it.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::within;

/// A caller with a credential.
#[derive(Clone, Debug)]
pub struct Client {
    /// The host's data listener.
    pub address: SocketAddr,
    /// Its bearer token.
    pub token: String,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing says.
    Complete,
    /// The connection closed before.
    Broken,
}

/// An answer, read as far as the test has read it.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// How the body ended; `None` until it has.
    pub end: Option<End>,
    framing: Framing,
    unread: Vec<u8>,
    stream: TcpStream,
}

#[derive(Debug)]
enum Framing {
    Chunked,
    Length(usize),
    Close,
}

impl Client {
    /// Posts a chat completion and reads the answer's head.
    pub async fn ask(&self, body: &[u8]) -> Reply {
        self.send("POST", "/v1/chat/completions", &[("content-type", "application/json")], body).await
    }

    /// Posts a chat completion and reads the whole answer.
    pub async fn whole(&self, body: &[u8]) -> (Reply, Vec<u8>) {
        let mut reply = self.ask(body).await;
        let body = reply.rest().await;
        (reply, body)
    }

    /// Sends a request with the credential, `Content-Length` and these headers, and reads the answer's head.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let authorization = format!("Bearer {}", self.token);
        self.send_plain(method, path, &[&[("authorization", authorization.as_str())], headers].concat(), body).await
    }

    /// As [`send`](Self::send), with no credential but what these headers say.
    pub async fn send_plain(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send_raw(&bytes).await
    }

    /// Sends exactly these bytes on a new connection and reads the answer's head.
    pub async fn send_raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = within("the host accepts", TcpStream::connect(self.address)).await.expect("the host listens");
        stream.set_nodelay(true).expect("a fresh socket takes options");
        // The host may answer and close before it has read all of a hostile request.
        let _ = within("the host reads", stream.write_all(bytes)).await;
        Reply::begin(stream).await
    }
}

impl Reply {
    async fn begin(mut stream: TcpStream) -> Self {
        let mut unread = Vec::new();
        let head_end = loop {
            if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            let read = read_more(&mut stream, &mut unread).await;
            assert!(read, "the connection closed in the head: {:?}", String::from_utf8_lossy(&unread));
        };
        let head = String::from_utf8(unread[..head_end].to_vec()).expect("a head is ASCII");
        unread.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let find = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let framing = match (find("transfer-encoding"), find("content-length")) {
            (Some(coding), None) => {
                assert_eq!(coding, "chunked", "the host frames by chunks alone");
                Framing::Chunked
            }
            (None, Some(length)) => Framing::Length(length.parse().expect("a length is a number")),
            (None, None) => Framing::Close,
            (Some(_), Some(_)) => unreachable_framing(&head),
        };
        let status = status.expect("a status line has a status");
        Self { status, headers, end: None, framing, unread, stream }
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// The next chunk of the body as the host framed it, or `None` at its end (see [`Reply::end`]).
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        if self.end.is_some() {
            return None;
        }
        match self.framing {
            Framing::Chunked => self.http_chunk().await,
            Framing::Length(left) => self.some_of(left).await,
            Framing::Close => {
                if self.unread.is_empty() && !read_more(&mut self.stream, &mut self.unread).await {
                    self.end = Some(End::Complete);
                    return None;
                }
                Some(std::mem::take(&mut self.unread))
            }
        }
    }

    /// The rest of the body.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await {
            body.extend_from_slice(&chunk);
        }
        body
    }

    async fn some_of(&mut self, left: usize) -> Option<Vec<u8>> {
        if left == 0 {
            self.end = Some(End::Complete);
            return None;
        }
        if self.unread.is_empty() && !read_more(&mut self.stream, &mut self.unread).await {
            self.end = Some(End::Broken);
            return None;
        }
        let taken: Vec<u8> = self.unread.drain(..left.min(self.unread.len())).collect();
        self.framing = Framing::Length(left - taken.len());
        Some(taken)
    }

    async fn http_chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line_end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..line_end]).into_owned();
                let size = usize::from_str_radix(&line, 16).expect("a chunk's size is hexadecimal, with no extension");
                let whole = line_end + 2 + size + 2;
                if self.unread.len() >= whole {
                    assert_eq!(&self.unread[whole - 2..whole], b"\r\n", "a chunk's data ends with a line end");
                    let chunk: Vec<u8> = self.unread.drain(..whole).skip(line_end + 2).take(size).collect();
                    if size > 0 {
                        return Some(chunk);
                    }
                    self.end = Some(End::Complete);
                    return None;
                }
            }
            if !read_more(&mut self.stream, &mut self.unread).await {
                self.end = Some(End::Broken);
                return None;
            }
        }
    }
}

/// Reads what has arrived; false when the connection has closed, in order or not.
async fn read_more(stream: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    let read = within("bytes of the answer", stream.read_buf(into)).await;
    matches!(read, Ok(count) if count > 0)
}

fn unreachable_framing(head: &str) -> Framing {
    assert!(head.is_empty(), "both Content-Length and Transfer-Encoding: {head}");
    Framing::Close
}
