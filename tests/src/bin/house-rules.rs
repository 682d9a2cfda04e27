//! Says which rules of the house are broken, one a line; exits 0 when none is.

use std::{path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let root = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let findings = scenarios::house::check(&root);
    findings.iter().for_each(|finding| println!("{finding}"));
    println!("house rules: {} broken", findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
