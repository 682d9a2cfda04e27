//! Header fields, and what they say of the body's framing (RFC 9112, section 6). Where recipients may choose what to
//! make of a head, no choice is left: it is refused.

use crate::{
    FIELDS, Refusal,
    grammar::{is_token, is_value, number, trimmed},
};

/// The framing fields of one head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields {
    count: usize,
    length: Option<u64>,
    coding: Option<Coding>,
}

/// What `transfer-encoding` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    /// Names of codings, and another than `chunked` among them.
    Unknown,
    /// Nothing that is a list of codings of which `chunked` is the last, and stands there once.
    Odd,
}

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By nothing: a request has no body, a response ends with the connection.
    None,
    Length(u64),
    Chunked,
}

/// A field's name and its value, with no white space around it.
pub(crate) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::head("a line of the head begins with white space"));
    }
    let colon = memchr::memchr(b':', line).ok_or(Refusal::head("a line of the head is no field"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err(Refusal::head("a field has no name, or one with characters that no name has"));
    }
    if !is_value(value) {
        return Err(Refusal::head("a field's value holds a control character"));
    }
    Ok((name, trimmed(value)))
}

impl Fields {
    /// Takes a field.
    pub(crate) fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        self.count += 1;
        if self.count > FIELDS {
            return Err(Refusal::with(431, "the head has too many fields"));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            return self.length(value);
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.coding.is_some() {
                return Err(Refusal::head("more than one transfer-encoding"));
            }
            self.coding = Some(coding(value));
        }
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::head("more than one content-length"));
        }
        let plain = value == b"0" || !value.starts_with(b"0");
        let length = number(value).filter(|length| plain && *length <= i64::MAX.unsigned_abs());
        self.length = Some(length.ok_or(Refusal::head("the content-length is not a plain number"))?);
        Ok(())
    }

    /// What they come to, in a message of HTTP/1.0 or 1.1.
    pub(crate) fn framing(self, http_10: bool) -> Result<Framing, Refusal> {
        match (self.length, self.coding) {
            (Some(_), Some(_)) => Err(Refusal::head("content-length and transfer-encoding together")),
            (_, Some(_)) if http_10 => Err(Refusal::head("transfer-encoding in HTTP/1.0")),
            (_, Some(Coding::Odd)) => Err(Refusal::head("a transfer-encoding that is not `chunked`")),
            (_, Some(Coding::Unknown)) => Err(Refusal::with(501, "a transfer coding that is not known here")),
            (_, Some(Coding::Chunked)) => Ok(Framing::Chunked),
            (Some(length), None) => Ok(Framing::Length(length)),
            (None, None) => Ok(Framing::None),
        }
    }
}

fn coding(value: &[u8]) -> Coding {
    let is_chunked = |name: &[u8]| name.eq_ignore_ascii_case(b"chunked");
    if is_chunked(value) {
        return Coding::Chunked;
    }
    let names = || value.split(|byte| *byte == b',').map(trimmed);
    if names().all(is_token) && names().any(|name| !is_chunked(name)) { Coding::Unknown } else { Coding::Odd }
}
