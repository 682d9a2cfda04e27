//! The load: so many callers, each with a connection that it keeps, each asking again as soon as it has its answer.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use scenarios::rig::request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    process,
    upstream::{EVENTS, SLOWLY, THINKS},
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One JSON body.
    Whole,
    /// The same, of a model that takes [`THINKS`].
    Slow,
    /// A stream of [`EVENTS`] events.
    Stream,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("Whole answers (JSON)"),
            Self::Slow => write!(f, "Whole answers of a model that takes {} ms", THINKS.as_millis()),
            Self::Stream => write!(f, "Streams of {EVENTS} events"),
        }
    }
}

/// What came of it.
pub(crate) struct Measured {
    kind: Kind,
    per_second: f64,
    /// Sorted.
    latencies: Vec<Duration>,
    /// CPU time per exchange of the process that was measured.
    cpu: Option<Duration>,
    failed: usize,
}

impl Measured {
    pub(crate) const HEAD: &str = "\
| what | at once | exchanges/s | p50 | p99 | p50 added | p99 added | CPU / exchange | CPU / event | peak memory |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

    /// A row of the table; what is added is against `base`.
    pub(crate) fn row(&self, what: &str, at_once: usize, base: Option<&Self>, memory: Option<u64>) -> String {
        let (p50, p99) = (self.percentile(50), self.percentile(99));
        let added = |mine: Duration, of: usize| base.map(|base| us(mine.saturating_sub(base.percentile(of))));
        let per_event = self.cpu.filter(|_| self.kind == Kind::Stream).map(|cpu| us(cpu / EVENTS as u32));
        let cells = [
            Some(format!("{:.0}", self.per_second)),
            Some(us(p50)),
            Some(us(p99)),
            added(p50, 50),
            added(p99, 99),
            self.cpu.map(us),
            per_event,
            memory.map(|mib| format!("{mib} MiB")),
        ];
        let cells: Vec<String> = cells.into_iter().map(Option::unwrap_or_default).collect();
        let failed = if self.failed == 0 { String::new() } else { format!(" **({} failed)**", self.failed) };
        format!("| {what}{failed} | {at_once} | {} |", cells.join(" | "))
    }

    fn percentile(&self, percent: usize) -> Duration {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// Microseconds.
pub(crate) fn us(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    if us < 100.0 {
        format!("{us:.1} µs")
    } else if us < 10_000.0 {
        format!("{us:.0} µs")
    } else {
        format!("{:.1} ms", us / 1e3)
    }
}

/// Loads `address` for `time` after `warm_up`.
pub(crate) async fn run(
    address: SocketAddr,
    token: &str,
    kind: Kind,
    at_once: usize,
    warm_up: Duration,
    time: Duration,
    pid: Option<u32>,
) -> Measured {
    let question = question(address, token, kind);
    let begin = Instant::now() + warm_up;
    let end = begin + time;
    let mut callers = JoinSet::new();
    for _ in 0..at_once {
        callers.spawn(caller(address, question.clone(), begin, end));
    }
    tokio::time::sleep_until(begin.into()).await;
    let before = pid.map(process::cpu);
    tokio::time::sleep_until(end.into()).await;
    let used = before.zip(pid.map(process::cpu)).map(|(before, after)| after.saturating_sub(before));
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for (mine, broke) in callers.join_all().await {
        latencies.extend(mine);
        failed += broke;
    }
    latencies.sort_unstable();
    let count = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
    let per_second = f64::from(count) / time.as_secs_f64();
    Measured { kind, per_second, cpu: used.map(|used| used / count.max(1)), latencies, failed }
}

fn question(address: SocketAddr, token: &str, kind: Kind) -> Vec<u8> {
    let said = "Please tell me about foxes and dogs, and how they jump. ".repeat(6);
    let said = if kind == Kind::Slow { format!("{SLOWLY}{said}") } else { said };
    let body = request(&said, kind == Kind::Stream);
    let mut question = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    question.extend(body);
    question
}

/// Asks until the end; the times of the answers that came after the beginning, and how many failed.
async fn caller(address: SocketAddr, question: Vec<u8>, begin: Instant, end: Instant) -> (Vec<Duration>, usize) {
    let (mut times, mut failed, mut connection) = (Vec::new(), 0, None);
    let mut answer = Vec::with_capacity(64 << 10);
    while Instant::now() < end {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(_) => {
                    failed += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let asked = Instant::now();
        if exchange(&mut stream, &question, &mut answer).await {
            if asked >= begin {
                times.push(asked.elapsed());
            }
            connection = Some(stream);
        } else {
            failed += 1;
        }
    }
    (times, failed)
}

/// One exchange; whether the answer is a whole 200.
async fn exchange(stream: &mut TcpStream, question: &[u8], answer: &mut Vec<u8>) -> bool {
    answer.clear();
    if stream.write_all(question).await.is_err() {
        return false;
    }
    let mut length = None;
    loop {
        match stream.read_buf(answer).await {
            Ok(count) if count > 0 => {}
            _ => return false,
        }
        if length.is_none() {
            length = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|head| framing(answer, head));
        }
        let over = match length {
            None => false,
            Some(Some(whole)) => answer.len() >= whole,
            Some(None) => answer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if over {
            return answer.starts_with(b"HTTP/1.1 200");
        }
    }
}

/// Bytes of the whole answer, or none when it is framed by chunks.
fn framing(answer: &[u8], head: usize) -> Option<usize> {
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.split("content-length:").nth(1)?.split("\r\n").next()?.trim().parse::<usize>().ok()?;
    Some(head + 4 + length)
}
