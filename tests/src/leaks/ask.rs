//! The caller: one connection that it keeps, one request after the other, and all that came back, byte for byte.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{make::Made, serve::LANE};

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// HTTP status; 0 when none came.
    pub status: u16,
    /// The head, as text.
    pub head: String,
    /// The body, transfer coding undone.
    pub body: Vec<u8>,
    /// Whether the body ended as its framing says.
    pub complete: bool,
}

/// A caller on a lane.
#[derive(Debug)]
pub(super) struct Caller {
    address: SocketAddr,
    token: String,
    lane: usize,
    connection: Option<TcpStream>,
    buffer: BytesMut,
}

impl Caller {
    /// A caller that has no connection yet.
    #[must_use]
    pub(super) fn new(address: SocketAddr, token: String, lane: usize) -> Self {
        Self { address, token, lane, connection: None, buffer: BytesMut::with_capacity(32 << 10) }
    }

    /// Sends a case's request and reads all of the answer.
    pub(super) async fn ask(&mut self, case: &Made) -> Answer {
        let mut encoding = String::new();
        if !case.request_encoding.is_empty() {
            encoding = format!("content-encoding: {}\r\n", case.request_encoding);
        }
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{encoding}\
             {LANE}: {}\r\ncontent-length: {}\r\n\r\n",
            case.path,
            self.address,
            self.token,
            self.lane,
            case.request.len()
        );
        let request = [head.as_bytes(), &case.request].concat();
        let mut answer = Answer::default();
        let kept = self.exchange(&request, &mut answer).await;
        if kept.is_none() || !answer.complete {
            self.connection = None;
            self.buffer.clear();
        }
        answer
    }

    /// One exchange; `None` when the connection can't be used again.
    async fn exchange(&mut self, request: &[u8], answer: &mut Answer) -> Option<()> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(self.address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            self.connection = Some(stream);
        }
        let stream = self.connection.as_mut()?;
        stream.write_all(request).await.ok()?;
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            more(stream, &mut self.buffer).await?;
        };
        answer.head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        self.buffer.advance(head_end + 4);
        answer.status = answer.head.split(' ').nth(1)?.parse().ok()?;
        match header(&answer.head, "content-length").map(|length| length.parse::<usize>().ok()) {
            Some(length) => {
                let mut left = length?;
                while left > 0 {
                    if self.buffer.is_empty() {
                        more(stream, &mut self.buffer).await?;
                    }
                    let taken = self.buffer.split_to(left.min(self.buffer.len()));
                    left -= taken.len();
                    answer.body.extend_from_slice(&taken);
                }
            }
            None => chunks(stream, &mut self.buffer, &mut answer.body).await?,
        }
        answer.complete = true;
        header(&answer.head, "connection").is_none_or(|value| value != "close").then_some(())
    }
}

/// A header's value.
pub(super) fn header<'h>(head: &'h str, wanted: &str) -> Option<&'h str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

async fn chunks(stream: &mut TcpStream, buffer: &mut BytesMut, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let line_end = loop {
            if let Some(at) = buffer.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            more(stream, buffer).await?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&buffer[..line_end]).ok()?, 16).ok()?;
        buffer.advance(line_end + 2);
        while buffer.len() < size + 2 {
            more(stream, buffer).await?;
        }
        body.extend_from_slice(&buffer[..size]);
        if &buffer[size..size + 2] != b"\r\n" {
            return None;
        }
        buffer.advance(size + 2);
        if size == 0 {
            return Some(());
        }
    }
}

async fn more(stream: &mut TcpStream, into: &mut BytesMut) -> Option<()> {
    matches!(stream.read_buf(into).await, Ok(count) if count > 0).then_some(())
}
