//! Text on its way out of the chain, and what is put back into it there: after the last policy, before the flow is told.
//! Decision 0007.
//!
//! What must hold: a value takes the place of a placeholder only where the model said it, whole and unedited; no policy
//! and no record sees it; what a policy took out of the answer stays out.

use model::{
    Channel, Direction, Entry, PartId,
    record::{PutBack, TokenSpan},
};
use wire::{Change, ToolCall};

use super::{Judge, strand::Strand};
use crate::{
    twin::Twin,
    vault::{Found, Vault},
};

impl Judge {
    /// Whether values were taken out of the request that may be put back into the answer.
    pub(crate) fn puts_back(&self) -> bool {
        self.restore != model::Restore::Off && !self.raw && !self.vault.is_empty()
    }

    /// The request goes up like this.
    pub(crate) fn sent(&mut self, body: &[u8]) {
        self.vault.sent(body);
    }

    /// Tells the flow what has passed all policies.
    pub(super) fn release(&mut self, flow: &mut Twin) {
        if self.bytes.judges() {
            // A policy that judges bytes comes last, and is shown no value.
            flow.stop_putting_back();
        }
        for part in self.due.take() {
            let track = self.tracks.get_mut(&part).expect("what is due is on its way");
            let channel = track.part.channel;
            let read_as = if flow.is_any() { Channel::Field } else { channel };
            let vault = (flow.puts_back() && self.restore.reaches(read_as)).then_some(&self.vault);
            let begun = |vault: &Vault| if track.is_through() { 0 } else { vault.begun(track.passed()) };
            let keep = vault.map_or(0, begun);
            let Some(front) = track.leave_but(keep) else { continue };
            // A request's parts are shown together, to the last policy.
            if track.is_over() && self.direction == Direction::Response {
                self.tracks.remove(&part);
            }
            let back = vault.and_then(|vault| put_back(vault, &front));
            let (upto, changes) = (front.end(), front.changes());
            let Some((back, tokens)) = back else {
                flow.release(part, upto, changes, None);
                continue;
            };
            flow.release(part, upto, changes, Some(back));
            self.note_put_back(Some((part, channel)), tokens);
        }
    }

    /// The arguments of a tool call with values put back, where there are any. `edited`: a policy wrote them.
    pub(super) fn put_back_input(&mut self, flow: &Twin, call: &ToolCall, input: &str, edited: bool) -> Option<String> {
        if edited || !flow.puts_back() || self.restore != model::Restore::All {
            return None;
        }
        let mut tokens = Vec::new();
        for Found { span, .. } in self.vault.find(input) {
            let token = &input[span.clone()];
            if self.masked_here.contains(token) {
                return None;
            }
            tokens.push(TokenSpan { start: span.start as u64, end: span.end as u64, token: token.to_owned() });
        }
        if tokens.is_empty() {
            return None;
        }
        tracing::debug!(call = %call.id, count = tokens.len(), "values are put back into a tool call");
        let back = self.vault.put_back(input, wire::escaped);
        self.note_put_back(None, tokens);
        Some(back.to_string())
    }

    fn note_put_back(&mut self, part: Option<(PartId, Channel)>, tokens: Vec<TokenSpan>) {
        let at = crate::record::micros_since(self.started);
        self.findings.push(Entry::PutBack(PutBack { at, part, tokens }));
    }
}

/// The changes that make a text what the caller gets, and where values were put back; `None`: nowhere.
fn put_back(vault: &Vault, front: &Strand) -> Option<(Vec<Change>, Vec<TokenSpan>)> {
    let found: Vec<Found<'_>> =
        vault.find(front.text()).into_iter().filter(|found| front.is_as_it_came(&found.span)).collect();
    if found.is_empty() {
        return None;
    }
    let mut back = front.clone();
    let sources = back.edit(found.iter().map(|found| (found.span.clone(), found.value)));
    let tokens = sources
        .into_iter()
        .zip(&found)
        .map(|(source, found)| TokenSpan {
            start: source.start,
            end: source.end,
            token: front.text()[found.span.clone()].to_owned(),
        })
        .collect();
    Some((back.changes(), tokens))
}
