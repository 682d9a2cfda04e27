//! An exchange told again as it went: what was sent, then what was delivered, each chunk when it was delivered.

use std::time::Duration;

use model::Entry;

use super::{ExchangeShown, entry_text};
use crate::cli::{
    print, print_line,
    show::{Pieces, line_of, time_of},
};

/// How many times faster; 0: without waiting.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && (0.0..=1e6).contains(&speed) => Ok(speed),
        _ => Err("a number from 0 (without waiting) to 1000000".to_owned()),
    }
}

/// How long to wait between two times of the record, in microseconds.
fn pause(from_us: u64, to_us: u64, speed: f64) -> Duration {
    if speed == 0.0 {
        return Duration::ZERO;
    }
    Duration::from_micros(to_us.saturating_sub(from_us)).div_f64(speed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_kept_or_scaled_or_left_out() {
        assert_eq!(pause(1_000, 4_000, 1.0), Duration::from_millis(3));
        assert_eq!(pause(1_000, 4_000, 10.0), Duration::from_micros(300));
        assert_eq!(pause(1_000, 4_000, 0.0), Duration::ZERO);
        assert_eq!(pause(4_000, 1_000, 1.0), Duration::ZERO);
    }

    #[test]
    fn a_speed_is_a_number_that_makes_sense() {
        assert_eq!(speed("2.5"), Ok(2.5));
        for wrong in ["", "-1", "NaN", "inf", "fast", "1e9"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
