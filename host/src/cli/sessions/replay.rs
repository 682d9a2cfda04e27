//! An exchange told again as it went: what was sent, then what was delivered, each chunk when it was delivered.

use std::time::Duration;

use model::Entry;
use serde_json::json;

use super::{ExchangeShown, entry_text};
use crate::cli::{
    print, print_line,
    show::{Pieces, json_line_of, line_of, time_of},
};

/// The slowest and the fastest that anybody can mean.
const SPEEDS: std::ops::RangeInclusive<f64> = 1e-3..=1e6;
/// The longest wait: an exchange takes no longer, but a record may say anything.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many times faster; 0: without waiting.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed == 0.0 || SPEEDS.contains(&speed) => Ok(speed),
        _ => Err("0 (without waiting), or a number from 0.001 to 1000000".to_owned()),
    }
}

/// How long to wait between two times of the record, in microseconds.
fn pause(from_us: u64, to_us: u64, speed: f64) -> Duration {
    if speed == 0.0 {
        return Duration::ZERO;
    }
    let seconds = Duration::from_micros(to_us.saturating_sub(from_us)).as_secs_f64() / speed;
    Duration::try_from_secs_f64(seconds).map_or(LONGEST, |time| time.min(LONGEST))
}

/// Tells an exchange again on standard output.
pub(super) async fn replay(exchange: &ExchangeShown, speed: f64) -> anyhow::Result<()> {
    let summary = &exchange.summary;
    print_line(&format!(
        "── {}  {} {}  {} on {}",
        time_of(summary.started_ms),
        line_of(&summary.method),
        line_of(&summary.path),
        line_of(&summary.caller),
        line_of(&summary.connection),
    ))?;
    let (mut now_us, mut pieces, mut at_line_start) = (0, Pieces::default(), true);
    for timed in &exchange.entries {
        tokio::time::sleep(pause(now_us, timed.at_us, speed)).await;
        now_us = now_us.max(timed.at_us);
        if let Entry::Chunk(chunk) = &timed.entry {
            let text = pieces.take(&chunk.data);
            print(&text)?;
            at_line_start = if text.is_empty() { at_line_start } else { text.ends_with('\n') };
            continue;
        }
        if !at_line_start {
            print_line(&pieces.finish())?;
            at_line_start = true;
        }
        let (title, body) = entry_text(&timed.entry);
        match &timed.entry {
            Entry::Opened(_) => {}
            Entry::Request(_) => print_line(&format!("{}\n", body.trim_end()))?,
            Entry::ResponseHead(head) => print_line(&format!("── response {}", head.status))?,
            _ => print_line(&format!("── {}", title.split_whitespace().collect::<Vec<_>>().join(" ")))?,
        }
    }
    let rest = pieces.finish();
    if !at_line_start || !rest.is_empty() {
        print_line(&rest)?;
    }
    Ok(())
}

/// The same for programs: a line of JSON for each entry.
pub(super) async fn lines(exchange: &ExchangeShown, speed: f64) -> anyhow::Result<()> {
    let mut now_us = 0;
    for timed in &exchange.entries {
        tokio::time::sleep(pause(now_us, timed.at_us, speed)).await;
        now_us = now_us.max(timed.at_us);
        let exchange = exchange.summary.exchange;
        let line = json!({ "exchange": exchange, "at_us": timed.at_us, "entry": timed.entry });
        print_line(&json_line_of(&line)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_kept_or_scaled_or_left_out() {
        assert_eq!(pause(1_000, 4_000, 1.0), Duration::from_millis(3));
        assert_eq!(pause(1_000, 4_000, 10.0), Duration::from_micros(300));
        assert_eq!(pause(1_000, 4_000, 0.0), Duration::ZERO);
        assert_eq!(pause(4_000, 1_000, 1.0), Duration::ZERO);
        for speed in [1e-300, f64::MIN_POSITIVE, 1e-3] {
            assert_eq!(pause(0, u64::MAX, speed), LONGEST, "no panic, whatever the record says");
        }
    }

    #[test]
    fn a_speed_is_a_number_that_makes_sense() {
        assert_eq!((speed("2.5"), speed("0"), speed("0.001")), (Ok(2.5), Ok(0.0), Ok(0.001)));
        for wrong in ["", "-1", "NaN", "inf", "fast", "1e9", "1e-300"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
