//! The demo's folder: written when it is not there, brought up to date when the user has not touched it.
//!
//! What must hold: a file that the user changed is never overwritten, and one that the user removed does not come back.
//! A manifest of what was written tells.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use model::Digest;

/// Names and digests of the files as they were written last.
const MANIFEST: &str = ".written.json";

/// One file of the folder.
pub(super) struct File {
    /// Its path in the folder.
    pub(super) path: &'static str,
    /// What is in it.
    pub(super) bytes: Vec<u8>,
    /// Whether others may read it.
    pub(super) secret: bool,
}

/// The folder after it was laid out.
pub(super) struct Layout {
    /// Files that are not as they were written, so they were left as they are.
    pub(super) kept: Vec<&'static str>,
}

/// Lays the files out in the folder.
///
/// # Errors
/// When a file or folder can't be read or written.
pub(super) fn lay_out(dir: &Path, files: &[File]) -> anyhow::Result<Layout> {
    make_folder(dir)?;
    let mut manifest = read_manifest(dir)?;
    let mut kept = Vec::new();
    for file in files {
        if !put(dir, file, &mut manifest)? {
            kept.push(file.path);
        }
    }
    let text = serde_json::to_string_pretty(&manifest)?;
    write(&dir.join(MANIFEST), text.as_bytes(), false)?;
    Ok(Layout { kept })
}

/// Writes a file where that takes nothing from the user; says whether it is now as wanted.
fn put(dir: &Path, file: &File, manifest: &mut BTreeMap<String, Digest>) -> anyhow::Result<bool> {
    let path = dir.join(file.path);
    let wanted = identity::digest(&file.bytes);
    let written = manifest.get(file.path).copied();
    let there = match fs::read(&path) {
        Ok(bytes) => Some(identity::digest(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    if there == Some(wanted) {
        manifest.insert(file.path.to_owned(), wanted);
        return Ok(true);
    }
    // Differs from what was written, or was written once and is gone: the user's doing.
    if there != written {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    write(&path, &file.bytes, file.secret)?;
    manifest.insert(file.path.to_owned(), wanted);
    Ok(true)
}

fn read_manifest(dir: &Path) -> anyhow::Result<BTreeMap<String, Digest>> {
    let path = dir.join(MANIFEST);
    match fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged; remove it", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("can't make the folder {}", path.display()))
}

/// Written beside it and renamed, so that a host that watches never sees half a file.
fn write(path: &Path, bytes: &[u8], secret: bool) -> anyhow::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let aside = PathBuf::from(aside);
    let mode = if secret { 0o600 } else { 0o644 };
    let put = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&aside)?;
        file.write_all(bytes)?;
        fs::rename(&aside, path)
    };
    put().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> [File; 2] {
        let file = |path, secret| File { path, bytes: text.as_bytes().to_vec(), secret };
        [file("a.toml", false), file("secrets/token", true)]
    }

    #[test]
    fn what_the_user_did_not_touch_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["one", "two", "two"] {
            assert!(lay_out(dir.path(), &files(text)).unwrap().kept.is_empty());
            assert_eq!(fs::read_to_string(dir.path().join("a.toml")).unwrap(), text);
        }
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(dir.path().join("secrets/token")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_the_user_changed_or_removed_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        lay_out(dir.path(), &files("one")).unwrap();
        fs::write(dir.path().join("a.toml"), "mine").unwrap();
        fs::remove_file(dir.path().join("secrets/token")).unwrap();
        assert_eq!(lay_out(dir.path(), &files("two")).unwrap().kept, ["a.toml", "secrets/token"]);
        assert_eq!(fs::read_to_string(dir.path().join("a.toml")).unwrap(), "mine");
        assert!(!dir.path().join("secrets/token").exists());
    }

    #[test]
    fn a_file_that_was_there_before_the_first_run_is_the_users() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.toml"), "mine").unwrap();
        assert_eq!(lay_out(dir.path(), &files("one")).unwrap().kept, ["a.toml"]);
    }
}
