//! The front door. An input's first byte says whether the rest is what a caller or what an upstream sends; what passes
//! of a caller's bytes is read by hyper, and by a reader that is too simple to be mistaken: both must read the same.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use front::{Requests, Responses, Seen};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};

use crate::mutate::Dice;

/// Small enough that a short input can reach it.
const HEAD_BYTES: usize = 1024;

/// A request: method, target and version, its fields in order of their names, its body.
type Message = (String, Vec<(String, Vec<u8>)>, Vec<u8>);

/// See above.
pub(crate) fn run(input: &[u8]) {
    let Some((&side, bytes)) = input.split_first() else { return };
    if side % 2 == 0 {
        let passed = same_at_every_cut(bytes, || {
            let mut requests = Requests::new(HEAD_BYTES);
            move |bytes: &[u8]| requests.look(bytes)
        });
        let (simple, rest) = simply(&passed);
        let heard = by_hyper(&passed);
        // Behind a request that asks for it hyper closes the connection.
        let closed = heard.len() < simple.len() && heard.last().is_some_and(closes);
        assert!(closed || heard.len() == simple.len(), "hyper reads {heard:?} where {simple:?} was sent");
        assert!(simple.starts_with(&heard), "hyper reads {heard:?} where {simple:?} was sent");
        // What has not all come is a body that passed as it came; a head passes whole.
        let held = rest.windows(4).any(|four| four == b"\r\n\r\n");
        assert!(rest.is_empty() || held, "a part of a head has passed: {}", rest.escape_ascii());
    } else {
        same_at_every_cut(bytes, || {
            let mut responses = Responses::new(HEAD_BYTES);
            responses.expect(side % 4 == 3);
            move |bytes: &[u8]| responses.look(bytes)
        });
    }
}

/// What passes: as far as nothing is refused, the same for every cut.
fn same_at_every_cut<L: FnMut(&[u8]) -> Seen>(bytes: &[u8], fresh: impl Fn() -> L) -> Vec<u8> {
    let (whole, refused) = through(fresh(), bytes, &[]);
    let mut dice = Dice::of(bytes);
    for _ in 0..3 {
        let (cut, also) = through(fresh(), bytes, &dice.cuts(bytes.len(), 8));
        assert!(refused == also, "whole {refused:?}, cut {also:?}");
        assert!(cut == whole || (refused.is_some() && cut.starts_with(&whole)), "what passes depends on the cuts");
    }
    whole
}

fn through(mut look: impl FnMut(&[u8]) -> Seen, bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<u16>) {
    let (mut passed, mut from) = (0, 0);
    for &cut in cuts.iter().chain([&bytes.len()]) {
        from = cut.max(from);
        let seen = look(&bytes[passed..from]);
        passed += seen.passed;
        assert!(passed <= from, "no more passes than has come");
        if let Some(refusal) = seen.refused {
            return (bytes[..passed].to_vec(), Some(refusal.status));
        }
    }
    (bytes[..passed].to_vec(), None)
}

/// Whole requests, and the rest behind them. Takes for granted that all of it is as the grammar says.
fn simply(mut bytes: &[u8]) -> (Vec<Message>, &[u8]) {
    let mut messages = Vec::new();
    while let Some((message, rest)) = one(bytes) {
        messages.push(message);
        bytes = rest;
    }
    (messages, bytes)
}

fn one(bytes: &[u8]) -> Option<(Message, &[u8])> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head: String = bytes[..end].iter().map(|byte| char::from(*byte)).collect();
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let line = format!("{} {} {}", words.next()?, below_authority(words.next()?), words.next()?);
    let mut fields: Vec<(String, Vec<u8>)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            let value = value.trim_matches([' ', '\t']).chars();
            (name.to_ascii_lowercase(), value.filter_map(|letter| u8::try_from(letter).ok()).collect())
        })
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    let find = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice());
    let (body, rest) = match (find("transfer-encoding"), find("content-length")) {
        (Some(_), _) => chunked(&bytes[end + 4..])?,
        (None, Some(length)) => {
            let length = std::str::from_utf8(length).ok()?.parse().ok()?;
            let (body, rest) = bytes[end + 4..].split_at_checked(length)?;
            (body.to_vec(), rest)
        }
        (None, None) => (Vec::new(), &bytes[end + 4..]),
    };
    Some(((line, fields, body), rest))
}

/// A target's path and query.
fn below_authority(target: &str) -> String {
    let Some((_, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
        return target.to_owned();
    };
    let below = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
    if below.starts_with('/') { below.to_owned() } else { format!("/{below}") }
}

fn closes((line, fields, _): &Message) -> bool {
    let says = |(name, value): &(String, Vec<u8>)| {
        name == "connection" && value.to_ascii_lowercase().windows(5).any(|word| word == b"close")
    };
    line.ends_with("HTTP/1.0") || fields.iter().any(says)
}

fn chunked(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    let line = |bytes: &[u8]| bytes.windows(2).position(|two| two == b"\r\n");
    loop {
        let end = line(bytes)?;
        let digits = bytes[..end].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..digits]).ok()?, 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            break;
        }
        let (data, rest) = bytes.split_at_checked(size)?;
        body.extend_from_slice(data);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
    loop {
        let end = line(bytes)?;
        bytes = &bytes[end + 2..];
        if end == 0 {
            return Some((body, bytes));
        }
    }
}

/// What hyper's server reads, as far as requests are whole.
fn by_hyper(bytes: &[u8]) -> Vec<Message> {
    let heard: Arc<Mutex<Vec<Message>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let service = service_fn(move |request: Request<Incoming>| {
        let kept = Arc::clone(&kept);
        async move {
            let (parts, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let mut fields: Vec<_> =
                    parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
                fields.sort_by(|one, other| one.0.cmp(&other.0));
                let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
                let line = format!("{} {}{query} {:?}", parts.method, parts.uri.path(), parts.version);
                let message = (line, fields, body.to_bytes().to_vec());
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let wire = Wire { bytes: bytes.to_vec(), at: 0 };
    let mut connection = std::pin::pin!(http1::Builder::new().half_close(true).serve_connection(wire, service));
    let mut cx = Context::from_waker(Waker::noop());
    // It yields now and then so that others get their turn.
    for _ in 0..1000 {
        if connection.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *heard)
}

/// All bytes at once, then the end; what is written is nobody's.
struct Wire {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let count = buf.remaining().min(self.bytes.len() - self.at);
        buf.put_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
