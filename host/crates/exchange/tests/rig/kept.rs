//! A record in memory, and a desk with one answer.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use exchange::ports::{
    Ask, Desk, DeskError, PolicySet, RecordError, Recorder, Ruling, RulingState, Rulings, Safety, Tape, Ticket,
};
use futures_util::{FutureExt, future::BoxFuture};
use model::{ApprovalId, AskedHead, Digest, Entry, Event, record::Opened};
use tokio::sync::watch;

/// A set that comes into force at the moment when a request is recorded, before it is sent.
pub(crate) type AtRequest = Arc<Mutex<Option<Arc<PolicySet>>>>;

/// Keeps everything in memory; can be told to fail.
pub(crate) struct Memory {
    pub(crate) entries: Arc<Mutex<Vec<Entry>>>,
    /// Entries after which nothing more can be kept.
    pub(crate) room: Option<usize>,
    /// Nothing of it is ever safe.
    pub(crate) stuck: bool,
    /// Entries that are safe.
    pub(crate) safe: Arc<AtomicUsize>,
    /// It takes a while until they are.
    pub(crate) slow: bool,
    pub(crate) at_request: AtRequest,
    pub(crate) publish: watch::Sender<Arc<PolicySet>>,
}

impl Recorder for Memory {
    fn open(&self, opened: Opened) -> Result<Box<dyn Tape>, RecordError> {
        let (at_request, publish) = (Arc::clone(&self.at_request), self.publish.clone());
        let entries = Arc::clone(&self.entries);
        let mut tape = MemoryTape {
            entries,
            room: self.room,
            stuck: self.stuck,
            safe: Arc::clone(&self.safe),
            slow: self.slow,
            at_request,
            publish,
        };
        tape.append(Entry::Opened(opened))?;
        Ok(Box::new(tape))
    }

    fn event(&self, _event: Event) -> BoxFuture<'_, Result<(), RecordError>> {
        async { Ok(()) }.boxed()
    }

    fn keyed_hash(&self, value: &[u8]) -> [u8; 16] {
        std::array::from_fn(|at| value.iter().fold(at as u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte)))
    }
}

struct MemoryTape {
    entries: Arc<Mutex<Vec<Entry>>>,
    room: Option<usize>,
    stuck: bool,
    safe: Arc<AtomicUsize>,
    slow: bool,
    at_request: AtRequest,
    publish: watch::Sender<Arc<PolicySet>>,
}

impl Tape for MemoryTape {
    fn append(&mut self, entry: Entry) -> Result<(), RecordError> {
        let mut entries = self.entries.lock().unwrap();
        if self.room.is_some_and(|room| entries.len() >= room) {
            return Err(RecordError("disk full".into()));
        }
        if matches!(entry, Entry::Request(_))
            && let Some(set) = self.at_request.lock().unwrap().take()
        {
            self.publish.send(set).unwrap();
        }
        entries.push(entry);
        Ok(())
    }

    fn keep(&mut self, _safety: Safety) -> BoxFuture<'_, Result<(), RecordError>> {
        if self.stuck {
            return std::future::pending().boxed();
        }
        let (entries, safe, slow) = (self.entries.lock().unwrap().len(), Arc::clone(&self.safe), self.slow);
        async move {
            if slow {
                tokio::task::yield_now().await;
            }
            safe.store(entries, Ordering::Relaxed);
            Ok(())
        }
        .boxed()
    }
}

/// Answers every question in one way, or never; remembers what was shown.
pub(crate) struct OneAnswer {
    pub(crate) state: Option<RulingState>,
    pub(crate) shown: Arc<Mutex<Vec<String>>>,
    /// And of the heads.
    pub(crate) shown_heads: Arc<Mutex<Vec<AskedHead>>>,
    /// What approvals would be bound to.
    pub(crate) bound: Arc<Mutex<Vec<Digest>>>,
    pub(crate) cancelled: Arc<AtomicU32>,
}

impl Desk for OneAnswer {
    fn ask(&self, asks: Vec<Ask>) -> BoxFuture<'_, Result<Box<dyn Ticket>, DeskError>> {
        for ask in &asks {
            self.bound.lock().unwrap().push(ask.bound_to);
            self.shown_heads.lock().unwrap().push(AskedHead::clone(&ask.head));
            self.shown.lock().unwrap().push(String::from_utf8(ask.shown.to_vec()).unwrap());
        }
        let cancelled = Some(Arc::clone(&self.cancelled));
        let ids = asks.iter().map(|_| ApprovalId::new()).collect();
        let ticket: Box<dyn Ticket> = Box::new(OneTicket { ids, state: self.state, cancelled });
        async { Ok(ticket) }.boxed()
    }
}

struct OneTicket {
    ids: Vec<ApprovalId>,
    state: Option<RulingState>,
    /// Counts the ticket when it is dropped undecided.
    cancelled: Option<Arc<AtomicU32>>,
}

impl Ticket for OneTicket {
    fn approvals(&self) -> &[ApprovalId] {
        &self.ids
    }

    fn decided(&mut self, within: Duration) -> BoxFuture<'_, Option<Rulings>> {
        let Some(state) = self.state else {
            return tokio::time::sleep(within).map(|()| None).boxed();
        };
        self.cancelled = None;
        let ruling = Ruling { state, by: "ann".into(), reason: String::new() };
        let rulings = match state {
            RulingState::Approved => Rulings::Approved(vec![ruling; self.ids.len()]),
            _ => Rulings::Stopped(self.ids[0], ruling),
        };
        std::future::ready(Some(rulings)).boxed()
    }

    fn leave(mut self: Box<Self>) {
        self.cancelled = None;
    }

    fn withdraw(self: Box<Self>, _reason: &str) {}
}

impl Drop for OneTicket {
    fn drop(&mut self) {
        if let Some(cancelled) = &self.cancelled {
            cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}
