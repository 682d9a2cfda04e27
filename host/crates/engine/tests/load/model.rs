//! Random work on a folder, and an account of what must be in force after each step that knows nothing of how the loader
//! works.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use proptest::{
    prelude::{Just, Strategy, prop_oneof},
    strategy::ValueTree as _,
    test_runner::TestRunner,
};

use crate::rig::{Folder, GRACE, ids, version};

const STEPS: usize = 200;
const NAMES: [&str; 3] = ["10-a", "b", "c.d"];
const VERSIONS: u8 = 3;

/// What stands where a policy's `.wasm` or `.toml` is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stands {
    #[default]
    Nothing,
    /// The policy in this version, or settings with this order.
    Good(u8),
    /// Half of it, or settings that are none.
    Broken,
    /// A pipe.
    Pipe,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put { name: usize, settings: bool, what: Stands, whole: bool },
    Swap { one: usize, other: usize },
    Wait { ms: u64 },
    Look,
}

fn stands() -> impl Strategy<Value = Stands> {
    prop_oneof![
        2 => Just(Stands::Nothing),
        5 => (0..VERSIONS).prop_map(Stands::Good),
        2 => Just(Stands::Broken),
        1 => Just(Stands::Pipe),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..NAMES.len(), proptest::bool::weighted(0.3), stands(), proptest::bool::ANY)
            .prop_map(|(name, settings, what, whole)| Step::Put { name, settings, what, whole }),
        1 => (0..NAMES.len(), 0..NAMES.len()).prop_map(|(one, other)| Step::Swap { one, other }),
        2 => (200_u64..2_500).prop_map(|ms| Step::Wait { ms }),
        6 => Just(Step::Look),
    ]
}

/// What must be in force for one name: version, order.
type InForce = Option<(u8, i64)>;

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    wasm: Stands,
    settings: Stands,
    in_force: InForce,
    had_settings: bool,
    gone: Option<Instant>,
    settings_gone: Option<Instant>,
}

impl Account {
    /// A look at the folder, by the promises alone.
    fn look(&mut self, name: &str, now: Instant) {
        let default = if name.starts_with("10") { 10 } else { 1000 };
        if self.wasm == Stands::Nothing {
            let since = *self.gone.get_or_insert(now);
            if self.in_force.is_none() || now >= since + GRACE {
                *self = Self { settings: self.settings, ..Self::default() };
            }
            return;
        }
        if self.settings == Stands::Pipe || self.wasm == Stands::Pipe {
            return;
        }
        self.gone = None;
        if self.settings == Stands::Nothing && self.had_settings && self.in_force.is_some() {
            let since = *self.settings_gone.get_or_insert(now);
            // The very files that are in force are no change, with or without a grace.
            if now < since + GRACE {
                return;
            }
        }
        self.settings_gone = None;
        self.had_settings = self.settings != Stands::Nothing;
        let order = match self.settings {
            Stands::Good(order) => Some(i64::from(order)),
            Stands::Nothing => Some(default),
            Stands::Broken | Stands::Pipe => None,
        };
        if let (Stands::Good(version), Some(order)) = (self.wasm, order) {
            self.in_force = Some((version, order));
        }
    }
}

fn put(folder: &Folder, file: &str, good: Vec<u8>, what: Stands, whole: bool) {
    let path = folder.path(file);
    let bytes = match what {
        Stands::Nothing | Stands::Pipe => {
            let _ = fs::remove_file(&path);
            if what == Stands::Pipe {
                let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            }
            return;
        }
        Stands::Good(_) => good,
        Stands::Broken => good[..good.len() / 2].to_vec(),
    };
    // Opening a pipe for writing would wait for its reader.
    if whole || !path.is_file() { folder.put_whole(file, bytes) } else { folder.put(file, bytes) }
}

#[tokio::test]
async fn two_hundred_random_steps_leave_in_force_what_must_be() {
    let mut runner = TestRunner::deterministic();
    let mut folder = Folder::new();
    let start = folder.now;
    folder.scan().await;
    let mut accounts = [Account::default(); NAMES.len()];
    let mut log = Vec::new();
    for _ in 0..STEPS {
        let step = steps().new_tree(&mut runner).unwrap().current();
        log.push((folder.now - start, step));
        match step {
            Step::Put { name, settings: false, what, whole } => {
                let number = if let Stands::Good(number) = what { number } else { 0 };
                put(&folder, &format!("{}.wasm", NAMES[name]), version(number), what, whole);
                accounts[name].wasm = what;
            }
            Step::Put { name, settings: true, what, whole } => {
                let text =
                    if let Stands::Good(order) = what { format!("order = {order}\n") } else { "order = ten".into() };
                put(&folder, &format!("{}.toml", NAMES[name]), text.into_bytes(), what, whole);
                accounts[name].settings = what;
            }
            Step::Swap { one, other } => {
                let path = |name: usize| folder.path(&format!("{}.wasm", NAMES[name]));
                let beside = folder.path("swap.tmp");
                let (a, b) = (accounts[one].wasm, accounts[other].wasm);
                if one != other && a != Stands::Nothing && b != Stands::Nothing {
                    fs::rename(path(one), &beside).unwrap();
                    fs::rename(path(other), path(one)).unwrap();
                    fs::rename(&beside, path(other)).unwrap();
                    (accounts[one].wasm, accounts[other].wasm) = (b, a);
                }
            }
            Step::Wait { ms } => folder.wait(Duration::from_millis(ms)),
            Step::Look => {
                folder.outcome().await;
                for (name, account) in NAMES.iter().zip(&mut accounts) {
                    account.look(name, folder.now);
                }
                check(&folder, &accounts, &log);
            }
        }
    }
}

fn check(folder: &Folder, accounts: &[Account], log: &[(Duration, Step)]) {
    let set = folder.loader.current().unwrap();
    let digests: BTreeMap<model::Digest, u8> = (0..VERSIONS).map(|number| (sha256(&version(number)), number)).collect();
    let found: BTreeMap<&str, (u8, i64)> = set
        .policies
        .iter()
        .map(|policy| (policy.info().id.as_str(), (digests[&policy.info().wasm_digest], policy.info().order)))
        .collect();
    let expected: BTreeMap<&str, (u8, i64)> =
        NAMES.iter().zip(accounts).filter_map(|(name, account)| Some((*name, account.in_force?))).collect();
    assert_eq!(found, expected, "after {log:#?}\n{:?}\nproblems: {:#?}", ids(set), set.problems);
}

fn sha256(bytes: &[u8]) -> model::Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    model::Digest(digest.as_ref().try_into().unwrap())
}
