//! A judge as the host has one: it sees the text of each part as it comes, masks the canary in it, and holds back what
//! could still become one.

use std::collections::BTreeMap;

use bytes::BytesMut;
use model::{Channel, PartId, Speaker};
use wire::{Change, Flow, Malformed, Step};

use crate::flows::LIMITS;

/// What is taken away.
pub const CANARY: &str = "078-05-1120";
/// What is put there.
pub const MASK: &str = "[SSN]";

/// A part as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    channel: Channel,
    speaker: Speaker,
    text: String,
    ended: bool,
    released: usize,
}

/// What left, and what was said: channel, speaker and text of each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) out: Vec<u8>,
    pub(crate) said: Vec<(Channel, Speaker, String)>,
}

#[derive(Debug, Default)]
struct Judge {
    masking: bool,
    parts: BTreeMap<PartId, Told>,
}

impl Judge {
    fn turn(&mut self, flow: &mut dyn Flow, out: &mut BytesMut) {
        let (mut calls, mut fresh) = (Vec::new(), Vec::new());
        while let Some(step) = flow.next() {
            match step {
                Step::Asked(_) => assert!(self.parts.is_empty(), "what is asked for comes first"),
                Step::Begin(part) => {
                    let (channel, speaker) = (part.channel, part.speaker);
                    let told = Told { channel, speaker, text: String::new(), ended: false, released: 0 };
                    assert!(self.parts.insert(part.id, told).is_none(), "a part begins once");
                }
                Step::Text { part, text } => {
                    let told = self.parts.get_mut(&part).expect("a part begins before its text");
                    assert!(!told.ended && !text.is_empty(), "text is some, and comes before the end");
                    told.text.push_str(&text);
                    fresh.push(part);
                }
                Step::End(part) => {
                    let told = self.parts.get_mut(&part).expect("a part begins before it ends");
                    assert!(!std::mem::replace(&mut told.ended, true), "a part ends once");
                    fresh.push(part);
                }
                Step::ToolCall(call) => calls.push(call.call),
            }
        }
        fresh.sort();
        fresh.dedup();
        fresh.into_iter().for_each(|part| self.decide(flow, part));
        for call in calls {
            let _input = flow.tool_input(call);
            flow.clear_tool_call(call, None);
        }
        flow.take(out);
    }

    fn decide(&mut self, flow: &mut dyn Flow, part: PartId) {
        let Some(told) = self.parts.get_mut(&part) else { return };
        let (mut changes, mut from) = (Vec::new(), 0);
        let pending = &told.text[told.released..];
        while let Some(at) = pending[from..].find(CANARY).filter(|_| self.masking) {
            let start = (told.released + from + at) as u64;
            from += at + CANARY.len();
            changes.push(Change { span: start..start + CANARY.len() as u64, by: MASK.to_owned() });
        }
        let could_become = |keep: &usize| pending[from..].ends_with(&CANARY[..*keep]);
        let keep = (1..CANARY.len()).rev().find(|keep| self.masking && !told.ended && could_become(keep));
        told.released = told.text.len() - keep.unwrap_or(0);
        flow.release(part, told.released as u64, changes);
    }
}

/// What becomes of a body that is cut here.
pub(crate) fn pass(mut flow: Box<dyn Flow>, masking: bool, body: &[u8], cuts: &[usize]) -> Result<Passed, Malformed> {
    let mut judge = Judge { masking, ..Judge::default() };
    let mut out = BytesMut::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&body.len()]) {
        flow.push(&body[from..cut])?;
        assert!(flow.held() <= LIMITS.held_bytes, "holds more than it may");
        judge.turn(&mut *flow, &mut out);
        from = cut;
    }
    flow.finish()?;
    judge.turn(&mut *flow, &mut out);
    assert_eq!(flow.held(), 0, "all that came in has left");
    assert!(judge.parts.values().all(|told| told.ended && told.released == told.text.len()), "every part ends");
    let mut said: Vec<_> = judge.parts.into_values().map(|told| (told.channel, told.speaker, told.text)).collect();
    said.sort();
    Ok(Passed { out: out.to_vec(), said })
}
