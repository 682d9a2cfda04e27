//! Lines of a head over any split of it. They end with CRLF and nothing else (RFC 9112, 2.2, without the leave to take a
//! bare LF for an end of line).

use crate::Refusal;

/// Where in a head its reader stands. The head's bytes are shown again from their first, with more behind them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    /// Where the line begins.
    line: usize,
    /// Bytes in which no end of line was found.
    scanned: usize,
}

/// What stands next in a head.
pub(crate) enum Line<'a> {
    /// A line, without its end.
    Whole(&'a [u8]),
    /// The rest has not come.
    Unfinished,
    /// The line goes on beyond the bound of the head.
    TooLong,
}

impl Lines {
    /// The next line of the head that these bytes begin with and that may have `most` bytes.
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8], most: usize) -> Result<Line<'a>, Refusal> {
        let Some(found) = memchr::memchr(b'\n', &bytes[self.scanned..]) else {
            self.scanned = bytes.len();
            return Ok(if bytes.len() >= most { Line::TooLong } else { Line::Unfinished });
        };
        let (begin, at) = (self.line, self.scanned + found);
        if at >= most {
            return Ok(Line::TooLong);
        }
        (self.line, self.scanned) = (at + 1, at + 1);
        match bytes[begin..at].split_last() {
            Some((b'\r', line)) => Ok(Line::Whole(line)),
            _ => Err(Refusal::head("a line ends with a bare LF")),
        }
    }

    /// Bytes of the lines so far.
    pub(crate) fn len(self) -> usize {
        self.line
    }
}
