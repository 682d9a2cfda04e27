//! The values of an answer's headers, as text: each is a part of its own (`Channel::Field`), judged whole before the head
//! is said.
//!
//! What must hold: a value that a policy edits leaves edited or not at all; a name that a policy would edit takes its
//! header with it.

use http::{HeaderMap, HeaderName, HeaderValue};
use model::{Channel, Direction, Part, PartId, Speaker};

use super::{Judge, places, track::Track};
use crate::{
    refuse::Stop,
    returned::{is_listed_by_prefix, says_nothing},
};

type Fields = Vec<(HeaderName, HeaderValue)>;

/// Parts of a head are counted from here, so that none has the number of a part of the body.
pub(super) const FIRST_FIELD: u32 = 1 << 31;

impl Judge {
    /// Judges what the headers of an answer say. Headers of connections whose text is not known are for `on-head` alone.
    pub(crate) async fn judge_fields(&mut self, headers: &mut HeaderMap) -> Result<(), Stop> {
        if self.raw || self.seats.is_empty() {
            return Ok(());
        }
        let (plain, fields): (Fields, Fields) = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .partition(|(name, value)| says_nothing(name, value));
        self.first = FIRST_FIELD;
        for (name, value) in &fields {
            self.tell_field(&value.as_bytes().iter().map(|byte| char::from(*byte)).collect::<String>());
            if is_listed_by_prefix(name.as_str()) {
                self.tell_field(name.as_str());
            }
        }
        self.judge_text().await;
        let mut tracks = std::mem::take(&mut self.tracks).into_iter();
        self.due.clear();
        self.first = 0;
        self.stopped_response()?;
        headers.clear();
        for (name, value) in plain {
            headers.append(name, value);
        }
        for (name, _) in fields {
            let said = tracks.next().and_then(left);
            if is_listed_by_prefix(name.as_str()) && tracks.next().and_then(left).as_deref() != Some(name.as_str()) {
                continue;
            }
            let Some(said) = said else { continue };
            // A byte for each character, as it came in; what a policy put there may have no such form.
            let bytes: Option<Vec<u8>> = said.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect();
            if let Some(value) = bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok()) {
                headers.append(name, value);
            }
        }
        Ok(())
    }

    fn tell_field(&mut self, text: &str) {
        let number = u32::try_from(self.tracks.len()).unwrap_or(u32::MAX);
        let part =
            Part { id: PartId(self.first.saturating_add(number)), channel: Channel::Field, speaker: Speaker::Provider };
        let mut track = Track::new(part, places(&self.seats, Direction::Response, part).into_iter());
        track.feed(text);
        track.ended = true;
        self.tracks.push(track);
        self.due.push(part.id);
    }
}

/// All of a track's text as it left; `None` when some of it did not.
fn left(mut track: Track) -> Option<String> {
    let source = track.source().to_owned();
    let (_, upto, changes) = track.leave()?;
    let (mut out, mut at) = (String::new(), 0);
    for change in changes {
        let (start, end) = (usize::try_from(change.span.start).ok()?, usize::try_from(change.span.end).ok()?);
        out.push_str(source.get(at..start)?);
        out.push_str(&change.by);
        at = end;
    }
    (upto == source.len() as u64).then_some(())?;
    out.push_str(source.get(at..)?);
    Some(out)
}
