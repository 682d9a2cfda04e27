//! The values of an answer's headers, as text: each is a part of its own (`Channel::Field`), judged whole before the head
//! is said.
//!
//! Bytes outside ASCII are read as most clients read them: as UTF-8 where they are that, else as Latin-1.
//!
//! What must hold: a value that a policy edits leaves edited or not at all; a name that a policy would edit takes its
//! header with it, and so does a value that is no UTF-8 and would be edited by whoever reads the rest of it as such.

use http::{HeaderMap, HeaderName, HeaderValue};
use model::{Channel, Direction, Part, PartId, Speaker};

use super::{Judge, places, track::Track};
use crate::{
    refuse::Stop,
    returned::{is_listed_by_prefix, says_nothing},
};

type Fields = Vec<(HeaderName, HeaderValue)>;

/// What stands for bytes that are no UTF-8.
const NO_TEXT: char = char::REPLACEMENT_CHARACTER;

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
        let on_their_way = (std::mem::take(&mut self.tracks), std::mem::take(&mut self.due));
        for (name, value) in &fields {
            for reading in readings(name, value) {
                self.tell_field(reading);
            }
        }
        self.judge_text().await;
        let mut left = std::mem::replace(&mut self.tracks, on_their_way.0).into_values().map(left);
        self.due = on_their_way.1;
        self.stopped_response()?;
        headers.clear();
        for (name, value) in plain {
            headers.append(name, value);
        }
        for (name, value) in fields {
            let readings = readings(&name, &value);
            let said: Vec<Option<String>> = left.by_ref().take(readings.len()).collect();
            let others_stay = said.iter().zip(&readings).skip(1).all(|(said, told)| said.as_ref() == Some(told));
            let Some(Some(said)) = said.into_iter().next() else { continue };
            if others_stay && let Some(value) = written(&said, &value) {
                headers.append(name, value);
            }
        }
        Ok(())
    }

    fn tell_field(&mut self, text: String) {
        let number = u32::try_from(self.tracks.len()).unwrap_or(u32::MAX);
        let part = Part {
            id: PartId(FIRST_FIELD.saturating_add(number)),
            channel: Channel::Field,
            speaker: Speaker::Provider,
        };
        let mut track = Track::new(part, places(&self.seats, Direction::Response, part));
        track.feed(text);
        track.ended = true;
        self.tracks.insert(part.id, track);
        self.due.mark(part.id);
    }
}

/// All that a header says, each to be judged: its value first, which may be edited; then what takes the header with it.
fn readings(name: &HeaderName, value: &HeaderValue) -> Vec<String> {
    let bytes = value.as_bytes();
    let mut readings = match std::str::from_utf8(bytes) {
        Ok(text) => vec![text.to_owned()],
        // A client that reads UTF-8 passes over what is none.
        Err(_) => vec![
            bytes.iter().map(|byte| char::from(*byte)).collect(),
            String::from_utf8_lossy(bytes).replace(NO_TEXT, ""),
        ],
    };
    if is_listed_by_prefix(name.as_str()) {
        readings.push(name.as_str().to_owned());
    }
    readings
}

/// A value as it is said, in the way in which it came in. `None`: it has no such form.
fn written(said: &str, came: &HeaderValue) -> Option<HeaderValue> {
    if std::str::from_utf8(came.as_bytes()).is_ok() {
        return HeaderValue::from_bytes(said.as_bytes()).ok();
    }
    // A byte for each character; what a policy put there may have none.
    let bytes: Option<Vec<u8>> = said.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect();
    HeaderValue::from_bytes(&bytes?).ok()
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
