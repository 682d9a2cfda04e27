//! Segments: redb files of bounded size that hold the frames by exchange. One is written; the others are sealed.
//!
//! The values of one exchange, put together in the order of their keys, are its frames without a gap. A key is the
//! exchange's id and where in that run the value begins; a value is at most 31 KiB, since redb gives each value a run of
//! pages whose length is a power of two. Events lie under the nil id, by their number. Short exchanges lie in packs.

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use model::ExchangeId;
use redb::{AccessGuard, ReadTransaction, ReadableTable, TableDefinition, TableError};
use uuid::Uuid;

use crate::{
    Damage, Limits, StoreError,
    chain::{self, Link, Span},
    database::{Db, Fault},
    fill::{self, FORMAT, Fill, Known},
    folder, index, medium, numbered,
    pack::{Pack, PackId, Place},
};

const FRAMES: TableDefinition<'_, &[u8; KEY], &[u8]> = TableDefinition::new("frames");
/// Packs of short exchanges, by commit and number. Segments of format 1 have none.
const PACKS: TableDefinition<'_, &[u8; PACK_KEY], &[u8]> = TableDefinition::new("packs");
const KEY: usize = 24;
const PACK_KEY: usize = 12;

/// Bytes of one value.
pub(crate) const PIECE_BYTES: usize = 31 << 10;

/// A run of one exchange's frames, to be stored.
pub(crate) struct Run {
    /// Whose.
    pub(crate) exchange: ExchangeId,
    /// Where in the exchange's frames it begins.
    pub(crate) offset: u64,
    /// Whole frames.
    pub(crate) frames: Vec<u8>,
}

/// What one commit adds.
pub(crate) struct Addition<'a> {
    /// Frames of exchanges that are long, or took longer than one commit.
    pub(crate) runs: &'a [Run],
    /// Exchanges that are short.
    pub(crate) packs: &'a [(PackId, Vec<u8>)],
    /// Events: number and frame.
    pub(crate) events: &'a [(u64, Vec<u8>)],
    /// How far the segment is afterwards.
    pub(crate) fill: Fill,
}

/// Something that a segment holds.
pub(crate) enum Stored<'a> {
    /// Frames of an exchange, and where, if a pack has them; under the nil id, the events.
    Frames(ExchangeId, Option<Place>, &'a [u8]),
    /// A pack that can't be read: its exchanges are missing.
    Lost(Damage),
}

/// All segments of a store. Neither `current` nor `sealed` is held while a file is opened, repaired, checked or closed: what is
/// recorded never waits for what is read.
pub(crate) struct Segments {
    folder: PathBuf,
    limits: Limits,
    /// How far the logs beside them are; each commit keeps it.
    known: Known,
    /// The one being written, and its number.
    current: Mutex<(u32, Arc<Db>)>,
    sealed: Mutex<Sealed>,
}

#[derive(Default)]
struct Sealed {
    /// Those that are kept open, the last used last.
    recent: VecDeque<(u32, Arc<Db>)>,
    /// Each one that was open since the store was.
    slots: HashMap<u32, Arc<Slot>>,
}

/// A sealed segment while somebody reads it, or has it kept open: a file must not be opened twice. Held while it is opened or
/// checked, so that only who wants the same one waits; taken before `sealed`, where both are.
type Slot = Mutex<Weak<Db>>;

impl Segments {
    /// Opens the newest segment; makes the first one where there is none.
    pub(crate) fn open(folder: &Path, limits: Limits) -> Result<(Self, Fill), StoreError> {
        let number = match (numbers(folder)?.last(), files(folder)?.pop()) {
            (Some(last), _) => *last,
            // None is ever made so: what it held is lost, and no new store begins in its place.
            (None, Some((_, file))) => {
                let what = "it is empty".to_owned();
                return Err(StoreError::Corrupt { file, exchange: None, entry: None, what });
            }
            (None, None) => {
                create(folder, 1, 0, &Known::default(), &limits)?;
                1
            }
        };
        let current = Db::open(&path(folder, number), limits.cache_bytes)?;
        let fill::State { format, fill, known, .. } = fill::read(&current)?;
        let current = Mutex::new((number, Arc::new(current)));
        let segments = Self { folder: folder.to_owned(), limits, known, current, sealed: Mutex::default() };
        if format == FORMAT {
            return Ok((segments, fill));
        }
        segments.rotate(fill.ingested)?;
        Ok((segments, Fill { bytes: 0, ..fill }))
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How far the logs beside them are, as far as the record knows.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// Keeps how far the logs are, without adding anything.
    pub(crate) fn keep_known(&self) -> Result<(), StoreError> {
        self.written().write(|transaction| self.known.keep(transaction))
    }

    /// No journal file need be there from now on. Durable when it returns.
    pub(crate) fn journal_ends(&self) -> Result<(), StoreError> {
        if self.known.journal().is_none() {
            return Ok(());
        }
        self.known.journal_ends();
        self.keep_known()
    }

    /// The number of the segment being written.
    pub(crate) fn current(&self) -> u32 {
        lock(&self.current).0
    }

    fn written(&self) -> Arc<Db> {
        Arc::clone(&lock(&self.current).1)
    }

    /// Stores all of it in one transaction.
    pub(crate) fn store(&self, addition: &Addition<'_>) -> Result<(), StoreError> {
        let segment = self.written();
        let file = segment.path();
        segment.write(|transaction| {
            let mut packs = transaction.open_table(PACKS)?;
            for (id, pack) in addition.packs {
                unchanged(file, packs.insert(&pack_key(*id), pack.as_slice())?, pack)?;
            }
            let mut frames = transaction.open_table(FRAMES)?;
            for run in addition.runs {
                let mut offset = run.offset;
                for piece in run.frames.chunks(PIECE_BYTES) {
                    unchanged(file, frames.insert(&key(run.exchange, offset), piece)?, piece)?;
                    offset += piece.len() as u64;
                }
            }
            for (number, frame) in addition.events {
                let key = key(ExchangeId(Uuid::nil()), *number);
                unchanged(file, frames.insert(&key, frame.as_slice())?, frame)?;
            }
            fill::advance(transaction, addition.fill, &self.known)
        })?;
        // What is in a file that was removed goes with this process.
        match file.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::io("write", file)(medium::removed())),
            Err(error) => Err(StoreError::io("look at", file)(error)),
        }
    }

    /// Seals the segment being written and begins the next one.
    pub(crate) fn rotate(&self, ingested: u64) -> Result<(), StoreError> {
        let number = self.current() + 1;
        create(&self.folder, number, ingested, &self.known, &self.limits)?;
        let next = Arc::new(Db::open(&path(&self.folder, number), self.limits.cache_bytes)?);
        let (sealed, old) = lock(&self.current).clone();
        // Known to be open before it is looked for among the sealed ones.
        *lock(&self.slot(sealed)) = Arc::downgrade(&old);
        *lock(&self.current) = (number, next);
        drop(self.keep_open(sealed, old));
        Ok(())
    }

    /// The frames of `exchange` in segment `number`, from `offset` on, `limit` bytes and what comes with the last of them; they
    /// must have no gap. `place`: where a pack of this segment holds the first of all.
    pub(crate) fn frames(
        &self,
        number: u32,
        exchange: ExchangeId,
        place: Option<Place>,
        offset: u64,
        limit: u64,
    ) -> Result<(PathBuf, Vec<u8>), StoreError> {
        let segment = self.segment(number)?;
        let file = segment.path().to_owned();
        let corrupt =
            |what: String| StoreError::Corrupt { file: file.clone(), exchange: Some(exchange), entry: None, what };
        let bytes = segment.read(|transaction| {
            let mut bytes = match place {
                Some(place) => {
                    packed(transaction, exchange, place)?.ok_or_else(|| corrupt(NOT_IN_ITS_PACK.to_owned()))?
                }
                None => Vec::new(),
            };
            bytes.drain(..bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX)));
            let offset_of = |bytes: &[u8]| offset + bytes.len() as u64;
            let frames = transaction.open_table(FRAMES)?;
            let (zero, from, to) = (key(exchange, 0), key(exchange, offset_of(&bytes)), key(exchange, u64::MAX));
            // It may begin within a piece.
            let within = frames.range::<&[u8; KEY]>(&zero..=&from)?.next_back().transpose()?;
            let first = within.map_or(from, |(key, _)| *key.value());
            for piece in frames.range::<&[u8; KEY]>(&first..=&to)? {
                let (key, piece) = piece?;
                let (expected, found) = (offset_of(&bytes), key_offset(key.value()));
                if bytes.len() as u64 >= limit {
                    break;
                }
                if found != expected && (*key.value() != first || found > expected) {
                    return Err(corrupt(format!("bytes {expected} to {found} of its frames are missing")).into());
                }
                let before = usize::try_from(expected - found).unwrap_or(usize::MAX);
                bytes.extend_from_slice(piece.value().get(before..).unwrap_or_default());
            }
            Ok(bytes)
        })?;
        Ok((file, bytes))
    }

    /// Shows what segment `number` holds, each exchange in one go.
    pub(crate) fn each(
        &self,
        number: u32,
        mut visit: impl FnMut(Stored<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let segment = self.segment(number)?;
        segment.read(|transaction| {
            each_packed(transaction, 0, |found| match found {
                Packed::Exchange(exchange, place, frames) => visit(Stored::Frames(exchange, Some(place), frames)),
                Packed::Lost(id, bytes) => {
                    let what = format!("pack {} can't be read: its exchanges are missing", id.number);
                    let file = segment.path().to_owned();
                    visit(Stored::Lost(Damage { file, position: id.commit, bytes: bytes as u64, what }))
                }
            })?;
            let mut run: Option<(ExchangeId, Vec<u8>)> = None;
            for piece in transaction.open_table(FRAMES)?.iter()? {
                let (key, piece) = piece?;
                let exchange = key_exchange(key.value());
                match &mut run {
                    Some((same, bytes)) if *same == exchange => bytes.extend_from_slice(piece.value()),
                    _ => {
                        if let Some((exchange, bytes)) = run.replace((exchange, piece.value().to_vec())) {
                            visit(Stored::Frames(exchange, None, &bytes))?;
                        }
                    }
                }
            }
            if let Some((exchange, bytes)) = run {
                visit(Stored::Frames(exchange, None, &bytes))?;
            }
            Ok(())
        })
    }

    /// Where the segment being written holds the short exchanges of commits that went beyond `position`.
    pub(crate) fn places_after(&self, position: u64) -> Result<HashMap<ExchangeId, Place>, StoreError> {
        self.written().read(|transaction| {
            let mut places = HashMap::new();
            each_packed(transaction, position.saturating_add(1), |found| {
                if let Packed::Exchange(exchange, place, _) = found {
                    places.insert(exchange, place);
                }
                Ok(())
            })?;
            Ok(places)
        })
    }

    /// The numbers of all segments, the oldest first.
    pub(crate) fn numbers(&self) -> Result<Vec<u32>, StoreError> {
        numbers(&self.folder)
    }

    /// Which segments are left out, as far as the names of the others tell.
    pub(crate) fn left_out(&self) -> Result<Vec<Damage>, StoreError> {
        let link = |number| Link { number, file: path(&self.folder, number), span: None };
        let links: Vec<Link> = self.numbers()?.into_iter().map(link).collect();
        let mut gaps = chain::gaps(&links, |number| path(&self.folder, number));
        gaps.extend(self.empty_newest(&links)?);
        Ok(gaps)
    }

    /// The newest file, where it is empty: behind the others it leaves no gap.
    fn empty_newest(&self, links: &[Link]) -> Result<Option<Damage>, StoreError> {
        let newest = files(&self.folder)?.pop();
        let newest = newest.filter(|(number, _)| links.last().is_none_or(|link| link.number < *number));
        Ok(newest.map(|(_, file)| Damage { file, position: 0, bytes: 0, what: "it is empty".to_owned() }))
    }

    /// What is missing between the segments: those that are left out, and those of which an older copy has the place. Opens each.
    pub(crate) fn gaps(&self) -> Result<Vec<Damage>, StoreError> {
        let (mut links, mut gaps) = (Vec::new(), Vec::new());
        for number in self.numbers()? {
            let file = path(&self.folder, number);
            let span = match fill::read(self.segment(number)?.as_ref()) {
                Ok(fill::State { fill, begin, .. }) => Some(Span { begin, end: fill.ingested }),
                // What it holds may be whole all the same.
                Err(StoreError::Corrupt { what, .. }) => {
                    gaps.push(Damage { file: file.clone(), position: 0, bytes: 0, what });
                    None
                }
                Err(error) => return Err(error),
            };
            links.push(Link { number, file, span });
        }
        gaps.extend(chain::gaps(&links, |number| path(&self.folder, number)));
        gaps.extend(self.empty_newest(&links)?);
        Ok(gaps)
    }

    /// Verifies every page of every sealed segment; tells how many there are. Whoever wants to read one meanwhile waits for its
    /// own check.
    pub(crate) fn verify_sealed(&self) -> Result<u64, StoreError> {
        let mut sealed = 0;
        for number in self.numbers()? {
            if number == self.current() {
                continue;
            }
            let slot = self.slot(number);
            let checked = lock(&slot);
            lock(&self.sealed).recent.retain(|(open, _)| *open != number);
            open_sealed(&path(&self.folder, number), self.limits.cache_bytes)?.verify()?;
            drop(checked);
            sealed += 1;
        }
        Ok(sealed)
    }

    fn segment(&self, number: u32) -> Result<Arc<Db>, StoreError> {
        let (current, written) = lock(&self.current).clone();
        if current == number {
            return Ok(written);
        }
        let slot = self.slot(number);
        let mut open = lock(&slot);
        let segment = match open.upgrade() {
            Some(segment) => segment,
            None => Arc::new(open_sealed(&path(&self.folder, number), self.limits.cache_bytes)?),
        };
        *open = Arc::downgrade(&segment);
        let gone = self.keep_open(number, Arc::clone(&segment));
        drop(open);
        drop(gone);
        Ok(segment)
    }

    fn slot(&self, number: u32) -> Arc<Slot> {
        Arc::clone(lock(&self.sealed).slots.entry(number).or_default())
    }

    /// Keeps a sealed segment open; gives back the one that has to go, to be closed with nothing held.
    fn keep_open(&self, number: u32, segment: Arc<Db>) -> Option<(u32, Arc<Db>)> {
        let mut sealed = lock(&self.sealed);
        sealed.recent.retain(|(open, _)| *open != number);
        sealed.recent.push_back((number, segment));
        if sealed.recent.len() > self.limits.sealed_open { sealed.recent.pop_front() } else { None }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often, and how long apart, a file is tried that another reader of this process is just closing.
const CLOSING_TRIES: u32 = 100;
const CLOSING_PAUSE: Duration = Duration::from_millis(5);

fn open_sealed(path: &Path, cache_bytes: usize) -> Result<Db, StoreError> {
    // redb would make a file that is missing.
    if !path.exists() {
        let what = "it is missing".to_owned();
        return Err(StoreError::Corrupt { file: path.to_owned(), exchange: None, entry: None, what });
    }
    let mut tries = 0;
    loop {
        match Db::open_sealed(path, cache_bytes) {
            Err(StoreError::Busy { .. }) if tries < CLOSING_TRIES => {
                tries += 1;
                std::thread::sleep(CLOSING_PAUSE);
            }
            opened => return opened,
        }
    }
}

/// Nothing that was recorded is ever written over: in its place there was nothing, or the same, which a journal shows again.
fn unchanged(file: &Path, was: Option<AccessGuard<'_, &'static [u8]>>, is: &[u8]) -> Result<(), StoreError> {
    match was {
        Some(was) if was.value() != is => {
            let what = "what is to be stored has the place of something else".to_owned();
            Err(StoreError::Corrupt { file: file.to_owned(), exchange: None, entry: None, what })
        }
        Some(_) | None => Ok(()),
    }
}

fn key(exchange: ExchangeId, offset: u64) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..16].copy_from_slice(exchange.0.as_bytes());
    key[16..].copy_from_slice(&offset.to_be_bytes());
    key
}

fn key_exchange(key: &[u8; KEY]) -> ExchangeId {
    let mut id = [0; 16];
    id.copy_from_slice(&key[..16]);
    ExchangeId(Uuid::from_bytes(id))
}

fn key_offset(key: &[u8; KEY]) -> u64 {
    let mut offset = [0; 8];
    offset.copy_from_slice(&key[16..]);
    u64::from_be_bytes(offset)
}

fn pack_key(pack: PackId) -> [u8; PACK_KEY] {
    let mut key = [0; PACK_KEY];
    key[..8].copy_from_slice(&pack.commit.to_be_bytes());
    key[8..].copy_from_slice(&pack.number.to_be_bytes());
    key
}

fn pack_id(key: &[u8; PACK_KEY]) -> PackId {
    let (mut commit, mut number) = ([0; 8], [0; 4]);
    commit.copy_from_slice(&key[..8]);
    number.copy_from_slice(&key[8..]);
    PackId { commit: u64::from_be_bytes(commit), number: u32::from_be_bytes(number) }
}

const NOT_IN_ITS_PACK: &str = "its frames are not where they were packed";

/// The frames of an exchange at its place in a pack; none where they are not there.
fn packed(transaction: &ReadTransaction, exchange: ExchangeId, place: Place) -> Result<Option<Vec<u8>>, Fault> {
    let pack = transaction.open_table(PACKS)?.get(&pack_key(place.pack))?;
    let Some(pack) = pack else { return Ok(None) };
    let found = Pack::read(pack.value()).and_then(|pack| pack.exchange(place.number as usize));
    Ok(found.filter(|(id, _)| *id == exchange).map(|(_, frames)| frames.to_vec()))
}

/// What comes of a pack.
enum Packed<'a> {
    Exchange(ExchangeId, Place, &'a [u8]),
    /// All of a pack that can't be read, and its length.
    Lost(PackId, usize),
}

/// Shows each exchange in packs of commits that went to `from` or further, in order.
fn each_packed(
    transaction: &ReadTransaction,
    from: u64,
    mut visit: impl FnMut(Packed<'_>) -> Result<(), StoreError>,
) -> Result<(), Fault> {
    let packs = match transaction.open_table(PACKS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        packs => packs?,
    };
    for pack in packs.range::<&[u8; PACK_KEY]>(&pack_key(PackId { commit: from, number: 0 })..)? {
        let (key, value) = pack?;
        let id = pack_id(key.value());
        let Some(pack) = Pack::read(value.value()).filter(Pack::is_whole) else {
            visit(Packed::Lost(id, value.value().len()))?;
            continue;
        };
        for number in 0..pack.len() {
            let place = Place { pack: id, number: number as u32 };
            if let Some((exchange, frames)) = pack.exchange(number) {
                visit(Packed::Exchange(exchange, place, frames))?;
            }
        }
    }
    Ok(())
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("segment-{number:06}.redb"))
}

/// Whether a store has a segment, or had: segments and index are made last, so whatever else belongs to it has been there.
pub(crate) fn are_begun(folder: &Path) -> Result<bool, StoreError> {
    Ok(!files(folder)?.is_empty() || folder.join(index::FILE).exists())
}

/// The segments that are there. An empty file is none: redb would take it for a new database.
fn numbers(folder: &Path) -> Result<Vec<u32>, StoreError> {
    let mut numbers = Vec::new();
    for (number, file) in files(folder)? {
        if !index::is_missing(&file)? {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn files(folder: &Path) -> Result<Vec<(u32, PathBuf)>, StoreError> {
    numbered::list(folder, |name| name.strip_prefix("segment-")?.strip_suffix(".redb")?.parse().ok())
}

/// Makes a segment aside and renames it, so that one with its proper name is always whole.
fn create(folder: &Path, number: u32, begin: u64, known: &Known, limits: &Limits) -> Result<(), StoreError> {
    let path = path(folder, number);
    let aside = path.with_extension("new");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("remove", aside)(error)),
        _ => {}
    }
    let segment = Db::open(&aside, limits.cache_bytes)?;
    segment.write(|transaction| {
        transaction.open_table(FRAMES)?;
        transaction.open_table(PACKS)?;
        fill::begin(transaction, begin, known)
    })?;
    drop(segment);
    fs::rename(&aside, &path).map_err(StoreError::io("rename", &aside))?;
    folder::sync(folder)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_file_that_is_open_is_told_as_busy() {
        let folder = tempfile::tempdir().unwrap();
        let (segments, _) = Segments::open(folder.path(), Limits::default()).unwrap();
        let again = Db::open_sealed(&path(folder.path(), 1), 1 << 20).err().unwrap();
        assert!(matches!(&again, StoreError::Busy { path } if path.ends_with("segment-000001.redb")), "{again}");
        drop(segments);
        Db::open_sealed(&path(folder.path(), 1), 1 << 20).unwrap();
    }

    #[test]
    fn while_a_sealed_segment_is_opened_or_checked_others_are_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let (segments, _) = Segments::open(folder.path(), Limits::default()).unwrap();
        let long = Run { exchange: ExchangeId::new(), offset: 0, frames: vec![7; 100] };
        let runs = [long];
        let addition = || Addition { runs: &runs, packs: &[], events: &[], fill: Fill::default() };
        for number in 1..=2 {
            segments.store(&addition()).unwrap();
            segments.rotate(0).unwrap();
            assert_eq!(segments.current(), number + 1);
        }
        let read = |number| segments.frames(number, runs[0].exchange, None, 0, 100).map(|(_, frames)| frames);
        thread::scope(|scope| {
            let slot = segments.slot(1);
            let opened = lock(&slot);
            let waiting = scope.spawn(|| read(1));
            segments.store(&addition()).unwrap();
            for number in 2..=3 {
                assert_eq!(read(number).unwrap(), [7; 100], "segment {number}");
            }
            segments.rotate(0).unwrap();
            assert!(!waiting.is_finished(), "who wants it waits for it");
            drop(opened);
            assert_eq!(waiting.join().unwrap().unwrap(), [7; 100]);
        });
        assert_eq!(segments.verify_sealed().unwrap(), 3);
        assert_eq!(read(1).unwrap(), [7; 100], "also after the check");
    }
}
