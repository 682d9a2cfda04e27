//! How work is done that takes long: most looks at a text are over at once, and what a look turns out to need is known
//! only in its middle.
//!
//! What must hold: the same work is done whatever the way, so that it changes nothing of what is found.

/// A way to do work that may take a millisecond or more: it runs what it is given, once, and may let others go on meanwhile.
pub type Way = fn(&mut dyn FnMut());

/// Bytes beyond which exact matching takes long, each counted for every pattern that must look at it.
pub const LONG: usize = 64 << 10;

/// Here and now.
pub(crate) fn here(work: &mut dyn FnMut()) {
    work();
}

/// Does work in a way.
pub(crate) fn by<T>(way: Way, mut work: impl FnMut() -> T) -> T {
    let mut done = None;
    way(&mut || done = Some(work()));
    // A way that did not do it must not lose it.
    done.unwrap_or_else(work)
}
