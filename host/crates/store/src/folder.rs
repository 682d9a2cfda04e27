//! The store's folder: made for its owner only, held by one process at a time, with the installation's key in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{hmac, rand};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::StoreError;

const LOCK: &str = "lock";
const KEY: &str = "key";
pub(crate) const JOURNAL: &str = "journal";
const KEY_BYTES: usize = 32;

/// The folder, locked until this is dropped.
pub(crate) struct Folder {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Key of the hash of masked values.
    pub(crate) key: hmac::Key,
    /// Holds the lock as long as it is open.
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        make(path)?;
        let lock = lock(path)?;
        make(&path.join(JOURNAL))?;
        let key = key(path)?;
        Ok(Self { path: path.to_owned(), key, _lock: lock })
    }

    /// Where the journal files are.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }
}

/// Makes names in a folder (new files, renames, removals) durable.
pub(crate) fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync the folder", folder))
}

fn make(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::io("make the folder", path))?;
    // It may have been there with other rights, or the umask may have taken some.
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(StoreError::io("restrict the folder", path))
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StoreError::io("open the lock", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let told = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(StoreError::InUse { path: folder.to_owned(), pid: told });
        }
        Err(error) => return Err(StoreError::io("lock", &path)(error.into())),
    }
    let told: io::Result<()> = (|| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    })();
    told.map_err(StoreError::io("write the lock", &path))?;
    Ok(file)
}

fn key(folder: &Path) -> Result<hmac::Key, StoreError> {
    let path = folder.join(KEY);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => new_key(folder, &path)?,
        Err(error) => return Err(StoreError::io("read the key", &path)(error)),
    };
    if bytes.len() != KEY_BYTES {
        let what = format!("the key has {} bytes instead of {KEY_BYTES}", bytes.len());
        return Err(StoreError::Corrupt { file: path, exchange: None, entry: None, what });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Written aside and renamed, so that a crash leaves no half key: hashes made with it could never be made again.
fn new_key(folder: &Path, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; KEY_BYTES];
    rand::fill(&mut bytes).map_err(|_| StoreError::io("make the key", path)(io::Error::other("no random bytes")))?;
    let aside = path.with_extension("new");
    let written: io::Result<()> = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    })();
    written.map_err(StoreError::io("write the key", path))?;
    sync(folder)?;
    Ok(bytes)
}
