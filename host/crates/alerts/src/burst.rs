//! So many of something within a stretch of time.

use std::collections::VecDeque;

use crate::Burst;

/// The last times, no more of them than the threshold.
#[derive(Debug, Default)]
pub(crate) struct Times(VecDeque<u64>);

impl Times {
    /// Counts one at `now_ms`. Whether it is too many now; then it begins anew.
    pub(crate) fn hit(&mut self, now_ms: u64, terms: Burst) -> bool {
        let begin = now_ms.saturating_sub(terms.window_ms);
        while self.0.front().is_some_and(|first| *first < begin) {
            self.0.pop_front();
        }
        self.0.push_back(now_ms);
        if self.0.len() < terms.count {
            return false;
        }
        self.0.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_within_the_window_many_are_too_many() {
        let terms = Burst { count: 3, window_ms: 100 };
        let mut times = Times::default();
        let hits: Vec<bool> = [0, 60, 101, 150, 160].into_iter().map(|at| times.hit(at, terms)).collect();
        assert_eq!(hits, [false, false, false, true, false]);
        assert!(Times::default().hit(5, Burst { count: 1, window_ms: 0 }));
    }
}
