//! Journal files: frames in the order in which they came, until they are in the databases.
//!
//! `journal-<position of its first frame, 16 hexadecimal digits>.log` is a header of 64 bytes, then frames without a gap,
//! then zeros up to the room that was made ahead. The first file of a process has room that is only reserved; a later one has
//! zeros on the disk, made while the one before was written ([`crate::ahead`]). What must hold: a frame's place in its file
//! tells its position; a file is begun only when everything in the one before is on the disk; no frame is ever written over.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    StoreError,
    ahead::Ahead,
    fill::Known,
    folder, frame,
    frame::Kind,
    medium::{JournalFile, Medium},
    numbered::{HEADER, JOURNAL},
};

/// The file being written.
pub(crate) struct Journal {
    folder: PathBuf,
    medium: Arc<dyn Medium>,
    known: Known,
    room: u64,
    file: Arc<dyn JournalFile>,
    path: PathBuf,
    written: u64,
    /// Whether its room is zeros on the disk.
    zeroed: bool,
    /// The next one, once this one is in use.
    ahead: Option<Ahead>,
}

/// Bytes with which a file is in use: a host that has little to record needs no other.
const IN_USE: u64 = 1 << 20;

impl Journal {
    /// Begins a file whose first frame is at `position`. The segments are to know which is the newest.
    pub(crate) fn begin(
        folder: &Path,
        medium: Arc<dyn Medium>,
        known: Known,
        room: u64,
        position: u64,
    ) -> Result<Self, StoreError> {
        let path = JOURNAL.path(folder, position);
        let file = create(medium.as_ref(), room, position, &path)?;
        folder::sync(folder)?;
        known.journal_begins(position);
        let (zeroed, ahead) = (false, None);
        Ok(Self { folder: folder.to_owned(), medium, known, room, file, path, written: 0, zeroed, ahead })
    }

    /// The file, for syncing.
    pub(crate) fn file(&self) -> Arc<dyn JournalFile> {
        Arc::clone(&self.file)
    }

    /// Whether the next bytes belong in a new file: this one is full, or syncs into the next one are cheaper.
    pub(crate) fn full(&self) -> bool {
        self.written >= self.room || (!self.zeroed && self.ahead.as_ref().is_some_and(Ahead::is_ready))
    }

    /// Appends frames.
    pub(crate) fn append(&mut self, frames: &[u8]) -> Result<(), StoreError> {
        self.file.append(frames).map_err(StoreError::io("write the journal", &self.path))?;
        self.written += frames.len() as u64;
        if self.ahead.is_none() && self.written >= IN_USE {
            self.ahead = Some(Ahead::begin(&self.folder, Arc::clone(&self.medium), HEADER as u64 + self.room));
        }
        Ok(())
    }

    /// Syncs this file and goes on in a new one.
    pub(crate) fn rotate(&mut self, position: u64) -> Result<(), StoreError> {
        let synced = self.file.sync().and_then(|()| self.file.still_there());
        synced.map_err(StoreError::io("sync the journal", &self.path))?;
        let path = JOURNAL.path(&self.folder, position);
        let made = self.ahead.take().and_then(|ahead| ahead.take(&path, &JOURNAL.header(position)));
        self.zeroed = made.is_some();
        self.file = made.map_or_else(|| create(self.medium.as_ref(), self.room, position, &path), Ok)?;
        folder::sync(&self.folder)?;
        self.known.journal_begins(position);
        (self.path, self.written) = (path, 0);
        Ok(())
    }
}

/// A file whose name the folder is not known to keep yet.
fn create(medium: &dyn Medium, room: u64, position: u64, path: &Path) -> Result<Arc<dyn JournalFile>, StoreError> {
    let begun = (|| {
        let file = medium.create(path, HEADER as u64 + room)?;
        file.append(&JOURNAL.header(position))?;
        file.sync()?;
        Ok(file)
    })();
    begun.map_err(StoreError::io("begin the journal", path))
}

/// What is in a journal file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Runs of whole, verified frames: first byte and one past the last, counted in the frames' area.
    pub(crate) runs: Vec<(usize, usize)>,
    /// Bytes that are no frames: first, one past the last, and why the first one is none.
    pub(crate) gaps: Vec<(usize, usize, String)>,
    /// The greatest position that a mark calls durable.
    pub(crate) attested: u64,
}

/// Reads the frames' area of a file from `from` on (a frame's beginning) to where only zeros follow.
///
/// After bytes that are no frame, frames count again only when they run on without a break to the very end: what a
/// caller wrote into a prompt may look like a frame, but can't be followed by the rest of the journal.
pub(crate) fn scan(area: &[u8], from: usize) -> Scan {
    let end = area.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut scan = Scan::default();
    let from = from.min(area.len());
    let (to, flaw) = run(area, from, end, &mut scan.attested);
    scan.runs.extend((to > from).then_some((from, to)));
    if to >= end {
        return scan;
    }
    let again = resume(area, to + 1, end);
    scan.gaps.push((to, again.unwrap_or(end), flaw.to_owned()));
    if let Some(again) = again {
        let (to, _) = run(area, again, end, &mut scan.attested);
        scan.runs.push((again, to));
    }
    scan
}

/// Follows frames from `at`; gives where they end, and why.
fn run(area: &[u8], mut at: usize, end: usize, attested: &mut u64) -> (usize, &'static str) {
    // A frame's last byte may be a zero, so it may end after `end`.
    while at < end {
        match frame::read(&area[at..]) {
            Ok(frame) => {
                if frame.kind == Kind::Mark {
                    *attested = frame.number.max(*attested);
                }
                at += frame.bytes.len();
            }
            Err(flaw) => return (at, flaw.as_str()),
        }
    }
    (at, "")
}

/// Hashing that a search may cost, as a multiple of the bytes searched: planted heads must not make it endless.
const SEARCH_EFFORT: usize = 8;

/// The first place from which frames run without a break to the end.
fn resume(area: &[u8], from: usize, end: usize) -> Option<usize> {
    let mut effort = end.saturating_sub(from).saturating_mul(SEARCH_EFFORT);
    let mut dead = std::collections::HashSet::new();
    (from..end).find(|start| {
        let mut at = *start;
        while at < end {
            let Ok(frame) = frame::peek(&area[at..]) else {
                return false;
            };
            if dead.contains(&at) || frame.bytes.len() > effort {
                return false;
            }
            effort -= frame.bytes.len();
            if frame::read(frame.bytes).is_err() {
                dead.insert(at);
                return false;
            }
            at += frame.bytes.len();
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use model::ExchangeId;
    use uuid::Uuid;

    use super::*;

    /// Frames one after the other, and where each one ends.
    fn frames(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut area, mut ends) = (Vec::new(), Vec::new());
        for number in 0..count {
            let payload = vec![number as u8; 20 + number as usize];
            frame::write(&mut area, Kind::Entry, ExchangeId(Uuid::from_u128(5)), number, &payload).unwrap();
            ends.push(area.len());
        }
        (area, ends)
    }

    fn with_room(mut area: Vec<u8>) -> Vec<u8> {
        area.resize(area.len() + 1000, 0);
        area
    }

    #[test]
    fn a_clean_end_is_no_gap() {
        let (area, ends) = frames(5);
        let whole = *ends.last().unwrap();
        let expected = Scan { runs: vec![(0, whole)], ..Scan::default() };
        assert_eq!(scan(&area, 0), expected);
        assert_eq!(scan(&with_room(area.clone()), 0), expected);
        let from_third = Scan { runs: vec![(ends[1], whole)], ..Scan::default() };
        assert_eq!(scan(&with_room(area), ends[1]), from_third);
        assert_eq!(scan(&[], 0), Scan::default());
        assert_eq!(scan(&[0; 500], 0), Scan::default());
        assert_eq!(scan(&[0; 500], 600), Scan::default());
    }

    #[test]
    fn a_tail_torn_at_any_length_loses_only_its_frame() {
        let (area, ends) = frames(4);
        for length in 0..area.len() {
            for torn in [area[..length].to_vec(), with_room(area[..length].to_vec())] {
                let scan = scan(&torn, 0);
                let whole = ends.iter().copied().filter(|end| *end <= length).max().unwrap_or(0);
                let kept = scan.runs.last().map_or(0, |(_, to)| *to);
                assert_eq!(kept, whole, "length {length}");
                // Zeros at the cut are as good as room: what was torn off can't be told from what never came.
                let told = area[whole..length].iter().all(|byte| *byte == 0) || !scan.gaps.is_empty();
                assert!(told, "length {length}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_costs_one_frame_and_is_told() {
        let (area, ends) = frames(6);
        for at in 0..area.len() {
            let mut flipped = with_room(area.clone());
            flipped[at] ^= 0x10;
            let scan = scan(&flipped, 0);
            let hit = ends.iter().position(|end| at < *end).unwrap();
            let from = if hit == 0 { 0 } else { ends[hit - 1] };
            assert_eq!(scan.gaps.len(), 1, "byte {at}");
            assert_eq!((scan.gaps[0].0, scan.gaps[0].1), (from, ends[hit]), "byte {at}");
            let kept: usize = scan.runs.iter().map(|(from, to)| to - from).sum();
            assert_eq!(kept, area.len() - (ends[hit] - from), "byte {at}");
        }
    }

    #[test]
    fn a_frame_that_a_caller_planted_in_a_prompt_is_never_taken_for_one() {
        let mut planted = Vec::new();
        frame::write(&mut planted, Kind::Entry, ExchangeId(Uuid::from_u128(666)), 0, &"forged").unwrap();
        let prompt = planted.repeat(3);
        let (mut area, _) = frames(1);
        let start = area.len();
        frame::write(&mut area, Kind::Entry, ExchangeId(Uuid::from_u128(5)), 1, &prompt).unwrap();
        let end = area.len();
        frame::write(&mut area, Kind::Entry, ExchangeId(Uuid::from_u128(5)), 2, &"next").unwrap();
        area[start] ^= 1;
        let scan = scan(&with_room(area.clone()), 0);
        assert_eq!(scan.runs, [(0, start), (end, area.len())]);
    }

    #[test]
    fn a_search_through_planted_heads_ends() {
        // Each head claims a frame to the end: hashing them all would cost the square of the length.
        let mut area = vec![0xff; 64];
        while area.len() < 200_000 {
            let mut head = Vec::new();
            frame::write_mark(&mut head, 1);
            let claimed = (200_000_u32 - area.len() as u32).to_le_bytes();
            head[..4].copy_from_slice(&claimed);
            area.extend_from_slice(&head[..32]);
        }
        area.resize(200_000, 0xff);
        let scan = scan(&area, 0);
        assert_eq!((scan.runs.len(), scan.gaps.len()), (0, 1));
    }

    #[test]
    fn marks_attest() {
        let (mut area, _) = frames(2);
        frame::write_mark(&mut area, 400);
        frame::write_mark(&mut area, 300);
        assert_eq!(scan(&area, 0).attested, 400);
    }
}
