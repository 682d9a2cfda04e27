//! Every corpus, and a bounded number of seeded mutations of it. `PORTCULLIS_FUZZ_SEED` and `PORTCULLIS_FUZZ_RUNS` change
//! which and how many; `tests/fuzz/run` finds more.

#![expect(clippy::panic, reason = "a test that finds something fails")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuzz::{
    Target,
    mutate::{Dice, mutated},
};

const SEED: u64 = 20_260_101;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Runs an input; what it finds is told with all that is needed to see it again.
fn hold(target: &Target, from: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{}: {from}: does not hold for {}", target.name, input.escape_ascii());
    }
}

fn replay(name: &str) {
    let target = Target::of(name).expect("the target is in the table");
    let corpus = target.corpus();
    for (file, input) in &corpus {
        hold(target, file, input);
    }
    let seed = setting("PORTCULLIS_FUZZ_SEED").unwrap_or(SEED);
    let mut dice = Dice::new(seed);
    for run in 0..setting("PORTCULLIS_FUZZ_RUNS").unwrap_or(target.mutations.into()) {
        hold(target, &format!("seed {seed}, run {run}"), &mutated(&mut dice, &corpus));
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let named: Vec<&str> = fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(named, [$(stringify!($name)),*]);
        }
    };
}

targets! { openai anthropic gemini ollama mcp http json codings front patterns fold token journal }

/// A flow's name that nothing has would make an input say nothing.
#[test]
fn every_file_of_a_dialect_names_its_flow_and_is_read() {
    for target in &fuzz::TARGETS[..6] {
        for (file, input) in target.corpus() {
            let (spec, body) = fuzz::named(target.name, &input).unwrap_or_else(|| panic!("{file} names no flow"));
            assert!(fuzz::untouched(spec, body), "{}/{file} is refused", target.name);
        }
    }
}
