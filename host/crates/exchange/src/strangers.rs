//! How much of the log strangers get: whoever is refused before anybody knows who that is may come as often as they like.
//!
//! What must hold: a flood costs a bounded number of lines, and says so; the first of each address and credential are told at
//! once and in full, as long as there is room. Metrics and alerts count all, whatever the log says.

use std::{
    mem,
    net::IpAddr,
    time::{Duration, Instant},
};

use model::Digest;

/// Time for which lines are counted.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// Lines in this time of one credential, or of none, from one address.
const OF_ONE: usize = 3;
/// Lines in this time in all.
const OF_ALL: usize = 50;

/// Where a stranger comes from, and with what.
type Stranger = (Option<IpAddr>, Option<Digest>);

/// What was told of strangers lately.
pub(crate) struct Strangers {
    begun: Option<Instant>,
    told: Vec<Stranger>,
    left_out: u64,
}

/// What the log says of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All that is known.
    Full,
    /// That from here on, for this time, some are counted and not told.
    Crowd(Duration),
    /// Nothing.
    None,
}

impl Strangers {
    pub(crate) const fn none() -> Self {
        Self { begun: None, told: Vec::new(), left_out: 0 }
    }

    /// How many were left out, if that was not said yet: in a time that is over, or until now, since nobody counts on.
    pub(crate) fn left_out(&mut self, now: Instant, no_more: bool) -> u64 {
        let over = self.begun.is_none_or(|begun| now.duration_since(begun) >= WINDOW);
        if over || no_more { mem::take(&mut self.left_out) } else { 0 }
    }

    /// One more. Also how many were left out in a time that is over, if that was not said yet.
    pub(crate) fn one(&mut self, stranger: Stranger, now: Instant) -> (Line, u64) {
        let missed = self.left_out(now, false);
        if self.begun.is_none_or(|begun| now.duration_since(begun) >= WINDOW) {
            self.begun = Some(now);
            self.told.clear();
        }
        let of_one = self.told.iter().filter(|told| **told == stranger).count();
        if of_one < OF_ONE && self.told.len() < OF_ALL {
            self.told.push(stranger);
            return (Line::Full, missed);
        }
        self.left_out += 1;
        (if self.left_out == 1 { Line::Crowd(WINDOW) } else { Line::None }, missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Stranger {
        (Some(IpAddr::from([192, 0, 2, last])), None)
    }

    #[test]
    fn a_flood_of_strangers_costs_few_lines_and_is_counted() {
        let (mut strangers, begun) = (Strangers::none(), Instant::now());
        let (mut full, mut crowd, mut none) = (0, 0, 0);
        for _ in 0..100_000 {
            match strangers.one(from(1), begun) {
                (Line::Full, 0) => full += 1,
                (Line::Crowd(_), 0) => crowd += 1,
                (Line::None, 0) => none += 1,
                told => panic!("{told:?}"),
            }
        }
        assert_eq!((full, crowd, none), (OF_ONE, 1, 100_000 - OF_ONE - 1));
        // Others are told meanwhile, and so is another credential from there.
        assert_eq!(strangers.one(from(2), begun).0, Line::Full);
        assert_eq!(strangers.one((from(1).0, Some(Digest([1; 32]))), begun).0, Line::Full);
        // How many there were is told by the next, once.
        let next = begun + WINDOW;
        assert_eq!(strangers.one(from(1), next), (Line::Full, 100_000 - OF_ONE as u64));
        assert_eq!(strangers.one(from(1), next), (Line::Full, 0));
    }

    #[test]
    fn those_left_out_are_told_of_also_when_no_other_comes_and_at_the_end() {
        let (mut strangers, begun) = (Strangers::none(), Instant::now());
        let crowd = |strangers: &mut Strangers, now| {
            for _ in 0..OF_ONE + 7 {
                strangers.one(from(1), now);
            }
        };
        crowd(&mut strangers, begun);
        assert_eq!(strangers.left_out(begun + WINDOW / 2, false), 0, "they are counted still");
        assert_eq!(strangers.left_out(begun + WINDOW, false), 7);
        assert_eq!(strangers.left_out(begun + WINDOW, false), 0, "once");
        crowd(&mut strangers, begun + WINDOW);
        assert_eq!(strangers.left_out(begun + WINDOW, true), 7, "nobody counts on");
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_too() {
        let (mut strangers, now) = (Strangers::none(), Instant::now());
        let lines = (0..=u8::MAX).map(|last| strangers.one(from(last), now).0);
        assert_eq!(lines.filter(|line| *line == Line::Full).count(), OF_ALL);
    }
}
