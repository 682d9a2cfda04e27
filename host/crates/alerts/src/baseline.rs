//! How often a caller uses to ask, and whether that is what it does now.
//!
//! Requests are counted in intervals of equal length. Of the counts two exponentially weighted means are kept: of the
//! counts and of their squares, in which an interval counts half as much as one `half_life` intervals later. From these
//! follow the mean `m` and the variance `v = s − m²`. An interval is unusual when its count reaches
//!
//! ```text
//!   max(floor, m + deviations · √max(v, m))
//! ```
//!
//! and the caller has been known for `history` intervals. The variance is taken as at least the mean: counts of
//! independent requests vary so much by chance alone (Poisson), and a steady caller would have none otherwise. Until
//! there are enough intervals for the weights, all count alike. An interval that was unusual is learned as if it had
//! reached the limit and no more, so that an attack that goes on becomes a habit slowly.
//!
//! What must hold: a step costs the same after a second and after a year of silence.

use serde::{Deserialize, Serialize};

use crate::Volume;

/// One caller's habits. Weighs little: there are thousands of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Baseline {
    /// The interval that is counted; numbers are time since 1970 divided by the interval's length.
    interval: u64,
    count: u64,
    told: bool,
    habits: Habits,
}

/// What is kept of a caller over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Habits {
    /// Intervals that were seen whole.
    pub(crate) seen: u64,
    /// Mean of the counts.
    pub(crate) mean: f64,
    /// Mean of their squares.
    pub(crate) square: f64,
}

/// An interval with more requests than usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Unusual {
    /// Requests in it so far.
    pub(crate) count: u64,
    /// The mean of the intervals before it.
    pub(crate) mean: f64,
}

impl Baseline {
    /// Begins with the interval at `now_ms`; time before it is not looked at.
    pub(crate) fn begin(habits: Habits, now_ms: u64, terms: &Volume) -> Self {
        Self { interval: now_ms / terms.interval_ms, count: 0, told: false, habits }
    }

    pub(crate) fn habits(&self) -> Habits {
        self.habits
    }

    /// Counts a request; the first that makes its interval unusual says so.
    pub(crate) fn request(&mut self, now_ms: u64, terms: &Volume) -> Option<Unusual> {
        self.go_on(now_ms / terms.interval_ms, terms);
        self.count += 1;
        if self.told || self.habits.seen < terms.history || (self.count as f64) < self.habits.limit(terms) {
            return None;
        }
        self.told = true;
        Some(Unusual { count: self.count, mean: self.habits.mean })
    }

    /// Goes on to another interval. A clock that was set back changes nothing.
    fn go_on(&mut self, interval: u64, terms: &Volume) {
        if interval <= self.interval {
            return;
        }
        let count = self.count as f64;
        let learned = if self.told { count.min(self.habits.limit(terms)) } else { count };
        self.habits.learn(learned, terms);
        self.habits.idle(interval - self.interval - 1, terms);
        (self.interval, self.count, self.told) = (interval, 0, false);
    }
}

impl Habits {
    fn limit(&self, terms: &Volume) -> f64 {
        let variance = (self.square - self.mean * self.mean).max(self.mean);
        (self.mean + terms.deviations * variance.sqrt()).max(terms.floor as f64)
    }

    fn learn(&mut self, count: f64, terms: &Volume) {
        let weight = (1.0 - kept(terms)).max(1.0 / (self.seen as f64 + 1.0));
        self.mean += weight * (count - self.mean);
        self.square += weight * (count * count - self.square);
        self.seen = self.seen.saturating_add(1);
    }

    /// Learns intervals with no request, all at once.
    fn idle(&mut self, intervals: u64, terms: &Volume) {
        // While all intervals count alike, silence only makes the sum's divisor larger.
        let alike = (1.0 / (1.0 - kept(terms))) as u64;
        let first = intervals.min(alike.saturating_sub(self.seen));
        let rest = intervals - first;
        let (seen, after) = (self.seen as f64, self.seen as f64 + first as f64);
        let thinned = if after > 0.0 { seen / after } else { 1.0 };
        let factor = thinned * kept(terms).powf(rest as f64);
        self.mean *= factor;
        self.square *= factor;
        self.seen = self.seen.saturating_add(intervals);
    }
}

/// What is left of an interval's weight after one more.
fn kept(terms: &Volume) -> f64 {
    (-1.0 / terms.half_life.max(1) as f64).exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Volume = Volume { interval_ms: 1000, history: 60, floor: 60, deviations: 6.0, half_life: 1440 };

    /// Lives through intervals with these counts; answers in which of them something was unusual.
    fn live(baseline: &mut Baseline, from: u64, counts: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut unusual = Vec::new();
        for (interval, count) in (from..).zip(counts) {
            let told = (0..count).filter(|_| baseline.request(interval * 1000 + 1, &TERMS).is_some()).count();
            assert!(told <= 1, "an interval is told once");
            unusual.extend((told > 0).then_some(interval));
        }
        unusual
    }

    /// Chance with an average of `mean`: 4 × mean dice that hit one time in four.
    fn chance(state: &mut u64, mean: u64) -> u64 {
        let hit = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u64::from(*state >> 62 == 0)
        };
        (0..4 * mean).map(|_| hit(state)).sum()
    }

    #[test]
    fn a_steady_caller_is_never_unusual_and_ten_times_as_much_is() {
        let mut state = 7;
        let mut baseline = Baseline::default();
        let steady: Vec<u64> = (0..2000).map(|_| chance(&mut state, 40)).collect();
        assert_eq!(live(&mut baseline, 1, steady), Vec::<u64>::new());
        assert_eq!(live(&mut baseline, 2001, [40, 400, 38]), [2002]);
    }

    #[test]
    fn a_caller_that_is_new_has_no_habits_to_break() {
        let mut baseline = Baseline::default();
        assert_eq!(live(&mut baseline, 1, std::iter::repeat_n(5, 50).chain([5000])), Vec::<u64>::new());
    }

    #[test]
    fn below_the_floor_nothing_is_unusual() {
        let mut baseline = Baseline::default();
        assert_eq!(live(&mut baseline, 1, std::iter::repeat_n(0, 200).chain([59, 61])), [202]);
        assert_eq!(live(&mut baseline, 300, std::iter::repeat_n(1, 200).chain([59])), Vec::<u64>::new());
    }

    #[test]
    fn who_works_by_day_may_come_back_in_the_morning_and_on_monday() {
        let mut baseline = Baseline::begin(Habits::default(), 480_000, &TERMS);
        let mut state = 3;
        // Ten hours of work and fourteen of silence, five days a week.
        for day in 0..20 {
            let morning = (day / 5 * 7 + day % 5) * 1440 + 480;
            let work: Vec<u64> = (0..600).map(|_| chance(&mut state, 100)).collect();
            assert_eq!(live(&mut baseline, morning, work), Vec::<u64>::new(), "day {day}");
        }
    }

    #[test]
    fn an_attack_that_goes_on_becomes_a_habit_slowly() {
        let mut baseline = Baseline::default();
        assert!(live(&mut baseline, 1, std::iter::repeat_n(10, 1500)).is_empty());
        let unusual = live(&mut baseline, 1501, std::iter::repeat_n(2000, 60));
        assert!(unusual.len() >= 55, "an hour of it is told for most of an hour: {}", unusual.len());
    }

    #[test]
    fn a_clock_that_is_set_back_changes_nothing() {
        let mut baseline = Baseline::begin(Habits::default(), 5000, &TERMS);
        baseline.request(5000, &TERMS);
        let before = baseline.habits();
        baseline.request(1000, &TERMS);
        assert_eq!((baseline.habits(), baseline.count), (before, 2));
    }

    proptest! {
        /// Silence learned at once is silence learned interval by interval.
        #[test]
        fn silence_is_learned_at_once(counts in prop::collection::vec(0u64..500, 0..40), silent in 0u64..5000) {
            let mut one = Habits::default();
            counts.iter().for_each(|count| one.learn(*count as f64, &TERMS));
            let mut other = one;
            one.idle(silent, &TERMS);
            (0..silent).for_each(|_| other.learn(0.0, &TERMS));
            prop_assert_eq!(one.seen, other.seen);
            // The change from equal weights to falling ones is at a whole interval in one, and between two in the other.
            prop_assert!((one.mean - other.mean).abs() <= 0.01 * other.mean + 1e-9, "{:?} {:?}", one, other);
            prop_assert!((one.square - other.square).abs() <= 0.01 * other.square + 1e-9, "{:?} {:?}", one, other);
        }

        /// No count and no gap makes habits that are no numbers.
        #[test]
        fn habits_are_numbers(steps in prop::collection::vec((1u64..1_000_000_000, 0u64..200), 1..30)) {
            let mut baseline = Baseline::default();
            let mut now = 0;
            for (gap, count) in steps {
                now += gap;
                (0..count).for_each(|_| { baseline.request(now, &TERMS); });
                let habits = baseline.habits();
                prop_assert!(habits.mean.is_finite() && habits.square.is_finite() && habits.mean >= 0.0);
            }
        }
    }
}
