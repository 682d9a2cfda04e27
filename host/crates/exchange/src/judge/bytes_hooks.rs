//! `bytes.on-head` and `bytes.on-body`: HTTP as it is on the caller's side.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::Direction;

use super::{Cleared, Judge, seat::Seat, told::Told};
use crate::{
    ports::{Failure, FailureKind, Head},
    refuse::Stop,
};

/// Headers that a policy may neither set nor remove: they frame the message or say who speaks.
const UNTOUCHABLE: [&str; 9] = [
    "connection",
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "host",
    "authorization",
    "x-request-id",
    "te",
    "upgrade",
];

/// What each policy still keeps of the bytes of one direction.
pub(super) struct ByteTrack {
    /// Bytes that begin their way anew.
    again: BytesMut,
    stages: Vec<ByteStage>,
}

struct ByteStage {
    seat: usize,
    shadow: bool,
    pending: BytesMut,
    seen: usize,
}

impl ByteTrack {
    pub(super) fn new(seats: &[Seat]) -> Self {
        let stages = seats
            .iter()
            .enumerate()
            .filter(|(_, seat)| seat.policy.plan().hooks.body)
            .map(|(at, seat)| ByteStage { seat: at, shadow: seat.is_shadow(), pending: BytesMut::new(), seen: 0 })
            .collect();
        Self { again: BytesMut::new(), stages }
    }

    /// Whether any policy judges bytes.
    pub(super) fn judges(&self) -> bool {
        !self.stages.is_empty()
    }

    /// Whether something waits here that has left the flow.
    pub(super) fn keeps(&self) -> bool {
        !self.again.is_empty() || self.stages.iter().any(|stage| !stage.shadow && !stage.pending.is_empty())
    }

    /// Takes new stages; what the old ones kept, oldest first, begins its way anew. Bytes that an earlier policy edited
    /// stay edited: the raw ones are gone.
    pub(super) fn rewind(&mut self, seats: &[Seat]) {
        let old = std::mem::replace(self, Self::new(seats));
        for stage in old.stages.iter().rev().filter(|stage| !stage.shadow) {
            self.again.extend_from_slice(&stage.pending);
        }
        self.again.extend_from_slice(&old.again);
    }
}

impl Judge {
    /// The head of either direction, with what policies set and removed. `shown` makes what they see, where any looks.
    pub(crate) async fn judge_head(
        &mut self,
        shown: impl FnOnce(&HeaderMap) -> Head,
        headers: &mut HeaderMap,
    ) -> Result<(), Stop> {
        if !self.seats.iter().any(|seat| seat.policy.plan().hooks.head) {
            return Ok(());
        }
        let all = (0..self.seats.len()).collect();
        self.judge_head_at(all, shown(headers), headers).await
    }

    /// Shows the head of a request that is on its way already to the policies that came with the last switch. They may
    /// stop the exchange; what they would change of the head is too late.
    pub(crate) async fn judge_sent_head(&mut self, head: Head, headers: &HeaderMap) -> Result<(), Stop> {
        let fresh = std::mem::take(&mut self.fresh);
        self.judge_head_at(fresh, head, &mut headers.clone()).await
    }

    /// Judges the head of an answer that is not said yet, once more, where policies came with the last switch: its values by
    /// all, and as a head by those that came.
    pub(crate) async fn judge_unsaid_head(
        &mut self,
        shown: impl FnOnce(&HeaderMap) -> Head,
        headers: &mut HeaderMap,
    ) -> Result<(), Stop> {
        let fresh = std::mem::take(&mut self.fresh);
        if fresh.is_empty() {
            return Ok(());
        }
        self.judge_fields(headers).await?;
        self.judge_head_at(fresh, shown(headers), headers).await
    }

    async fn judge_head_at(&mut self, seats: Vec<usize>, head: Head, headers: &mut HeaderMap) -> Result<(), Stop> {
        let mut head = head;
        for seat in seats {
            if !self.seats[seat].policy.plan().hooks.head || self.seats[seat].done {
                continue;
            }
            let about = Arc::clone(&self.about);
            let answer = self.seats[seat].call(&about, &head, |guest, head| guest.on_head(head)).await;
            let Some(decision) = self.heard(seat, "on-head", None, answer) else {
                continue;
            };
            if !self.seats[seat].is_shadow() {
                // On a copy: an answer that breaks a rule changes nothing.
                let mut changed = headers.clone();
                match apply(&mut changed, &decision.set, &decision.remove) {
                    Ok(()) => *headers = changed,
                    Err(failure) => {
                        self.heard::<()>(seat, "on-head", None, Err(failure));
                    }
                }
                head.headers = crate::head::attributes(headers);
            }
            let told = Told::of_head(&decision);
            self.obey(seat, "on-head", None, decision.verdict, Vec::new(), told.behind(decision.notes));
        }
        self.stopped_response()
    }

    /// Bytes on their way past the policies that judge bytes.
    pub(crate) async fn judge_bytes(&mut self, bytes: Bytes, last: bool) -> Result<Cleared, Stop> {
        let guarded = self.raw && self.direction == Direction::Response;
        let mut moving = if guarded { self.guard.pass(bytes, last) } else { bytes };
        if !self.bytes.again.is_empty() {
            let mut again = std::mem::take(&mut self.bytes.again);
            again.extend_from_slice(&moving);
            moving = again.freeze();
        }
        for stage in 0..self.bytes.stages.len() {
            let passed = self.judge_byte_stage(stage, &moving, last).await;
            if !self.bytes.stages[stage].shadow {
                moving = passed;
            }
        }
        self.stopped_response()?;
        if self.direction == Direction::Request
            && let Some(stop) = self.stop.take()
        {
            return Err(stop);
        }
        Ok(Cleared::of(moving))
    }

    async fn judge_byte_stage(&mut self, at: usize, bytes: &Bytes, last: bool) -> Bytes {
        let seat = self.bytes.stages[at].seat;
        self.bytes.stages[at].pending.extend_from_slice(bytes);
        let (pending, seen) = (self.bytes.stages[at].pending.clone().freeze(), self.bytes.stages[at].seen);
        if pending.is_empty() && !last {
            return Bytes::new();
        }
        let mut keep = 0;
        let mut out = pending.clone();
        if !self.seats[seat].done {
            let (about, direction) = (Arc::clone(&self.about), self.direction);
            let answer = self.seats[seat]
                .call(&about, &(direction, &pending, seen, last), |guest, (direction, pending, seen, last)| {
                    guest.on_body(*direction, pending, *seen, *last)
                })
                .await;
            if let Some(decision) = self.heard(seat, "on-body", None, answer) {
                let told = Told::of_body(&decision);
                let (made, kept) = edited(&pending, decision.hold_back.min(pending.len()), &decision.edits);
                if self.heard(seat, "on-body", None, self.readable(&pending, &made)).is_some() {
                    (out, keep) = (made, kept);
                }
                self.obey(seat, "on-body", None, decision.verdict, Vec::new(), told.behind(decision.notes));
            }
        }
        let stage = &mut self.bytes.stages[at];
        stage.pending = BytesMut::from(&pending[pending.len() - keep..]);
        stage.seen = keep;
        out
    }

    /// Whether a request that could be read before a policy edited its bytes can be read still.
    fn readable(&self, before: &Bytes, after: &Bytes) -> Result<(), Failure> {
        if self.direction == Direction::Response || self.raw || before == after {
            return Ok(());
        }
        match self.reader.read(after) {
            Err(stop) if self.reader.read(before).is_ok() => {
                Err(Failure { kind: FailureKind::Answer, message: format!("with its edits {stop}") })
            }
            // What a caller sent that can't be read is the caller's.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// The bytes before what is kept, with their edits; an edit that reaches into what is kept is kept with it.
fn edited(pending: &Bytes, keep: usize, edits: &[(usize, usize, Bytes)]) -> (Bytes, usize) {
    let mut release = pending.len() - keep;
    if let Some((start, ..)) = edits.iter().find(|(start, end, _)| *start < release && *end > release) {
        release = *start;
    }
    if edits.is_empty() {
        return (pending.slice(..release), pending.len() - release);
    }
    let mut out = BytesMut::with_capacity(release);
    let mut at = 0;
    for (start, end, by) in edits.iter().filter(|(_, end, _)| *end <= release) {
        out.extend_from_slice(&pending[at..*start]);
        out.extend_from_slice(by);
        at = *end;
    }
    out.extend_from_slice(&pending[at..release]);
    (out.freeze(), pending.len() - release)
}

fn apply(headers: &mut HeaderMap, set: &[model::Attribute], remove: &[String]) -> Result<(), Failure> {
    let wrong = |message: String| Failure { kind: FailureKind::Answer, message };
    let name = |name: &str| {
        HeaderName::try_from(name)
            .ok()
            .filter(|name| !UNTOUCHABLE.contains(&name.as_str()) && !name.as_str().starts_with("proxy-"))
            .ok_or_else(|| wrong(format!("header `{name}` can't be changed by a policy")))
    };
    for removed in remove {
        headers.remove(name(removed)?);
    }
    for attribute in set {
        let bytes: Option<Vec<u8>> = attribute.value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let value = bytes
            .and_then(|bytes| HeaderValue::from_bytes(&bytes).ok())
            .ok_or_else(|| wrong(format!("the value for header `{}` is not one", attribute.name)))?;
        headers.insert(name(&attribute.name)?, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_that_reaches_into_what_is_kept_waits() {
        let pending = Bytes::from_static(b"abcdef");
        let edit = |start, end| vec![(start, end, Bytes::from_static(b"X"))];
        assert_eq!(edited(&pending, 2, &edit(1, 3)), (Bytes::from_static(b"aXd"), 2));
        assert_eq!(edited(&pending, 2, &edit(3, 5)), (Bytes::from_static(b"abc"), 3));
        assert_eq!(edited(&pending, 0, &[]), (pending.clone(), 0));
    }

    #[test]
    fn framing_is_out_of_a_policys_reach() {
        let mut headers = HeaderMap::new();
        let set = |name: &str| [model::Attribute { name: name.into(), value: "1".into() }];
        assert!(apply(&mut headers, &set("content-length"), &[]).is_err());
        assert!(apply(&mut headers, &[], &["Transfer-Encoding".into()]).is_err());
        assert!(apply(&mut headers, &set("x-note"), &[]).is_ok());
        assert_eq!(headers["x-note"], "1");
    }
}
