//! When a message is tried again: the specification's example schedule, with jitter.

use aws_lc_rs::digest;
use model::AlertId;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Milliseconds after each attempt until the next; after the last there is none. Three days in all.
const DELAYS: [u64; 9] =
    [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
/// Part of a delay that jitter may add to it.
const JITTER: f64 = 0.2;
/// The longest wait that a receiver may ask for.
const LONGEST_WAIT: u64 = 24 * HOUR;

/// When to try again after the `attempts`th attempt (from 1) failed; `None`: not any more. `after_ms`: the wait that the
/// receiver asked for.
pub(super) fn due(id: &AlertId, attempts: u32, after_ms: Option<u64>, now_ms: u64) -> Option<u64> {
    let delay = *DELAYS.get(usize::try_from(attempts).ok()?.checked_sub(1)?)?;
    let jitter = (delay as f64 * JITTER * spread(id, attempts)) as u64;
    let wanted = after_ms.unwrap_or(0).min(LONGEST_WAIT);
    Some(now_ms.saturating_add((delay + jitter).max(wanted)))
}

/// From 0 to 1, another for each message and attempt, the same each time it is asked for.
fn spread(id: &AlertId, attempt: u32) -> f64 {
    let hash = digest::digest(&digest::SHA256, format!("{id} {attempt}").as_bytes());
    let [high, low, ..] = *hash.as_ref() else { return 0.0 };
    f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_are_spread_and_come_to_an_end() {
        let id = AlertId::new();
        let (mut now, mut attempts, mut before) = (0, 1, 0);
        while let Some(at) = due(&id, attempts, None, now) {
            let (delay, wanted) = (at - now, DELAYS[attempts as usize - 1]);
            assert!((wanted..=wanted + wanted / 5).contains(&delay), "{attempts}: {delay}");
            assert!(delay > before);
            (now, attempts, before) = (at, attempts + 1, delay);
        }
        assert_eq!(attempts, 10, "ten attempts in all");
        assert!(now >= 75 * HOUR);
        let first: Vec<u64> = (0..20).filter_map(|_| due(&AlertId::new(), 1, None, 0)).collect();
        assert!(first.iter().any(|due| *due != first[0]), "{first:?}");
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_but_not_for_ever() {
        let id = AlertId::new();
        assert_eq!(due(&id, 1, Some(HOUR), 7), Some(7 + HOUR));
        assert!(due(&id, 1, Some(1), 0) >= Some(5 * SECOND));
        assert_eq!(due(&id, 1, Some(u64::MAX), 0), Some(LONGEST_WAIT));
    }
}
