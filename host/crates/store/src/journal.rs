//! Journal files: frames in the order in which they came, until they are in the databases.
//!
//! `journal-<position of its first frame, 16 hexadecimal digits>.log` is a header of 64 bytes, then frames without a gap,
//! then zeros up to the room that was made ahead. What must hold: a frame's place in its file tells its position; a file
//! is begun only when everything in the one before is on the disk; nothing is ever written over.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    StoreError, folder, frame,
    frame::Kind,
    medium::{JournalFile, Medium},
};

/// Bytes before the first frame.
pub(crate) const HEADER: usize = 64;
const MAGIC: &[u8; 8] = b"PCJRNL01";

/// The file being written.
pub(crate) struct Journal {
    folder: PathBuf,
    medium: Arc<dyn Medium>,
    room: u64,
    file: Arc<dyn JournalFile>,
    path: PathBuf,
    written: u64,
}

impl Journal {
    /// Begins a file whose first frame is at `position`.
    pub(crate) fn begin(
        folder: &Path,
        medium: Arc<dyn Medium>,
        room: u64,
        position: u64,
    ) -> Result<Self, StoreError> {
        let (file, path) = create(folder, medium.as_ref(), room, position)?;
        Ok(Self { folder: folder.to_owned(), medium, room, file, path, written: 0 })
    }

    /// The file, for syncing.
    pub(crate) fn file(&self) -> Arc<dyn JournalFile> {
        Arc::clone(&self.file)
    }

    /// Whether the next bytes belong in a new file.
    pub(crate) fn full(&self) -> bool {
        self.written >= self.room
    }

    /// Appends frames.
    pub(crate) fn append(&mut self, frames: &[u8]) -> Result<(), StoreError> {
        self.file.append(frames).map_err(StoreError::io("write the journal", &self.path))?;
        self.written += frames.len() as u64;
        Ok(())
    }

    /// Syncs this file and goes on in a new one.
    pub(crate) fn rotate(&mut self, position: u64) -> Result<(), StoreError> {
        self.file.sync().map_err(StoreError::io("sync the journal", &self.path))?;
        let (file, path) = create(&self.folder, self.medium.as_ref(), self.room, position)?;
        (self.file, self.path, self.written) = (file, path, 0);
        Ok(())
    }
}

fn create(
    folder: &Path,
    medium: &dyn Medium,
    room: u64,
    position: u64,
) -> Result<(Arc<dyn JournalFile>, PathBuf), StoreError> {
    let path = folder.join(format!("journal-{position:016x}.log"));
    let begun = (|| {
        let file = medium.create(&path, HEADER as u64 + room)?;
        file.append(&header(position))?;
        file.sync()?;
        Ok(file)
    })();
    let file = begun.map_err(StoreError::io("begin the journal", &path))?;
    folder::sync(folder)?;
    Ok((file, path))
}

fn header(position: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&position.to_le_bytes());
    let hash = blake3::hash(&header[..32]);
    header[32..].copy_from_slice(hash.as_bytes());
    header
}

/// The journal files of a folder with the positions in their names, oldest first.
pub(crate) fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut files = Vec::new();
    let listed: io::Result<()> = (|| {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            files.extend(position(&path).map(|position| (position, path)));
        }
        Ok(())
    })();
    listed.map_err(StoreError::io("list", folder))?;
    files.sort();
    Ok(files)
}

fn position(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_prefix("journal-")?.strip_suffix(".log")?;
    if digits.len() == 16 { u64::from_str_radix(digits, 16).ok() } else { None }
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

/// Whether the header is that of a file beginning at `position`.
pub(crate) fn header_agrees(bytes: &[u8], position: u64) -> bool {
    bytes.get(..HEADER).is_some_and(|found| found == header(position))
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
            let Ok(frame) = frame::peek(&area[at..]) else { return false };
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
