//! Event streams as the HTML standard has them (§9.2.6, parsing an event stream), over any split.
//!
//! The framer only says where things stand: the bytes stay where they are. What must hold: each byte belongs to exactly
//! one event's frame; a line ends with CR, LF or CRLF, whatever the split; text that a client would ignore (comments,
//! unknown fields, a byte order mark) is marked to be dropped, and what only some clients would read is marked to be
//! written so that all do.

use std::ops::Range;

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
}

impl Event {
    /// A frame of `len` bytes with one run of data, and nothing else in it.
    pub(crate) fn one(&mut self, len: usize, data: Range<usize>) {
        self.len = len;
        self.data.clear();
        self.data.push(data);
    }

    /// Makes one line of the event's data (JSON, in which an end of line is white space), and of one with no data an
    /// empty line. `raw` is its frame.
    fn straighten(&mut self, raw: &[u8]) {
        self.name = 0..0;
        self.fields.clear();
        self.puts.clear();
        self.missing = "";
        if self.data.iter().all(|line| raw[line.clone()].trim_ascii().is_empty()) {
            self.data.clear();
        }
        let (Some(first), Some(last)) = (self.data.first(), self.data.last()) else {
            if !matches!(raw, b"\n" | b"\r\n") {
                self.puts.push((0..raw.len(), "\n"));
            }
            return;
        };
        if &raw[..first.start] != DATA.as_bytes() {
            self.puts.push((0..first.start, DATA));
        }
        self.puts.extend(self.data.windows(2).map(|lines| (lines[0].end..lines[1].start, " ")));
        if !matches!(&raw[last.end..], b"\n\n" | b"\r\n\r\n") {
            self.puts.push((last.end..raw.len(), END));
        }
    }
}

/// Finds events.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// Bytes of the frame in which no line end was found.
    scanned: usize,
    /// Where the line begins.
    line: usize,
    /// The frame before ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    /// Something other than a byte order mark has come.
    started: bool,
    /// The event is complete, and the next call begins another.
    complete: bool,
    /// Each event leaves as one line of data, and nothing else of it does.
    plain: bool,
    event: Event,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How the one line of a plain event begins.
const DATA: &str = "data: ";

/// How it ends, where it does not end so with CRLF.
const END: &str = "\n\n";

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
            (self.scanned, self.line) = (0, 0);
        }
        if !self.begin(rest, end) {
            return None;
        }
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &rest[self.scanned..]) {
            let at = self.scanned + found;
            let blank = at == self.line;
            let cr = rest[at] == b'\r';
            if cr && at + 1 == rest.len() && (!blank || self.plain) && !end {
                // The LF of a CRLF may still come, and belongs to this line. Only where nothing depends on it does the
                // end of an event not wait for it.
                self.scanned = at;
                return None;
            }
            let after = if cr && rest.get(at + 1) == Some(&b'\n') { at + 2 } else { at + 1 };
            if blank {
                self.after_cr = cr && after == rest.len() && rest[after - 1] == b'\r';
                return Some(self.finish(rest, after));
            }
            self.take_line(rest, at, after);
            (self.scanned, self.line) = (after, after);
        }
        self.scanned = rest.len();
        if end && !rest.is_empty() {
            if self.line < rest.len() {
                self.take_line(rest, rest.len(), rest.len());
            }
            // Behind a CR one LF would only belong to that.
            self.event.missing = if rest.ends_with(b"\n") { "\n" } else { END };
            return Some(self.finish(rest, rest.len()));
        }
        None
    }

    /// Skips what belongs to nothing at a frame's begin; false when more bytes must come to tell.
    fn begin(&mut self, rest: &[u8], end: bool) -> bool {
        if rest.is_empty() {
            return false;
        }
        if self.scanned == 0 && self.after_cr {
            self.after_cr = false;
            if rest[0] == b'\n' {
                (self.scanned, self.line) = (1, 1);
            }
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
        if self.plain {
            self.event.straighten(&rest[..len]);
        }
        &self.event
    }

    fn take_line(&mut self, rest: &[u8], end: usize, after: usize) {
        let line = &rest[self.line..end];
        let colon = memchr::memchr(b':', line);
        let name = &line[..colon.unwrap_or(line.len())];
        let value = match colon {
            Some(colon) if line.get(colon + 1) == Some(&b' ') => self.line + colon + 2..end,
            Some(colon) => self.line + colon + 1..end,
            None => end..end,
        };
        match name {
            b"data" => self.event.data.push(value),
            b"event" => {
                self.event.name = value.clone();
                self.event.fields.push(value);
            }
            b"id" => self.event.fields.push(value),
            b"retry" if is_delay(&rest[value.clone()]) => {}
            b"" if !rest[value.clone()].iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()) => {}
            _ => self.drop_line(rest, end, after),
        }
    }

    /// Marks the line for dropping. Where the one before ends with CR alone and stays, that CR goes in place of this line's
    /// own end: it would become one end of line with the LF of an empty line that follows, and two events one.
    fn drop_line(&mut self, rest: &[u8], end: usize, after: usize) {
        let cr_stays = self
            .line
            .checked_sub(1)
            .is_some_and(|cr| rest[cr] == b'\r' && self.event.puts.last().is_none_or(|(drop, _)| drop.end <= cr));
        self.event.puts.push((if cr_stays && end < after { self.line - 1..end } else { self.line..after }, ""));
    }
}

/// Whether this is a plausible reconnection time, and too short to be anything else.
fn is_delay(value: &[u8]) -> bool {
    value.len() < crate::nested::LONG_NUMBER && value.iter().all(u8::is_ascii_digit)
}
