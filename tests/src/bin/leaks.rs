//! `tests/leaks`: runs the leak campaign. The last line that it prints is `streams N, leaks K`.

use std::{process::ExitCode, sync::Arc, time::Instant};

use clap::Parser;
use scenarios::{
    leaks::{Campaign, Finding, Id, Report},
    rig::Durability,
};

/// Streams with no policy in force, before all others: the oracle must see the canary in each.
const SEEN: u64 = 3_000;

/// Canaries through one running host, in every dialect, channel, split, spelling and encoding.
#[derive(Debug, Parser)]
#[command(name = "tests/leaks")]
struct Arguments {
    /// Streams to run; each dimension of the cases gets its share whatever their number is
    #[arg(long, default_value_t = 20_000)]
    streams: u64,
    /// The same seed, the same cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Instead: so many MB of clean traffic, of which not one byte may change
    #[arg(long)]
    clean_mb: Option<u64>,
    /// Run one case alone, as a finding names it, and show all of it
    #[arg(long)]
    case: Option<Id>,
    /// Answers that the vendors' own SDKs read too
    #[arg(long, default_value_t = 500)]
    sdk: u64,
    /// Record the exchanges too (bounded), and look for canaries in the store
    #[arg(long)]
    record: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tests/leaks: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> std::io::Result<bool> {
    let durability = if arguments.record { Durability::Bounded } else { Durability::Off };
    let campaign = Arc::new(Campaign::start(arguments.seed, durability, true).await?);
    if let Some(id) = arguments.case {
        let (about, found) = campaign.single(id).await;
        println!("{about}");
        println!("{found:?}");
        let leak = matches!(found, Some(Finding::Leak(_)));
        println!("streams 1, leaks {}", u64::from(leak));
        return Ok(found.is_none());
    }
    if let Some(megabytes) = arguments.clean_mb {
        let clean = campaign.clean(megabytes * 1_000_000).await;
        clean.changed.iter().take(20).for_each(|(id, how)| println!("{id}: {how}"));
        println!("clean streams {}, bytes {}, changed {}", clean.streams, clean.bytes, clean.changed.len());
        return Ok(clean.changed.is_empty());
    }
    let open = Arc::new(Campaign::start(arguments.seed, Durability::Off, false).await?);
    let seen = open.blind(SEEN).await;
    println!("with no policy: the oracle sees the canary in {} of {} streams", seen.streams - seen.wrong, seen.streams);
    if seen.wrong > 0 {
        seen.told.iter().for_each(|(id, found)| println!("{id}: {found:?}"));
        return Ok(false);
    }
    let sees = open.by_sdk(arguments.sdk).await?;
    println!("with no policy: programs on the vendors' SDKs see it in {} of {} answers", sees.seen, sees.read);
    drop(open);
    println!("seed {}; the core has {} cases", arguments.seed, campaign.core());
    let begin = Instant::now();
    let report = campaign.run(arguments.streams).await;
    let seconds = begin.elapsed().as_secs_f64();
    tell(&report, seconds);
    let sample = campaign.by_sdk(arguments.sdk).await?;
    sample.told.iter().for_each(|(id, place)| println!("{id}: a program on an SDK sees it: {place}"));
    println!("programs on the vendors' SDKs see it in {} of {} answers", sample.seen, sample.read);
    let leaks = report.leaks + sample.seen;
    let mut stored = false;
    if arguments.record {
        let found = campaign.in_store().await?;
        stored = found.file.is_some() || found.record.is_some();
        println!("a canary in the store: {stored} ({found:?})");
    }
    let ended = Arc::into_inner(campaign).expect("nothing runs any more").stop().await;
    if ended != Some(0) {
        println!("the host did not stop in order: {ended:?}");
    }
    println!("streams {}, leaks {leaks}", report.streams);
    Ok(leaks == 0 && report.wrong == 0 && !stored && ended == Some(0))
}

fn tell(report: &Report, seconds: f64) {
    for (id, found) in &report.told {
        println!("{id}: {found:?}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let (rate, mib) = (report.streams as f64 / seconds, report.bytes as f64 / f64::from(1 << 20));
    println!("{seconds:.1} s, {rate:.0} streams/s, {mib:.1} MiB of answers, {} wrong in another way", report.wrong);
}
