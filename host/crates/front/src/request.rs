//! What a caller sends: heads and bodies of requests, one behind the other.

use std::ops::Range;

use crate::{
    Refusal, Seen, TARGET_BYTES,
    body::Body,
    fields::{Fields, Framing, split},
    grammar::{is_host, is_target, is_token, trimmed},
    lines::{Line, Lines},
};

/// The requests of one connection, looked at as their bytes come.
#[derive(Clone, Debug)]
pub struct Requests {
    head_bytes: usize,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Head(Head),
    Body(Body),
    Refused(Refusal),
}

impl Requests {
    /// Requests whose heads have at most so many bytes, from the request line to the empty line.
    #[must_use]
    pub fn new(head_bytes: usize) -> Self {
        Self { head_bytes, state: State::Head(Head::default()) }
    }

    /// Looks at bytes: those that have not passed, and what came behind them.
    pub fn look(&mut self, bytes: &[u8]) -> Seen {
        let mut passed = 0;
        loop {
            let seen = self.look_at_one(&bytes[passed..]);
            passed += seen.passed;
            if seen.passed == 0 || seen.refused.is_some() {
                return Seen { passed, ..seen };
            }
        }
    }

    /// The same, and no further than to the end of the message: what is behind that was not looked at.
    pub fn look_at_one(&mut self, bytes: &[u8]) -> Seen {
        let mut passed = 0;
        loop {
            match self.step(&bytes[passed..]) {
                Ok(Some(taken)) => {
                    passed += taken;
                    if self.expects_head() {
                        return Seen { passed, refused: None };
                    }
                }
                Ok(None) => return Seen { passed, refused: None },
                Err(refusal) => {
                    self.state = State::Refused(refusal);
                    return Seen { passed, refused: Some(refusal) };
                }
            }
        }
    }

    /// How many of these bytes are the rest of a head, or of a body; none when more must come to tell.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let head = || State::Head(Head::default());
        let (taken, next) = match &mut self.state {
            State::Refused(refusal) => return Err(*refusal),
            _ if bytes.is_empty() => return Ok(None),
            State::Head(begun) => {
                let Some(framing) = begun.read(bytes, self.head_bytes)? else { return Ok(None) };
                (begun.lines.len(), Some(Body::of(framing).map_or_else(head, State::Body)))
            }
            State::Body(body) => {
                let (taken, over) = body.take(bytes)?;
                (taken, over.then(head))
            }
        };
        if let Some(next) = next {
            self.state = next;
        }
        Ok(Some(taken))
    }

    /// Whether the next byte belongs to a head.
    #[must_use]
    pub fn expects_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }
}

/// A head, as far as it has come.
#[derive(Clone, Debug, Default)]
struct Head {
    lines: Lines,
    fields: Fields,
    /// An empty line came before the request line (RFC 9112, 2.2).
    blank: bool,
    begun: bool,
    http_10: bool,
    /// Where the target's authority stands, of one in absolute form.
    authority: Option<Range<usize>>,
    /// Where the host stands.
    host: Option<Range<usize>>,
    /// It expects something that nobody here does.
    expects: bool,
}

impl Head {
    /// Reads on in the head that `bytes` begin with; its body's framing once it is complete.
    fn read(&mut self, bytes: &[u8], most: usize) -> Result<Option<Framing>, Refusal> {
        loop {
            let line = match self.lines.next(bytes, most)? {
                Line::Whole(line) => line,
                Line::Unfinished => return Ok(None),
                Line::TooLong if self.begun => return Err(Refusal::with(431, "the head is too large (`head_bytes`)")),
                Line::TooLong => return Err(Refusal::with(414, "the target is too long (`head_bytes`)")),
            };
            let at = self.lines.len() - line.len() - 2;
            match (self.begun, line.is_empty()) {
                (false, true) if !self.blank => self.blank = true,
                (false, _) => self.request_line(line, at)?,
                (true, false) => self.field(line, at)?,
                (true, true) => return self.complete(bytes).map(Some),
            }
        }
    }

    fn request_line(&mut self, line: &[u8], at: usize) -> Result<(), Refusal> {
        self.begun = true;
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refusal::head("the request line is not three words with one space between two"));
        };
        if !is_token(method) {
            return Err(Refusal::head("the method is not a word"));
        }
        if target.len() > TARGET_BYTES {
            return Err(Refusal::with(414, "the target is too long"));
        }
        if !is_target(target) {
            return Err(Refusal::head("the target holds a character that no target needs"));
        }
        self.http_10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(Refusal::with(505, "HTTP/1.1 is spoken here"));
            }
            _ => return Err(Refusal::head("the request line does not end with a version of HTTP")),
        };
        self.form(method, target, at + method.len() + 1)
    }

    /// The forms of a target (RFC 9112, 3.2). `at`: where it stands in the head.
    fn form(&mut self, method: &[u8], target: &[u8], at: usize) -> Result<(), Refusal> {
        if method == b"CONNECT" {
            return Err(Refusal::head("CONNECT is not served here"));
        }
        if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
            return Ok(());
        }
        let schemes: [&[u8]; 2] = [b"http://", b"https://"];
        let scheme = schemes
            .into_iter()
            .find(|scheme| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)));
        let Some(scheme) = scheme else {
            return Err(Refusal::head("the target is neither a path nor a URL"));
        };
        let rest = &target[scheme.len()..];
        let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        if !is_host(&rest[..end]) {
            return Err(Refusal::head("the target's authority is not a host"));
        }
        let begin = at + scheme.len();
        self.authority = Some(begin..begin + end);
        Ok(())
    }

    fn field(&mut self, line: &[u8], at: usize) -> Result<(), Refusal> {
        let (name, value) = split(line)?;
        if memchr::memchr(b'_', name).is_some() {
            // `a_b` and `a-b` are the same to many a server behind: only one of them may pass.
            return Err(Refusal::head("header names with an underscore are not passed on"));
        }
        self.fields.take(name, value)?;
        if name.eq_ignore_ascii_case(b"host") {
            if self.host.is_some() {
                return Err(Refusal::head("more than one host"));
            }
            if !is_host(value) {
                return Err(Refusal::head("the host header is not a host"));
            }
            let begin = at + name.len() + 1 + line[name.len() + 1..].iter().take_while(|byte| is_blank(**byte)).count();
            self.host = Some(begin..begin + value.len());
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.expects |= !value.eq_ignore_ascii_case(b"100-continue");
        } else if name.eq_ignore_ascii_case(b"upgrade") && names_websocket(value) {
            // No frame of it could be judged. Other wishes to upgrade may be ignored (RFC 9110, 7.8), and are.
            return Err(Refusal::head("WebSocket is not spoken here"));
        }
        Ok(())
    }

    fn complete(&self, bytes: &[u8]) -> Result<Framing, Refusal> {
        match (&self.host, &self.authority) {
            (None, _) if !self.http_10 => return Err(Refusal::head("there is no host header")),
            (Some(host), Some(authority)) if !bytes[host.clone()].eq_ignore_ascii_case(&bytes[authority.clone()]) => {
                return Err(Refusal::head("the host header and the target disagree"));
            }
            _ => {}
        }
        let framing = self.fields.framing(self.http_10)?;
        if self.expects {
            return Err(Refusal::with(417, "nothing but 100-continue can be expected here"));
        }
        Ok(framing)
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn names_websocket(value: &[u8]) -> bool {
    let name = b"websocket";
    value
        .split(|byte| *byte == b',')
        .map(trimmed)
        .any(|protocol| protocol.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name)))
}
