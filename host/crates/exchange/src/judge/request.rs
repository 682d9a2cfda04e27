//! The whole request: `conversation.on-request` and then `text.on-text`, policy by policy.
//!
//! What must hold: each policy sees all of the request as those before it left it, and judges what they put in. So where
//! one changed what is no text of a part on its way (the model, parameters, tools), or the next one is shown these beside
//! the parts, the request is written as it would go out, and read anew.

use std::{ops::Range, sync::Arc};

use model::{Edit, PartId, record::EditRecord};
use wire::Endpoint;

use super::{Judge, failed, told::Told};
use crate::{
    ports::{Conversation, ConversationDecision, ConversationPart, Failure, FailureKind},
    refuse::Stop,
    twin::Twin,
};

/// What reads a request: the endpoint that it is sent to, and what decides there how it is read.
pub(crate) struct Reader {
    pub(crate) endpoint: &'static dyn Endpoint,
    /// The path that its model may stand in.
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) limits: wire::Limits,
}

impl Reader {
    pub(super) fn is_raw(&self) -> bool {
        self.endpoint.raw()
    }

    /// A flow that was told nothing yet.
    pub(crate) fn flow(&self) -> Result<Twin, Stop> {
        let flow = self.endpoint.request_at(&self.path, &self.content_type, self.limits);
        flow.map(Twin::alone).map_err(|unclaimed| {
            let allow = self.endpoint.how_to_allow(&unclaimed.0);
            Stop::BadContentType { content_type: unclaimed.0, allow }
        })
    }

    /// A flow that was told all of a body.
    pub(super) fn read(&self, body: &[u8]) -> Result<Twin, Stop> {
        let mut flow = self.flow()?;
        flow.push(body).and_then(|()| flow.finish()).map_err(Stop::BadRequest)?;
        Ok(flow)
    }
}

/// What policies made of a request since it was read.
#[derive(Default)]
pub(super) struct Unread {
    /// The last that changed anything.
    pub(super) by: Option<usize>,
    /// Whether its model, parameters or tools were changed.
    terms: bool,
}

impl Judge {
    /// Each policy sees the request as those before it left it.
    pub(super) async fn judge_request(&mut self, flow: &mut Twin) -> Result<(), Stop> {
        self.open().await?;
        for seat in 0..self.seats.len() {
            self.read_anew(seat, flow)?;
            if self.seats[seat].policy.plan().hooks.conversation && !self.seats[seat].done {
                self.judge_conversation(seat, flow).await;
            }
            self.judge_seat(seat).await;
        }
        // What goes up is what counts, for what the caller may ask for and for the record.
        self.read_anew(self.seats.len(), flow)
    }

    /// Reads what policies made of the request, so that those from `seat` on judge that.
    fn read_anew(&mut self, seat: usize, flow: &mut Twin) -> Result<(), Stop> {
        let is_shown_all = self.seats.get(seat).is_some_and(|seat| seat.policy.plan().hooks.conversation);
        let Unread { by: Some(by), terms } = self.unread else { return Ok(()) };
        if !terms && !is_shown_all {
            return Ok(());
        }
        self.unread = Unread::default();
        self.tracks.values_mut().for_each(|track| track.leave_before(seat));
        self.release(flow);
        *flow = match self.reader.read(&flow.take().judged) {
            Ok(anew) => anew,
            Err(unread) => return Err(self.unreadable(by, &unread)),
        };
        self.tracks.clear();
        self.text_bytes.0 = 0;
        self.first = seat;
        let heard = self.hear(flow);
        heard.map_err(|late| self.stop.take().unwrap_or(late))
    }

    /// What policies made of a request is none: no failure mode lets that pass, for the request as it was is gone.
    fn unreadable(&mut self, by: usize, unread: &Stop) -> Stop {
        let failure = Failure { kind: FailureKind::Answer, message: format!("with its changes {unread}") };
        self.note(by, "on-request", None, failed(&failure, false), Vec::new(), Vec::new());
        self.unmasked = true;
        let policy = self.seats[by].id().to_owned();
        self.stop.take().unwrap_or(Stop::PolicyFailed { policy, failure })
    }

    async fn judge_conversation(&mut self, seat: usize, flow: &mut Twin) {
        let request = self.conversation(seat);
        let about = Arc::clone(&self.about);
        let answer = self.seats[seat].call(&about, &request, |guest, request| guest.on_request(request)).await;
        let Some(decision) = self.heard(seat, "on-request", None, answer) else {
            return;
        };
        let ConversationDecision { verdict, edits, remove_tools, patch, notes } = decision;
        let shadow = self.seats[seat].is_shadow();
        let notes = Told::of_request(&edits, &remove_tools, &patch, shadow).behind(notes);
        let mut made = Vec::new();
        // An answer whose patch breaks a rule changes nothing else either.
        if !shadow && self.patch(seat, &patch, flow) {
            for (part, edits) in edits {
                made.extend(self.rewrite(seat, part, edits));
            }
            self.take_tools(seat, &remove_tools, flow);
        }
        self.obey(seat, "on-request", None, verdict, made, notes);
    }

    /// The request as it stands before a seat.
    fn conversation(&self, seat: usize) -> Conversation {
        let asked = self.asked.clone().unwrap_or_default();
        let parts = self
            .tracks
            .values()
            .filter_map(|track| {
                let stage = track.stages.iter().position(|stage| stage.seat == seat)?;
                Some(ConversationPart {
                    part: track.part.id,
                    channel: track.part.channel,
                    speaker: track.part.speaker,
                    text: track.text(stage).to_owned(),
                })
            })
            .collect();
        Conversation { model: asked.model, parts, tools: asked.tools, parameters: asked.parameters }
    }

    fn rewrite(&mut self, seat: usize, part: PartId, edits: Vec<Edit>) -> Vec<EditRecord> {
        let Some(track) = self.tracks.get(&part) else {
            return Vec::new();
        };
        let Some(stage) = track.stages.iter().position(|stage| stage.seat == seat) else {
            return Vec::new();
        };
        let text = track.text(stage).to_owned();
        let (mut plain, mut reasons): (Vec<(Range<usize>, String)>, Vec<_>) = (Vec::new(), Vec::new());
        for edit in edits {
            let value = text.get(edit.start..edit.end).unwrap_or_default();
            let (by, was) = self.substitute(seat, edit.by, value);
            plain.push((edit.start..edit.end, by));
            reasons.push((edit.reason, was));
        }
        let sources = self.track(part).rewrite(stage, &plain);
        sources
            .into_iter()
            .zip(plain)
            .zip(reasons)
            .map(|((source, (_, by)), (reason, was))| EditRecord {
                start: source.start,
                end: source.end,
                by,
                reason,
                was,
            })
            .collect()
    }

    fn take_tools(&mut self, seat: usize, names: &[String], flow: &mut Twin) {
        if names.is_empty() {
            return;
        }
        flow.remove_tools(names);
        self.unread = Unread { by: Some(seat), terms: true };
    }

    /// Whether the parameters are as the policy wants them.
    fn patch(&mut self, seat: usize, patch: &str, flow: &mut Twin) -> bool {
        if patch.is_empty() {
            return true;
        }
        if let Err(malformed) = flow.patch_parameters(patch) {
            let message = format!("its patch can't be applied: {malformed}");
            self.heard::<()>(seat, "on-request", None, Err(Failure { kind: FailureKind::Answer, message }));
            return false;
        }
        self.unread = Unread { by: Some(seat), terms: true };
        true
    }
}
