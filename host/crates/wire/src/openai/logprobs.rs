//! Log probabilities: the same text again, token by token, as strings and as numbers of bytes.
//!
//! Tokens that say just what the choice says beside them are covered by that text: change it, and they become `null`.
//! Tokens that say anything else are parts of their own, and become `null` when these change. What must hold: nothing
//! of a changed text survives here, and no list of tokens goes on where another one, under another text, left off unseen.

use std::{collections::HashSet, ops::Range};

use model::{Channel, PartId, Speaker};

use super::Wrong;
use crate::{
    frame::Kind as Slot,
    json::{Doc, Kind},
    nested::LONG_NUMBER,
    parts::{Parts, Source},
    sheet::Sheet,
    strays::note,
};

/// Text that is said in the same frame.
#[derive(Debug)]
pub(crate) struct Spoken {
    /// The string.
    pub(crate) node: usize,
    /// Its part.
    pub(crate) part: PartId,
    /// Where in the part it stands.
    pub(crate) range: Range<u64>,
}

/// Which of a choice's texts a list of tokens belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// What it says.
    Content,
    /// Why it says nothing.
    Refusal,
    /// Anything else: reasoning, or what only its server knows.
    Other,
}

/// In which of its two forms a list of tokens says something of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// By `token`.
    Text,
    /// By `bytes`.
    Bytes,
}

/// Members of the older completions' `logprobs`; some servers have them in chats, too.
const OLDER: [&str; 4] = ["tokens", "token_logprobs", "text_offset", "top_logprobs"];

/// Reads `logprobs` of a choice, in either form: what its lists of tokens say, and what they belong to.
pub(crate) fn read(sheet: &mut Sheet<'_>, value: usize) -> Result<Vec<(Of, Tokens)>, Wrong> {
    let doc = sheet.doc;
    let mut all = Vec::new();
    if doc.kind(value) != Kind::Object {
        sheet.rest(value);
        return Ok(all);
    }
    if OLDER.iter().any(|name| doc.get(value, name).is_some()) {
        // Beside the other form they repeat it, and must not be joined with it.
        let of = if doc.get(value, "content").is_some() { Of::Other } else { Of::Content };
        all.push((of, Tokens::read_older(sheet, value)));
    }
    let says = |list: usize| doc.items(list).any(|item| TOKEN.iter().any(|name| doc.get(item, name).is_some()));
    for (key, list) in doc.members(value) {
        match (&*doc.name(key), doc.kind(list)) {
            (name, _) if OLDER.contains(&name) => {}
            ("content", Kind::Array) => all.push((Of::Content, Tokens::read(sheet, list)?)),
            ("refusal", Kind::Array) => all.push((Of::Refusal, Tokens::read(sheet, list)?)),
            (_, Kind::Array) if says(list) => {
                sheet.key(key);
                all.push((Of::Other, Tokens::read(sheet, list)?));
            }
            _ => {
                sheet.key(key);
                sheet.rest(list);
            }
        }
    }
    Ok(all)
}

/// What makes an object a token.
const TOKEN: [&str; 2] = ["token", "bytes"];

/// Ties tokens that are told as numbers alone to all that was said up to here: once anything of that is changed, they
/// go.
pub(crate) fn void(sheet: &mut Sheet<'_>, ids: usize, said: impl Iterator<Item = PartId>) {
    sheet.rest(ids);
    for part in said {
        let source = Source::Part(part);
        let len = sheet.parts.run(source).map_or(0, |run| run.len);
        sheet.slot(ids, source, Slot::Void, 0..len, sheet.whole);
    }
}

/// What a list of tokens says.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    text: String,
    bytes: Vec<u8>,
    /// Whether some token's bytes are not its text.
    differ: bool,
    /// Tokens that were not taken, as far as they are long enough to say something.
    others: String,
}

impl Tokens {
    /// Of this text, and of others that were not taken, each on its line.
    pub(crate) fn of(text: String, others: String) -> Self {
        Self { bytes: text.clone().into_bytes(), text, differ: false, others }
    }

    /// Reads a list of tokens.
    pub(crate) fn read(sheet: &mut Sheet<'_>, list: usize) -> Result<Self, Wrong> {
        let mut tokens = Self::default();
        for entry in sheet.doc.items(list) {
            token(sheet, entry, &mut tokens)?;
        }
        Ok(tokens)
    }

    /// Reads the lists of the older completions, which are members of `object`.
    fn read_older(sheet: &mut Sheet<'_>, object: usize) -> Self {
        let doc = sheet.doc;
        let mut tokens = Self::default();
        let (mut taken, mut others) = (HashSet::new(), Vec::new());
        let numbers = |list| doc.items(list).all(|item| matches!(doc.kind(item), Kind::Number | Kind::Word));
        for (key, list) in doc.members(object) {
            match (&*doc.name(key), doc.kind(list)) {
                (name, _) if !OLDER.contains(&name) => {}
                ("tokens", Kind::Array) => {
                    for token in doc.items(list) {
                        if doc.kind(token) == Kind::Text {
                            let text = doc.name(token);
                            tokens.push(&text);
                            taken.insert(text);
                        } else {
                            sheet.rest(token);
                        }
                    }
                }
                ("token_logprobs" | "text_offset", Kind::Array) if numbers(list) => sheet.vectors(list),
                ("top_logprobs", Kind::Array) => {
                    for item in doc.items(list) {
                        if doc.kind(item) != Kind::Object {
                            sheet.rest(item);
                        }
                        for (token, value) in doc.members(item) {
                            others.push(doc.name(token));
                            sheet.rest(value);
                        }
                    }
                }
                (_, Kind::Word) => sheet.key(key),
                _ => {
                    sheet.key(key);
                    sheet.rest(list);
                }
            }
        }
        others.retain(|other| other.len() >= LONG_NUMBER && !taken.contains(other));
        tokens.others = others.join("\n");
        tokens
    }

    /// Adds a token of the older completions. A piece of a character is written as `bytes:\xf0\x9f`.
    fn push(&mut self, token: &str) {
        self.text.push_str(token);
        match token.strip_prefix("bytes:") {
            Some(bytes) => self.bytes.extend(spelled_out(bytes)),
            None => self.bytes.extend_from_slice(token.as_bytes()),
        }
    }

    /// Ties `value`, which is worth nothing once its tokens' text is changed, to the texts that decide about it: what is
    /// `spoken` beside it where that is the same, and the part that `own` gives, which goes on from piece to piece, from
    /// the first piece on that says anything else. `trail` is what the pieces before said.
    pub(crate) fn cover(
        &self,
        sheet: &mut Sheet<'_>,
        value: usize,
        spoken: Option<&Spoken>,
        trail: &mut Trail,
        mut own: impl FnMut(&mut Parts, Form) -> PartId,
    ) {
        let same = |spoken: &&Spoken| !self.differ && sheet.doc.name(spoken.node).as_bytes() == self.bytes.as_slice();
        let spoken = spoken.filter(same);
        let tail = sheet.whole;
        if let Some(spoken) = spoken {
            sheet.slot(value, Source::Part(spoken.part), Slot::Null, spoken.range.clone(), tail);
        }
        let as_bytes = trail.decode(&self.bytes);
        let differs = spoken.is_none();
        let forms = [
            (Form::Text, self.text.as_str(), differs, &mut trail.text),
            (Form::Bytes, &as_bytes, differs && as_bytes != self.text, &mut trail.bytes),
        ];
        for (form, text, differs, said) in forms {
            if (differs && !text.is_empty()) || said.apart {
                let part = own(sheet.parts, form);
                if !std::mem::replace(&mut said.apart, true) {
                    // Clients join these to what repeated the text so far.
                    sheet.parts.say(part, |out| out.push_str(&said.tail));
                }
                let range = sheet.parts.say(part, |out| out.push_str(text));
                sheet.slot(value, Source::Part(part), Slot::Null, range, tail);
            }
            said.note(text);
        }
        if !self.others.is_empty() {
            let (part, range) = sheet.parts.whole(Channel::Logprobs, Speaker::Assistant, &self.others);
            sheet.slot(value, Source::Part(part), Slot::Null, range, true);
        }
    }
}

/// What the tokens beside one text have said, in both forms: as long as they say what the text says, it speaks for them;
/// once they do not, they go on as parts of their own, which begin with what came before.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    text: Said,
    bytes: Said,
    /// The begin of a character whose other bytes are those of the next token.
    begun: Vec<u8>,
}

#[derive(Debug, Default)]
struct Said {
    /// The last of it.
    tail: String,
    /// Whether it is a part of its own.
    apart: bool,
}

impl Said {
    fn note(&mut self, text: &str) {
        if self.apart {
            self.tail.clear();
            return;
        }
        note(&mut self.tail, text);
    }
}

impl Trail {
    /// Bytes as text, where a character may have begun in the bytes before.
    fn decode(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&all) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) | Err(_) => begun_at(&all),
        };
        self.begun = all.split_off(whole);
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// Where a character begins that does not end, at the end of bytes that need not be text otherwise.
fn begun_at(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(3);
    (last..bytes.len())
        .find(|&at| {
            std::str::from_utf8(&bytes[at..])
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(bytes.len())
}

/// Reads one token.
fn token(sheet: &mut Sheet<'_>, entry: usize, tokens: &mut Tokens) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(entry) != Kind::Object {
        return Err("a choice whose logprobs are objects");
    }
    let (text, bytes, agree) = token_text(doc, entry);
    tokens.text.push_str(&text);
    tokens.bytes.extend_from_slice(&bytes);
    tokens.differ |= !agree;
    for (key, value) in doc.members(entry) {
        match (&*doc.name(key), doc.kind(value)) {
            ("token", Kind::Text) => {}
            ("logprob", Kind::Number) => sheet.vectors(value),
            ("bytes", Kind::Array) if doc.items(value).all(|item| doc.raw(item).parse::<u8>().is_ok()) => {}
            ("top_logprobs", Kind::Array) => {
                for other in doc.items(value) {
                    other_token(sheet, other, &text, tokens);
                }
            }
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    Ok(())
}

/// Reads a token that was not taken.
fn other_token(sheet: &mut Sheet<'_>, entry: usize, taken: &str, tokens: &mut Tokens) {
    let doc = sheet.doc;
    let (text, bytes, agree) = token_text(doc, entry);
    let as_bytes = String::from_utf8_lossy(&bytes);
    let mut note = |text: &str| {
        if text.len() >= LONG_NUMBER && text != taken {
            tokens.others.push_str(text);
            tokens.others.push('\n');
        }
    };
    note(&text);
    if !agree {
        note(&as_bytes);
    }
    if doc.kind(entry) != Kind::Object {
        sheet.rest(entry);
    }
    for (key, value) in doc.members(entry) {
        match (&*doc.name(key), doc.kind(value)) {
            ("token", Kind::Text) => {}
            ("logprob", Kind::Number) => sheet.vectors(value),
            ("bytes", Kind::Array) if doc.items(value).all(|item| doc.raw(item).parse::<u8>().is_ok()) => {}
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}

/// What a token says: its text, its bytes, and whether they agree.
fn token_text(doc: Doc<'_>, entry: usize) -> (String, Vec<u8>, bool) {
    let text = doc.text_of(entry, "token").unwrap_or_default().into_owned();
    let Some(list) = doc.get(entry, "bytes").filter(|&list| doc.kind(list) == Kind::Array) else {
        let bytes = text.clone().into_bytes();
        return (text, bytes, true);
    };
    let bytes: Option<Vec<u8>> = doc.items(list).map(|byte| doc.raw(byte).parse().ok()).collect();
    let Some(bytes) = bytes else {
        return (text, Vec::new(), false);
    };
    let agree = text.as_bytes() == bytes.as_slice() || spelled_out(&text) == bytes;
    (text, bytes, agree)
}

/// The bytes of a token that holds a piece of a character, written as `\xf0\x9f`.
fn spelled_out(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let hex = rest.strip_prefix("\\x").and_then(|hex| hex.get(..2));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[char.len_utf8()..];
            }
        }
    }
    bytes
}
