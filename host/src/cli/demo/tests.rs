//! The demo's folder is one that a host takes.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: DemoArgs,
}

fn args(dir: &Path, more: &[&str]) -> DemoArgs {
    let dir = dir.display().to_string();
    Line::parse_from(["demo", "--dir", &dir].iter().chain(more)).args
}

fn laid_out(args: &DemoArgs) -> anyhow::Result<Config> {
    prepare(args).map(|(_, config, _)| config)
}

#[test]
fn a_second_demo_in_a_folder_leaves_the_first_ones_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    laid_out(&args(dir.path(), &[])).unwrap();
    let first = std::fs::read_to_string(dir.path().join(CONFIG)).unwrap();
    let store = store::Store::open(&store::StoreConfig::new(dir.path().join("store"))).unwrap();
    let second = args(dir.path(), &["--listen", "127.0.0.1:1"]);
    let refused = laid_out(&second).unwrap_err();
    assert!(format!("{refused:#}").contains(&format!("in use by process {}", std::process::id())), "{refused:#}");
    assert_eq!(std::fs::read_to_string(dir.path().join(CONFIG)).unwrap(), first);
    drop(store);
    assert_eq!(laid_out(&second).unwrap().listen.address.port(), 1);
}

#[test]
fn what_the_configuration_is_warned_of_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (.., warnings) = prepare(&args(dir.path(), &["--listen", "0.0.0.0:0"])).unwrap();
    assert!(!warnings.is_empty());
}

#[test]
fn the_demo_warns_of_what_is_the_users_and_not_of_its_own_work() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path(), &[]);
    let (.., warnings) = prepare(&args).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    std::fs::write(dir.path().join(TOKEN_FILE), "short\n").unwrap();
    let (.., warnings) = prepare(&args).unwrap();
    assert!(warnings.to_string().contains(config::GUESSABLE), "{warnings}");
}

#[test]
fn a_port_that_is_taken_is_told_with_the_flag_that_chooses_another() {
    let taken = |kind: io::ErrorKind| Unheard {
        listener: "listen",
        address: "127.0.0.1:8080".parse().unwrap(),
        error: kind.into(),
    };
    let told = |kind| format!("{:#}", with_flag(taken(kind).into()));
    let in_use = told(io::ErrorKind::AddrInUse);
    assert!(in_use.contains("--listen 127.0.0.1:0") && in_use.contains("ss -ltnp"), "{in_use}");
    assert!(in_use.contains("listen.address: 127.0.0.1:8080"), "{in_use}");
    assert!(!told(io::ErrorKind::PermissionDenied).contains("--listen"));
}

#[test]
fn a_banner_names_the_built_in_model_only_where_that_answers() {
    let set = exchange::ports::PolicySet {
        generation: model::Generation(1),
        digest: model::Digest::default(),
        policies: Vec::new(),
        problems: Vec::new(),
        glance: None,
    };
    let address = "127.0.0.1:8080".parse().unwrap();
    let ready = Ready { proxy: address, tls: false, control: address, policies: std::sync::Arc::new(set) };
    let banner = |built_in| banner(Path::new("demo"), &ready, "x", built_in, &[]);
    assert!(banner(true).contains("echo-1") && !banner(true).contains("MODEL"));
    assert!(banner(false).contains("in the place of MODEL") && !banner(false).contains("echo-1"));
}

#[test]
fn the_folder_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path(), &["--listen", "127.0.0.1:0"]);
    let config = laid_out(&args).unwrap();
    assert_eq!(config.listen.address.port(), 0);
    assert!(config.connections[0].built_in);
    assert_eq!(config.tokens[0].digest, identity::digest(TOKEN));
    assert!(dir.path().join("policies/30-approve.wasm").is_file() && dir.path().join("spare/lockdown.wasm").is_file());
}

#[test]
fn flags_count_on_every_run_until_the_file_is_the_users() {
    let dir = tempfile::tempdir().unwrap();
    laid_out(&args(dir.path(), &[])).unwrap();
    let real = laid_out(&args(dir.path(), &["--upstream", "http://127.0.0.1:9/x"])).unwrap();
    assert!(!real.connections[0].built_in);
    assert!(laid_out(&args(dir.path(), &[])).unwrap().connections[0].built_in);

    let file = dir.path().join(CONFIG);
    let mine = std::fs::read_to_string(&file).unwrap() + "# mine\n";
    std::fs::write(&file, &mine).unwrap();
    assert_eq!(laid_out(&args(dir.path(), &["--listen", "127.0.0.1:1"])).unwrap().listen.address.port(), 1);
    assert!(laid_out(&args(dir.path(), &["--upstream", "http://127.0.0.1:9"])).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), mine);
}

#[test]
fn what_the_banner_says_is_blocked_is_in_the_settings() {
    assert!(include_str!("20-block.toml").contains(BLOCKED));
}
