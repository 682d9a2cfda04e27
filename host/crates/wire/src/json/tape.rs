//! The strict reader: bytes in, a flat tape of nodes out, in document order, each with the range of its bytes.
//!
//! The tape is used again for every event of a stream, so that reading costs no allocation once it has grown; and of an
//! event that differs from the one before in what its strings say alone, only these are read ([`super::alike`]).
//! What must hold: RFC 8259 and nothing more; the profile of [`Rules`]; linear time; no recursion.

use std::{borrow::Cow, collections::HashSet};

use super::{alike, literal, number};
use crate::Malformed;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    /// A member's name; the next node is its value.
    Key,
    Text,
    Number,
    /// `true`, `false`, `null`.
    Word,
}

/// One value or one name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Whether a literal has escapes.
    pub(crate) escaped: bool,
    /// First byte; of a literal, its opening quote.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
    /// Index of the first node that is not inside this one.
    pub(crate) after: u32,
}

/// What is allowed beyond the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Deepest nesting.
    pub(crate) depth: usize,
    /// Whether a name may stand twice in one object.
    pub(crate) duplicates: bool,
}

/// Values and names that one document may have: each costs as much room as sixteen bytes of text.
const NODES: usize = 2 << 20;

/// Objects with more members than this are checked for duplicates with a set instead of pair by pair.
const PAIRWISE: usize = 12;

/// Room that is made at first: nodes, open containers, and names of objects that are open.
const FIRST_NODES: usize = 128;
const FIRST_OPEN: usize = 8;
const FIRST_KEYS: usize = 16;
/// What a value or a name takes at least, with what parts it from the next, as documents are.
const BYTES_OF_A_NODE: usize = 8;

/// Room for the nodes of one document.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    open: Vec<Open>,
    keys: Vec<Name>,
    /// Documents come that may be like one another.
    many: bool,
    /// The document whose nodes these are, and how it was read, where the next may be like it.
    last: Vec<u8>,
    rules: Option<Rules>,
}

/// A name of an object that is not closed yet.
#[derive(Clone, Copy, Debug)]
struct Name {
    node: u32,
    escaped: bool,
    /// The same for names that are the same: their first bytes, and how many they have.
    print: u64,
}

/// A container that is not closed yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: u32,
    /// Where its names begin in `Tape::keys`.
    keys: u32,
    object: bool,
}

impl Tape {
    /// Room for documents that come one after the other, each perhaps like the one before.
    pub(crate) fn of_many() -> Self {
        Self { many: true, ..Self::default() }
    }

    /// Reads one document.
    pub(crate) fn read<'a>(&'a mut self, bytes: &'a [u8], rules: Rules) -> Result<Doc<'a>, Malformed> {
        if bytes.len() >= u32::MAX as usize {
            return Err(Malformed::TooLarge { bound: "json_bytes", limit: u32::MAX as usize });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| Malformed::NotUtf8 { at: error.valid_up_to() })?;
        let alike = self.rules == Some(rules) && alike::follow(&mut self.nodes, &self.last, bytes);
        // Set again once the nodes are those of this document.
        self.rules = None;
        if !alike {
            self.read_anew(text, rules)?;
        }
        if self.many && bytes.len() <= alike::DOCUMENT_BYTES {
            self.last.clear();
            self.last.extend_from_slice(bytes);
            self.rules = Some(rules);
        }
        Ok(Doc { text, nodes: &self.nodes, alike })
    }

    fn read_anew(&mut self, text: &str, rules: Rules) -> Result<(), Malformed> {
        self.nodes.clear();
        self.open.clear();
        self.keys.clear();
        if self.nodes.capacity() == 0 {
            // As much as a short document has: to grow there step by step costs more than to read it.
            self.nodes.reserve((text.len() / BYTES_OF_A_NODE).min(FIRST_NODES));
            self.open.reserve(FIRST_OPEN);
            self.keys.reserve(FIRST_KEYS);
        }
        Scan { bytes: text.as_bytes(), text, at: 0, rules, tape: self }.document()
    }
}

/// A read in progress.
struct Scan<'b, 't> {
    bytes: &'b [u8],
    text: &'b str,
    at: usize,
    rules: Rules,
    tape: &'t mut Tape,
}

impl Scan<'_, '_> {
    fn document(mut self) -> Result<(), Malformed> {
        loop {
            if self.tape.nodes.len() > NODES {
                return Err(Malformed::TooLarge { bound: "json_values", limit: NODES });
            }
            let inside = self.value()?;
            if !inside && !self.more()? {
                return Ok(());
            }
        }
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, Malformed> {
        if self.at >= self.bytes.len() {
            return Err(Malformed::Truncated { within: "a JSON value" });
        }
        Err(Malformed::Json { at: self.at, what })
    }

    fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.at) {
            // No white space, as nearly always.
            Some(&byte) if byte > b' ' => Some(byte),
            _ => self.peek_past_space(),
        }
    }

    #[cold]
    fn peek_past_space(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Reads a value; true when it is a container in which another value comes next.
    fn value(&mut self) -> Result<bool, Malformed> {
        match self.peek() {
            Some(b'{') => self.enter(true),
            Some(b'[') => self.enter(false),
            Some(b'"') => self.string(Kind::Text).map(|_| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(0xEF) if self.bytes[self.at..].starts_with(b"\xEF\xBB\xBF") => self.wrong("a byte order mark"),
            _ => self.wrong("a value must stand here"),
        }
    }

    /// After a value: closes what ends here; true when another value comes next.
    fn more(&mut self) -> Result<bool, Malformed> {
        while let Some(&open) = self.tape.open.last() {
            match (self.peek(), open.object) {
                (Some(b','), true) => {
                    self.at += 1;
                    return self.key().map(|()| true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => self.leave(open)?,
                _ => return self.wrong("a comma or the end of the object or array must stand here"),
            }
        }
        if self.peek().is_some() { self.wrong("nothing may follow the value") } else { Ok(false) }
    }

    fn enter(&mut self, object: bool) -> Result<bool, Malformed> {
        if self.tape.open.len() >= self.rules.depth {
            return Err(Malformed::TooLarge { bound: "json_depth", limit: self.rules.depth });
        }
        let open = Open { node: self.tape.nodes.len() as u32, keys: self.tape.keys.len() as u32, object };
        let start = self.at as u32;
        let kind = if object { Kind::Object } else { Kind::Array };
        self.tape.nodes.push(Node { kind, escaped: false, start, end: start, after: 0 });
        self.tape.open.push(open);
        self.at += 1;
        match (self.peek(), object) {
            (Some(b'}'), true) | (Some(b']'), false) => self.leave(open).map(|()| false),
            (_, true) => self.key().map(|()| true),
            (_, false) => Ok(true),
        }
    }

    fn leave(&mut self, open: Open) -> Result<(), Malformed> {
        self.at += 1;
        self.tape.open.pop();
        if open.object && !self.rules.duplicates {
            self.unique(open.keys as usize)?;
        }
        self.tape.keys.truncate(open.keys as usize);
        let after = self.tape.nodes.len() as u32;
        let node = &mut self.tape.nodes[open.node as usize];
        node.end = self.at as u32;
        node.after = after;
        Ok(())
    }

    fn key(&mut self) -> Result<(), Malformed> {
        if self.peek() != Some(b'"') {
            return self.wrong("a member's name must stand here");
        }
        let (node, start) = (self.tape.nodes.len() as u32, self.at);
        let escaped = self.string(Kind::Key)?;
        let print = print(&self.bytes[start + 1..], self.at - start - 2);
        self.tape.keys.push(Name { node, escaped, print });
        if self.peek() != Some(b':') {
            return self.wrong("a colon must stand here");
        }
        self.at += 1;
        Ok(())
    }

    /// No two of the names of the object that closes here are the same, once decoded.
    fn unique(&self, from: usize) -> Result<(), Malformed> {
        let keys = &self.tape.keys[from..];
        let twice = |name: &Name| Malformed::Json {
            at: self.tape.nodes[name.node as usize].start as usize,
            what: "a name stands twice in one object",
        };
        if keys.len() > PAIRWISE || keys.iter().any(|name| name.escaped) {
            let doc = Doc { text: self.text, nodes: &self.tape.nodes, alike: false };
            let mut seen = HashSet::with_capacity(keys.len());
            return match keys.iter().find(|name| !seen.insert(doc.name(name.node as usize))) {
                Some(name) => Err(twice(name)),
                None => Ok(()),
            };
        }
        let literal = |name: &Name| {
            let node = self.tape.nodes[name.node as usize];
            &self.bytes[node.start as usize..node.end as usize]
        };
        for (count, name) in keys.iter().enumerate() {
            let same = |other: &Name| other.print == name.print && literal(other) == literal(name);
            if keys[..count].iter().any(same) {
                return Err(twice(name));
            }
        }
        Ok(())
    }

    /// Reads a string; true when it has escapes.
    fn string(&mut self, kind: Kind) -> Result<bool, Malformed> {
        let start = self.at;
        let end = start + 1 + plain(&self.bytes[start + 1..]);
        self.at = end;
        let escaped = self.bytes.get(end) != Some(&b'"');
        if escaped {
            self.escapes()?;
        }
        self.at += 1;
        self.leaf(kind, escaped, start);
        Ok(escaped)
    }

    /// Goes on in a string that is not plain, to its closing quote.
    fn escapes(&mut self) -> Result<(), Malformed> {
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => return Ok(()),
                Some(b'\\') => match literal::escape_len(&self.bytes[self.at..]) {
                    Ok(len) => self.at += len,
                    Err(what) => return Err(Malformed::Json { at: self.at, what }),
                },
                Some(_) => return self.wrong("a control character in a string"),
                None => return Err(Malformed::Truncated { within: "a string" }),
            }
            self.at += plain(&self.bytes[self.at..]);
        }
    }

    fn leaf(&mut self, kind: Kind, escaped: bool, start: usize) {
        let after = self.tape.nodes.len() as u32 + 1;
        self.tape.nodes.push(Node { kind, escaped, start: start as u32, end: self.at as u32, after });
    }

    fn digits(&mut self) -> usize {
        let run = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += run;
        run
    }

    fn number(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        let zero = self.bytes.get(self.at) == Some(&b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return self.wrong("a number is not written like this");
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return self.wrong("a digit must follow the point");
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.wrong("a digit must stand in the exponent");
            }
        }
        self.leaf(Kind::Number, false, start);
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<bool, Malformed> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.wrong("a value must stand here");
        }
        let start = self.at;
        self.at += word.len();
        self.leaf(Kind::Word, false, start);
        Ok(false)
    }
}

/// The first bytes of a name of this length, which `bytes` begins with, and the length.
fn print(bytes: &[u8], length: usize) -> u64 {
    let first = match bytes.first_chunk::<8>() {
        Some(first) => *first,
        None => std::array::from_fn(|at| bytes.get(at).copied().unwrap_or_default()),
    };
    let others = 64 - 8 * length.min(8) as u32;
    (u64::from_be_bytes(first) >> others.min(63)) ^ (length as u64).rotate_right(8)
}

/// How many bytes at the begin are neither `"` nor `\` nor a control character: eight at a time, and far more in a string
/// that is long.
pub(super) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    while let Some((chunk, _)) = bytes[at..].split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quote = zero_byte(word ^ (ONES * u64::from(b'"')));
        let slash = zero_byte(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = quote | slash | control;
        if found != 0 {
            // A borrow can only mark bytes above a true one, so the lowest mark is exact.
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at == LONG {
            return at + plain_of_many(&bytes[at..]);
        }
    }
    at + bytes[at..].iter().take_while(|&&byte| is_plain(byte)).count()
}

/// Bytes from which on a string is long.
const LONG: usize = 64;

/// The same, as the compiler makes it of loops over blocks.
fn plain_of_many(bytes: &[u8]) -> usize {
    let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
    let has_control = |block: &&[u8]| block.iter().fold(false, |some, &byte| some | (byte < 0x20));
    let blocks = bytes[..end].chunks(LONG).take_while(|block| !has_control(block)).count();
    let at = end.min(blocks * LONG);
    at + bytes[at..end].iter().take_while(|&&byte| is_plain(byte)).count()
}

fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// A document that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doc<'a> {
    /// The whole text.
    pub(crate) text: &'a str,
    /// Never empty; the first is the document's value.
    pub(crate) nodes: &'a [Node],
    /// Whether it differs from the one that was read before in nothing but what strings say that are values.
    pub(crate) alike: bool,
}

impl<'a> Doc<'a> {
    /// The bytes of a node.
    pub(crate) fn raw(&self, node: usize) -> &'a str {
        let node = self.nodes[node];
        &self.text[node.start as usize..node.end as usize]
    }

    /// What kind a node is.
    pub(crate) fn kind(&self, node: usize) -> Kind {
        self.nodes[node].kind
    }

    /// The decoded text of a string or a name; a number as it reads.
    pub(crate) fn name(&self, node: usize) -> Cow<'a, str> {
        let Node { kind, escaped, start, end, .. } = self.nodes[node];
        match kind {
            Kind::Key | Kind::Text => {
                let inside = &self.text[start as usize + 1..end as usize - 1];
                if !escaped {
                    return Cow::Borrowed(inside);
                }
                let mut text = String::with_capacity(inside.len());
                literal::decode(inside, &mut text);
                Cow::Owned(text)
            }
            Kind::Number => number::spelled(self.raw(node)),
            Kind::Object | Kind::Array | Kind::Word => Cow::Borrowed(self.raw(node)),
        }
    }

    /// The members of an object, as indices of name and value; none of anything else.
    pub(crate) fn members(&self, node: usize) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let nodes = self.nodes;
        let end = if nodes[node].kind == Kind::Object { nodes[node].after as usize } else { 0 };
        let mut at = node + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let member = (at, at + 1);
                at = nodes[at + 1].after as usize;
                member
            })
        })
    }

    /// The items of an array; none of anything else.
    pub(crate) fn items(&self, node: usize) -> impl Iterator<Item = usize> + use<'a> {
        let nodes = self.nodes;
        let end = if nodes[node].kind == Kind::Array { nodes[node].after as usize } else { 0 };
        let mut at = node + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let item = at;
                at = nodes[at].after as usize;
                item
            })
        })
    }

    /// The value of a member.
    pub(crate) fn get(&self, object: usize, name: &str) -> Option<usize> {
        self.members(object).find(|&(key, _)| self.name(key) == name).map(|(_, value)| value)
    }

    /// The decoded text of a member that is a string.
    pub(crate) fn text_of(&self, object: usize, name: &str) -> Option<Cow<'a, str>> {
        self.get(object, name).filter(|&value| self.kind(value) == Kind::Text).map(|value| self.name(value))
    }

    /// Whether the document tells of an error: clients stop there. What is empty is none to them.
    pub(crate) fn has_error(&self) -> bool {
        self.get(0, "error").is_some_and(|error| !matches!(self.raw(error), "null" | "false" | "0" | "\"\""))
    }

    /// Whether there is anything in a value: it is no word, and no empty text, list or object.
    pub(crate) fn is_filled(&self, value: usize) -> bool {
        match self.kind(value) {
            Kind::Key | Kind::Text => self.raw(value).len() > 2,
            Kind::Array | Kind::Object => self.nodes[value].after as usize > value + 1,
            Kind::Number => true,
            Kind::Word => false,
        }
    }

    /// A member that is a whole number that is not negative.
    pub(crate) fn count_of(&self, object: usize, name: &str) -> Option<u64> {
        self.get(object, name).and_then(|value| self.raw(value).parse().ok())
    }
}
