//! One redb file. What must hold: whatever a damaged file makes redb do, a panic included, comes out as an error that
//! names the file; a commit returns only when it is on the disk, and needs no repair of the whole file after a crash.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Builder, Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::StoreError;

/// A redb file and where it is.
pub(crate) struct Db {
    path: PathBuf,
    handle: Handle,
}

enum Handle {
    Writable(Database),
    Sealed(ReadOnlyDatabase),
}

/// What ends a transaction early: redb's error, or one of ours.
pub(crate) enum Fault {
    Redb(redb::Error),
    Store(StoreError),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Db {
    /// Opens the file for writing; makes it, for its owner only, where it is missing.
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(StoreError::io("open", path))?;
        let handle = shield(path, "open", || Ok(Handle::Writable(builder(cache_bytes).create(path)?)))?;
        Ok(Self { path: path.to_owned(), handle })
    }

    /// Opens a file that nothing is written to any more. One that its last process left in a hurry is repaired first.
    /// [`StoreError::Busy`] when it is open already.
    pub(crate) fn open_sealed(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let handle = shield(path, "open", || match builder(cache_bytes).open_read_only(path) {
            Ok(database) => Ok(Handle::Sealed(database)),
            Err(DatabaseError::RepairAborted) => Ok(Handle::Writable(builder(cache_bytes).open(path)?)),
            Err(error) => Err(error.into()),
        })?;
        Ok(Self { path: path.to_owned(), handle })
    }

    /// Opens the file for a look, and changes nothing; none where that takes a repair, which whoever opens it makes.
    pub(crate) fn look_at(path: &Path, cache_bytes: usize) -> Result<Option<Self>, StoreError> {
        shield(path, "open", || match builder(cache_bytes).open_read_only(path) {
            Ok(database) => Ok(Some(Self { path: path.to_owned(), handle: Handle::Sealed(database) })),
            Err(DatabaseError::RepairAborted) => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads from one snapshot.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, Fault>) -> Result<T, StoreError> {
        shield(&self.path, "read", || {
            let transaction = match &self.handle {
                Handle::Writable(database) => database.begin_read()?,
                Handle::Sealed(database) => database.begin_read()?,
            };
            read(&transaction)
        })
    }

    /// Writes in one transaction; returns when it is on the disk.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&WriteTransaction) -> Result<T, Fault>) -> Result<T, StoreError> {
        shield(&self.path, "write", || {
            let Handle::Writable(database) = &self.handle else {
                return Err(StoreError::io("write", &self.path)(io::ErrorKind::ReadOnlyFilesystem.into()).into());
            };
            let mut transaction = database.begin_write()?;
            transaction.set_quick_repair(true);
            let written = write(&transaction)?;
            transaction.commit()?;
            Ok(written)
        })
    }

    /// Verifies redb's own checksum of every page.
    pub(crate) fn verify(self) -> Result<(), StoreError> {
        let path = self.path;
        let mut database = match self.handle {
            Handle::Writable(database) => database,
            // Only a writable handle checks.
            Handle::Sealed(sealed) => {
                drop(sealed);
                shield(&path, "open", || Ok(builder(CHECK_CACHE_BYTES).open(&path)?))?
            }
        };
        if shield(&path, "verify", || Ok(database.check_integrity()?))? {
            return Ok(());
        }
        let what = "redb's checksums don't agree with its pages".to_owned();
        Err(StoreError::Corrupt { file: path, exchange: None, entry: None, what })
    }
}

/// What redb says of a file that is too short, or is none of its own.
fn tells_of_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput)
}

/// Cache of a file that is opened only to be checked.
const CHECK_CACHE_BYTES: usize = 16 << 20;

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

/// redb trusts its file, and panics on some files that were changed behind its back.
fn shield<T>(path: &Path, operation: &'static str, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Fault::Store(error))) => Err(error),
        Ok(Err(Fault::Redb(redb::Error::DatabaseAlreadyOpen))) => Err(StoreError::Busy { path: path.to_owned() }),
        // Of the disk, not of what is in the file.
        Ok(Err(Fault::Redb(redb::Error::Io(error)))) if !tells_of_damage(&error) => {
            Err(StoreError::io(operation, path)(error))
        }
        Ok(Err(Fault::Redb(error))) => {
            Err(StoreError::Database { operation, path: path.to_owned(), cause: error.into() })
        }
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            let what = format!("redb gave up: {}", said.unwrap_or("it does not say why"));
            Err(StoreError::Corrupt { file: path.to_owned(), exchange: None, entry: None, what })
        }
    }
}
