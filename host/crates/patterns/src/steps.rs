//! Counts the bytes that matching looks at, and what it works out anew, in tests: that time is linear, and bounded for short
//! texts, is shown without a clock.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    static THREADS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// So many bytes are looked at, perhaps again.
#[cfg(not(test))]
pub(crate) fn add(_bytes: usize) {}

/// So many bytes are looked at, perhaps again.
#[cfg(test)]
pub(crate) fn add(bytes: usize) {
    STEPS.with(|steps| steps.set(steps.get() + bytes));
}

/// How many this thread has looked at since the last call.
#[cfg(test)]
pub(crate) fn take() -> usize {
    STEPS.with(|steps| steps.replace(0))
}

/// So many NFA states count for a transition that was not known.
#[cfg(not(test))]
pub(crate) fn add_threads(_threads: usize) {}

/// So many NFA states count for a transition that was not known.
#[cfg(test)]
pub(crate) fn add_threads(threads: usize) {
    THREADS.with(|sum| sum.set(sum.get() + threads));
}

/// How many have counted for this thread since the last call.
#[cfg(test)]
pub(crate) fn take_threads() -> usize {
    THREADS.with(|sum| sum.replace(0))
}
