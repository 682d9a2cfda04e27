//! The whole request: `conversation.on-request` and then `text.on-text`, policy by policy.

use std::{ops::Range, sync::Arc};

use model::{Edit, PartId, record::EditRecord};

use super::Judge;
use crate::{
    ports::{Conversation, ConversationDecision, ConversationPart, Failure, FailureKind},
    refuse::Stop,
    twin::Twin,
};

impl Judge {
    /// Each policy sees the request as those before it left it.
    pub(super) async fn judge_request(&mut self, flow: &mut Twin) -> Result<(), Stop> {
        self.open().await?;
        for seat in 0..self.seats.len() {
            if self.seats[seat].policy.plan().hooks.conversation && !self.seats[seat].done {
                self.judge_conversation(seat, flow).await;
            }
            self.judge_seat(seat).await;
        }
        Ok(())
    }

    async fn judge_conversation(&mut self, seat: usize, flow: &mut Twin) {
        let request = self.conversation(seat);
        let about = Arc::clone(&self.about);
        let answer = self.seats[seat].call(&about, &request, |guest, request| guest.on_request(request)).await;
        let Some(decision) = self.heard(seat, "on-request", None, answer) else {
            return;
        };
        let ConversationDecision { verdict, edits, remove_tools, patch, notes } = decision;
        let mut made = Vec::new();
        if !self.seats[seat].is_shadow() {
            for (part, edits) in edits {
                made.extend(self.rewrite(seat, part, edits));
            }
            self.take_tools(&remove_tools, flow);
            self.patch(seat, &patch, flow);
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

    fn take_tools(&mut self, names: &[String], flow: &mut Twin) {
        if names.is_empty() {
            return;
        }
        flow.remove_tools(names);
        if let Some(asked) = self.asked.as_mut() {
            asked.tools.retain(|tool| !names.contains(&tool.name));
        }
    }

    fn patch(&mut self, seat: usize, patch: &str, flow: &mut Twin) {
        if patch.is_empty() {
            return;
        }
        match flow.patch_parameters(patch) {
            Ok(()) => self.patched = true,
            Err(malformed) => {
                let message = format!("its patch can't be applied: {malformed}");
                self.heard::<()>(seat, "on-request", None, Err(Failure { kind: FailureKind::Answer, message }));
            }
        }
    }
}
