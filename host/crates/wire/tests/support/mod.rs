//! What the tests of this crate share: a judge that masks a canary, and decoders that share no code with the crate, one
//! module for each dialect.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

pub(crate) mod anthropic;
pub(crate) mod decoys;
pub(crate) mod mcp;
pub(crate) mod openai_chat;
pub(crate) mod openai_completions;
pub(crate) mod openai_responses;

use std::collections::BTreeMap;

use bytes::BytesMut;
use model::{Channel, Part, PartId, Speaker};
use serde_json::Value;
use wire::{Change, Flow, Malformed, Step, ToolCallId};

/// What the judge takes away.
pub(crate) const CANARY: &str = "078-05-1120";

/// What it puts there.
pub(crate) const MASK: &str = "[SSN]";

/// A part as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) channel: Channel,
    pub(crate) speaker: Speaker,
    pub(crate) text: String,
    pub(crate) ended: bool,
    released: usize,
}

/// Masks the canary, holding back what could still become one; notes all that it was told.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) mask: bool,
    /// Only where it stands between the ends of words, as recognisers want it.
    pub(crate) words: bool,
    /// What takes its place, where that is something else.
    pub(crate) by: Option<&'static str>,
    pub(crate) parts: BTreeMap<PartId, Told>,
    pub(crate) calls: Vec<(ToolCallId, String, String)>,
    pub(crate) asked: Option<wire::Asked>,
}

impl Judge {
    pub(crate) fn masking() -> Self {
        Self { mask: true, ..Self::default() }
    }

    pub(crate) fn masking_words() -> Self {
        Self { mask: true, words: true, ..Self::default() }
    }

    /// Fetches all steps, decides all of them, takes what may leave.
    pub(crate) fn turn(&mut self, flow: &mut dyn Flow, out: &mut BytesMut) {
        let mut calls = Vec::new();
        let mut fresh = Vec::new();
        while let Some(step) = flow.next() {
            match step {
                Step::Asked(asked) => {
                    assert!(self.parts.is_empty(), "asked comes first");
                    self.asked = Some(*asked);
                }
                Step::Begin(Part { id, channel, speaker }) => {
                    let told = Told { channel, speaker, text: String::new(), ended: false, released: 0 };
                    assert!(self.parts.insert(id, told).is_none(), "a part begins once");
                }
                Step::Text { part, text } => {
                    let told = self.parts.get_mut(&part).unwrap();
                    assert!(!told.ended, "text after the end");
                    assert!(!fresh.contains(&part), "text is told in one step");
                    assert!(!text.is_empty());
                    told.text.push_str(&text);
                    fresh.push(part);
                }
                Step::End(part) => {
                    let told = self.parts.get_mut(&part).unwrap();
                    assert!(!std::mem::replace(&mut told.ended, true), "a part ends once");
                    fresh.push(part);
                }
                Step::ToolCall(call) => {
                    calls.push(call.call);
                    self.calls.push((call.call, call.id, call.name));
                }
            }
        }
        fresh.sort();
        fresh.dedup();
        for part in fresh {
            self.decide(flow, part);
        }
        for call in calls {
            flow.clear_tool_call(call, None);
        }
        flow.take(out);
    }

    fn decide(&mut self, flow: &mut dyn Flow, part: PartId) {
        let told = self.parts.get_mut(&part).unwrap();
        if !self.mask {
            told.released = told.text.len();
            return flow.release(part, told.released as u64, Vec::new());
        }
        let by = self.by.unwrap_or(MASK);
        let mut changes = Vec::new();
        let mut from = told.released;
        while let Some(at) = told.text[from..].find(CANARY) {
            let (start, end) = (from + at, from + at + CANARY.len());
            let open = self.words && end == told.text.len() && !told.ended;
            let inside = |char: Option<char>| self.words && char.is_some_and(char::is_alphanumeric);
            if open {
                from = start;
                break;
            }
            if inside(told.text[..start].chars().next_back()) || inside(told.text[end..].chars().next()) {
                from = start + 1;
                continue;
            }
            from = end;
            changes.push(Change { span: start as u64..end as u64, by: by.to_owned() });
        }
        let rest = &told.text[from..];
        let longest = CANARY.len() - usize::from(!self.words);
        let keep = (1..=longest).rev().find(|&len| !told.ended && rest.ends_with(&CANARY[..len])).unwrap_or(0);
        told.released = told.text.len() - keep;
        flow.release(part, told.released as u64, changes);
    }

    /// The texts of a channel, in the order of their parts.
    pub(crate) fn texts(&self, channel: Channel) -> Vec<&str> {
        self.parts.values().filter(|told| told.channel == channel).map(|told| told.text.as_str()).collect()
    }

    /// What was told, with no regard to the numbers of parts.
    pub(crate) fn said(&self) -> Vec<(Channel, Speaker, String)> {
        let mut said: Vec<_> =
            self.parts.values().map(|told| (told.channel, told.speaker, told.text.clone())).collect();
        said.sort();
        said
    }
}

/// Runs a body through a flow, cut at `cuts`; the answer is what left after each piece.
pub(crate) fn run(
    mut flow: Box<dyn Flow>,
    judge: &mut Judge,
    body: &[u8],
    cuts: &[usize],
) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut out = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&body.len()]) {
        let mut taken = BytesMut::new();
        flow.push(&body[from..cut])?;
        judge.turn(&mut *flow, &mut taken);
        out.push(taken.to_vec());
        from = cut;
    }
    let mut taken = BytesMut::new();
    flow.finish()?;
    judge.turn(&mut *flow, &mut taken);
    out.push(taken.to_vec());
    assert_eq!(flow.held(), 0, "all that came in has left");
    Ok(out)
}

/// What leaves of a body that comes in one piece.
pub(crate) fn masked(flow: Box<dyn Flow>, body: &str) -> String {
    judged(flow, body, Judge::masking())
}

/// The same, where the canary counts only between the ends of words.
pub(crate) fn masked_words(flow: Box<dyn Flow>, body: &str) -> String {
    judged(flow, body, Judge::masking_words())
}

fn judged(flow: Box<dyn Flow>, body: &str, mut judge: Judge) -> String {
    let out = run(flow, &mut judge, body.as_bytes(), &[]).unwrap();
    String::from_utf8(out.concat()).unwrap()
}

/// A body of JSON with escapes in the place of characters at which some clients end a line.
pub(crate) fn unbroken(body: &str) -> String {
    let escapes = [("\u{85}", "\\u0085"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];
    escapes.iter().fold(body.to_owned(), |body, (raw, escape)| body.replace(raw, escape))
}

/// The data of each event, by the letter of the standard, with nothing shared with the crate.
pub(crate) fn events(stream: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(stream).unwrap().replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut out = Vec::new();
    let mut data: Option<String> = None;
    for line in text.split('\n') {
        if line.is_empty() {
            out.extend(data.take());
        } else if let Some(value) = line.strip_prefix("data") {
            let value = value.strip_prefix(':').unwrap_or(value);
            let value = value.strip_prefix(' ').unwrap_or(value);
            data = Some(data.map_or(value.to_owned(), |before| before + "\n" + value));
        }
    }
    out.extend(data);
    out
}

/// Adds words behind the end of each part of an answer's text. `lens`: what is known of the parts so far.
pub(crate) fn add_at_ends(flow: &mut dyn Flow, lens: &mut BTreeMap<PartId, (Channel, u64)>, out: &mut BytesMut) {
    while let Some(step) = flow.next() {
        match step {
            Step::Begin(part) => {
                lens.insert(part.id, (part.channel, 0));
            }
            Step::Text { part, text } => {
                let len = &mut lens.get_mut(&part).unwrap().1;
                *len += text.len() as u64;
                flow.release(part, *len, Vec::new());
            }
            Step::End(part) => {
                let (channel, len) = lens[&part];
                let added = Change { span: len..len, by: "\"(end)".into() };
                let add = matches!(channel, Channel::Content | Channel::Reasoning);
                flow.release(part, len, add.then_some(added).into_iter().collect());
            }
            _ => {}
        }
    }
    flow.take(out);
}

/// JSON that a test wrote or a flow gave.
pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What is left of a request, otherwise as it came, when these tools are taken away.
pub(crate) fn left_of(mut flow: Box<dyn Flow>, body: &Value, names: &[&str]) -> Value {
    flow.push(body.to_string().as_bytes()).unwrap();
    flow.finish().unwrap();
    flow.remove_tools(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    let mut out = BytesMut::new();
    Judge::default().turn(&mut *flow, &mut out);
    value(std::str::from_utf8(&out).unwrap())
}

/// Everything told about a body that comes in one piece.
pub(crate) fn told(flow: Box<dyn Flow>, body: &str) -> Judge {
    let mut judge = Judge::default();
    let out = run(flow, &mut judge, body.as_bytes(), &[]).unwrap();
    assert_eq!(String::from_utf8(out.concat()).unwrap(), body, "what nothing changes leaves byte for byte");
    judge
}
