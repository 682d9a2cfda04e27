//! Tool calls that the model proposes: each is complete, and its text was judged, when it comes here.
//!
//! What must hold: arguments that a policy wrote are judged as text by those behind it before any of them is shown the
//! call, as the arguments that the model wrote were.

use std::sync::Arc;

use model::{Channel, Part, PartId, Speaker};
use wire::{Malformed, Step};

use super::{Judge, failed, fields::FIRST_FIELD, places, told::Told, track::Track};
use crate::{
    ports::{Failure, FailureKind},
    refuse::Stop,
    twin::Twin,
};

impl Judge {
    pub(super) async fn judge_tool_calls(&mut self, flow: &mut Twin) -> Result<(), Stop> {
        for call in std::mem::take(&mut self.calls) {
            let mut input = flow.tool_input(call.call);
            let mut changed = false;
            for seat in 0..self.seats.len() {
                if !self.seats[seat].policy.plan().hooks.tools || self.seats[seat].done {
                    continue;
                }
                let about = Arc::clone(&self.about);
                let answer = self.seats[seat]
                    .call(&about, &(&call, &input), |guest, (call, input)| {
                        guest.on_tool_call(&call.id, &call.name, input)
                    })
                    .await;
                let Some(decision) = self.heard(seat, "on-tool-call", None, answer) else {
                    continue;
                };
                let written = !decision.input.is_empty() && !self.seats[seat].is_shadow();
                let told = Told::of_tool_call(&call.name, &decision.input);
                self.obey(seat, "on-tool-call", None, decision.verdict, Vec::new(), told.behind(decision.notes));
                self.stopped_response()?;
                if written {
                    input = self.judge_written(seat, &decision.input).await?;
                    changed = true;
                }
            }
            let back = self.put_back_input(flow, &call, &input, changed);
            flow.clear_tool_call(call.call, changed.then_some(input), back);
        }
        Ok(())
    }

    /// Arguments that the policy of a seat wrote, past the text hooks behind it. Their parts are counted as those of a
    /// head are, so that none has the number of a part of the body.
    async fn judge_written(&mut self, seat: usize, input: &str) -> Result<String, Stop> {
        let mut flow = Twin::alone(wire::any_document(Speaker::Assistant, self.reader.limits));
        if let Err(malformed) = flow.push(input.as_bytes()).and_then(|()| flow.finish()) {
            return Err(self.unreadable_input(seat, &malformed));
        }
        let on_their_way = (std::mem::take(&mut self.tracks), std::mem::take(&mut self.due));
        while let Some(step) = flow.next() {
            match step {
                Step::Begin(Part { id, .. }) => {
                    let id = PartId(FIRST_FIELD.saturating_add(id.0));
                    let part = Part { id, channel: Channel::ToolInput, speaker: Speaker::Assistant };
                    let behind = places(&self.seats, self.direction, part).filter(|place| place.seat > seat);
                    self.tracks.insert(id, Track::new(part, behind));
                    self.due.mark(id);
                }
                Step::Text { part, text } => self.track(PartId(FIRST_FIELD.saturating_add(part.0))).feed(text),
                Step::End(part) => self.track(PartId(FIRST_FIELD.saturating_add(part.0))).ended = true,
                Step::Asked(_) | Step::ToolCall(_) => {}
            }
        }
        self.judge_text().await;
        let judged = std::mem::replace(&mut self.tracks, on_their_way.0);
        self.due = on_their_way.1;
        self.stopped_response()?;
        for (id, mut track) in judged {
            if let Some((_, upto, changes)) = track.leave() {
                flow.release(PartId(id.0 - FIRST_FIELD), upto, changes, None);
            }
        }
        match String::from_utf8(flow.take().judged.into()) {
            Ok(judged) if !judged.is_empty() => Ok(judged),
            _ => Err(self.unreadable_input(seat, &Malformed::Truncated { within: "the arguments" })),
        }
    }

    fn unreadable_input(&mut self, seat: usize, malformed: &Malformed) -> Stop {
        let message = format!("its new input for the tool can't be read: {malformed}");
        let failure = Failure { kind: FailureKind::Answer, message };
        self.note(seat, "on-tool-call", None, failed(&failure, false), Vec::new(), Vec::new());
        Stop::PolicyFailed { policy: self.seats[seat].id().to_owned(), failure }
    }
}
