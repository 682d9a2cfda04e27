//! What the gate costs: the same load on the same upstream, directly, through a bare hyper pass-through, and through
//! Portcullis with growing chains of policies and each durability (`-- throughput`: that alone); how late a word of a
//! stream is (`-- paced`); then how long a changed policy takes to judge (`-- reload`).
//!
//! `cargo bench -p scenarios --bench gate` after `cargo build --release -p portcullis` prints tables as in
//! `host/docs/performance.md`, whose host is the one of `host/build-profiled` (`PORTCULLIS_BIN`). Everything runs on loopback
//! of one machine, the load generator too, so the numbers compare with each other and with nothing else. `BENCH_SECONDS`
//! (default 4) is the time of each measurement; `BENCH_ONLY` leaves out the rows of Portcullis whose name does not hold its
//! value (`approve, strict`).

mod bare;
mod load;
mod paced;
mod process;
mod reload;
mod upstream;

use std::{env, net::SocketAddr, path::PathBuf, time::Duration};

use scenarios::rig::{Durability, Setup};

use crate::{
    load::{Kind, Measured},
    process::Role,
};

/// Exchanges at once.
const AT_ONCE: [usize; 3] = [1, 64, 256];
/// Before each measurement.
const WARM_UP: Duration = Duration::from_millis(700);
/// Chains of policies, by name.
const CHAINS: [(&str, &[&str]); 3] =
    [("no policy", &[]), ("mask", &["mask"]), ("mask+block+approve", &["mask", "block", "approve"])];
const BLOCK: &str = "[settings]\nwords = [\"launch codes\", \"project zebra\"]\n";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
    match arguments.first().map(String::as_str) {
        Some("upstream") => runtime.block_on(upstream::serve()),
        Some("bare") => runtime.block_on(bare::serve(arguments[1].parse().expect("an address"))),
        Some("throughput") => runtime.block_on(throughput()),
        Some("reload") => runtime.block_on(reload::measure()),
        Some("paced") => runtime.block_on(paced::measure()),
        _ => runtime.block_on(async {
            throughput().await;
            paced::measure().await;
            reload::measure().await;
        }),
    }
}

async fn throughput() {
    let seconds = env::var("BENCH_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(4.0);
    let time = Duration::from_secs_f64(seconds);
    let upstream = Role::start(&["upstream"]).await;
    println!("binary: {}", binary().display());
    for kind in [Kind::Whole, Kind::Slow, Kind::Stream] {
        println!("\n### {kind}\n\n{}", Measured::HEAD);
        let mut base = Vec::new();
        for at_once in AT_ONCE {
            let measured = load::run(upstream.address, "x", kind, at_once, WARM_UP, time, None).await;
            println!("{}", measured.row("directly", at_once, None, None));
            base.push(measured);
        }
        let bare = Role::start(&["bare", &upstream.address.to_string()]).await;
        for (at_once, base) in AT_ONCE.into_iter().zip(&base) {
            let measured = load::run(bare.address, "x", kind, at_once, WARM_UP, time, Some(bare.pid)).await;
            println!(
                "{}",
                measured.row("bare hyper pass-through", at_once, Some(base), process::peak_memory(bare.pid))
            );
        }
        for (chain, policies) in CHAINS {
            for durability in [Durability::Strict, Durability::Bounded, Durability::Off] {
                through_the_gate(upstream.address, kind, (chain, policies), durability, time, &base).await;
            }
        }
    }
}

async fn through_the_gate(
    upstream: SocketAddr,
    kind: Kind,
    (chain, policies): (&str, &[&str]),
    durability: Durability,
    time: Duration,
    base: &[Measured],
) {
    let name = format!("{chain}, {}", durability.as_str());
    if env::var("BENCH_ONLY").is_ok_and(|only| !name.contains(&only)) {
        return;
    }
    let mut setup = Setup::new().durability(durability);
    for (at, policy) in policies.iter().enumerate() {
        let file = format!("{}0-{policy}.wasm", at + 1);
        setup = match *policy {
            "block" => setup.policy_with(&file, policy, BLOCK),
            _ => setup.policy(&file, policy),
        };
    }
    let mut host = setup.start(upstream).await;
    let client = host.client();
    for (at_once, base) in AT_ONCE.into_iter().zip(base) {
        let pid = Some(host.pid());
        let measured = load::run(client.address, &client.token, kind, at_once, WARM_UP, time, pid).await;
        println!("{}", measured.row(&name, at_once, Some(base), process::peak_memory(host.pid())));
    }
    // In order: a host that counts what it does (`host/build-profiled`) writes it down as it ends.
    assert_eq!(host.stop().await, Some(0), "{name} did not stop in order");
}

/// The host's binary: `PORTCULLIS_BIN`, or the release build beside this one.
fn binary() -> PathBuf {
    scenarios::rig::binary()
}
