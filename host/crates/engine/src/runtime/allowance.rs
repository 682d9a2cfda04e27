//! What one call may take: as much as its policy's limits say, and more of time and answer where it is shown much. With
//! fixed limits a text with many values could not be judged at all, however fast its policy is.
//!
//! What must hold: what a call may take is bounded by what came in, and by the largest limits that an operator can set.

use std::time::Duration;

use model::PolicyLimits;

/// The largest `time_per_call`.
pub(crate) const MOST_TIME: Duration = Duration::from_secs(10);
/// The largest `answer`.
pub(crate) const MOST_ANSWER: usize = 64 << 20;

/// Bytes that a call is shown for each time more that it may take what its limits say…
const BYTES: usize = 256 << 10;
/// … and hits.
const HITS: usize = 4096;

/// The limits of a call that is shown so much.
pub(super) fn allowance(limits: &PolicyLimits, bytes: usize, hits: usize) -> PolicyLimits {
    let times = 1 + bytes / BYTES + hits / HITS;
    let time = limits.time_per_call.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX));
    PolicyLimits {
        time_per_call: time.min(MOST_TIME),
        answer_bytes: limits.answer_bytes.saturating_mul(times).min(MOST_ANSWER),
        ..*limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_may_take_more_the_more_it_is_shown_and_never_more_than_can_be_set() {
        let limits = PolicyLimits::default();
        let times = |bytes, hits| {
            let allowed = allowance(&limits, bytes, hits);
            assert_eq!((allowed.memory_bytes, allowed.hold_back_bytes), (limits.memory_bytes, limits.hold_back_bytes));
            let times = allowed.time_per_call.as_millis() / limits.time_per_call.as_millis();
            (times, allowed.answer_bytes / limits.answer_bytes)
        };
        assert_eq!(times(0, 0), (1, 1));
        assert_eq!(times(BYTES - 1, HITS - 1), (1, 1));
        assert_eq!(times(2 * BYTES, 3 * HITS), (6, 6));
        assert_eq!(times(usize::MAX / 2, usize::MAX / 2), (200, 64));
        let most = PolicyLimits { time_per_call: MOST_TIME, answer_bytes: MOST_ANSWER, ..limits };
        assert_eq!(allowance(&most, 32 << 20, 1 << 20), most);
    }
}
