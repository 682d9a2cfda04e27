//! A file of control events: frames in the order in which they came, with room made ahead.
//!
//! `control-<number of its first event, 16 hexadecimal digits>.log` is a header of 64 bytes, frames (`frame.rs`; kind
//! control), then zeros. After each group of events that is on the disk comes a mark that tells how many events are; so an
//! event that was acknowledged and can't be read is told apart from a tail that never was.
//!
//! What must hold: there is one such file, from before anything was recorded; another takes its place whole or not at all; it
//! is never written over. So one that is missing, has no mark, or ends before what the record knows of is damage.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use model::{ControlEvent, ExchangeId};
use uuid::Uuid;

use super::{CONTROL_RESERVE, ROOM};
use crate::{
    StoreError, anew, folder,
    frame::{self, Kind},
    journal,
    medium::{JournalFile, Medium},
    numbered::{CONTROL, HEADER},
};

/// What the file that will take another's place is called until it is whole.
const ASIDE: &str = "control.new";

/// The file that events are appended to.
pub(super) struct ControlFile {
    pub(super) path: PathBuf,
    file: Arc<dyn JournalFile>,
    /// Bytes that may still be appended without asking the file system for more.
    room: usize,
    /// Number of the next event.
    next: u64,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) events: Vec<ControlEvent>,
    /// Number of the event after the last one.
    pub(super) next: u64,
    /// Bytes at its end that were never acknowledged.
    pub(super) torn: usize,
}

impl ControlFile {
    /// Makes a file with these events and room for more, in the place of the one that is there.
    pub(super) fn make(
        folder: &Path,
        medium: &dyn Medium,
        first: u64,
        events: &[ControlEvent],
    ) -> Result<Self, StoreError> {
        let (aside, path) = (folder.join(ASIDE), CONTROL.path(folder, first));
        let mut frames = Vec::new();
        let mut next = first;
        for event in events {
            write(&mut frames, next, event).map_err(StoreError::io("encode an event for", &path))?;
            next += 1;
        }
        frame::write_mark(&mut frames, next);
        // As much room again as is taken over: so the next file comes only after as many bytes as this one begins with.
        let room = ROOM.max(frames.len()) + CONTROL_RESERVE;
        let old = CONTROL.files(folder)?;
        folder::remove(&aside)?;
        let made = (|| {
            let file = medium.create(&aside, (HEADER + frames.len() + room) as u64)?;
            file.append(&CONTROL.header(first))?;
            file.append(&frames)?;
            file.sync()?;
            fs::rename(&aside, &path)?;
            Ok(file)
        })();
        let file = made.map_err(StoreError::io("begin", &path))?;
        folder::sync(folder)?;
        for (_, old) in old.iter().filter(|(_, old)| *old != path) {
            fs::remove_file(old).map_err(StoreError::io("remove", old))?;
        }
        folder::sync(folder)?;
        Ok(Self { path, file, room, next })
    }

    /// Bytes for which there is room.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Appends events, with numbers from [`Self::next`] on; durable when this returns.
    pub(super) fn append(&mut self, frames: &[u8], count: u64) -> io::Result<()> {
        self.file.append(frames)?;
        self.room = self.room.saturating_sub(frames.len());
        self.file.sync()?;
        self.file.still_there()?;
        self.next += count;
        Ok(())
    }

    /// Tells in the file that all of its events are durable. Not synced: it goes to the disk with what comes next.
    pub(super) fn attest(&mut self) -> io::Result<()> {
        let mut mark = Vec::new();
        frame::write_mark(&mut mark, self.next);
        self.file.append(&mark)?;
        self.room = self.room.saturating_sub(mark.len());
        Ok(())
    }
}

/// Appends an event's frame to `out`.
pub(super) fn write(out: &mut Vec<u8>, number: u64, event: &ControlEvent) -> io::Result<()> {
    frame::write(out, Kind::Control, ExchangeId(Uuid::nil()), number, event).map_err(io::Error::other)
}

/// Whether a file is the one that would be read.
pub(super) fn is_newest(folder: &Path, path: &Path) -> bool {
    CONTROL.files(folder).is_ok_and(|files| files.last().is_some_and(|(_, newest)| newest == path))
}

/// Whether a folder holds no log.
pub(super) fn is_missing(folder: &Path) -> Result<bool, StoreError> {
    Ok(CONTROL.files(folder)?.is_empty())
}

/// Reads the newest file of a folder: a file has its proper name only when it holds all that the one before did. The events
/// before number `known` were acknowledged.
pub(super) fn read(folder: &Path, known: u64) -> Result<Contents, StoreError> {
    let Some((first, path)) = CONTROL.files(folder)?.pop() else {
        return Err(damaged(folder, folder, "the log is missing"));
    };
    let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let contents = parse(&bytes, first).map_err(|what| damaged(folder, &path, &what))?;
    if contents.next < known {
        let what = format!("it ends before event {}, and the record knows of all before {known}", contents.next);
        return Err(damaged(folder, &path, &what));
    }
    Ok(contents)
}

fn damaged(folder: &Path, file: &Path, what: &str) -> StoreError {
    let what = format!(
        "{what}; a revocation may be missing, so nobody may start with it: restore it, or make an empty file {}: then a host \
         starts, once, without what can't be read. Tokens that were issued are gone then, and what was revoked must be revoked \
         again: `portcullis sessions events` lists it",
        anew::order(folder).display()
    );
    StoreError::Corrupt { file: file.to_owned(), exchange: None, entry: None, what }
}

/// Gives the files of a folder names that are no log's: they are evidence.
pub(super) fn put_aside(folder: &Path) -> Result<(), StoreError> {
    for (_, path) in CONTROL.files(folder)? {
        folder::keep_damaged(&path)?;
        folder::remove(&path)?;
    }
    folder::sync(folder)
}

fn parse(bytes: &[u8], first: u64) -> Result<Contents, String> {
    if !CONTROL.header_agrees(bytes, first) {
        return Err("its header doesn't agree with its name".to_owned());
    }
    let area = &bytes[HEADER..];
    let scan = journal::scan(area, 0);
    let mut contents = Contents { next: first, ..Contents::default() };
    let mut marked = false;
    for (from, to) in &scan.runs {
        let mut at = *from;
        while at < *to {
            let frame = frame::peek(&area[at..]).map_err(|flaw| flaw.as_str().to_owned())?;
            at += frame.bytes.len();
            marked |= frame.kind == Kind::Mark;
            if frame.kind == Kind::Control {
                // What lies behind a gap was not acknowledged, or the mark behind it tells that something is missing.
                if scan.gaps.is_empty() && frame.number != contents.next {
                    return Err(format!("event {} comes where {} should", frame.number, contents.next));
                }
                let event = frame.decode();
                contents.events.push(event.map_err(|error| format!("event {}: {error}", frame.number))?);
                contents.next = frame.number.saturating_add(1);
            }
        }
    }
    if !marked {
        return Err("what it was begun with is not there".to_owned());
    }
    let before_gap = scan.gaps.first().map(|(from, ..)| count(area, *from));
    if let Some(whole) = before_gap
        && first.saturating_add(whole) < scan.attested
    {
        return Err(format!("event {} was acknowledged and can't be read", first.saturating_add(whole)));
    }
    if before_gap.is_none() && contents.next < scan.attested {
        return Err(format!("event {} was acknowledged and is not there", contents.next));
    }
    contents.torn = scan.gaps.iter().map(|(from, to, _)| to - from).sum();
    Ok(contents)
}

/// Events in the whole frames before `end`.
fn count(area: &[u8], end: usize) -> u64 {
    let (mut at, mut events) = (0, 0);
    while at < end {
        let Ok(frame) = frame::peek(&area[at..]) else { break };
        events += u64::from(frame.kind == Kind::Control);
        at += frame.bytes.len();
    }
    events
}
