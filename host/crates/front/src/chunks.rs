//! The chunked coding (RFC 9112, 7.1), byte by byte but for the data: sizes, extensions, ends of line, trailers.
//!
//! What must hold: of a size line, an end of line or a trailer that is refused, what passed is never a whole one.

use crate::{
    EXTENSION_BYTES, FIELDS, Refusal, TRAILER_BYTES,
    fields::split,
    grammar::{is_token_byte, is_value_byte},
};

/// Where in the coding its reader stands.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    at: At,
    /// The size of the chunk.
    size: u64,
    /// Bytes of extensions so far, in the whole body.
    extensions: usize,
    /// Bytes of trailers so far.
    trailers: usize,
    /// Trailer fields so far.
    fields: usize,
    /// The trailer that has not all come.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// In a size, of which so many digits have come.
    Size(u32),
    Extension(Extension),
    /// Behind the CR of a size line.
    SizeEnd,
    /// In data, of which so many bytes are to come.
    Data(u64),
    /// Behind data, or behind the CR behind it.
    DataEnd {
        cr: bool,
    },
    Trailer,
}

/// In `; name = value`, with the white space that the grammar calls bad.
#[derive(Clone, Copy, Debug)]
enum Extension {
    /// Behind the size or a value, in white space that `;` must follow.
    Between,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted {
        escape: bool,
    },
    /// Behind a quoted value.
    AfterValue,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { at: At::Size(0), size: 0, extensions: 0, trailers: 0, fields: 0, line: Vec::new() }
    }
}

impl Chunks {
    /// How many of these bytes belong to the body, and whether it is over with them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.at {
                At::Data(left) => {
                    let taken = usize::try_from(left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                    at += taken;
                    let left = left - taken as u64;
                    self.at = if left == 0 { At::DataEnd { cr: false } } else { At::Data(left) };
                    continue;
                }
                At::Trailer => {
                    let (taken, over) = self.trailer(&bytes[at..])?;
                    at += taken;
                    if over {
                        return Ok((at, true));
                    }
                    continue;
                }
                At::Size(digits) => self.at = self.size(digits, byte)?,
                At::Extension(extension) => self.at = self.extension(extension, byte)?,
                At::SizeEnd if byte == b'\n' => {
                    self.at = if self.size == 0 { At::Trailer } else { At::Data(self.size) };
                }
                At::SizeEnd => return Err(Refusal::body("a chunk's size ends with a bare CR")),
                At::DataEnd { cr: false } if byte == b'\r' => self.at = At::DataEnd { cr: true },
                At::DataEnd { cr: true } if byte == b'\n' => self.at = At::Size(0),
                At::DataEnd { .. } => return Err(Refusal::body("a chunk's data is not followed by CRLF")),
            }
            at += 1;
        }
        Ok((at, false))
    }

    fn size(&mut self, digits: u32, byte: u8) -> Result<At, Refusal> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            let so_far = if digits == 0 { 0 } else { self.size };
            self.size = (so_far << 4) | u64::from(digit);
            // 16 digits fill 64 bits; half of that is more than any body has.
            let fits = digits < 16 && self.size <= i64::MAX.unsigned_abs();
            return if fits { Ok(At::Size(digits + 1)) } else { Err(Refusal::body("a chunk's size is too large")) };
        }
        match byte {
            _ if digits == 0 => Err(Refusal::body("a chunk has no size")),
            b'\r' => Ok(At::SizeEnd),
            b';' => Ok(At::Extension(Extension::BeforeName)),
            b' ' | b'\t' => Ok(At::Extension(Extension::Between)),
            _ => Err(Refusal::body("a chunk's size is not a number")),
        }
    }

    fn extension(&mut self, extension: Extension, byte: u8) -> Result<At, Refusal> {
        self.extensions += 1;
        if self.extensions > EXTENSION_BYTES {
            return Err(Refusal::body("the chunk extensions are too long"));
        }
        let blank = matches!(byte, b' ' | b'\t');
        let next = match extension {
            Extension::Between | Extension::BeforeName | Extension::AfterName | Extension::BeforeValue if blank => {
                extension
            }
            Extension::BeforeName | Extension::Name if is_token_byte(byte) => Extension::Name,
            Extension::BeforeValue | Extension::Value if is_token_byte(byte) => Extension::Value,
            Extension::BeforeValue if byte == b'"' => Extension::Quoted { escape: false },
            Extension::Quoted { escape: true } if is_value_byte(byte) => Extension::Quoted { escape: false },
            Extension::Quoted { escape: false } if byte == b'\\' => Extension::Quoted { escape: true },
            Extension::Quoted { escape: false } if byte == b'"' => Extension::AfterValue,
            Extension::Quoted { escape: false } if is_value_byte(byte) => extension,
            Extension::Name if blank => Extension::AfterName,
            Extension::Value | Extension::AfterValue if blank => Extension::Between,
            Extension::Name | Extension::AfterName if byte == b'=' => Extension::BeforeValue,
            Extension::Name | Extension::Value | Extension::AfterValue if byte == b'\r' => return Ok(At::SizeEnd),
            Extension::Between | Extension::Name | Extension::AfterName | Extension::Value | Extension::AfterValue
                if byte == b';' =>
            {
                Extension::BeforeName
            }
            _ => return Err(Refusal::body("a chunk extension is not one")),
        };
        Ok(At::Extension(next))
    }

    /// Takes bytes of the trailers up to the end of a line.
    fn trailer(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        self.trailers += taken;
        if self.trailers > TRAILER_BYTES {
            return Err(Refusal::body("the trailers are too long"));
        }
        let Some(end) = end else {
            self.line.extend_from_slice(bytes);
            return Ok((taken, false));
        };
        let over = if self.line.is_empty() {
            self.trailer_line(&bytes[..end])?
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            self.trailer_line(&line)?
        };
        Ok((taken, over))
    }

    /// Checks a line that ended with LF; true when it is the empty one behind the last trailer.
    fn trailer_line(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        let Some((b'\r', line)) = line.split_last() else {
            return Err(Refusal::body("a trailer ends with a bare LF"));
        };
        if line.is_empty() {
            return Ok(true);
        }
        self.fields += 1;
        let (name, _) = split(line).map_err(|refusal| Refusal::body(refusal.why))?;
        if self.fields > FIELDS {
            return Err(Refusal::body("there are too many trailers"));
        }
        if is_meant_for_heads(name) {
            return Err(Refusal::body("a trailer has a name that only a head may have"));
        }
        Ok(false)
    }
}

/// Fields that frame, route, authenticate or say how the body is to be read (RFC 9110, 6.5.1): no merging of trailers
/// into a head may ever make sense of them.
const MEANT_FOR_HEADS: [&[u8]; 27] = [
    b"transfer-encoding",
    b"content-length",
    b"content-type",
    b"content-encoding",
    b"content-range",
    b"host",
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"upgrade",
    b"expect",
    b"range",
    b"max-forwards",
    b"cache-control",
    b"authorization",
    b"proxy-authorization",
    b"www-authenticate",
    b"proxy-authenticate",
    b"cookie",
    b"set-cookie",
    b"x-api-key",
    b"api-key",
    b"x-goog-api-key",
    b"location",
    b"forwarded",
];

fn is_meant_for_heads(name: &[u8]) -> bool {
    // To many a server `a_b` and `a-b` are the same.
    memchr::memchr(b'_', name).is_some() || MEANT_FOR_HEADS.iter().any(|listed| name.eq_ignore_ascii_case(listed))
}
