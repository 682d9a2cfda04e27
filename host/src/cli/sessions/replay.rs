//! An exchange told again as it went: what was cleared for the upstream, then what was cleared for the caller, each chunk when
//! it was.

use std::time::Duration;

use model::{Entry, ExchangeId};
use serde_json::json;
use store::{ExchangeRecord, ExchangeSummary};

use super::{
    entry::entry_text,
    records::{Found, Records},
};
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

/// Tells an exchange, or all exchanges of a session, again on standard output.
pub(super) async fn replay(records: &Records, id: &str, speed: f64, json: bool) -> anyhow::Result<()> {
    let mut stage = Stage { speed, json, goes_on: false, now_us: 0, pieces: Pieces::default(), at_line_start: true };
    let mut session = match records.find(id).await? {
        Found::Exchange(exchange) => return stage.all(records, &[exchange.summary.exchange]).await,
        Found::Session(session) => *session,
    };
    loop {
        let exchanges: Vec<_> = session.exchanges.iter().map(|summary| summary.exchange).collect();
        stage.all(records, &exchanges).await?;
        let Some(next) = session.next else { return Ok(()) };
        session = records.session(session.summary.session, Some(next)).await?;
    }
}

/// Where exchanges are told, one after the other.
struct Stage {
    speed: f64,
    /// A line of JSON for each entry.
    json: bool,
    /// The exchange at hand has more pages.
    goes_on: bool,
    /// When that was in the exchange which is told now.
    now_us: u64,
    pieces: Pieces,
    at_line_start: bool,
}

impl Stage {
    async fn all(&mut self, records: &Records, exchanges: &[ExchangeId]) -> anyhow::Result<()> {
        let (mut left, mut from) = (exchanges, None);
        while !left.is_empty() {
            let read = records.first_of(left, from).await?;
            for page in &read {
                self.page(page).await?;
            }
            from = read.last().and_then(|page| page.next);
            left = left.get(read.len() - usize::from(from.is_some())..).unwrap_or_default();
        }
        Ok(())
    }

    async fn page(&mut self, page: &ExchangeRecord) -> anyhow::Result<()> {
        if !self.goes_on {
            self.begin(&page.summary)?;
        }
        for timed in &page.entries {
            tokio::time::sleep(pause(self.now_us, timed.at_us, self.speed)).await;
            self.now_us = self.now_us.max(timed.at_us);
            if self.json {
                let exchange = page.summary.exchange;
                let line = json!({ "exchange": exchange, "at_us": timed.at_us, "entry": timed.entry });
                print_line(&json_line_of(&line)?)?;
            } else {
                self.entry(&timed.entry)?;
            }
        }
        self.goes_on = page.next.is_some();
        if self.goes_on { Ok(()) } else { self.end() }
    }

    fn begin(&mut self, summary: &ExchangeSummary) -> anyhow::Result<()> {
        self.now_us = 0;
        if self.json {
            return Ok(());
        }
        print_line(&format!(
            "── {}  {} {}  {} on {}\n── policy set {}, {}",
            time_of(summary.started_ms),
            line_of(&summary.method),
            line_of(&summary.path),
            line_of(&summary.caller),
            line_of(&summary.connection),
            summary.set.generation,
            summary.set.digest,
        ))
    }

    fn entry(&mut self, entry: &Entry) -> anyhow::Result<()> {
        if let Entry::Chunk(chunk) = entry {
            let text = self.pieces.take(&chunk.data);
            print(&text)?;
            self.at_line_start = if text.is_empty() { self.at_line_start } else { text.ends_with('\n') };
            return Ok(());
        }
        if !self.at_line_start {
            self.end()?;
        }
        let (title, body) = entry_text(entry);
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        match entry {
            Entry::Opened(_) => Ok(()),
            Entry::Request(_) => print_line(&format!("{}\n", body.trim_end())),
            Entry::ResponseHead(head) => print_line(&format!("── response {}", head.status)),
            Entry::Closed(_) => {
                let lines = body.lines().filter(|line| !line.is_empty()).map(|line| format!("\n   {line}"));
                print_line(&format!("── {title}{}", lines.collect::<String>()))
            }
            _ => print_line(&format!("── {title}")),
        }
    }

    /// No more of the text at hand comes.
    fn end(&mut self) -> anyhow::Result<()> {
        let rest = self.pieces.finish();
        if std::mem::replace(&mut self.at_line_start, true) && rest.is_empty() {
            return Ok(());
        }
        print_line(&rest)
    }
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
