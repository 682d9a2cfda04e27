//! A configuration that nobody named: it is found, in the current folder or the demo's, and counts only where nobody else may
//! have written it. It says which programs are run, and where tokens go.
//!
//! What must hold: what [`open`] looked at is what is read.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;

use crate::config::{self, Config, Problems};

/// Where it is looked for, when none is named.
pub(super) const DEFAULT: &str = "portcullis.toml";
/// Who administers the machine.
const ROOT: u32 = 0;
/// The mode bit that lets a file's group write it.
const WRITTEN_BY_GROUP: u32 = 0o020;
/// The one that lets everybody write it.
const WRITTEN_BY_ALL: u32 = 0o002;

/// The configuration of a host that is to start, or is to be checked.
#[derive(Clone, Debug, Args)]
pub(super) struct ConfigArg {
    /// The configuration file; without it ./portcullis.toml, where it is your own (or root's) and nobody else may write it.
    #[arg(long, short, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArg {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT))
    }

    /// Reads and checks it; the inner result is the configuration's own.
    ///
    /// # Errors
    /// It was found, and is not to be trusted.
    pub(super) fn load(&self) -> anyhow::Result<Result<(Config, Problems), Problems>> {
        Ok(match &self.config {
            // That it is missing is told as where it was named.
            None if Path::new(DEFAULT).is_file() => config::load_open(Path::new(DEFAULT), open(Path::new(DEFAULT))?),
            None | Some(_) => config::load(self.path()),
        })
    }
}

/// Opens a configuration that was found.
///
/// # Errors
/// It can't be read; somebody else may have written it.
pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    let (data, file) = looked_at(path)?;
    if let Some(doubt) = doubt_here(&data) {
        bail!(
            "`{name}`, found in the current folder, {doubt}, and it says which programs are run and where your tokens go; \
             if you trust it, name it: --config {name}",
            name = path.display()
        );
    }
    Ok(file)
}

/// That a folder, and the configuration in it, are this user's, or root's, alone; nothing where they are not there.
///
/// # Errors
/// They are not; the error names which, and the way out.
pub(super) fn is_own(folder: &Path, file: &str) -> anyhow::Result<()> {
    for path in [folder.to_owned(), folder.join(file)].into_iter().filter(|path| path.exists()) {
        if let Some(doubt) = doubt_here(&looked_at(&path)?.0) {
            bail!(
                "`{}` {doubt}, and what stands there says which programs are run and where your tokens go; take a folder \
                 of your own: --dir DIR",
                path.display()
            );
        }
    }
    Ok(())
}

fn looked_at(path: &Path) -> anyhow::Result<(fs::Metadata, File)> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    opened.with_context(|| format!("can't read `{}`", path.display()))
}

fn doubt_here(data: &fs::Metadata) -> Option<String> {
    doubt(data, rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Why a file may say what somebody else than this user, or root, wants it to. The user's own group may write it: with a umask of
/// 002, as where each user has a group, all files are so.
fn doubt(data: &fs::Metadata, user: u32, group: u32) -> Option<String> {
    let (owner, mode) = (data.uid(), data.mode() & 0o7777);
    if owner != user && owner != ROOT {
        return Some(format!("belongs to another user (uid {owner})"));
    }
    let of_others = if data.gid() == group { WRITTEN_BY_ALL } else { WRITTEN_BY_ALL | WRITTEN_BY_GROUP };
    (mode & of_others != 0).then(|| format!("may be written by other users (mode {mode:04o})"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_own_or_may_write_is_doubted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let data = file.as_file().metadata().unwrap();
        let (owner, own) = (data.uid(), data.gid());
        for (mode, user, group, doubted) in [
            (0o600, owner, own, false),
            (0o644, owner, own + 1, false),
            (0o664, owner, own, false),
            (0o664, owner, own + 1, true),
            (0o646, owner, own, true),
            // Root's own file is everybody's to go by.
            (0o644, owner + 1, own, owner != ROOT),
        ] {
            file.as_file().set_permissions(fs::Permissions::from_mode(mode)).unwrap();
            let doubt = doubt(&file.as_file().metadata().unwrap(), user, group);
            assert_eq!(doubt.is_some(), doubted, "{mode:o} {user} {group}: {doubt:?}");
        }
    }

    #[test]
    fn a_folder_is_taken_with_what_stands_in_it() {
        let folder = tempfile::tempdir().unwrap();
        is_own(&folder.path().join("not-there"), "x.toml").unwrap();
        is_own(folder.path(), "x.toml").unwrap();
        let file = folder.path().join("x.toml");
        fs::write(&file, "").unwrap();
        is_own(folder.path(), "x.toml").unwrap();
        for path in [file.as_path(), folder.path()] {
            let mode = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
            let told = is_own(folder.path(), "x.toml").unwrap_err().to_string();
            assert!(told.contains(&format!("`{}` may be written by other", path.display())), "{told}");
            fs::set_permissions(path, mode).unwrap();
        }
    }
}
