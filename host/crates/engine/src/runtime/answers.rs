//! What guests answer, checked against every rule of the contract and turned into the host's own types.
//!
//! What must hold: an answer that breaks a rule is a failure, never repaired in silence; what leaves here has offsets in
//! bytes, on character boundaries, in order, in bounds. How large an answer may be is bound before it is read (the
//! store's host-call fuel).

use std::collections::HashMap;

use bytes::Bytes;
use exchange::ports::{
    BodyDecision, Conversation, ConversationDecision, Failure, FailureKind, HeadDecision, ToolDecision,
};
use model::{Attribute, Decision, Edit, PartId, PolicyLimits, Question, Refusal, Substitute, Verdict};
use serde::de::IgnoredAny;

use super::{
    bindings::{
        exports::portcullis::policy::{bytes as guest_bytes, conversation, tools},
        portcullis::policy::types,
    },
    offsets::{Ruler, Unit, tail},
};

/// Notes of one answer.
const NOTES: usize = 64;
/// How the names of notes begin that the host makes (`exchange::judge::told`): who reads a record must know whose they are.
const HOSTS_OWN: &str = "portcullis.";

/// A rule of the contract is broken.
pub(super) fn broken(message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Answer, message: message.into() }
}

pub(super) fn verdict(verdict: types::Verdict) -> Verdict {
    match verdict {
        types::Verdict::Allow => Verdict::Allow,
        types::Verdict::Done => Verdict::Done,
        types::Verdict::Block(refusal) => {
            Verdict::Block(Refusal { code: refusal.code, message: refusal.message, detail: refusal.detail })
        }
        types::Verdict::Ask(question) => Verdict::Ask(Question {
            title: question.title,
            summary: question.summary,
            approvers: question.approvers,
            timeout_seconds: question.timeout_seconds,
            remember_key: question.remember_key,
        }),
    }
}

pub(super) fn notes(notes: Vec<types::AttributeResult>) -> Result<Vec<Attribute>, Failure> {
    if notes.len() > NOTES {
        return Err(broken(format!("it made {} notes, and {NOTES} are allowed", notes.len())));
    }
    let name = |name: String| if name.starts_with(HOSTS_OWN) { format!("policy.{name}") } else { name };
    Ok(notes.into_iter().map(|note| Attribute { name: name(note.name).into(), value: note.value.into() }).collect())
}

/// `text.on-text`.
pub(super) fn decision(
    answer: types::Decision,
    pending: &str,
    last: bool,
    unit: Unit,
    limits: &PolicyLimits,
) -> Result<Decision, Failure> {
    let edits = edits(answer.edits, pending, unit)?;
    let over = last || matches!(answer.verdict, types::Verdict::Done);
    let hold_back = held(answer.hold_back, over, limits, |units| tail(pending, units, unit))?;
    let spans = edits.iter().map(|edit| (edit.start, edit.end));
    let (hold_back, kept) = keep(pending.len(), hold_back, spans, limits)?;
    let mut edits = edits;
    edits.truncate(kept);
    Ok(Decision { verdict: verdict(answer.verdict), edits, hold_back, notes: notes(answer.notes)? })
}

/// `conversation.on-request`.
pub(super) fn conversation_decision(
    answer: conversation::RequestDecision,
    request: &Conversation,
    unit: Unit,
) -> Result<ConversationDecision, Failure> {
    // Each part once: none is left for who names it again.
    let mut texts: HashMap<PartId, Option<&str>> =
        request.parts.iter().map(|part| (part.part, Some(&*part.text))).collect();
    let mut all = Vec::with_capacity(answer.edits.len());
    for part_edits in answer.edits {
        let id = PartId(part_edits.part);
        let Some(text) = texts.get_mut(&id) else {
            return Err(broken(format!("it edits part {}, which the request does not have", id.0)));
        };
        let Some(text) = text.take() else {
            return Err(broken(format!("it names part {} twice", id.0)));
        };
        all.push((id, edits(part_edits.edits, text, unit)?));
    }
    if !answer.patch.is_empty()
        && serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&answer.patch).is_err()
    {
        return Err(broken("its patch is not a JSON object"));
    }
    Ok(ConversationDecision {
        verdict: verdict(answer.verdict),
        edits: all,
        remove_tools: answer.remove_tools,
        patch: answer.patch,
        notes: notes(answer.notes)?,
    })
}

/// `tools.on-tool-call`.
pub(super) fn tool_decision(answer: tools::ToolDecision) -> Result<ToolDecision, Failure> {
    if !answer.input.is_empty() && serde_json::from_str::<IgnoredAny>(&answer.input).is_err() {
        return Err(broken("its new input for the tool is not JSON"));
    }
    Ok(ToolDecision { verdict: verdict(answer.verdict), input: answer.input, notes: notes(answer.notes)? })
}

/// `bytes.on-head`.
pub(super) fn head_decision(answer: guest_bytes::HeadDecision) -> Result<HeadDecision, Failure> {
    for header in &answer.set {
        header_name(&header.name)?;
        header_value(&header.value)?;
    }
    answer.remove.iter().try_for_each(|name| header_name(name))?;
    Ok(HeadDecision {
        verdict: verdict(answer.verdict),
        set: answer
            .set
            .into_iter()
            .map(|header| Attribute { name: header.name.into(), value: header.value.into() })
            .collect(),
        remove: answer.remove,
        notes: notes(answer.notes)?,
    })
}

/// `bytes.on-body`.
pub(super) fn body_decision(
    answer: guest_bytes::BodyDecision,
    length: usize,
    last: bool,
    limits: &PolicyLimits,
) -> Result<BodyDecision, Failure> {
    let mut end = 0;
    let mut edits = Vec::with_capacity(answer.edits.len());
    for edit in answer.edits {
        let (from, to) = (edit.start as usize, edit.end as usize);
        in_order(end, from, to)?;
        if to > length {
            return Err(broken(format!("an edit ends at {to}, and there are {length} bytes")));
        }
        end = to;
        edits.push((from, to, Bytes::from(edit.by)));
    }
    let over = last || matches!(answer.verdict, types::Verdict::Done);
    let hold_back = held(answer.hold_back, over, limits, |bytes| bytes.min(length))?;
    let (hold_back, kept) = keep(length, hold_back, edits.iter().map(|edit| (edit.0, edit.1)), limits)?;
    edits.truncate(kept);
    Ok(BodyDecision { verdict: verdict(answer.verdict), edits, hold_back, notes: notes(answer.notes)? })
}

fn edits(edits: Vec<types::Edit>, text: &str, unit: Unit) -> Result<Vec<Edit>, Failure> {
    let mut ruler = Ruler::new(text, unit);
    let mut end = 0;
    let mut checked = Vec::with_capacity(edits.len());
    for edit in edits {
        let (from, to) = (edit.start as usize, edit.end as usize);
        in_order(end, from, to)?;
        end = to;
        let mut place = |offset| {
            ruler
                .bytes(offset)
                .ok_or_else(|| broken(format!("an edit's offset {offset} is out of bounds or inside a character")))
        };
        checked.push(Edit {
            start: place(from)?,
            end: place(to)?,
            by: match edit.by {
                types::Substitute::Literal(text) => Substitute::Literal(text),
                types::Substitute::Token(kind) => Substitute::Token(kind),
            },
            reason: edit.reason,
        });
    }
    Ok(checked)
}

fn in_order(end: usize, from: usize, to: usize) -> Result<(), Failure> {
    if from > to {
        return Err(broken(format!("an edit starts at {from} and ends at {to}")));
    }
    if from < end {
        return Err(broken(format!("an edit starts at {from}, before the end of the one before it, {end}")));
    }
    Ok(())
}

/// What an answer holds back, in bytes; `bytes` rounds up to whole characters and ends at the start of the text. `over`: it
/// is not shown again, since nothing follows or the policy wants no more.
fn held(units: u32, over: bool, limits: &PolicyLimits, bytes: impl FnOnce(usize) -> usize) -> Result<usize, Failure> {
    let units = units as usize;
    if units == 0 {
        return Ok(0);
    }
    if over {
        return Err(broken(format!("it holds {units} back although it is shown nothing more")));
    }
    // A unit is at least a byte.
    if units > limits.hold_back_bytes {
        return Err(too_much(units, limits));
    }
    Ok(bytes(units))
}

/// What is really kept of a text of this length, and how many of the edits stand before it. An edit is never cut: the
/// whole span is kept, and shown again. An edit of kept text is not made yet: the text comes again.
fn keep(
    length: usize,
    hold_back: usize,
    edits: impl Iterator<Item = (usize, usize)> + Clone,
    limits: &PolicyLimits,
) -> Result<(usize, usize), Failure> {
    if hold_back == 0 {
        return Ok((0, edits.count()));
    }
    let mut from = length - hold_back;
    if let Some((start, _)) = edits.clone().find(|(_, end)| *end > from) {
        from = from.min(start);
    }
    let hold_back = length - from;
    if hold_back > limits.hold_back_bytes {
        return Err(too_much(hold_back, limits));
    }
    // An insertion right before the kept text belongs to it.
    Ok((hold_back, edits.take_while(|(start, _)| *start < from).count()))
}

fn too_much(held: usize, limits: &PolicyLimits) -> Failure {
    broken(format!("it holds {held} back, and {} bytes are allowed", limits.hold_back_bytes))
}

/// A field name (RFC 9110, section 5.1).
fn header_name(name: &str) -> Result<(), Failure> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(broken("a header's name is not a name that HTTP allows"));
    }
    Ok(())
}

/// A field value (RFC 9110, section 5.5), its bytes outside ASCII as U+0080 to U+00FF.
fn header_value(value: &str) -> Result<(), Failure> {
    let allowed = |c: char| c == '\t' || (' '..='\u{ff}').contains(&c) && c != '\u{7f}';
    if !value.chars().all(allowed) {
        return Err(broken("a header's value holds a character that HTTP does not allow"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use exchange::ports::ConversationPart;
    use model::{Channel, Speaker};

    use super::*;

    fn limits(hold_back_bytes: usize) -> PolicyLimits {
        PolicyLimits { hold_back_bytes, ..PolicyLimits::default() }
    }

    fn answer(spans: &[(u32, u32)], hold_back: u32) -> types::Decision {
        let edits = spans.iter().map(|(start, end)| types::Edit {
            start: *start,
            end: *end,
            by: types::Substitute::Literal("x".to_owned()),
            reason: "test".to_owned(),
        });
        types::Decision { verdict: types::Verdict::Allow, edits: edits.collect(), hold_back, notes: Vec::new() }
    }

    fn check(spans: &[(u32, u32)], hold_back: u32, text: &str, unit: Unit) -> Result<(Vec<(usize, usize)>, usize), ()> {
        let decision = decision(answer(spans, hold_back), text, false, unit, &limits(8)).map_err(|failure| {
            assert_eq!(failure.kind, FailureKind::Answer);
        })?;
        Ok((decision.edits.iter().map(|edit| (edit.start, edit.end)).collect(), decision.hold_back))
    }

    #[test]
    fn edits_are_converted_from_the_guests_unit() {
        let text = "é😀b";
        assert_eq!(check(&[(0, 2), (2, 6)], 0, text, Unit::Utf8), Ok((vec![(0, 2), (2, 6)], 0)));
        assert_eq!(check(&[(0, 1), (1, 3), (4, 4)], 0, text, Unit::Utf16), Ok((vec![(0, 2), (2, 6), (7, 7)], 0)));
        assert_eq!(check(&[(1, 2), (3, 3)], 0, text, Unit::Scalar), Ok((vec![(2, 6), (7, 7)], 0)));
    }

    #[test]
    fn every_broken_rule_is_a_failure() {
        for (spans, hold_back, text, unit) in [
            (&[(2, 1)][..], 0, "abc", Unit::Utf8),
            (&[(0, 2), (1, 3)], 0, "abc", Unit::Utf8),
            (&[(2, 3), (0, 1)], 0, "abc", Unit::Utf8),
            (&[(0, 4)], 0, "abc", Unit::Utf8),
            (&[(0, 1)], 0, "é", Unit::Utf8),
            (&[(0, 1)], 0, "😀", Unit::Utf16),
            (&[(0, 2)], 0, "é", Unit::Scalar),
            (&[(u32::MAX, u32::MAX)], 0, "abc", Unit::Utf16),
            (&[], 9, "abcdefghijk", Unit::Utf8),
            (&[], u32::MAX, "abc", Unit::Utf8),
            (&[], 3, "😀😀😀", Unit::Scalar),
        ] {
            assert_eq!(check(spans, hold_back, text, unit), Err(()), "{spans:?} {hold_back} {text} {unit:?}");
        }
        let last = decision(answer(&[], 1), "abc", true, Unit::Utf8, &limits(8));
        assert_eq!(last.unwrap_err().kind, FailureKind::Answer);
    }

    #[test]
    fn what_is_held_back_never_cuts_an_edit_and_its_edits_come_again() {
        assert_eq!(check(&[(0, 1), (2, 5)], 2, "abcdef", Unit::Utf8), Ok((vec![(0, 1)], 4)));
        assert_eq!(check(&[(0, 1), (4, 5)], 3, "abcdef", Unit::Utf8), Ok((vec![(0, 1)], 3)));
        assert_eq!(check(&[(0, 3)], 3, "abcdef", Unit::Utf8), Ok((vec![(0, 3)], 3)));
        assert_eq!(check(&[(3, 3)], 3, "abcdef", Unit::Utf8), Ok((vec![], 3)));
        assert_eq!(check(&[(2, 2), (2, 5)], 2, "abcdef", Unit::Utf8), Ok((vec![], 4)));
        assert_eq!(check(&[(6, 6)], 0, "abcdef", Unit::Utf8), Ok((vec![(6, 6)], 0)));
        assert_eq!(check(&[], 7, "abc", Unit::Utf8), Ok((vec![], 3)));
        assert_eq!(check(&[], 1, "aé", Unit::Utf8), Ok((vec![], 2)));
        assert_eq!(check(&[(0, 11)], 1, "abcdefghijk", Unit::Utf8), Err(()));
    }

    fn request(parts: u32) -> Conversation {
        let part = |number| ConversationPart {
            part: PartId(number),
            channel: Channel::Content,
            speaker: Speaker::User,
            text: "abc".to_owned(),
        };
        Conversation { parts: (0..parts).map(part).collect(), ..Conversation::default() }
    }

    fn conversation_answer(parts: impl Iterator<Item = u32>) -> conversation::RequestDecision {
        conversation::RequestDecision {
            verdict: types::Verdict::Allow,
            edits: parts.map(|part| conversation::PartEdits { part, edits: Vec::new() }).collect(),
            remove_tools: Vec::new(),
            patch: String::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_part_is_edited_once_and_only_if_there_is_one() {
        for (parts, message) in [(vec![0, 2], "does not have"), (vec![1, 0, 1], "names part 1 twice")] {
            let answer = conversation_answer(parts.into_iter());
            let failure = conversation_decision(answer, &request(2), Unit::Utf8).unwrap_err();
            assert!(failure.kind == FailureKind::Answer && failure.message.contains(message), "{failure}");
        }
    }

    /// Where each were looked for among all others, this would take minutes.
    #[test]
    fn every_part_of_a_request_of_many_may_be_edited() {
        let answer = conversation_answer((0..400_000).rev());
        let decision = conversation_decision(answer, &request(400_000), Unit::Utf8).unwrap();
        assert_eq!(decision.edits.len(), 400_000);
    }

    #[test]
    fn headers_that_would_split_a_message_are_refused() {
        let head = |name: &str, value: &str| {
            head_decision(guest_bytes::HeadDecision {
                verdict: types::Verdict::Allow,
                set: vec![guest_bytes::HeaderResult { name: name.to_owned(), value: value.to_owned() }],
                remove: Vec::new(),
                notes: Vec::new(),
            })
        };
        assert!(head("x-a", "b\tc \u{ff}").is_ok());
        for (name, value) in
            [("x a", ""), ("", ""), ("x:", ""), ("x", "a\r\nb: c"), ("x", "\0"), ("x", "Ā"), ("x", "\u{7f}")]
        {
            assert!(head(name, value).is_err(), "{name:?} {value:?}");
        }
    }

    #[test]
    fn no_note_passes_for_one_of_the_hosts() {
        let names = ["n", "portcullis.edits", "portcullis", "policy.portcullis.edits"];
        let note = |name: &str| types::AttributeResult { name: name.to_owned(), value: "1:0..3".to_owned() };
        let kept = notes(names.map(note).into()).unwrap();
        let kept: Vec<&str> = kept.iter().map(|note| &*note.name).collect();
        assert_eq!(kept, ["n", "policy.portcullis.edits", "portcullis", "policy.portcullis.edits"]);
    }

    #[test]
    fn notes_are_bounded() {
        let note = || types::AttributeResult { name: "n".to_owned(), value: String::new() };
        assert_eq!(notes((0..NOTES).map(|_| note()).collect()).unwrap().len(), NOTES);
        assert!(notes((0..=NOTES).map(|_| note()).collect()).is_err());
    }
}
