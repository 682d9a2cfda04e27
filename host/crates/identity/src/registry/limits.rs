//! Limits: how many requests, how many exchanges at once, how much usage. Pure: the time is passed in.
//!
//! What must hold: what is refused is not counted; a meter that rests takes no memory for long.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use exchange::ports::{Exceeded, Limit};

/// So many in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u64,
    /// In how much time.
    pub per: Duration,
}

/// What one caller, or one token, may use. None: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests. As many at once as in the whole time, then evenly (the generic cell rate algorithm, ITU-T I.371).
    pub requests: Option<Rate>,
    /// Exchanges at the same time.
    pub streams: Option<u64>,
    /// Tokens of usage, of requests and answers together, in a window that begins with the first of them.
    pub tokens: Option<Rate>,
}

/// More than is allowed, of whoever's meter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    limit: Limit,
    allowed: u64,
    retry_after: Duration,
}

impl Over {
    /// Of a `caller`, or of a `token`.
    pub(crate) fn of(self, whose: &'static str) -> Exceeded {
        let Self { limit, allowed, retry_after } = self;
        Exceeded { limit, whose, allowed, retry_after }
    }
}

/// How much one caller, or one token, has used.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    /// When the next request would come if they came evenly.
    due: Option<Instant>,
    streams: u64,
    /// When the window of usage began, and what was used in it.
    window: Option<(Instant, u64)>,
    /// The longest time that anything of it matters.
    until: Option<Instant>,
}

impl Meter {
    fn check(&self, limits: &Limits, now: Instant) -> Result<(), Over> {
        let exceeded = |limit, allowed, retry_after| Err(Over { limit, allowed, retry_after });
        if let Some(Rate { count, per }) = limits.requests {
            let burst = per.saturating_sub(interval(count, per));
            let ahead = self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now));
            if ahead > burst {
                return exceeded(Limit::Requests, count, ahead - burst);
            }
        }
        if let Some(allowed) = limits.streams
            && self.streams >= allowed
        {
            return exceeded(Limit::Streams, allowed, STREAM_WAIT);
        }
        if let (Some(Rate { count, per }), Some((began, used))) = (limits.tokens, self.window) {
            let left = per.saturating_sub(now.saturating_duration_since(began));
            if used >= count && !left.is_zero() {
                return exceeded(Limit::Tokens, count, left);
            }
        }
        Ok(())
    }

    fn enter(&mut self, limits: &Limits, now: Instant) {
        self.streams += 1;
        if let Some(Rate { count, per }) = limits.requests {
            let due = self.due.map_or(now, |due| due.max(now)) + interval(count, per);
            self.due = Some(due);
            self.until = self.until.max(Some(due));
        }
    }

    fn spend(&mut self, limits: &Limits, tokens: u64, now: Instant) {
        let Some(Rate { per, .. }) = limits.tokens else { return };
        let (began, used) =
            self.window.filter(|(began, _)| now.saturating_duration_since(*began) < per).unwrap_or((now, 0));
        self.window = Some((began, used.saturating_add(tokens)));
        self.until = self.until.max(Some(began + per));
    }

    fn rests(&self, now: Instant) -> bool {
        self.streams == 0 && self.until.is_none_or(|until| until <= now)
    }
}

/// When it is worth trying again while too many exchanges run: nobody knows when one ends.
const STREAM_WAIT: Duration = Duration::from_secs(1);

fn interval(count: u64, per: Duration) -> Duration {
    let nanos = per.as_nanos() / u128::from(count.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The meters of all callers, or of all tokens.
#[derive(Debug)]
pub(crate) struct Meters<K> {
    meters: HashMap<K, Meter>,
    /// Meters beyond which those that rest are removed.
    sweep_at: usize,
}

/// Meters that are kept without looking whether they rest.
const SWEEP_LEAST: usize = 1024;

impl<K> Default for Meters<K> {
    fn default() -> Self {
        Self { meters: HashMap::new(), sweep_at: SWEEP_LEAST }
    }
}

impl<K: Eq + Hash> Meters<K> {
    /// Whether one more exchange may run.
    pub(crate) fn check(&self, key: &K, limits: &Limits, now: Instant) -> Result<(), Over> {
        self.meters.get(key).map_or(Ok(()), |meter| meter.check(limits, now))
    }

    /// One more exchange runs.
    pub(crate) fn enter(&mut self, key: K, limits: &Limits, now: Instant) {
        if self.meters.len() >= self.sweep_at {
            self.meters.retain(|_, meter| !meter.rests(now));
            self.sweep_at = (self.meters.len() * 2).max(SWEEP_LEAST);
        }
        self.meters.entry(key).or_default().enter(limits, now);
    }

    /// One exchange less runs.
    pub(crate) fn leave(&mut self, key: &K) {
        if let Some(meter) = self.meters.get_mut(key) {
            meter.streams = meter.streams.saturating_sub(1);
        }
    }

    /// The provider counted usage.
    pub(crate) fn spend(&mut self, key: &K, limits: &Limits, tokens: u64, now: Instant) {
        if let Some(meter) = self.meters.get_mut(key) {
            meter.spend(limits, tokens, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rate(count: u64) -> Limits {
        Limits { requests: Some(Rate { count, per: MINUTE }), ..Limits::default() }
    }

    fn ask(meters: &mut Meters<u8>, limits: &Limits, now: Instant) -> Result<(), Over> {
        meters.check(&1, limits, now)?;
        meters.enter(1, limits, now);
        meters.leave(&1);
        Ok(())
    }

    proptest! {
        /// In no stretch of the rate's time do more than twice as many pass, and whoever waits as it is told passes.
        #[test]
        fn no_stretch_of_time_has_more_than_a_burst_and_its_share(
            count in 1_u64..20,
            gaps in prop::collection::vec(0_u64..20_000, 1..200),
        ) {
            let (mut meters, limits, start) = (Meters::default(), rate(count), Instant::now());
            let (mut now, mut passed) = (start, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                match ask(&mut meters, &limits, now) {
                    Ok(()) => passed.push(now),
                    Err(exceeded) => {
                        prop_assert!(exceeded.retry_after > Duration::ZERO && exceeded.retry_after <= MINUTE);
                        prop_assert!(meters.check(&1, &limits, now + exceeded.retry_after).is_ok());
                    }
                }
            }
            for (at, first) in passed.iter().enumerate() {
                let within = passed[at..].iter().take_while(|later| later.duration_since(*first) < MINUTE).count();
                prop_assert!(within as u64 <= 2 * count, "{within} of {count}");
            }
        }
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let (mut meters, limits, now) = (Meters::default(), rate(6), Instant::now());
        for _ in 0..6 {
            ask(&mut meters, &limits, now).unwrap();
        }
        let exceeded = ask(&mut meters, &limits, now).unwrap_err();
        assert_eq!((exceeded.limit, exceeded.allowed), (Limit::Requests, 6));
        assert_eq!(exceeded.retry_after, Duration::from_secs(10));
        ask(&mut meters, &limits, now + Duration::from_secs(10)).unwrap();
        assert!(ask(&mut meters, &limits, now + Duration::from_secs(11)).is_err());
    }

    #[test]
    fn streams_are_counted_while_they_run() {
        let limits = Limits { streams: Some(2), ..Limits::default() };
        let (mut meters, now) = (Meters::default(), Instant::now());
        meters.enter(1, &limits, now);
        meters.enter(1, &limits, now);
        assert_eq!(meters.check(&1, &limits, now).unwrap_err().limit, Limit::Streams);
        assert!(meters.check(&2, &limits, now).is_ok(), "others are not concerned");
        meters.leave(&1);
        assert!(meters.check(&1, &limits, now).is_ok());
    }

    #[test]
    fn a_budget_is_spent_and_comes_back() {
        let limits = Limits { tokens: Some(Rate { count: 100, per: MINUTE }), ..Limits::default() };
        let (mut meters, now) = (Meters::default(), Instant::now());
        meters.enter(1, &limits, now);
        meters.spend(&1, &limits, 60, now);
        assert!(meters.check(&1, &limits, now).is_ok());
        meters.spend(&1, &limits, 60, now + Duration::from_secs(20));
        let exceeded = meters.check(&1, &limits, now + Duration::from_secs(30)).unwrap_err();
        assert_eq!((exceeded.limit, exceeded.retry_after), (Limit::Tokens, Duration::from_secs(30)));
        assert!(meters.check(&1, &limits, now + MINUTE).is_ok());
        meters.spend(&1, &limits, 1, now + MINUTE);
        assert!(meters.check(&1, &limits, now + MINUTE).is_ok(), "a new window begins from nothing");
    }

    #[test]
    fn meters_that_rest_take_no_memory() {
        let (mut meters, limits, start) = (Meters::default(), rate(60), Instant::now());
        for key in 0..20_000_u64 {
            let now = start + Duration::from_secs(key);
            meters.enter(key, &limits, now);
            meters.leave(&key);
        }
        assert!(meters.meters.len() <= 2 * SWEEP_LEAST, "{}", meters.meters.len());
    }
}
