//! What policies write to the operator's log, limited in rate and size.
//!
//! What must hold: a policy can neither drown the log nor forge a line of it; when lines are cut, one line says so.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::text::deceives;

/// Bytes of one line; the rest is cut off.
const LINE_BYTES: usize = 2 << 10;
/// Lines of one instance, that is of one exchange.
const LINES_PER_INSTANCE: u32 = 100;
/// Lines of one policy in one [`WINDOW`], all exchanges together.
const LINES_PER_WINDOW: u32 = 200;
/// See [`LINES_PER_WINDOW`].
const WINDOW: Duration = Duration::from_secs(1);

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is written.
    Write,
    /// It is the first that is not: that is written instead.
    Cut,
    /// It is dropped.
    Drop,
}

/// The lines of one instance.
#[derive(Default)]
pub(super) struct Lines(u32);

impl Lines {
    pub(super) fn admit(&mut self) -> Admission {
        self.0 = self.0.saturating_add(1);
        admission(self.0, LINES_PER_INSTANCE)
    }
}

/// The lines of one policy.
#[derive(Default)]
pub(super) struct Journal {
    window: Mutex<Option<(Instant, u32)>>,
}

impl Journal {
    pub(super) fn admit(&self, now: Instant) -> Admission {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, lines) = match *window {
            Some((since, lines)) if now.saturating_duration_since(since) < WINDOW => (since, lines.saturating_add(1)),
            Some(_) | None => (now, 1),
        };
        *window = Some((since, lines));
        admission(lines, LINES_PER_WINDOW)
    }
}

fn admission(line: u32, most: u32) -> Admission {
    match line {
        _ if line <= most => Admission::Write,
        _ if line == most.saturating_add(1) => Admission::Cut,
        _ => Admission::Drop,
    }
}

/// One line of text: cut to size, control and invisible formatting characters spelled out.
pub(super) fn line(message: &str) -> String {
    let kept = &message[..message.floor_char_boundary(LINE_BYTES)];
    let mut line = String::with_capacity(kept.len() + 1);
    for c in kept.chars() {
        if deceives(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    if kept.len() < message.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_with_one_line() {
        let mut lines = Lines::default();
        let told: Vec<_> = (0..1_000).map(|_| lines.admit()).collect();
        assert_eq!(told.iter().filter(|told| **told == Admission::Write).count(), LINES_PER_INSTANCE as usize);
        assert_eq!(told.iter().filter(|told| **told == Admission::Cut).count(), 1);
    }

    #[test]
    fn a_quiet_window_opens_the_journal_again() {
        let (journal, now) = (Journal::default(), Instant::now());
        let told: Vec<_> = (0..1_000).map(|_| journal.admit(now)).collect();
        assert_eq!(told.iter().filter(|told| **told == Admission::Write).count(), LINES_PER_WINDOW as usize);
        assert_eq!(told.iter().filter(|told| **told == Admission::Cut).count(), 1);
        assert_eq!(journal.admit(now + WINDOW), Admission::Write);
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(line("a\nb\u{1b}[31m\u{202e}é"), "a\\nb\\u{1b}[31m\\u{202e}é");
        for c in ['\u{ad}', '\u{61c}', '\u{200b}', '\u{2028}', '\u{3164}', '\u{feff}', '\u{e0041}'] {
            assert_eq!(line(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        assert_eq!(line(&"é".repeat(2_000)).chars().count(), LINE_BYTES / 2 + 1);
    }
}
