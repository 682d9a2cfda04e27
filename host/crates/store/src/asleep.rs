//! Which of the store's threads sleep and have not been woken yet: to wake one that is awake costs a call to the system.

/// A thread of the store, as the queue knows it.
#[derive(Clone, Copy)]
pub(crate) enum Thread {
    Writer,
    Syncer,
    Ingester,
}

/// Those that sleep.
#[derive(Default)]
pub(crate) struct Asleep {
    writer: bool,
    syncer: bool,
    ingester: bool,
}

impl Asleep {
    /// Whether this one does.
    pub(crate) fn of(&mut self, thread: Thread) -> &mut bool {
        match thread {
            Thread::Writer => &mut self.writer,
            Thread::Syncer => &mut self.syncer,
            Thread::Ingester => &mut self.ingester,
        }
    }
}
