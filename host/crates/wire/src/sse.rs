//! Event streams as the HTML standard has them (§9.2.6, parsing an event stream), over any split.
//!
//! The framer only says where things stand: the bytes stay where they are. What must hold: each byte belongs to exactly
//! one event's frame; a line ends with CR, LF or CRLF, whatever the split; text that a client would ignore (comments,
//! unknown fields, a byte order mark) is marked to be dropped, and what only some clients would read is marked to be
//! written so that all do; of a stream in which each line ends as the first does (LF or CRLF), with a space behind the
//! colon of `data` and `event`, nothing but text that clients ignore is marked, an `id` that is not plain ASCII, and ends of lines
//! within JSON.

use std::ops::Range;

use crate::breaks;

/// One event; all ranges count from its frame's begin.
#[derive(Debug, Default)]
pub(crate) struct Event {
    /// Bytes of the frame.
    pub(crate) len: usize,
    /// Values of its `data` fields.
    pub(crate) data: Vec<Range<usize>>,
    /// Its name: the value of its last `event` field.
    pub(crate) name: Range<usize>,
    /// Values of its `event` and `id` fields.
    pub(crate) fields: Vec<Range<usize>>,
    /// What must not go on as it is, and what takes its place.
    pub(crate) puts: Vec<(Range<usize>, &'static str)>,
    /// What is missing at the end of the stream so that every client takes it for an event: those of the standard pass
    /// over one with no empty line behind it, others do not.
    pub(crate) missing: &'static str,
    /// Lines of the stream end with CRLF.
    pub(crate) crlf: bool,
    /// What should stand where clients would read what does in different ways, and nothing says the same to all.
    pub(crate) wrong: Option<&'static str>,
}

impl Event {
    /// A frame of `len` bytes with one run of data, and nothing else in it.
    pub(crate) fn one(&mut self, len: usize, data: Range<usize>) {
        self.len = len;
        self.data.clear();
        self.data.push(data);
    }

    /// Makes one line of the event's data (JSON, in which an end of line is white space), and of one with no data an
    /// empty line. `raw` is its frame, `ends` how it ends.
    fn straighten(&mut self, raw: &[u8], ends: &Ends) {
        self.name = 0..0;
        self.fields.clear();
        self.puts.clear();
        self.missing = "";
        self.wrong = None;
        if self.data.iter().all(|line| raw[line.clone()].trim_ascii().is_empty()) {
            self.data.clear();
        }
        let (Some(first), Some(last)) = (self.data.first(), self.data.last()) else {
            if !matches!(raw, b"\n" | b"\r\n") {
                self.puts.push((0..raw.len(), ends.line));
            }
            return;
        };
        if &raw[..first.start] != DATA.as_bytes() {
            self.puts.push((0..first.start, DATA));
        }
        self.puts.extend(joints(&self.data));
        if &raw[last.end..] != ends.event.as_bytes() {
            self.puts.push((last.end..raw.len(), ends.event));
        }
    }

    /// From the end of the first line of data to the begin of the last one.
    pub(crate) fn between(&self) -> Range<usize> {
        match self.data.as_slice() {
            [first, .., last] => first.end..last.start,
            _ => 0..0,
        }
    }
}

/// What stands between two of these lines of data, and what takes its place where they are JSON and leave as one.
pub(crate) fn joints(data: &[Range<usize>]) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    data.windows(2).map(|lines| (lines[0].end..lines[1].start, " "))
}

/// How lines and events end.
#[derive(Debug)]
struct Ends {
    line: &'static str,
    event: &'static str,
}

const LF: Ends = Ends { line: "\n", event: "\n\n" };

const CRLF: Ends = Ends { line: "\r\n", event: "\r\n\r\n" };

/// Finds events.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// Bytes of the frame in which no line end was found.
    scanned: usize,
    /// Where the line begins.
    line: usize,
    /// How all lines of the stream end: as the first one does, or with LF where that ends with CR alone.
    ends: Option<&'static Ends>,
    /// Something other than a byte order mark has come.
    started: bool,
    /// The event is complete, and the next call begins another.
    complete: bool,
    /// Each event leaves as one line of data, and nothing else of it does.
    plain: bool,
    event: Event,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How a line of data begins.
const DATA: &str = "data: ";

/// What an event's name must be.
const NAME: &str = "an event whose name has no control characters and no ends of lines in it";

impl Framer {
    /// For dialects whose clients read lines in ways of their own.
    pub(crate) fn plain() -> Self {
        Self { plain: true, ..Self::default() }
    }

    /// The next complete event in `rest`, which begins where the last event's frame ended; at the `end` of the stream,
    /// what is left as if it were complete.
    pub(crate) fn find(&mut self, rest: &[u8], end: bool) -> Option<&Event> {
        if self.complete {
            self.complete = false;
            self.event.len = 0;
            self.event.name = 0..0;
            self.event.data.clear();
            self.event.fields.clear();
            self.event.puts.clear();
            self.event.wrong = None;
            (self.scanned, self.line) = (0, 0);
        }
        if !self.begin(rest, end) {
            return None;
        }
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &rest[self.scanned..]) {
            let at = self.scanned + found;
            let blank = at == self.line;
            let cr = rest[at] == b'\r';
            if cr && at + 1 == rest.len() && !end {
                // The LF of a CRLF may still come, and belongs to this line.
                self.scanned = at;
                return None;
            }
            let after = if cr && rest.get(at + 1) == Some(&b'\n') { at + 2 } else { at + 1 };
            let ends = *self.ends.get_or_insert(if after == at + 2 { &CRLF } else { &LF });
            let stays = blank || self.take_line(rest, at, after);
            // Some clients end lines with LF only, and some look for two of the same.
            if stays && &rest[at..after] != ends.line.as_bytes() {
                self.event.puts.push((at..after, ends.line));
            }
            if blank {
                return Some(self.finish(rest, after));
            }
            (self.scanned, self.line) = (after, after);
        }
        self.scanned = rest.len();
        if end && !rest.is_empty() {
            let ended = self.line == rest.len();
            if !ended {
                self.take_line(rest, rest.len(), rest.len());
            }
            let ends = self.ends.unwrap_or(&LF);
            self.event.missing = if ended { ends.line } else { ends.event };
            return Some(self.finish(rest, rest.len()));
        }
        None
    }

    /// Skips what belongs to nothing at a frame's begin; false when more bytes must come to tell.
    fn begin(&mut self, rest: &[u8], end: bool) -> bool {
        if rest.is_empty() {
            return false;
        }
        if !self.started {
            if rest.starts_with(BOM) {
                // Some clients don't know it, and pass over the event behind it.
                self.event.puts.push((0..BOM.len(), ""));
                (self.scanned, self.line) = (BOM.len(), BOM.len());
            } else if BOM.starts_with(rest) && !end {
                return false;
            }
            self.started = true;
        }
        true
    }

    fn finish(&mut self, rest: &[u8], len: usize) -> &Event {
        self.complete = true;
        self.event.len = len;
        self.event.crlf = self.ends.is_some_and(|ends| ends.line == CRLF.line);
        if self.plain {
            self.event.straighten(&rest[..len], self.ends.unwrap_or(&LF));
        }
        &self.event
    }

    /// Whether the line goes on.
    fn take_line(&mut self, rest: &[u8], end: usize, after: usize) -> bool {
        let line = &rest[self.line..end];
        let colon = memchr::memchr(b':', line);
        let name = &line[..colon.unwrap_or(line.len())];
        let value = match colon {
            Some(colon) if line.get(colon + 1) == Some(&b' ') => self.line + colon + 2..end,
            Some(colon) => self.line + colon + 1..end,
            None => end..end,
        };
        let said = &rest[value.clone()];
        let stays = match name {
            b"data" => {
                if colon.is_none() {
                    self.event.puts.push((self.line..end, DATA));
                }
                self.space(rest, &value);
                self.event.data.push(value);
                true
            }
            b"event" => {
                if !breaks::is_name(said) {
                    self.event.wrong = Some(NAME);
                }
                self.space(rest, &value);
                self.event.name = value.clone();
                self.event.fields.push(value);
                true
            }
            b"id" if said.iter().all(|byte| matches!(byte, b' '..=b'~')) => {
                self.event.fields.push(value);
                true
            }
            b"retry" => is_delay(said),
            b"" => said.iter().all(|byte| byte.is_ascii_punctuation() || matches!(byte, b' ' | b'\t')),
            _ => false,
        };
        if !stays {
            self.event.puts.push((self.line..after, ""));
        }
        stays
    }

    /// Some clients know a field by the space behind its colon, and pass over others.
    fn space(&mut self, rest: &[u8], value: &Range<usize>) {
        if rest[value.start - 1..].starts_with(b":") && !rest[value.clone()].trim_ascii().is_empty() {
            self.event.puts.push((value.start..value.start, " "));
        }
    }
}

/// Whether this is a plausible reconnection time, and too short to be anything else.
fn is_delay(value: &[u8]) -> bool {
    value.len() < crate::nested::LONG_NUMBER && value.iter().all(u8::is_ascii_digit)
}
