//! `text.on-text`: one policy, one window.

use std::{borrow::Cow, ops::Range, sync::Arc, time::Instant};

use model::{Decision, Direction, Edit, PartId, Restore, Substitute, Verdict, record::EditRecord};

use super::{Judge, track::Settlement};
use crate::{
    aside::aside,
    placeholder,
    ports::{Policy, Window},
};

/// An edit that a policy wants: where, what instead, why, and the keyed hash of what stands there.
type Proposed = (Range<usize>, String, String, [u8; 16]);

impl Judge {
    /// Every policy in order, on every part that has something new.
    pub(super) async fn judge_text(&mut self) {
        for seat in 0..self.seats.len() {
            self.judge_seat(seat).await;
        }
    }

    /// One policy, on every part that has something new.
    pub(super) async fn judge_seat(&mut self, seat: usize) {
        for at in 0..self.due.parts().len() {
            let part = self.due.parts()[at];
            let stages = &self.tracks[&part].stages;
            if let Some(stage) = stages.iter().position(|stage| stage.seat == seat)
                && self.tracks[&part].is_due(stage)
            {
                let bytes = self.tracks[&part].text(stage).len();
                self.judge_window(seat, part, stage).await;
                self.stint.looked_at(bytes).await;
            }
        }
    }

    async fn judge_window(&mut self, seat: usize, part: PartId, stage: usize) {
        let track = &self.tracks[&part];
        let about = Arc::clone(&self.about);
        let channel = track.part.channel;
        let whole = track.text(stage).len();
        let policy = Arc::clone(&self.seats[seat].policy);
        let plan = policy.plan();
        if self.seats[seat].done || !plan.wants(self.direction, channel, track.part.speaker) {
            self.settle(seat, part, stage, whole, &[]);
            return;
        }
        let began = Instant::now();
        let spared = aside(whole, || self.is_spared(seat, part, stage));
        let mut window = self.tracks[&part].window(stage, self.direction);
        let look = if spared { Policy::scan_spared } else { Policy::scan };
        let scan = aside(whole, || look(&*policy, window.before, window.pending, window.last));
        // What could have become a match, had the answer not broken off, does not leave.
        let begun = |window: &Window<'_>| policy.scan(window.before, window.pending, false).keep.min(whole);
        let begun = if self.broken { aside(whole, || begun(&window)) } else { 0 };
        self.stint.took(began.elapsed());
        if plan.only_on_hit && scan.hits.is_empty() {
            self.seats[seat].tally.cleared = self.seats[seat].tally.cleared.saturating_add(1);
            let cut = self.cut_off(seat, part, stage, whole - begun..whole, Vec::new());
            let made = self.settle(seat, part, stage, whole - scan.keep.min(whole), &cut);
            self.obey(seat, "on-text", Some((part, channel)), Verdict::Allow, made, Vec::new());
            return;
        }
        window.hits = &scan.hits;
        let answer = self.seats[seat].call(&about, &window, |guest, window| guest.on_text(*window)).await;
        // A failure that is let pass lets all of the window pass: the next call must not be shown what failed again.
        let hook = "on-text";
        let Some(decision) = self.heard(seat, hook, Some((part, channel)), answer) else {
            self.settle(seat, part, stage, whole, &[]);
            return;
        };
        let Decision { verdict, mut edits, hold_back, notes } = decision;
        // A policy that is done is not shown again what the host would keep for it.
        let keep = if matches!(verdict, Verdict::Done) { 0 } else { hold_back.max(scan.keep).min(whole) };
        let release = self.tracks[&part].reach(stage, whole - keep, edits.iter().map(|edit| edit.start..edit.end));
        // What is not made now comes again, and is numbered then.
        edits.retain(|edit| release.makes(&(edit.start..edit.end)));
        let propose = |edit: Edit| {
            let text = self.tracks[&part].text(stage);
            let value = text.get(edit.start..edit.end).unwrap_or_default().to_owned();
            let (by, was) = self.substitute(seat, edit.by, &value);
            (edit.start..edit.end, by, edit.reason, was)
        };
        let edits: Vec<Proposed> = aside(whole, || edits.into_iter().map(propose).collect());
        let edits = self.cut_off(seat, part, stage, whole - begun..whole, edits);
        let release = release.upto;
        let made = self.settle(seat, part, stage, release, &edits);
        self.obey(seat, hook, Some((part, channel)), verdict, made, notes);
    }

    /// Whether a glance says that no pattern of a policy is in its window as that stands.
    fn is_spared(&mut self, seat: usize, part: PartId, stage: usize) -> bool {
        let (Some(glance), Some(place)) = (&self.set.glance, self.seats[seat].place_in_set) else { return false };
        let Some(track) = self.tracks.get_mut(&part) else { return false };
        !self.seats[seat].policy.plan().patterns.is_empty() && track.glance(stage, &**glance).holds(place)
    }

    /// Takes out of a stretch what no edit covers. A policy that is only watched takes nothing out.
    fn cut_off(
        &self,
        seat: usize,
        part: PartId,
        stage: usize,
        stretch: Range<usize>,
        edits: Vec<Proposed>,
    ) -> Vec<Proposed> {
        if stretch.is_empty() || self.seats[seat].is_shadow() {
            return edits;
        }
        let text = self.tracks[&part].text(stage);
        let cut = |span: Range<usize>| {
            let was = self.recorder.keyed_hash(text[span.clone()].as_bytes());
            (span, String::new(), "the answer broke off".to_owned(), was)
        };
        let (mut all, mut at) = (Vec::new(), stretch.start);
        for edit in edits {
            if edit.0.start > at {
                all.push(cut(at..edit.0.start));
            }
            at = at.max(edit.0.end);
            all.push(edit);
        }
        if at < stretch.end {
            all.push(cut(at..stretch.end));
        }
        all
    }

    /// The text of a substitute, and the keyed hash of the value that it stands for.
    pub(super) fn substitute(&mut self, seat: usize, by: Substitute, value: &str) -> (String, [u8; 16]) {
        let was = self.recorder.keyed_hash(value.as_bytes());
        let kind = match by {
            Substitute::Literal(text) => return (text, was),
            Substitute::Token(kind) => kind,
        };
        // A policy that is only watched takes nothing out, and no number either.
        if self.seats[seat].is_shadow() {
            return (placeholder::unnumbered(&kind), was);
        }
        let token = self.placeholders.of(self.about.session, &kind, was);
        if self.restore != Restore::Off {
            match self.direction {
                Direction::Request => self.vault.keep(&token, value),
                Direction::Response => {
                    self.masked_here.insert(token.clone());
                }
            }
        }
        (token, was)
    }

    fn settle(
        &mut self,
        seat: usize,
        part: PartId,
        stage: usize,
        release: usize,
        edits: &[Proposed],
    ) -> Vec<EditRecord> {
        debug_assert_eq!(self.tracks[&part].stages[stage].seat, seat);
        let plain: Cow<'_, [(Range<usize>, String)]> =
            edits.iter().map(|(span, by, ..)| (span.clone(), by.clone())).collect();
        let made = self.track(part).settle(stage, &Settlement { release, edits: &plain });
        made.into_iter()
            .map(|made| {
                let (_, by, reason, was) = &edits[made.index];
                EditRecord {
                    start: made.source.start,
                    end: made.source.end,
                    by: by.clone(),
                    reason: reason.clone(),
                    was: *was,
                }
            })
            .collect()
    }
}
