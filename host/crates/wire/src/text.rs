//! Plain text: the body is one part, and what is decided of it leaves at once.
//!
//! What must hold: a character that is cut waits for its rest; bytes that are not UTF-8 are an error; nothing leaves
//! before it is released.

use std::collections::VecDeque;

use bytes::BytesMut;
use model::{Channel, Part, PartId, Speaker, Usage};

use crate::{Asked, Change, Flow, Limits, Malformed, Step, ToolCallId};

/// The only part.
const TEXT: PartId = PartId(0);

/// A body that is text.
#[derive(Debug)]
pub(crate) struct Text {
    limits: Limits,
    speaker: Speaker,
    /// Text that is in and not decided.
    text: String,
    /// Bytes of text that were decided before it.
    decided: u64,
    /// The begin of a character that was cut.
    cut: Vec<u8>,
    steps: VecDeque<Step>,
    begun: bool,
    /// What is told with the end of a request and before its text.
    asked: Option<Asked>,
    out: BytesMut,
}

impl Text {
    /// An answer, told as it comes.
    pub(crate) fn answer(limits: Limits) -> Self {
        Self::new(Speaker::Provider, None, limits)
    }

    /// A request, told once it is complete.
    pub(crate) fn request(limits: Limits) -> Self {
        let asked = Asked { parameters: "{}".to_owned(), ..Asked::default() };
        Self::new(Speaker::User, Some(asked), limits)
    }

    fn new(speaker: Speaker, asked: Option<Asked>, limits: Limits) -> Self {
        Self {
            limits,
            speaker,
            text: String::new(),
            decided: 0,
            cut: Vec::new(),
            steps: VecDeque::new(),
            begun: false,
            asked,
            out: BytesMut::new(),
        }
    }

    fn tell(&mut self, fresh: &str) {
        if fresh.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.begun, true) {
            let part = Part { id: TEXT, channel: Channel::Content, speaker: self.speaker };
            self.steps.push_back(Step::Begin(part));
        }
        self.text.push_str(fresh);
        match self.steps.back_mut() {
            Some(Step::Text { text, .. }) => text.push_str(fresh),
            _ => self.steps.push_back(Step::Text { part: TEXT, text: fresh.to_owned() }),
        }
    }

    /// Tells what these bytes say, with those that were left before.
    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut joined = std::mem::take(&mut self.cut);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let (fresh, cut) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, bytes.len()),
            Err(error) if error.error_len().is_none() => {
                let at = error.valid_up_to();
                (std::str::from_utf8(&bytes[..at]).unwrap_or_default(), at)
            }
            Err(error) => return Err(Malformed::NotUtf8 { at: error.valid_up_to() }),
        };
        if let Some(at) = memchr::memchr(0, fresh.as_bytes()) {
            // Some take text with zeros in it for UTF-16, and would read something else.
            return Err(Malformed::NotUtf8 { at });
        }
        let cut = bytes[cut..].to_vec();
        self.tell(fresh);
        self.cut = cut;
        Ok(())
    }

    /// The place in `text` of an offset since the part's begin, moved to the begin of its character.
    fn place(&self, at: u64) -> usize {
        let at = usize::try_from(at.saturating_sub(self.decided)).unwrap_or(usize::MAX).min(self.text.len());
        (0..=at).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }
}

impl Flow for Text {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.held() + bytes.len() > self.limits.held_bytes {
            return Err(Malformed::TooLarge { bound: "held_bytes", limit: self.limits.held_bytes });
        }
        if self.asked.is_some() {
            self.cut.extend_from_slice(bytes);
            return Ok(());
        }
        self.read(bytes)
    }

    fn finish(&mut self) -> Result<(), Malformed> {
        if let Some(asked) = self.asked.take() {
            self.steps.push_back(Step::Asked(Box::new(asked)));
            self.read(&[])?;
        }
        if !self.cut.is_empty() {
            return Err(Malformed::Truncated { within: "a character" });
        }
        if self.begun {
            self.steps.push_back(Step::End(TEXT));
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    fn release(&mut self, part: PartId, upto: u64, changes: Vec<Change>) {
        if part != TEXT {
            return;
        }
        let mut from = 0;
        for change in changes {
            let start = self.place(change.span.start).max(from);
            self.out.extend_from_slice(&self.text.as_bytes()[from..start]);
            self.out.extend_from_slice(change.by.as_bytes());
            from = self.place(change.span.end).max(start);
        }
        let upto = self.place(upto).max(from);
        self.out.extend_from_slice(&self.text.as_bytes()[from..upto]);
        self.text.drain(..upto);
        self.decided += upto as u64;
    }

    fn tool_input(&self, _call: ToolCallId) -> String {
        String::new()
    }

    fn clear_tool_call(&mut self, _call: ToolCallId, _input: Option<String>) {}

    fn remove_tools(&mut self, _names: &[String]) {}

    fn patch_parameters(&mut self, _patch: &str) -> Result<(), Malformed> {
        Err(Malformed::Shape { path: String::new(), expected: "a request with parameters" })
    }

    fn take(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.out.split());
    }

    fn held(&self) -> usize {
        self.text.len() + self.cut.len() + self.out.len()
    }

    fn came(&self) -> u64 {
        self.decided + self.text.len() as u64
    }

    fn left(&self) -> u64 {
        self.decided
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}
