//! The upstream: it answers each request with exactly the bytes of the case that the request names, and keeps what it was
//! sent for the caller's side to look at.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::make::Made;
use crate::rig::unread;

/// The header by which a request names the lane that it came on.
pub(super) const LANE: &str = "x-lane";
/// Pause between two looks at what the host has read.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// What is under way on a lane, and what the upstream saw of it.
#[derive(Debug, Default)]
struct Lane {
    case: Option<Arc<Made>>,
    received: Option<Vec<u8>>,
}

/// The upstream. It stops when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    lanes: Arc<Vec<Mutex<Lane>>>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts one with so many lanes.
    ///
    /// # Errors
    /// When loopback has no free port.
    pub(super) async fn start(lanes: usize) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let lanes: Arc<Vec<Mutex<Lane>>> = Arc::new((0..lanes).map(|_| Mutex::default()).collect());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&lanes)));
        Ok(Self { address, lanes, accepting })
    }

    /// What the next request on a lane is answered with.
    pub(super) fn put(&self, lane: usize, case: Arc<Made>) {
        let mut lane = self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner);
        *lane = Lane { case: Some(case), received: None };
    }

    /// The body of the request that came on a lane, if one has.
    #[must_use]
    pub(super) fn received(&self, lane: usize) -> Option<Vec<u8>> {
        self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner).received.take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, lanes: Arc<Vec<Mutex<Lane>>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let lanes = Arc::clone(&lanes);
                connections.spawn(async move { let _ = serve(stream, &lanes).await; });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Serves a connection until it ends, or until an answer can't be given.
async fn serve(mut stream: TcpStream, lanes: &[Mutex<Lane>]) -> Option<()> {
    let mut buffer = BytesMut::with_capacity(16 << 10);
    loop {
        let (lane, body) = request(&mut stream, &mut buffer).await?;
        let case = {
            let mut lane = lanes.get(lane)?.lock().unwrap_or_else(PoisonError::into_inner);
            lane.received = Some(body);
            lane.case.clone()?
        };
        let pieces = &case.answer;
        for (at, piece) in pieces.iter().enumerate() {
            stream.write_all(piece).await.ok()?;
            if case.apart && at + 1 < pieces.len() {
                read_by_host(&stream).await?;
            }
        }
    }
}

async fn read_by_host(stream: &TcpStream) -> Option<()> {
    let (here, there) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    while unread(there, here)? > 0 {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Some(())
}

/// The next request's lane and body.
async fn request(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<(usize, Vec<u8>)> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    buffer.advance(head_end + 4);
    let header = |wanted: &str| {
        head.split("\r\n").skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let lane = header(LANE)?.parse().ok()?;
    let length: usize = header("content-length")?.parse().ok()?;
    while buffer.len() < length {
        more(stream, buffer).await?;
    }
    Some((lane, buffer.split_to(length).to_vec()))
}

async fn more(stream: &mut TcpStream, into: &mut BytesMut) -> Option<()> {
    matches!(stream.read_buf(into).await, Ok(count) if count > 0).then_some(())
}
