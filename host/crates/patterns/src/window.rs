//! One window: its readings are scanned one after the other, and what they say becomes hits in the window's own text, and
//! the tail that must be kept.
//!
//! What must hold: hits cover whole characters with the marks on them; a text gives the same hits wherever it is cut. So
//! the tail never begins inside of a hit, or of what any search has passed over.

use std::cmp::Reverse;

use fold::{clings, has_tags, is_plain, is_plain_byte};
use model::{Hit, Scan, UNSEEN_BYTES};

use crate::{
    NOWHERE, Patterns, decode,
    reading::{Reading, folded, tagged},
    scan::{Engine, Look},
    set::PatternSet,
    way::{Way, by},
};

/// What is to be done with the window as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// Looked at.
    Sought,
    /// Nothing: it is known to hold nothing.
    Spared,
}

/// See [`Patterns::scan`]. Only patterns of `wanted` are looked at, if it is given.
pub(crate) fn scan(
    patterns: &Patterns,
    before: &str,
    (pending, last): (&str, bool),
    wanted: Option<PatternSet>,
    plainly: Plain,
    long: Way,
) -> Scan {
    let (hits, passed) = (Vec::new(), Vec::new());
    let mut window = Window { pending, last, wanted, long, is_long: false, hits, open: NOWHERE, passed };
    if let (Some(engine), Plain::Sought) = (&patterns.plain, plainly) {
        window.as_it_is(engine, before, |_, _| true);
    }
    // Text in ASCII reads as it is, whatever stands before it in ASCII, but for what is not seen.
    let plain = is_plain(pending) && before.as_bytes().last().is_none_or(|byte| is_plain_byte(*byte));
    // What must be spelled otherwise is in none, and may only begin where more follows.
    let spelled = patterns.folded.as_ref().filter(|_| !(plain && last));
    if plain && spelled.is_none() && patterns.decoded.is_none() {
        return window.finish();
    }
    let reading = if plain { None } else { folded(before, pending) };
    window.read(patterns, spelled, before, reading.as_ref());
    if let Some(engine) = &patterns.plain
        && let Some(reading) = tagged(before, pending)
    {
        // What holds no tag reads the same without.
        window.reading(engine, &reading, |start, end| {
            let (start, end) = reading.span(start, end);
            has_tags(&pending[start..end])
        });
    }
    window.finish_readings()
}

struct Window<'a> {
    pending: &'a str,
    last: bool,
    wanted: Option<PatternSet>,
    long: Way,
    /// One of its readings took long: so may the others.
    is_long: bool,
    hits: Vec<Hit>,
    /// The first place at which a match may still begin or grow.
    open: usize,
    /// The tail must not begin inside of these.
    passed: Vec<(usize, usize)>,
}

impl Window<'_> {
    /// Looks for all patterns in what the window is read as.
    fn read(&mut self, patterns: &Patterns, spelled: Option<&Engine>, before: &str, folded: Option<&Reading>) {
        let pending = self.pending;
        if let (Some(plain), Some(reading)) = (&patterns.plain, folded) {
            self.reading(plain, reading, |_, _| true);
        }
        if let Some(engine) = spelled {
            // What stands there in ASCII is not what the pattern names, however much alike they look.
            let spelled = |start: usize, end: usize| !pending[start..end].is_ascii();
            match folded {
                None => self.as_it_is(engine, before, spelled),
                Some(reading) => self.reading(engine, reading, |start, end| {
                    let (start, end) = reading.span(start, end);
                    spelled(start, end)
                }),
            }
        }
        if let Some(engine) = &patterns.decoded {
            for reading in decode::readings(before, pending, self.last, engine.shortest) {
                self.reading(engine, &reading, |start, end| reading.is_decoded(start, end));
            }
        }
    }

    /// Looks for patterns in the window or a reading of it.
    fn look(&mut self, engine: &Engine, before: &str, text: &str) -> Look {
        let look = || engine.look(before, (text, self.last), self.among(engine), self.long);
        let look = if self.is_long { by(self.long, look) } else { look() };
        self.is_long |= look.was_long;
        look
    }

    /// Looks for patterns in the window itself, and takes the stretches that count.
    fn as_it_is(&mut self, engine: &Engine, before: &str, counts: impl Fn(usize, usize) -> bool) {
        let Look { hits, open, passed, .. } = self.look(engine, before, self.pending);
        self.open = self.open.min(open);
        self.passed.extend(passed);
        for Hit { pattern, start, end } in hits {
            if counts(start, end) {
                self.hit(engine.members[pattern as usize], start, end, engine.is_near(self.pending, start));
            }
        }
    }

    /// Looks for patterns in a reading, and takes the stretches of it that count.
    fn reading(&mut self, engine: &Engine, reading: &Reading, counts: impl Fn(usize, usize) -> bool) {
        let length = self.pending.len();
        let Look { hits, open, passed, .. } = self.look(engine, &reading.before, &reading.text);
        self.open = self.open.min(reading.held);
        if open != NOWHERE {
            self.open = self.open.min(reading.place(open, length));
        }
        let places = passed.into_iter().map(|(start, end)| (reading.place(start, length), reading.place(end, length)));
        self.passed.extend(places);
        for Hit { pattern, start, end } in hits {
            if counts(start, end) {
                let near = engine.is_near(&reading.text, start);
                let (start, end) = reading.span(start, end);
                self.hit(engine.members[pattern as usize], start, end, near);
            }
        }
    }

    /// Takes a match, with the marks that its last character carries.
    fn hit(&mut self, pattern: u32, start: usize, end: usize, near: bool) {
        let marks = self.pending[end..].chars().take_while(|char| clings(*char)).map(char::len_utf8);
        let marks = marks.scan(0, |bytes, next| {
            *bytes += next;
            (*bytes <= UNSEEN_BYTES).then_some(*bytes)
        });
        let end = end + marks.last().unwrap_or(0);
        if near {
            self.passed.push((start, end));
        }
        if end == self.pending.len() && !self.last {
            // The next character may be one more of them.
            self.open = self.open.min(start);
        } else {
            self.hits.push(Hit { pattern, start, end });
        }
    }

    /// Which of an engine's patterns are wanted.
    fn among(&self, engine: &Engine) -> PatternSet {
        let Some(wanted) = self.wanted else { return engine.all };
        (0..engine.members.len()).filter(|at| wanted.contains(engine.members[*at] as usize)).collect()
    }

    /// Where the tail begins that must be kept.
    fn cut(&mut self) -> usize {
        let mut cut = self.open.min(self.pending.len());
        if cut < self.pending.len() {
            self.passed.sort_unstable();
            for (start, end) in self.passed.iter().rev() {
                if *start < cut && cut < *end {
                    cut = *start;
                }
            }
        }
        cut
    }

    /// Where the tail begins. What lies in it is told when it no longer does: it comes again, and may yet come to lie
    /// within another.
    fn settle(&mut self) -> usize {
        let cut = self.cut();
        self.hits.retain(|hit| hit.start < cut);
        cut
    }

    /// The hits, of which no two of one pattern can overlap.
    fn finish(mut self) -> Scan {
        let keep = self.pending.len() - self.settle();
        Scan { hits: self.hits, keep }
    }

    /// The hits of all readings: of those of one pattern, none that lies within another.
    fn finish_readings(mut self) -> Scan {
        let cut = self.settle();
        self.hits.sort_unstable_by_key(|hit| (hit.pattern, hit.start, Reverse(hit.end)));
        let mut furthest = None;
        self.hits.retain(|hit| {
            let within = furthest.is_some_and(|(pattern, end)| pattern == hit.pattern && hit.end <= end);
            if !within {
                furthest = Some((hit.pattern, hit.end));
            }
            !within
        });
        self.hits.sort_unstable_by_key(|hit| (hit.start, hit.end, hit.pattern));
        Scan { hits: self.hits, keep: self.pending.len() - cut }
    }
}
