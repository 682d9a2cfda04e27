//! Where `portcullis login` keeps its token: one file of the user's, which nobody else can read.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::show::time_of;
use crate::app::now_ms;

/// A token that somebody signed in for. Its value is in no `Debug` form.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// The gate that issued it: scheme, host and port.
    pub(super) url: String,
    /// The token.
    pub(super) access_token: String,
    /// What the gate calls it.
    pub(super) token_id: String,
    /// What it is good for, as the gate says.
    pub(super) scope: String,
    /// Until when: milliseconds since 1970.
    pub(super) expires_ms: u64,
}

/// The file: in `$XDG_CONFIG_HOME`, else in `~/.config`.
fn place() -> anyhow::Result<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = named("XDG_CONFIG_HOME").or_else(|| named("HOME").map(|home| home.join(".config")));
    let folder = folder.context("there is no place to keep a token: neither HOME nor XDG_CONFIG_HOME is set")?;
    Ok(folder.join("portcullis/login.json"))
}

impl Kept {
    /// What is kept, if anything.
    pub(super) fn read() -> anyhow::Result<Option<Self>> {
        let place = place()?;
        let text = match fs::read_to_string(&place) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("can't read {}", place.display())),
        };
        let mode = fs::metadata(&place).map(|meta| meta.permissions().mode() & 0o777)?;
        if mode & 0o077 != 0 {
            bail!(
                "others may read {place} (mode {mode:04o}), so the token may be known: end it with chmod 600 '{place}' and \
                 `portcullis logout`, then sign in again",
                place = place.display()
            );
        }
        let kept = serde_json::from_str(&text);
        kept.map(Some).with_context(|| format!("{} is damaged: remove it and sign in again", place.display()))
    }

    /// What is kept; where nothing is, the way to it.
    pub(super) fn needed() -> anyhow::Result<Self> {
        Self::read()?.context("you are not signed in: `portcullis login --url https://…` signs you in")
    }

    /// Keeps it in place of what was kept, in one step.
    pub(super) fn keep(&self) -> anyhow::Result<PathBuf> {
        let place = place()?;
        let folder = place.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("can't make {}", folder.display()))?;
        let aside = folder.join(format!(".login.{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, &place)
        };
        write().with_context(|| format!("can't write {}", place.display()))?;
        Ok(place)
    }

    /// Keeps nothing any more.
    pub(super) fn forget() -> anyhow::Result<()> {
        let place = place()?;
        match fs::remove_file(&place) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove {}", place.display()))
            }
            _ => Ok(()),
        }
    }

    /// Whether it is good for so many milliseconds yet.
    pub(super) fn lasts(&self, ms: u64) -> bool {
        now_ms().saturating_add(ms) < self.expires_ms
    }

    /// Until when, for people.
    pub(super) fn until(&self) -> String {
        time_of(self.expires_ms)
    }
}
