//! Counts the bytes that matching looks at, in tests: that time is linear is shown without a clock.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
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
