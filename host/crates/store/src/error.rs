//! What can go wrong outside the path of an exchange. On the path there is only `exchange::ports::RecordError`.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use model::{ExchangeId, SessionId};

use crate::index;

/// Why the store can't be opened, read or closed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system said no.
    #[error("can't {operation} {}: {cause}{}", path.display(), Room(cause))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer; not a source, since it is told here.
        cause: io::Error,
    },
    /// Another process has the store.
    #[error("the store {} is in use by {}", path.display(), Holder(*pid))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, where its lock file tells.
        pid: Option<u32>,
    },
    /// A database file said no.
    #[error("can't {operation} {}: {cause}{}", path.display(), WayOut(path))]
    Database {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The answer; not a source, since it is told here.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// A database file is open already.
    #[error("can't open {}: it is open elsewhere", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// What is stored is not what was recorded.
    #[error("{} is damaged{}: {what}{}", file.display(), Place(*exchange, *entry), WayOut(file))]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// The exchange.
        exchange: Option<ExchangeId>,
        /// The entry, counted from 0.
        entry: Option<u64>,
        /// What doesn't agree.
        what: String,
    },
    /// The file was made by a version of Portcullis that this one doesn't know.
    #[error("{} has format {found}; this version of Portcullis knows format {known}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// There is no such exchange.
    #[error("there is no exchange {0}")]
    UnknownExchange(ExchangeId),
    /// There is no such session.
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    /// The store has failed before, and records nothing more until it is opened anew.
    #[error("the store has failed: {0}")]
    Failed(String),
    /// What was recorded last can't be read yet; the store goes on.
    #[error("what was recorded last can't be read yet: {0}")]
    Late(String),
}

impl StoreError {
    /// For `map_err` after a call to the operating system.
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { operation, path, cause }
    }
}

struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// What helps where a file is damaged.
struct WayOut<'a>(&'a Path);

impl fmt::Display for WayOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.file_name().is_some_and(|name| name == index::FILE) {
            f.write_str("; remove it while no host runs: it is made again from the segments")?;
        }
        Ok(())
    }
}

/// What helps where the disk is full: also who reads a store takes over first what the last process left.
struct Room<'a>(&'a io::Error);

impl fmt::Display for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                f.write_str("; make room, or, to read the store before that, copy its folder to where there is room")
            }
            _ => Ok(()),
        }
    }
}

struct Place(Option<ExchangeId>, Option<u64>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(exchange) = self.0 {
            write!(f, " in exchange {exchange}")?;
        }
        if let Some(entry) = self.1 {
            write!(f, ", entry {entry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_tells_the_way_out() {
        let said = |kind: io::ErrorKind| StoreError::io("write", "segment-000001.redb")(kind.into()).to_string();
        assert!(said(io::ErrorKind::StorageFull).contains("copy its folder to where there is room"));
        assert!(!said(io::ErrorKind::PermissionDenied).contains("room"));
    }
}
