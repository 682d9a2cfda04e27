//! What an upstream sends: responses to requests that were announced, and nothing else.

use crate::{
    Place, Refusal, Seen,
    body::Body,
    fields::{Fields, Framing, split},
    grammar::{is_value, number},
    lines::{Line, Lines},
};

/// Interim responses (1xx) before one final response.
pub const INTERIM: usize = 8;

/// The responses of one connection, looked at as their bytes come.
#[derive(Clone, Debug)]
pub struct Responses {
    head_bytes: usize,
    state: State,
    surplus: bool,
}

#[derive(Clone, Debug)]
enum State {
    /// Nothing was asked.
    Idle,
    Head(Head),
    Body(Body),
    Refused(Refusal),
}

impl Responses {
    /// Responses whose heads have at most so many bytes each.
    #[must_use]
    pub fn new(head_bytes: usize) -> Self {
        Self { head_bytes, state: State::Idle, surplus: false }
    }

    /// A request goes out; `headless`: it has the method HEAD, and its response no body.
    pub fn expect(&mut self, headless: bool) {
        self.surplus = false;
        self.state = match self.state {
            State::Idle => State::Head(Head { headless, ..Head::default() }),
            State::Refused(refusal) => State::Refused(refusal),
            _ => State::Refused(refusal(Place::Head, "a request goes out before the last one was answered")),
        };
    }

    /// Looks at bytes: those that have not passed, and what came behind them. Bytes that belong to no response do not
    /// pass, and [spoil](Self::is_clean) the connection.
    pub fn look(&mut self, bytes: &[u8]) -> Seen {
        let mut passed = 0;
        loop {
            match self.step(&bytes[passed..]) {
                Ok(Some(taken)) => passed += taken,
                Ok(None) => return Seen { passed, refused: None },
                Err(wrong) => {
                    let refusal = refusal(wrong.place, wrong.why);
                    self.state = State::Refused(refusal);
                    return Seen { passed, refused: Some(refusal) };
                }
            }
        }
    }

    /// How many of these bytes are the rest of a head, or of a body; none when more must come to tell.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let (taken, next) = match &mut self.state {
            State::Refused(refusal) => return Err(*refusal),
            _ if bytes.is_empty() => return Ok(None),
            State::Idle => {
                self.surplus = true;
                return Err(Refusal::head("the upstream sends what nobody asked for"));
            }
            State::Head(begun) => {
                let Some(after) = begun.read(bytes, self.head_bytes)? else { return Ok(None) };
                let (headless, interim) = (begun.headless, begun.interim + 1);
                let next = match after {
                    After::Interim => State::Head(Head { headless, interim, ..Head::default() }),
                    After::Nothing => State::Idle,
                    After::Body(body) => State::Body(body),
                };
                (begun.lines.len(), Some(next))
            }
            State::Body(body) => {
                let (taken, over) = body.take(bytes)?;
                (taken, over.then_some(State::Idle))
            }
        };
        if let Some(next) = next {
            self.state = next;
        }
        Ok(Some(taken))
    }

    /// Whether the last response has all come and nothing came behind it: only then may there be another request.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether something came while nothing was asked. A response before it is whole; the connection is of no more use.
    #[must_use]
    pub fn is_surplus(&self) -> bool {
        self.surplus
    }

    /// Whether the response that comes ends with the connection, so that one that was cut looks like a whole one.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::Body(Body::UntilClose))
    }
}

fn refusal(place: Place, why: &'static str) -> Refusal {
    Refusal { status: 502, why, place }
}

/// What follows a head.
enum After {
    /// Another head: this one is not the answer.
    Interim,
    Nothing,
    Body(Body),
}

/// A head, as far as it has come.
#[derive(Clone, Debug, Default)]
struct Head {
    lines: Lines,
    fields: Fields,
    headless: bool,
    /// Interim responses before it.
    interim: usize,
    http_10: bool,
    /// 0 until the status line has come.
    status: u64,
}

impl Head {
    fn read(&mut self, bytes: &[u8], most: usize) -> Result<Option<After>, Refusal> {
        loop {
            let line = match self.lines.next(bytes, most)? {
                Line::Whole(line) => line,
                Line::Unfinished => return Ok(None),
                Line::TooLong => return Err(Refusal::head("the response's head is too large (`head_bytes`)")),
            };
            match (self.status, line.is_empty()) {
                (0, _) => self.status_line(line)?,
                (_, false) => {
                    let (name, value) = split(line)?;
                    self.fields.take(name, value)?;
                }
                (_, true) => return self.complete().map(Some),
            }
        }
    }

    fn status_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        const ODD: Refusal = Refusal::head("the status line is not one of HTTP/1.1");
        let (version, rest) = line.split_at_checked(9).ok_or(ODD)?;
        self.http_10 = match version {
            b"HTTP/1.1 " => false,
            b"HTTP/1.0 " => true,
            _ => return Err(ODD),
        };
        let (status, reason) = rest.split_at_checked(3).ok_or(ODD)?;
        self.status = number(status).filter(|status| (100..600).contains(status)).ok_or(ODD)?;
        let plain = reason.is_empty() || (reason.starts_with(b" ") && is_value(reason));
        if plain { Ok(()) } else { Err(ODD) }
    }

    fn complete(&self) -> Result<After, Refusal> {
        let framing = self.fields.framing(self.http_10)?;
        match self.status {
            101 => Err(Refusal::head("the upstream changes to a protocol that nobody asked for")),
            100..200 if self.interim >= INTERIM => Err(Refusal::head("too many interim responses")),
            100..200 | 204 if !matches!(framing, Framing::None | Framing::Length(0)) => {
                Err(Refusal::head("a response that has no body says that it has one"))
            }
            100..200 => Ok(After::Interim),
            204 | 304 => Ok(After::Nothing),
            _ if self.headless => Ok(After::Nothing),
            _ => Ok(match (Body::of(framing), framing) {
                (Some(body), _) => After::Body(body),
                (None, Framing::None) => After::Body(Body::UntilClose),
                (None, _) => After::Nothing,
            }),
        }
    }
}
