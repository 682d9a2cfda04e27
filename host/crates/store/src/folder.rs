//! The store's folder: made for its owner only, held by one process at a time, with the installation's key in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aws_lc_rs::{hmac, rand};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::{StoreError, anew, segments};

const LOCK: &str = "lock";
const KEY: &str = "key";
pub(crate) const JOURNAL: &str = "journal";
const CONTROL: &str = "control";
/// What the names of damaged files begin with that are kept as evidence.
pub(crate) const DAMAGED: &str = "damaged-";
const KEY_BYTES: usize = 32;
/// Bytes of the hash of the key, after it in its file: a key that changed would make hashes that agree with no other.
const KEY_CHECK_BYTES: usize = 16;
/// How long a lock is waited for, and the pause between two tries.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The folder, locked until this is dropped.
pub(crate) struct Folder {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Key of the hash of masked values; one that is only read need not have it.
    pub(crate) key: Option<hmac::Key>,
    /// Holds the lock.
    lock: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Not left to closing: a child that is being started may hold a copy of the file for a moment.
        if let Err(error) = flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!(%error, "the store's lock stays until this process ends");
        }
    }
}

impl Folder {
    /// Makes the folder where it is missing, and locks it. Not where another user's host has begun it: it could not open again
    /// what this one would make there.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let begun = path.join(JOURNAL);
        if begun.exists() {
            is_own(&begun)?;
        }
        Self::open_with(path, |path| key(path).map(Some))
    }

    /// The same for who only reads. A copy that others read has no key, and none is made.
    pub(crate) fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, |path| {
            let needless = !path.join(KEY).exists() && segments::are_begun(path)?;
            if needless { Ok(None) } else { key(path).map(Some) }
        })
    }

    fn open_with(
        path: &Path,
        key: impl FnOnce(&Path) -> Result<Option<hmac::Key>, StoreError>,
    ) -> Result<Self, StoreError> {
        make(path)?;
        let lock = lock(path)?;
        make(&path.join(JOURNAL))?;
        make(&path.join(CONTROL))?;
        let key = key(path)?;
        Ok(Self { path: path.to_owned(), key, lock })
    }

    /// Where the journal files are.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// Where the control log is.
    pub(crate) fn control(&self) -> PathBuf {
        control_of(&self.path)
    }
}

/// Where the control log of a store is.
pub(crate) fn control_of(store: &Path) -> PathBuf {
    store.join(CONTROL)
}

/// That a folder is this user's: files that another one makes, as root does, are none that its host can open.
pub(crate) fn is_own(folder: &Path) -> Result<(), StoreError> {
    let owner = fs::metadata(folder).map_err(StoreError::io("look at", folder))?.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let what =
        format!("it is user {owner}'s: do this as that user (`sudo -u '#{owner}' …`), or with a copy of your own");
    Err(StoreError::io("open", folder)(io::Error::new(io::ErrorKind::PermissionDenied, what)))
}

/// Makes names in a folder (new files, renames, removals) durable.
pub(crate) fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync the folder", folder))
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Gives a damaged file a second name, which no log has: it is evidence. Where a file has but one name, it is renamed.
pub(crate) fn keep_damaged(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{DAMAGED}{name}"));
    // Of a process that died just here.
    remove(&aside)?;
    fs::hard_link(path, &aside)
        .or_else(|_| fs::rename(path, &aside))
        .map_err(StoreError::io("keep the damaged", path))?;
    path.parent().map_or(Ok(()), sync)?;
    Ok(aside)
}

/// Leaves a word in the place of a file that is missing: as long as it is there, what is lost is not forgotten.
pub(crate) fn note_missing(path: &Path, word: &str) -> Result<PathBuf, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let note = path.with_file_name(format!("{DAMAGED}{name}"));
    let written: io::Result<()> = (|| {
        // What is there already is evidence, or the word of a process that died just here.
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&note) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            opened => opened?,
        };
        writeln!(file, "{word}")?;
        file.sync_all()
    })();
    written.map_err(StoreError::io("write", &note))?;
    path.parent().map_or(Ok(()), sync)?;
    Ok(note)
}

fn make(path: &Path) -> Result<(), StoreError> {
    let new: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::io("make the folder", path))?;
    // It may have been there with other rights, or the umask may have taken some.
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(StoreError::io("restrict the folder", path))?;
    for folder in new {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Does something while nobody has the store of a folder; nothing, where somebody has it, or nobody ever had.
pub(crate) fn while_nobody_has_it<T>(folder: &Path, look: impl FnOnce() -> T) -> Result<Option<T>, StoreError> {
    let Some(mut file) = lock_of(folder)? else { return Ok(None) };
    match take(&mut file, folder) {
        Ok(()) => Ok(Some(look())),
        Err(StoreError::InUse { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// That no process has the store open; where there is none nobody has. Makes nothing.
///
/// # Errors
/// [`StoreError::InUse`], or the system says no.
pub fn check_free(store: &Path) -> Result<(), StoreError> {
    lock_of(store)?.map_or(Ok(()), |mut file| take(&mut file, store))
}

/// The file that is locked; none where there never was a store.
fn lock_of(folder: &Path) -> Result<Option<File>, StoreError> {
    let path = folder.join(LOCK);
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(StoreError::io("open the lock", &path)),
    }
}

/// Takes the lock, for as long as the file is open.
fn take(file: &mut File, folder: &Path) -> Result<(), StoreError> {
    match patiently(|| flock(&*file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let told = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            Err(StoreError::InUse { path: folder.to_owned(), pid: told })
        }
        Err(error) => Err(StoreError::io("lock", &folder.join(LOCK))(error.into())),
    }
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
    take(&mut file, folder)?;
    let told: io::Result<()> = (|| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    })();
    told.map_err(StoreError::io("write the lock", &path))?;
    Ok(file)
}

/// A process that was killed while it began another leaves the lock to that one for the moment until it is a program of
/// its own (`fork` to `exec`): whoever starts a killed host again at once must not be told that it still runs.
/// And a command that reads the records of a stopped host has the store for as long as it reads.
fn patiently(lock: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    let began = Instant::now();
    loop {
        match lock() {
            Err(Errno::WOULDBLOCK) if began.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_PAUSE),
            tried => return tried,
        }
    }
}

fn key(folder: &Path) -> Result<hmac::Key, StoreError> {
    let path = folder.join(KEY);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            check_key(folder)?;
            let made = new_key(folder, &path)?;
            anew::done(&path)?;
            made
        }
        Err(error) => return Err(StoreError::io("read the key", &path)(error)),
    };
    match bytes.split_at_checked(KEY_BYTES) {
        Some((key, check)) if *check == key_check(key) => {
            // One that a process died over, or that nobody needed: the next loss wants an order of its own.
            if anew::is_ordered(&path) {
                anew::done(&path)?;
            }
            Ok(hmac::Key::new(hmac::HMAC_SHA256, key))
        }
        _ => {
            let what = "the hash of the key doesn't agree".to_owned();
            Err(StoreError::Corrupt { file: path, exchange: None, entry: None, what })
        }
    }
}

/// That a store in which something was recorded has its key, or that another one is ordered.
pub(crate) fn check_key(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(KEY);
    if path.exists() || anew::is_ordered(&path) || !segments::are_begun(folder)? {
        return Ok(());
    }
    let what = format!(
        "it is missing: restore it, or make an empty file {}: then another one is made, once, and what is masked from then on \
         has hashes that agree with none of before",
        anew::order(&path).display()
    );
    Err(StoreError::Corrupt { file: path, exchange: None, entry: None, what })
}

fn key_check(key: &[u8]) -> [u8; KEY_CHECK_BYTES] {
    let mut check = [0; KEY_CHECK_BYTES];
    blake3::Hasher::new().update(key).finalize_xof().fill(&mut check);
    check
}

/// Written aside and renamed, so that a crash leaves no half key: hashes made with it could never be made again.
fn new_key(folder: &Path, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; KEY_BYTES];
    rand::fill(&mut bytes).map_err(|_| StoreError::io("make the key", path)(io::Error::other("no random bytes")))?;
    let check = key_check(&bytes);
    bytes.extend_from_slice(&check);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_another_users_host_has_begun_is_not_opened_and_nothing_is_written_there() {
        let folder = tempfile::tempdir().unwrap();
        let begun = folder.path().join(JOURNAL);
        fs::create_dir(&begun).unwrap();
        // Only root can give it away.
        if std::os::unix::fs::chown(&begun, Some(65534), None).is_err() {
            return;
        }
        let refused = Folder::open(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("it is user 65534's") && refused.contains("sudo -u '#65534'"), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
