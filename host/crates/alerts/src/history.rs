//! Callers' habits over a restart: a small file beside the store, written whole or not at all. It is no record: without it,
//! habits are learned anew.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{Volume, baseline::Habits};

/// The longest file that is read: more than the bound of callers needs.
const FILE_BYTES: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct File {
    /// What the habits are counted in; others are of no use.
    interval_ms: u64,
    half_life: u64,
    callers: Vec<(String, Habits)>,
}

/// What was kept; nothing where there is no file, or one of other terms.
///
/// # Errors
/// When there is a file and it can't be read.
pub(crate) fn read(path: &Path, terms: &Volume) -> io::Result<Vec<(String, Habits)>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut text)?;
    let file: File = serde_json::from_slice(&text).map_err(io::Error::other)?;
    let same = file.interval_ms == terms.interval_ms && file.half_life == terms.half_life;
    let sound = |(_, habits): &(String, Habits)| habits.mean >= 0.0 && habits.square >= 0.0;
    Ok(if same { file.callers.into_iter().filter(sound).collect() } else { Vec::new() })
}

/// Keeps habits in the place of those that are there.
///
/// # Errors
/// When that can't be done; what was there is still there then.
pub(crate) fn write(path: &Path, terms: &Volume, callers: Vec<(String, Habits)>) -> io::Result<()> {
    let file = File { interval_ms: terms.interval_ms, half_life: terms.half_life, callers };
    let text = serde_json::to_vec(&file).map_err(io::Error::other)?;
    let aside = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_of_other_terms_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("habits.json");
        let terms = Volume::default();
        assert!(read(&path, &terms).unwrap().is_empty());
        let habits = vec![("token|ann".to_owned(), Habits { seen: 7, mean: 1.5, square: 3.25 })];
        write(&path, &terms, Vec::new()).unwrap();
        write(&path, &terms, habits.clone()).unwrap();
        assert_eq!(read(&path, &terms).unwrap(), habits);
        assert!(read(&path, &Volume { interval_ms: 1, ..terms }).unwrap().is_empty());
        fs::write(&path, "{").unwrap();
        assert!(read(&path, &terms).is_err());
    }
}
