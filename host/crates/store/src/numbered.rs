//! Files whose names tell a number: logs, which repeat it in their header, and segments.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::StoreError;

/// Bytes of a log before its first frame: magic, number, zeros, hash.
pub(crate) const HEADER: usize = 64;

/// Logs of one kind: `<prefix><number, 16 hexadecimal digits>.log`.
pub(crate) struct Logs {
    prefix: &'static str,
    magic: &'static [u8; 8],
}

/// The number is the position of the first frame.
pub(crate) const JOURNAL: Logs = Logs { prefix: "journal-", magic: b"PCJRNL01" };
/// The number is that of the first event.
pub(crate) const CONTROL: Logs = Logs { prefix: "control-", magic: b"PCCTRL01" };

impl Logs {
    /// Where the log of this number is.
    pub(crate) fn path(&self, folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{}{number:016x}.log", self.prefix))
    }

    /// The logs of a folder with their numbers, oldest first.
    pub(crate) fn files(&self, folder: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
        list(folder, |name| self.number(name))
    }

    fn number(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.prefix)?.strip_suffix(".log")?;
        if digits.len() == 16 { u64::from_str_radix(digits, 16).ok() } else { None }
    }

    pub(crate) fn header(&self, number: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(self.magic);
        header[8..16].copy_from_slice(&number.to_le_bytes());
        let hash = blake3::hash(&header[..32]);
        header[32..].copy_from_slice(hash.as_bytes());
        header
    }

    /// Whether a log begins as one of this number does.
    pub(crate) fn header_agrees(&self, bytes: &[u8], number: u64) -> bool {
        bytes.get(..HEADER).is_some_and(|found| found == self.header(number))
    }
}

/// The files of a folder whose names tell a number, in its order.
pub(crate) fn list<N: Ord>(folder: &Path, number: impl Fn(&str) -> Option<N>) -> Result<Vec<(N, PathBuf)>, StoreError> {
    let mut files = Vec::new();
    let listed: io::Result<()> = (|| {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| number(name.to_str()?));
            files.extend(number.map(|number| (number, path)));
        }
        Ok(())
    })();
    listed.map_err(StoreError::io("list", folder))?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_numbers() {
        assert_eq!(JOURNAL.number("journal-00000000000000ff.log"), Some(255));
        assert_eq!(CONTROL.path(Path::new("x"), 255), Path::new("x/control-00000000000000ff.log"));
        for other in ["journal-ff.log", "damaged-journal-00000000000000ff.log", "journal-00000000000000fg.log", "key"] {
            assert_eq!(JOURNAL.number(other), None, "{other}");
        }
    }
}
