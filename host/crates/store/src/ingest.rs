//! Moves written frames from memory into the databases, many at a time.
//!
//! Order of each commit: segment, then index; each keeps, in the same transaction, the position up to which it is. So
//! after a crash between the two the frames are shown again, and only the index takes them.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use model::{Entry, ExchangeId, SessionId};

use crate::{
    Damage, Limits, StoreError,
    fill::Fill,
    frame::{self, Frame, Kind},
    index::{Changes, Index, Meta},
    numbered::JOURNAL,
    pack::{Packer, Place, SHORT_BYTES},
    queue::Queue,
    segments::{Addition, PIECE_BYTES, Run, Segments, Stored},
    summary::{Row, SessionSummary, Share, State},
    writer::Alarm,
};

/// Room for exchanges that a commit makes at first at most, whatever the last one needed.
const MOST_USUAL: usize = 10_000;

/// The databases, and the summaries of what is going on.
pub(crate) struct Ingest {
    segments: Arc<Segments>,
    index: Arc<Index>,
    limits: Limits,
    fill: Fill,
    meta: Meta,
    /// Exchanges that have not ended, as the index has them.
    rows: HashMap<ExchangeId, Row>,
    /// Sessions, as the index has them.
    sessions: HashMap<SessionId, SessionSummary>,
    /// Where exchanges are packed that the segment has and the index has not.
    unlisted: HashMap<ExchangeId, Place>,
    /// How many exchanges the last commit added to.
    usual: usize,
}

/// What a commit adds to one exchange.
struct Growth<'f> {
    row: Row,
    /// What its session's sums have of it.
    share: Share,
    /// Where in the exchange's frames the new ones begin.
    offset: u64,
    /// The new ones, in order.
    frames: Vec<&'f [u8]>,
    /// The index doesn't have it yet.
    new: bool,
    began: bool,
    ended: bool,
}

/// What one commit adds.
#[derive(Default)]
struct Harvest<'f> {
    exchanges: HashMap<ExchangeId, Growth<'f>>,
    events: Vec<(u64, Vec<u8>)>,
    bytes: u64,
}

impl Ingest {
    /// Goes on where the databases are.
    ///
    /// # Errors
    /// [`StoreError`] when the segment can't be read.
    pub(crate) fn new(
        segments: Arc<Segments>,
        index: Arc<Index>,
        limits: Limits,
        fill: Fill,
        meta: Meta,
    ) -> Result<Self, StoreError> {
        let behind = fill.ingested > meta.ingested;
        let unlisted = if behind { segments.places_after(meta.ingested)? } else { HashMap::new() };
        Ok(Self {
            segments,
            index,
            limits,
            fill,
            meta,
            rows: HashMap::new(),
            sessions: HashMap::new(),
            unlisted,
            usual: 0,
        })
    }

    /// How far the index is.
    pub(crate) fn meta(&self) -> Meta {
        self.meta
    }

    /// How far the segments are.
    pub(crate) fn fill(&self) -> Fill {
        self.fill
    }

    /// Where the newest journal file begins that must be there.
    pub(crate) fn journal(&self) -> Option<u64> {
        self.segments.known().journal()
    }

    /// No journal file need be there from now on. Durable when it returns.
    pub(crate) fn journal_ends(&self) -> Result<(), StoreError> {
        self.segments.journal_ends()
    }

    /// A new run of the store begins: what is open from now on is running, what was is interrupted.
    pub(crate) fn begin_run(&mut self) -> Result<(), StoreError> {
        self.meta.run += 1;
        self.rows.clear();
        self.index.store(&Changes { meta: self.meta, ..Changes::default() })
    }

    /// Takes whole frames, each part with the position of its first byte, in order. Durable when it returns.
    pub(crate) fn commit(&mut self, parts: &[(u64, &[u8])]) -> Result<(), StoreError> {
        // To grow as it fills would move all that it holds, a few times over.
        let exchanges = HashMap::with_capacity(self.usual.min(MOST_USUAL));
        let mut harvest = Harvest { exchanges, ..Harvest::default() };
        let mut end = self.meta.ingested;
        // It changes only after a commit.
        let segment = self.segments.current();
        for (start, bytes) in parts {
            let mut at = 0;
            while at < bytes.len() {
                let frame = frame::peek(&bytes[at..]).map_err(|flaw| self.not_a_frame(start + at as u64, flaw))?;
                at += frame.bytes.len();
                self.harvest(&mut harvest, &frame, start + at as u64, segment)?;
            }
            end = end.max(start + bytes.len() as u64);
        }
        self.usual = harvest.exchanges.len();
        self.store(harvest, end)?;
        // Not while the segment is ahead of the index: what the index has yet to take lies in this segment.
        if self.fill.bytes >= self.limits.segment_bytes && self.meta.ingested >= self.fill.ingested {
            self.segments.rotate(self.fill.ingested)?;
            self.fill.bytes = 0;
        }
        Ok(())
    }

    /// Goes on at `position`: what lies before it and was not taken is nothing that could be. Durable when it returns.
    pub(crate) fn pass(&mut self, position: u64) -> Result<(), StoreError> {
        if position <= self.meta.ingested { Ok(()) } else { self.store(Harvest::default(), position) }
    }

    /// `end` is the position after the frame, which lies, or will lie, in `segment`.
    fn harvest<'f>(
        &mut self,
        harvest: &mut Harvest<'f>,
        frame: &Frame<'f>,
        end: u64,
        segment: u32,
    ) -> Result<(), StoreError> {
        if end <= self.meta.ingested {
            return Ok(());
        }
        let stored = end <= self.fill.ingested;
        let Some(growth) = self.take(harvest, frame, segment)? else {
            return Ok(());
        };
        if stored {
            growth.row.place = self.unlisted.get(&frame.exchange).copied();
            return Ok(());
        }
        let length = frame.bytes.len() as u64;
        if growth.frames.is_empty() {
            growth.offset = growth.row.summary.record_bytes - length;
        }
        growth.frames.push(frame.bytes);
        harvest.bytes += length;
        Ok(())
    }

    /// Takes a frame that lies, or will lie, in `segment`.
    fn take<'h, 'f>(
        &mut self,
        harvest: &'h mut Harvest<'f>,
        frame: &Frame<'_>,
        segment: u32,
    ) -> Result<Option<&'h mut Growth<'f>>, StoreError> {
        match frame.kind {
            // The second is never in a journal or a segment; nothing there may pass for one.
            Kind::Mark | Kind::Control => Ok(None),
            Kind::Event => {
                harvest.events.push((frame.number, frame.bytes.to_vec()));
                self.meta.next_event = self.meta.next_event.max(frame.number.saturating_add(1));
                Ok(None)
            }
            Kind::Entry => {
                let entry = decode(frame);
                let growth = self.growth(harvest, frame.exchange, frame.number == 0)?;
                growth.row.take(frame, entry.as_ref(), segment);
                growth.began |= matches!(entry, Some(Entry::Opened(_)));
                growth.ended |= matches!(entry, Some(Entry::Closed(_)));
                Ok(Some(growth))
            }
        }
    }

    /// `begins`: the frame at hand is the exchange's first, so that nothing can be known of it.
    fn growth<'h, 'f>(
        &mut self,
        harvest: &'h mut Harvest<'f>,
        exchange: ExchangeId,
        begins: bool,
    ) -> Result<&'h mut Growth<'f>, StoreError> {
        match harvest.exchanges.entry(exchange) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(new) => {
                let known = if begins { None } else { known(&mut self.rows, &self.index, exchange)? };
                Ok(new.insert(grow(known, exchange, self.meta.run)))
            }
        }
    }

    /// Makes an empty index anew from the segments. Exchanges that can't be read there are listed as damaged; tells what is
    /// lost of which not even that is known.
    pub(crate) fn rebuild(&mut self) -> Result<Vec<Damage>, StoreError> {
        let segments = Arc::clone(&self.segments);
        let mut lost = Vec::new();
        for number in segments.numbers()? {
            let mut harvest = Harvest::default();
            segments.each(number, |stored| {
                match stored {
                    Stored::Frames(exchange, place, frames) => {
                        self.take_stored(&mut harvest, number, (exchange, place), frames)?;
                    }
                    Stored::Lost(damage) => lost.push(damage),
                }
                if harvest.exchanges.len() >= self.limits.rows_in_memory {
                    self.store_index(std::mem::take(&mut harvest), 0)?;
                }
                Ok(())
            })?;
            self.store_index(harvest, 0)?;
        }
        // Only now: an index that says less than the segments is not used.
        self.store_index(Harvest::default(), self.fill.ingested)?;
        Ok(lost)
    }

    fn take_stored(
        &mut self,
        harvest: &mut Harvest<'_>,
        segment: u32,
        (exchange, place): (ExchangeId, Option<Place>),
        mut frames: &[u8],
    ) -> Result<(), StoreError> {
        // Where a pack's directory tells of no place for it, there are none: that is damage too.
        loop {
            match frame::read(frames) {
                Ok(frame) => {
                    frames = &frames[frame.bytes.len()..];
                    if let Some(growth) = self.take(harvest, &frame, segment)? {
                        growth.row.place = growth.row.place.or(place);
                    }
                    if frames.is_empty() {
                        return Ok(());
                    }
                }
                Err(flaw) => {
                    tracing::error!(%exchange, segment, what = flaw.as_str(), "a stored entry can't be read");
                    self.growth(harvest, exchange, false)?.row.summary.state = State::Damaged;
                    return Ok(());
                }
            }
        }
    }

    fn store(&mut self, mut harvest: Harvest<'_>, end: u64) -> Result<(), StoreError> {
        // In the order of the keys, so that neighbours in the file are written together.
        let mut growths: Vec<&mut Growth<'_>> = harvest.exchanges.values_mut().collect();
        growths.sort_unstable_by_key(|growth| growth.row.summary.exchange);
        let fill = Fill { ingested: end.max(self.fill.ingested), bytes: self.fill.bytes + harvest.bytes };
        let (mut packer, mut runs) = (Packer::new(fill.ingested, PIECE_BYTES), Vec::new());
        for growth in growths.into_iter().filter(|growth| !growth.frames.is_empty()) {
            let exchange = growth.row.summary.exchange;
            if growth.is_short() {
                growth.row.place = Some(packer.add(exchange, &growth.frames));
            } else {
                runs.push(Run { exchange, offset: growth.offset, frames: growth.frames.concat() });
            }
        }
        let packs = packer.finish();
        self.segments.store(&Addition { runs: &runs, packs: &packs, events: &harvest.events, fill })?;
        self.fill = fill;
        self.store_index(harvest, end)
    }

    fn store_index(&mut self, harvest: Harvest<'_>, end: u64) -> Result<(), StoreError> {
        let mut growths: Vec<Growth<'_>> = harvest.exchanges.into_values().collect();
        growths.sort_unstable_by_key(|growth| growth.row.summary.exchange);
        self.meta.exchanges += growths.iter().filter(|growth| growth.new).count() as u64;
        let sessions = self.fold_sessions(&growths)?;
        self.meta.ingested = end;
        let began = growths.iter().filter(|growth| growth.began);
        self.index.store(&Changes {
            rows: growths.iter().map(|growth| &growth.row).collect(),
            sessions: sessions.iter().filter_map(|session| self.sessions.get(session)).collect(),
            began: began.map(|growth| (growth.row.summary.session, growth.row.summary.exchange)).collect(),
            events: &harvest.events,
            meta: self.meta,
        })?;
        self.remember(growths);
        Ok(())
    }

    /// Brings the sessions up to date in memory; tells which ones changed. Row and session go into the index together, so
    /// what a row has of an exchange is what its session's sums have of it, whatever was forgotten or shown again.
    fn fold_sessions(&mut self, growths: &[Growth<'_>]) -> Result<Vec<SessionId>, StoreError> {
        let mut changed = Vec::new();
        for growth in growths.iter().filter(|growth| growth.row.summary.has_session()) {
            let summary = &growth.row.summary;
            let session = match self.sessions.entry(summary.session) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    let stored = self.index.session(summary.session)?;
                    new.insert(stored.unwrap_or_else(|| SessionSummary::new(summary)))
                }
            };
            if session.grew(&growth.share, summary) {
                changed.push(summary.session);
            }
        }
        changed.sort_unstable();
        changed.dedup();
        Ok(changed)
    }

    /// Everything in memory is in the index now, so any of it may be forgotten.
    fn remember(&mut self, growths: Vec<Growth<'_>>) {
        for Growth { row, ended, .. } in growths {
            if !ended && row.summary.state == State::Running {
                self.rows.insert(row.summary.exchange, row);
            }
        }
        if self.rows.len() > self.limits.rows_in_memory {
            self.rows.clear();
        }
        if self.sessions.len() > self.limits.rows_in_memory {
            self.sessions.clear();
        }
    }

    fn not_a_frame(&self, position: u64, flaw: frame::Flaw) -> StoreError {
        let what = format!("no frame at position {position}: {}", flaw.as_str());
        StoreError::Corrupt { file: self.segments.folder().to_owned(), exchange: None, entry: None, what }
    }
}

/// What a frame with a good hash says. One that says nothing was written by a version that knows more: it is stored as it is,
/// and must not keep all the others from being taken.
fn decode(frame: &Frame<'_>) -> Option<Entry> {
    let decoded = frame.decode();
    decoded
        .inspect_err(|error| {
            let Frame { exchange, number, .. } = frame;
            tracing::error!(%exchange, entry = number, error, "a recorded entry can't be decoded, and is kept as it is");
        })
        .ok()
}

/// The exchange as it was after the last commit.
fn known(rows: &mut HashMap<ExchangeId, Row>, index: &Index, exchange: ExchangeId) -> Result<Option<Row>, StoreError> {
    match rows.remove(&exchange) {
        Some(row) => Ok(Some(row)),
        None => index.row(exchange),
    }
}

/// An exchange to which nothing has been added yet.
fn grow(known: Option<Row>, exchange: ExchangeId, run: u64) -> Growth<'static> {
    let new = known.is_none();
    let row = known.unwrap_or_else(|| Row::new(exchange, run));
    Growth { share: Share::of(&row.summary), row, offset: 0, frames: Vec::new(), new, began: false, ended: false }
}

impl Growth<'_> {
    /// Whether the commit has all of an exchange that is short enough for a pack.
    fn is_short(&self) -> bool {
        let whole = self.new && self.began && self.ended && self.offset == 0;
        whole && self.row.summary.record_bytes <= SHORT_BYTES as u64
    }
}

/// Ingests until the queue closes or fails.
pub(crate) fn run(queue: &Queue, mut ingest: Ingest, journal: &Path) {
    let _alarm = Alarm { queue, thread: "ingest" };
    while let Some(batches) = queue.take_batches() {
        let parts: Vec<(u64, &[u8])> = batches.iter().map(|batch| (batch.start, batch.bytes.as_slice())).collect();
        if let Err(error) = ingest.commit(&parts) {
            return queue.fail(&format!("can't ingest: {error}"));
        }
        let position = ingest.meta().ingested;
        queue.ingested(position, batches);
        if let Err(error) = drop_ingested(journal, position) {
            tracing::warn!(%error, "a journal file stays although everything in it is stored elsewhere");
        }
    }
}

/// Removes the journal files all of whose frames come before `position`; the newest file stays in any case.
fn drop_ingested(journal: &Path, position: u64) -> Result<(), StoreError> {
    let files = JOURNAL.files(journal)?;
    for pair in files.windows(2) {
        let [(_, path), (next, _)] = pair else { continue };
        if *next <= position {
            fs::remove_file(path).map_err(StoreError::io("remove", path))?;
        }
    }
    Ok(())
}
