//! From saving a file to the first chunk of a running stream that the new version has judged.

use std::time::{Duration, Instant};

use scenarios::rig::{Setup, Talk, Upstream, within};

use crate::load::us;

/// Saves of each sort.
const SAVES: usize = 120;
/// Between two saves: people save, and optimised code is made behind each draft.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two words of the stream: faster than models speak, and slow enough to leave the machine to what is measured.
const WORD: Duration = Duration::from_millis(1);

/// Measures and prints both sorts: settings alone, and a component that was never seen before.
pub(crate) async fn measure() {
    println!("\n### From file save to first judged chunk of a running stream\n");
    println!("| what was saved | saves | p50 | p90 | p99 | most |\n|---|--:|--:|--:|--:|--:|");
    let mut upstream = Upstream::start().await;
    let host = Setup::new().policy_with("10-mask.wasm", "mask", &settings(0)).start(upstream.address).await;
    let mut stream = Talk::begin(&host.client(), &mut upstream).await;
    let times = saves(&mut stream, |at| host.put("10-mask.toml", settings(at).as_bytes())).await;
    println!("{}", row("its settings", &times));
    let wasm = std::fs::read(host.folder().join("10-mask.wasm")).expect("it was put there");
    let times = saves(&mut stream, |at| {
        host.put("10-mask.toml", settings(SAVES + at).as_bytes());
        host.put("10-mask.wasm", &unlike(&wasm, at));
    })
    .await;
    println!("{}", row("settings and a component that is compiled anew", &times));
}

fn settings(label: usize) -> String {
    format!("[settings]\nsubstitute = {{ text = \"<{label}>\" }}\n")
}

/// The same component with other bytes: a custom section at its end (core specification, section 5.5.3).
fn unlike(wasm: &[u8], number: usize) -> Vec<u8> {
    let mut bytes = wasm.to_vec();
    let number = u32::try_from(number).unwrap_or_default().to_le_bytes();
    bytes.extend([0, 5 + 4, 4]);
    bytes.extend(b"salt");
    bytes.extend(number);
    bytes
}

async fn saves(stream: &mut Talk, mut save: impl FnMut(usize)) -> Vec<Duration> {
    let mut times = Vec::new();
    for at in 1..=SAVES {
        tokio::time::sleep(PAUSE).await;
        let before = stream.word().await;
        let saved = Instant::now();
        save(at);
        let judged = async {
            while stream.word().await == before {
                tokio::time::sleep(WORD).await;
            }
        };
        within("the new version on the stream", judged).await;
        times.push(saved.elapsed());
    }
    times.sort_unstable();
    times
}

fn row(what: &str, times: &[Duration]) -> String {
    let at = |percent: usize| us(times[(times.len() * percent / 100).min(times.len() - 1)]);
    format!("| {what} | {} | {} | {} | {} | {} |", times.len(), at(50), at(90), at(99), at(100))
}
