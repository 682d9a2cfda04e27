//! After the last process: what its journal holds and the databases don't.
//!
//! What must hold: every verified frame is ingested, once; what can't be read is reported, and told apart: a *torn* end
//! was never acknowledged as durable, *damage* was. A journal file with damage is kept. A crash in here changes nothing:
//! the next process does it again. So a file goes only when the databases are past its end, also past an end that could
//! not be read: else what comes after it would seem to follow on something that is missing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    StoreError, folder,
    ingest::Ingest,
    journal::{self, Scan},
    numbered::{self, HEADER, JOURNAL},
};

/// What was found when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Journal files that the last process left.
    pub journals: usize,
    /// Bytes of entries taken from them.
    pub bytes: u64,
    /// Ends of journal files that were never acknowledged as durable: normal after a power cut.
    pub torn: Vec<Damage>,
    /// Bytes that were acknowledged and can't be read. Never normal: the disk, or somebody, changed them.
    pub damaged: Vec<Damage>,
    /// Journal files with such bytes that are kept as evidence, of this opening and of those before.
    pub evidence: Vec<PathBuf>,
}

/// Bytes of the journal, or of a segment, that are no entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file; one with damage is kept under this name, out of the journal's way.
    pub file: PathBuf,
    /// Where in the journal they begin, or began.
    pub position: u64,
    /// How many.
    pub bytes: u64,
    /// What doesn't agree.
    pub what: String,
}

/// Whether the journal has whole frames from one position to another, without a gap.
pub(crate) fn covers(folder: &Path, from: u64, to: u64) -> Result<bool, StoreError> {
    let mut at = from;
    for (start, path) in JOURNAL.files(folder)? {
        if start > at || at >= to {
            break;
        }
        let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
        let known = usize::try_from(at - start).unwrap_or(usize::MAX);
        let scan = journal::scan(bytes.get(HEADER..).unwrap_or_default(), known);
        if let Some((_, end)) = scan.runs.first().filter(|(begin, _)| *begin == known) {
            at = start + *end as u64;
        }
    }
    Ok(at >= to)
}

/// Brings everything in the journal files into the databases and removes them. Gives the next free position. `known`: the
/// position before which nothing is looked at any more; all of it was when the databases came there.
pub(crate) fn recover(folder: &Path, ingest: &mut Ingest, known: u64) -> Result<(Recovery, u64), StoreError> {
    let files = JOURNAL.files(folder)?;
    let mut recovery = Recovery { journals: files.len(), ..Recovery::default() };
    let mut next = ingest.fill().ingested.max(ingest.meta().ingested);
    for (at, (start, path)) in files.iter().enumerate() {
        let successor = files.get(at + 1).map(|(start, _)| *start);
        let bytes = fs::read(path).map_err(StoreError::io("read", path))?;
        let (torn, damaged) = (recovery.torn.len(), recovery.damaged.len());
        if *start > next {
            let what = "a journal file is missing before this one".to_owned();
            recovery.damaged.push(Damage { file: path.clone(), position: next, bytes: start - next, what });
        }
        let known = usize::try_from(known.saturating_sub(*start)).unwrap_or(usize::MAX);
        let end = file(ingest, &mut recovery, (path, *start, &bytes), known, successor)?;
        if recovery.damaged.len() > damaged {
            keep(path, &mut recovery.damaged[damaged..])?;
        }
        tell(&recovery.torn[torn..], &recovery.damaged[damaged..]);
        ingest.pass(end)?;
        folder::remove(path)?;
        next = next.max(end);
    }
    recovery.evidence = evidence(folder)?;
    if recovery.bytes > 0 {
        tracing::info!(files = recovery.journals, bytes = recovery.bytes, "took over what the last process left");
    }
    Ok((recovery, next))
}

/// Ingests one file from its byte `known` on; gives the position after it.
fn file(
    ingest: &mut Ingest,
    recovery: &mut Recovery,
    (path, start, bytes): (&Path, u64, &[u8]),
    known: usize,
    successor: Option<u64>,
) -> Result<u64, StoreError> {
    let area = bytes.get(HEADER..).unwrap_or_default();
    if !JOURNAL.header_agrees(bytes, start) {
        if successor.is_none() && area.iter().all(|byte| *byte == 0) {
            // The last process died, or the disk was full, while it began this file: nothing was ever in it.
            return Ok(start);
        }
        let what = "the file's header doesn't agree with its name".to_owned();
        recovery.damaged.push(Damage { file: path.to_owned(), position: start, bytes: HEADER as u64, what });
    }
    let scan = journal::scan(area, known);
    for (from, to) in &scan.runs {
        ingest.commit(&[(start + *from as u64, &area[*from..*to])])?;
        recovery.bytes += (to - from) as u64;
    }
    Ok(judge(recovery, path, start, &scan, known, successor))
}

/// Tells torn from damaged; gives the position after the file's last frame.
fn judge(recovery: &mut Recovery, path: &Path, start: u64, scan: &Scan, known: usize, successor: Option<u64>) -> u64 {
    // A file is begun only when the one before is durable.
    let attested = successor.unwrap_or(0).max(scan.attested);
    let mut end = scan.runs.last().map_or(start.saturating_add(known as u64), |(_, to)| start + *to as u64);
    for (from, to, what) in &scan.gaps {
        let position = start + *from as u64;
        let found = Damage { file: path.to_owned(), position, bytes: (to - from) as u64, what: what.clone() };
        let list = if position < attested { &mut recovery.damaged } else { &mut recovery.torn };
        list.push(found);
        end = end.max(start + *to as u64);
    }
    if let Some(successor) = successor.filter(|successor| *successor > end) {
        let what = "the file ends too early".to_owned();
        recovery.damaged.push(Damage { file: path.to_owned(), position: end, bytes: successor - end, what });
        end = successor;
    }
    end
}

/// Gives a damaged file a name out of the journal's way: it must not be lost when the process dies before the databases are
/// past it.
fn keep(path: &Path, damages: &mut [Damage]) -> Result<(), StoreError> {
    let aside = folder::keep_damaged(path)?;
    for damage in damages {
        damage.file.clone_from(&aside);
    }
    Ok(())
}

/// The damaged files that are kept: as long as they are there, what is lost is not forgotten.
fn evidence(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let files = numbered::list(folder, |name| name.starts_with(folder::DAMAGED).then(|| name.to_owned()))?;
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// What is said of a file of an opening before.
pub(crate) const EVIDENCE: &str =
    "it has acknowledged bytes that could not be read: when it is known what is lost, move it elsewhere";

impl Recovery {
    /// What is known to be lost, for people; of this opening first.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        let damaged = self.damaged.iter().map(|damage| {
            let Damage { file, bytes, what, .. } = damage;
            format!("{}: {bytes} acknowledged bytes can't be read: {what}", file.display())
        });
        let older = self.evidence.iter().filter(|file| self.damaged.iter().all(|damage| damage.file != **file));
        let older = older.map(|file| format!("{}: {EVIDENCE}", file.display()));
        damaged.chain(older).collect()
    }
}

/// Before the databases go past it: nobody finds it again then.
pub(crate) fn tell(torn: &[Damage], damaged: &[Damage]) {
    for damage in damaged {
        let Damage { file, position, bytes, what } = damage;
        tracing::error!(file = %file.display(), position, bytes, what, "acknowledged entries can't be read");
    }
    for torn in torn {
        let Damage { file, position, bytes, what } = torn;
        tracing::warn!(file = %file.display(), position, bytes, what, "the journal ends in bytes that were never durable");
    }
}
