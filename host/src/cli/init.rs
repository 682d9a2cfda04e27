//! `portcullis init`.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use jiff::{ToSpan, Zoned, tz::TimeZone};

use super::print_line;

/// What is written; a test reads it back.
const TEMPLATE: &str = include_str!("init.toml");
/// The date in it from which the first caller's token opens nothing, and the days that it really has.
const EXPIRES: (&str, i64) = ("2026-01-01", 90);

/// Write a commented configuration to start from.
///
/// Makes its folder, where there is none, and beside it: an empty policy folder, and a secrets folder with a fresh token for a first caller. Changes nothing
/// that is there already.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis init /etc/portcullis/portcullis.toml")]
pub(super) struct InitArgs {
    /// The file to write.
    #[arg(default_value = "portcullis.toml", value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn cmd_init(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let folder = match args.file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).with_context(|| format!("can't make the folder {}", folder.display()))?;
    let mut file = create(&args.file, 0o644)?;
    file.write_all(template()?.as_bytes()).with_context(|| format!("writing {}", args.file.display()))?;
    make_folder(&folder.join("policies"), 0o755)?;
    make_folder(&folder.join("secrets"), 0o700)?;
    let token = folder.join("secrets/first-caller");
    if !token.exists() {
        create(&token, 0o600)?.write_all(format!("{}\n", identity::new_token()).as_bytes())?;
    }
    let at = folder.display();
    print_line(&format!(
        "wrote {file}\n\nnext:\n  put your upstream's key into {at}/secrets/upstream (mode 0600)\n  put policies into \
         {at}/policies: your own, or those that `portcullis demo` lays out (mask, block, approve)\n  portcullis check --config {file}\n  portcullis serve --config {file}\n\na first caller's token is in \
         {at}/secrets/first-caller",
        file = args.file.display(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The template, with a token that lives for some time from today.
fn template() -> anyhow::Result<String> {
    let (written, days) = EXPIRES;
    let expires = Zoned::now().with_time_zone(TimeZone::UTC).date().checked_add(days.days())?;
    Ok(TEMPLATE.replacen(written, &expires.to_string(), 1))
}

fn create(path: &Path, mode: u32) -> anyhow::Result<fs::File> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.with_context(|| match path.symlink_metadata() {
        Ok(_) => format!("{} is there already, and is never overwritten", path.display()),
        Err(_) => format!("can't make {}", path.display()),
    })
}

fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().mode(mode).create(path).with_context(|| format!("can't make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_a_configuration_once_the_key_is_there() {
        let home = tempfile::tempdir().unwrap();
        // Its folder is made, too.
        let dir = home.path().join("etc/portcullis");
        let file = dir.join("portcullis.toml");
        cmd_init(&InitArgs { file: file.clone() }).unwrap();
        let problems = crate::config::load(&file).unwrap_err();
        assert_eq!(problems.len(), 1, "only the upstream's key is missing: {problems}");
        create(&dir.join("secrets/upstream"), 0o600).unwrap().write_all(b"sk-1\n").unwrap();
        let (config, problems) = crate::config::load(&file).unwrap();
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(config.limits, crate::config::Limits::default());
        let day = 24 * 3600 * 1000;
        let left = config.tokens[0].expires_ms.unwrap() - crate::app::now_ms();
        assert!((89 * day..=90 * day).contains(&left), "the first caller's token ends, and not today: {left} ms");
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("portcullis.toml");
        fs::write(&file, "mine").unwrap();
        let error = format!("{:#}", cmd_init(&InitArgs { file: file.clone() }).unwrap_err());
        assert!(error.contains("never overwritten"), "{error}");
        let error = format!("{:#}", cmd_init(&InitArgs { file: file.join("below") }).unwrap_err());
        assert!(error.contains("the folder") && !error.contains("overwritten"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
