//! The record of one exchange while it is written, and the store as the path's recorder.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use aws_lc_rs::hmac;
use exchange::ports::{ControlLog, RecordError, Recorder, Safety, Tape};
use model::{
    ControlEvent, Entry, Event, ExchangeId, Usage,
    record::{Closed, Opened},
};
use uuid::Uuid;

use crate::{
    Store,
    frame::{self, Kind},
    progress::Goal,
    queue::{Next, Queue},
    running::Running,
    store::Sink,
};

type Kept<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), RecordError>> + Send + 'a>>;

/// Bytes of the keyed hash of a masked value.
const KEYED_HASH_BYTES: usize = 16;

impl Recorder for Store {
    fn open(&self, opened: Opened) -> Result<Box<dyn Tape>, RecordError> {
        let queue = match self.sink() {
            Sink::Queue(queue) => Running::new(queue),
            Sink::Nowhere => return Ok(Box::new(NoTape)),
            Sink::Closed => return Err(read_only()),
        };
        let entry_bytes = self.limits().entry_bytes;
        let exchange = opened.exchange;
        let mut tape = QueueTape {
            queue,
            exchange,
            entry_bytes,
            began: Instant::now(),
            entries: 0,
            position: 0,
            awaited: 0,
            closed: false,
            pending: Vec::with_capacity(USUAL_BYTES),
        };
        // On an error the tape must not close what never opened.
        tape.write(&Entry::Opened(opened)).inspect_err(|_| tape.closed = true)?;
        Ok(Box::new(tape))
    }

    fn event(&self, event: Event) -> Kept<'_> {
        Box::pin(async move {
            let Some((queue, position)) = self.append_event(&event)? else { return Ok(()) };
            // Control events are durable in every mode: there are few, and a revocation is worth the wait.
            queue.reach(Goal::Durable, position).await
        })
    }

    fn keyed_hash(&self, value: &[u8]) -> [u8; KEYED_HASH_BYTES] {
        // Only a store that is read has none: nothing that it would tell of is recorded there.
        let Some(key) = self.key() else { return [0; KEYED_HASH_BYTES] };
        let tag = hmac::sign(key, value);
        let mut short = [0; KEYED_HASH_BYTES];
        short.copy_from_slice(&tag.as_ref()[..KEYED_HASH_BYTES]);
        short
    }
}

impl ControlLog for Store {
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError> {
        self.control().replay().map_err(|error| RecordError(error.to_string()))
    }

    fn append(&self, event: ControlEvent) -> Kept<'_> {
        Box::pin(async move {
            let copy = Event::Control(event.clone());
            self.control().append(event).await?;
            // What counts is in the log. History has it too, where there is room: a full disk is no reason to say that a
            // revocation failed.
            if let Err(error) = self.append_event(&copy) {
                tracing::warn!(%error, "a control event is in force and durable, but not in the history");
            }
            Ok(())
        })
    }
}

impl Store {
    /// Puts an event into the queue; answers where, or `None` where nothing is recorded.
    fn append_event(&self, event: &Event) -> Result<Option<(&Arc<Queue>, u64)>, RecordError> {
        let queue = match self.sink() {
            Sink::Queue(queue) => queue,
            Sink::Nowhere => return Ok(None),
            Sink::Closed => return Err(read_only()),
        };
        let number = self.next_event().fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::new();
        frame::write(&mut bytes, Kind::Event, ExchangeId(Uuid::nil()), number, event)
            .map_err(|error| RecordError(format!("the event can't be encoded: {error}")))?;
        let position = queue.append(&bytes, Next::Nothing)?;
        Ok(Some((queue, position)))
    }
}

fn read_only() -> RecordError {
    RecordError("the store is open for reading only".to_owned())
}

/// A tape that drops everything: `durability = "off"`.
struct NoTape;

impl Tape for NoTape {
    fn append(&mut self, _entry: Entry) -> Result<(), RecordError> {
        Ok(())
    }

    fn keep(&mut self, _safety: Safety) -> Kept<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A tape that puts frames into the queue. Entries that belong together (what was found, what is sent, how it ended) wait
/// here until the path wants them kept, and so cost the queue's lock once.
struct QueueTape {
    queue: Running,
    exchange: ExchangeId,
    entry_bytes: usize,
    began: Instant,
    entries: u64,
    /// After its last frame in the queue.
    position: u64,
    /// The position that was waited for last.
    awaited: u64,
    closed: bool,
    /// Frames that the queue doesn't have yet.
    pending: Vec<u8>,
}

/// Room for the frames of a short exchange up to its first wait: made in one go.
const USUAL_BYTES: usize = 2 << 10;
/// Pending frames that are not made to wait for more.
const PENDING_BYTES: usize = 64 << 10;
/// Space above this is given back after use.
const SPARE_BYTES: usize = 64 << 10;

impl QueueTape {
    fn write(&mut self, entry: &Entry) -> Result<(), RecordError> {
        self.queue.usable()?;
        let begin = self.pending.len();
        if let Err(error) = frame::write(&mut self.pending, Kind::Entry, self.exchange, self.entries, entry) {
            // What was pending is gone with it: a record with a gap is worse than one that ends.
            self.closed = true;
            return Err(RecordError(format!("the entry can't be encoded: {error}")));
        }
        let bytes = self.pending.len() - begin;
        if bytes > self.entry_bytes {
            self.pending.truncate(begin);
            let limit = self.entry_bytes;
            return Err(RecordError(format!("the entry has {bytes} bytes; the store takes {limit}")));
        }
        self.entries += 1;
        self.closed = matches!(entry, Entry::Closed(_));
        match entry {
            // The last one waits for no other; whoever appends it keeps it, or else the end of the tape sees to it.
            Entry::Closed(_) => self.hand_over(Next::Kept),
            // It tells of what may go on for long with nothing to keep: whoever looks meanwhile shall see it.
            Entry::Switched(..) => self.hand_over(Next::Nothing),
            _ if self.pending.len() >= PENDING_BYTES => self.hand_over(Next::Nothing),
            _ => Ok(()),
        }
    }

    fn lament(&self, error: &RecordError) {
        tracing::warn!(exchange = %self.exchange, %error, "the record of a dropped exchange stays open");
    }

    fn hand_over(&mut self, next: Next) -> Result<(), RecordError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // What the queue does not take now stays: the record must have no gap.
        self.position = self.queue.append(&self.pending, next)?;
        self.pending.clear();
        if self.pending.capacity() > SPARE_BYTES {
            self.pending = Vec::new();
        }
        Ok(())
    }
}

/// When whoever wanted something kept goes away before it is, the writer writes it after a while.
struct GivenUp<'q>(&'q Queue);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.0.nudge();
    }
}

impl Tape for QueueTape {
    fn append(&mut self, entry: Entry) -> Result<(), RecordError> {
        if self.closed {
            return Err(RecordError("the exchange's record is closed".to_owned()));
        }
        if matches!(entry, Entry::Opened(_)) {
            return Err(RecordError("the exchange's record is open already".to_owned()));
        }
        self.write(&entry)
    }

    fn keep(&mut self, safety: Safety) -> Kept<'_> {
        let goal = match safety {
            Safety::Written => Goal::Written,
            Safety::Durable => Goal::Durable,
        };
        Box::pin(async move {
            self.hand_over(Next::Kept)?;
            self.awaited = self.position;
            let given_up = GivenUp(&self.queue);
            self.queue.keep(goal, self.position).await?;
            std::mem::forget(given_up);
            Ok(())
        })
    }
}

impl Drop for QueueTape {
    fn drop(&mut self) {
        if self.closed {
            if let Err(error) = self.hand_over(Next::Nothing) {
                self.lament(&error);
            }
            if self.position > self.awaited {
                self.queue.nudge();
            }
            return;
        }
        // The path closes what it drops; this is for what it could not.
        let at = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let closed = Closed::dropped(at, Usage::default(), Vec::new());
        if let Err(error) = self.write(&Entry::Closed(closed)).and_then(|()| self.hand_over(Next::Nothing)) {
            self.lament(&error);
        }
    }
}
