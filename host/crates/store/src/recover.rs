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

/// No store gets so far. A file whose name tells a position behind this is none of its journal, and nothing may go on from there.
const FARTHEST: u64 = 1 << 62;

/// Bytes of the journal, or of a segment, that are no entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file; one with damage is kept under this name, out of the journal's way.
    pub file: PathBuf,
    /// Where in the journal they begin, or began.
    pub position: u64,
    /// How many; 0 where nobody knows.
    pub bytes: u64,
    /// What doesn't agree.
    pub what: String,
}

impl Damage {
    /// What it means, without the file's name.
    pub(crate) fn told(&self) -> String {
        match self {
            Self { bytes: 0, what, .. } => format!("acknowledged entries can't be read: {what}"),
            Self { bytes, what, .. } => format!("{bytes} acknowledged bytes can't be read: {what}"),
        }
    }
}

/// A journal file that the last process left.
struct Left<'a> {
    path: &'a Path,
    start: u64,
    bytes: &'a [u8],
    /// Byte of its frames' area before which nothing is looked at any more.
    known: usize,
    /// Position at which the next one begins, or began.
    successor: Option<u64>,
    /// It is known that it was there, with a whole header.
    begun: bool,
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
    let mut recovery = Recovery::default();
    let files = in_reach(folder, &mut recovery)?;
    recovery.journals = files.len();
    let mut next = ingest.fill().ingested.max(ingest.meta().ingested);
    let newest = ingest.journal();
    if let Some(newest) = newest.filter(|newest| files.iter().all(|(start, _)| start < newest)) {
        let missing = missing(folder, newest, next)?;
        tell(&[], std::slice::from_ref(&missing));
        recovery.damaged.push(missing);
    }
    for (at, (start, path)) in files.iter().enumerate() {
        let following = files.get(at + 1).map(|(start, _)| *start);
        let successor = following.or(newest.filter(|newest| newest > start));
        let bytes = fs::read(path).map_err(StoreError::io("read", path))?;
        let (torn, damaged) = (recovery.torn.len(), recovery.damaged.len());
        if *start > next {
            let what = "a journal file is missing before this one".to_owned();
            recovery.damaged.push(Damage { file: path.clone(), position: next, bytes: start - next, what });
        }
        let known = usize::try_from(known.saturating_sub(*start)).unwrap_or(usize::MAX);
        let begun = newest == Some(*start);
        let left = Left { path, start: *start, bytes: &bytes, known, successor, begun };
        let end = file(ingest, &mut recovery, &left)?;
        if recovery.damaged.len() > damaged {
            keep(path, &mut recovery.damaged[damaged..])?;
        }
        tell(&recovery.torn[torn..], &recovery.damaged[damaged..]);
        ingest.pass(end)?;
        if following.is_none() {
            ingest.journal_ends()?;
        }
        folder::remove(path)?;
        next = next.max(end);
    }
    ingest.journal_ends()?;
    recovery.evidence = evidence(folder)?;
    if recovery.bytes > 0 {
        tracing::info!(files = recovery.journals, bytes = recovery.bytes, "took over what the last process left");
    }
    Ok((recovery, next))
}

/// The files of the journal. One whose name tells a position that no store has is damage, and goes out of the way.
fn in_reach(folder: &Path, recovery: &mut Recovery) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let (files, strays): (Vec<_>, Vec<_>) =
        JOURNAL.files(folder)?.into_iter().partition(|(start, _)| *start < FARTHEST);
    for (position, path) in strays {
        let bytes = fs::metadata(&path).map_err(StoreError::io("look at", &path))?.len();
        let what = "its name tells a position that no journal has".to_owned();
        let stray = Damage { file: folder::keep_damaged(&path)?, position, bytes, what };
        folder::remove(&path)?;
        tell(&[], std::slice::from_ref(&stray));
        recovery.damaged.push(stray);
    }
    Ok(files)
}

/// The newest file, and with it the end of the journal, is not there, although no process ended in order that had it: somebody
/// took it away. A word of that stays in its place.
fn missing(folder: &Path, newest: u64, next: u64) -> Result<Damage, StoreError> {
    let what = format!("the journal file that began at {newest} is missing, and nobody knows what it had");
    let file = folder::note_missing(&JOURNAL.path(folder, newest), &what)?;
    Ok(Damage { file, position: newest.max(next), bytes: 0, what })
}

/// Ingests one file from its byte `known` on; gives the position after it.
fn file(ingest: &mut Ingest, recovery: &mut Recovery, left: &Left<'_>) -> Result<u64, StoreError> {
    let Left { path, start, bytes, known, .. } = *left;
    let area = bytes.get(HEADER..).unwrap_or_default();
    if !JOURNAL.header_agrees(bytes, start) {
        let empty = area.iter().all(|byte| *byte == 0);
        if empty && left.successor.is_none() && !left.begun {
            // The last process died, or the disk was full, while it began this file: nothing was ever in it.
            return Ok(start);
        }
        let (bytes, what) = if empty {
            (0, "the file has lost its header, and nobody knows what else")
        } else {
            (HEADER as u64, "the file's header doesn't agree with its name")
        };
        let what = what.to_owned();
        recovery.damaged.push(Damage { file: path.to_owned(), position: start, bytes, what });
    }
    let scan = journal::scan(area, known);
    for (from, to) in &scan.runs {
        ingest.commit(&[(start + *from as u64, &area[*from..*to])])?;
        recovery.bytes += (to - from) as u64;
    }
    Ok(judge(recovery, left, &scan))
}

/// Tells torn from damaged; gives the position after the file's last frame.
fn judge(recovery: &mut Recovery, left: &Left<'_>, scan: &Scan) -> u64 {
    let Left { path, start, known, successor, .. } = *left;
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
    "it tells of acknowledged entries that could not be read: when it is known what is lost, move it elsewhere";

impl Recovery {
    /// What is known to be lost, for people; of this opening first.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        let damaged = self.damaged.iter().map(|damage| format!("{}: {}", damage.file.display(), damage.told()));
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

#[cfg(test)]
mod tests {
    use exchange::ports::{Recorder, Safety};
    use model::{Entry, ExchangeId};

    use super::*;
    use crate::{
        State, Store, StoreConfig,
        failing::{chunk, opened},
        frame::{self, Kind},
    };

    /// Writes a journal file as a process leaves one that died.
    fn leave(folder: &Path, start: u64, frames: &[u8]) {
        let journal = folder.join(folder::JOURNAL);
        fs::create_dir_all(&journal).unwrap();
        let bytes = [JOURNAL.header(start).as_slice(), frames].concat();
        fs::write(JOURNAL.path(&journal, start), bytes).unwrap();
    }

    #[tokio::test]
    async fn an_entry_that_this_version_does_not_know_keeps_nobody_from_starting() {
        let (mut frames, known, strange) = (Vec::new(), opened(), opened());
        let mut put = |exchange: ExchangeId, number: u64, entry: &Entry| {
            frame::write(&mut frames, Kind::Entry, exchange, number, entry).unwrap();
        };
        put(known.exchange, 0, &Entry::Opened(known.clone()));
        put(strange.exchange, 0, &Entry::Opened(strange.clone()));
        // The number of a variant that no version has yet.
        frame::write(&mut frames, Kind::Entry, strange.exchange, 1, &200_u32).unwrap();
        frame::write(&mut frames, Kind::Entry, strange.exchange, 2, &chunk(10)).unwrap();
        frame::write(&mut frames, Kind::Entry, known.exchange, 1, &chunk(10)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), 0, &frames);

        for again in [false, true] {
            let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
            assert!(store.recovery().damaged.is_empty(), "{:?}", store.recovery());
            assert_eq!(store.exchange(known.exchange).unwrap().entries.len(), 2, "again: {again}");
            let row = store.index().row(strange.exchange).unwrap().unwrap().summary;
            assert_eq!((row.state, row.entries, row.session), (State::Damaged, 3, strange.session), "it is kept whole");
            let told = store.exchange(strange.exchange).unwrap_err().to_string();
            assert!(told.contains("entry 1: it can't be decoded"), "{told}");
            assert!(store.verify().is_err());
            store.close().await.unwrap();
            drop(store);
            // The index made again from the segments says the same.
            fs::remove_file(folder.path().join(crate::index::FILE)).unwrap();
        }
    }

    #[tokio::test]
    async fn a_name_that_tells_a_position_beyond_all_is_damage_and_nothing_goes_on_from_there() {
        let mut frames = Vec::new();
        frame::write(&mut frames, Kind::Entry, ExchangeId::new(), 0, &chunk(10)).unwrap();
        for start in [FARTHEST, u64::MAX - 15, u64::MAX] {
            let folder = tempfile::tempdir().unwrap();
            leave(folder.path(), start, &frames);
            let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
            let [stray] = &store.recovery().damaged[..] else { panic!("{:?}", store.recovery()) };
            assert!(stray.file.to_str().unwrap().contains("damaged-journal-") && stray.file.exists());
            assert_eq!((store.status().appended, store.recovery().lost().len()), (0, 1), "{start}");
            let mut tape = store.open(opened()).unwrap();
            tape.keep(Safety::Durable).await.unwrap();
            drop(tape);
            store.close().await.unwrap();
        }
    }
}
