//! Compiled policies, kept between two starts of the host.
//!
//! An entry's name is a digest of the policy's bytes and of all that decides what they compile to; its content carries an
//! HMAC under a key that belongs to this installation. Machine code is worth attacking, so an entry counts only when its
//! HMAC is right for its name: one that was changed, cut, renamed or brought from elsewhere is as good as none.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use model::Digest;
use thiserror::Error;
use wasmtime::Engine;

use super::{
    digest::{Collect, of_fields},
    sealed::Sealed,
};

/// First bytes of an entry; the number counts changes of the format.
const MAGIC: &[u8; 8] = b"pcpolic1";
/// Counts changes in what the host makes of a file before it compiles it (wrapping a core module).
const PREPARATION: &[u8] = b"1";
const TAG_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
const KEY_FILE: &str = "key";

/// Where a cache is kept.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The folder: the host's own, made with mode 0700. Nothing else may be kept in it.
    pub folder: PathBuf,
    /// Entries that are kept; the least recently used go first.
    pub entries: usize,
    /// Bytes that are kept, of all entries together.
    pub bytes: u64,
}

impl CacheConfig {
    /// A cache of ordinary size in this folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), entries: 128, bytes: 2 << 30 }
    }
}

/// Why there is no cache.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The file system refused.
    #[error("the cache of compiled policies, {path}: {source}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Others could change what the host would run.
    #[error(
        "the cache of compiled policies, {path}, {wrong}; only this user may have access: remove it, or `chmod {mode:o}`"
    )]
    Open {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it.
        wrong: &'static str,
        /// What its mode must be.
        mode: u32,
    },
    /// The system gives no random bytes.
    #[error("no random bytes to be had for the cache's key")]
    Random,
}

/// Compiled policies on disk.
pub struct Cache {
    config: CacheConfig,
    key: hmac::Key,
}

impl Cache {
    /// Opens the cache, and makes its folder and its key when there are none.
    ///
    /// # Errors
    /// [`CacheError`] when the folder or key can't be had, or is open to other users.
    pub fn open(config: CacheConfig) -> Result<Self, CacheError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.folder)
            .map_err(|source| CacheError::Io { path: config.folder.clone(), source })?;
        own(&config.folder, true, 0o700)?;
        let key = read_or_make_key(&config.folder)?;
        Ok(Self { config, key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// What this policy compiled to for this engine, if it is kept and nobody has touched it.
    pub(super) fn get(&self, wasm: Digest, engine: &Engine) -> Option<Sealed> {
        let name = name_of(wasm, engine);
        let path = self.config.folder.join(name.to_string());
        let content = self.read(&path).inspect_err(|error| log_unreadable(&path, error)).ok()?;
        let Some(payload) = self.verify(name, &content) else {
            tracing::warn!(path = %path.display(), "an entry of the policy cache is damaged or not ours; it is removed");
            let _ = fs::remove_file(&path);
            return None;
        };
        let verified = Sealed::from_cache(payload.to_vec());
        touch(&path);
        Some(verified)
    }

    /// Keeps what a policy compiled to, and makes room for it. The file appears whole or not at all.
    pub(super) fn put(&self, wasm: Digest, engine: &Engine, sealed: &Sealed) -> io::Result<()> {
        if sealed.bytes().len() as u64 > self.config.bytes {
            return Ok(());
        }
        let name = name_of(wasm, engine);
        let tag = self.tag(name, sealed.bytes());
        let path = self.config.folder.join(name.to_string());
        write_whole(&path, &[MAGIC, tag.as_ref(), sealed.bytes()])?;
        self.evict()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
        let mut content = Vec::new();
        let bound = self.config.bytes + (MAGIC.len() + TAG_BYTES) as u64;
        file.take(bound).read_to_end(&mut content)?;
        Ok(content)
    }

    fn tag(&self, name: Digest, payload: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(MAGIC);
        context.update(&name.0);
        context.update(payload);
        context.sign()
    }

    /// The payload, if the entry was made under our key for this name. Compares in constant time.
    fn verify<'a>(&self, name: Digest, content: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, payload) = content.strip_prefix(MAGIC)?.split_at_checked(TAG_BYTES)?;
        verify_slices_are_equal(self.tag(name, payload).as_ref(), tag).ok().map(|()| payload)
    }

    /// Removes the least recently used entries until the rest is within bounds.
    fn evict(&self) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.config.folder)? {
            let entry = entry?;
            if entry.file_name() == KEY_FILE {
                continue;
            }
            let data = entry.metadata()?;
            if data.is_file() {
                entries.push((data.modified()?, data.len(), entry.path()));
            }
        }
        entries.sort_by(|a, b| b.cmp(a));
        let mut bytes = 0_u64;
        for (at, (_, length, path)) in entries.into_iter().enumerate() {
            bytes = bytes.saturating_add(length);
            if at >= self.config.entries || bytes > self.config.bytes {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Everything that decides which machine code a file becomes.
fn name_of(wasm: Digest, engine: &Engine) -> Digest {
    let engine = Collect::of(&engine.precompile_compatibility_hash());
    of_fields([&b"portcullis compiled policy"[..], PREPARATION, &wasm.0, &engine.0])
}

fn log_unreadable(path: &Path, error: &io::Error) {
    if error.kind() != io::ErrorKind::NotFound {
        tracing::warn!(path = %path.display(), %error, "an entry of the policy cache can't be read");
    }
}

/// Marks an entry as used just now; only eviction looks at that.
fn touch(path: &Path) {
    let touched = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(path = %path.display(), %error, "an entry of the policy cache can't be marked as used");
    }
}

fn no_follow() -> i32 {
    i32::try_from((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC).bits())
        .expect("flags of open(2) are a C int")
}

/// Whether a path is this user's, a folder or file as expected, and nobody else's.
fn own(path: &Path, folder: bool, mode: u32) -> Result<(), CacheError> {
    let data = fs::symlink_metadata(path).map_err(|source| CacheError::Io { path: path.to_owned(), source })?;
    let open = |wrong| Err(CacheError::Open { path: path.to_owned(), wrong, mode });
    if data.file_type().is_symlink() {
        return open("is a symbolic link");
    }
    if data.is_dir() != folder {
        return open(if folder { "is not a folder" } else { "is not a file" });
    }
    if data.uid() != rustix::process::geteuid().as_raw() {
        return open("belongs to another user");
    }
    if data.permissions().mode() & 0o077 != 0 {
        return open("is open to other users");
    }
    Ok(())
}

/// The key: 32 random bytes, made once. When two hosts start at once, the file that was there first counts for both.
fn read_or_make_key(folder: &Path) -> Result<[u8; KEY_BYTES], CacheError> {
    let path = folder.join(KEY_FILE);
    let io = |source| CacheError::Io { path: path.clone(), source };
    let there = path.try_exists().map_err(io)?;
    if there && let Some(key) = read_key(&path)? {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| CacheError::Random)?;
    let fresh = folder.join(format!("{KEY_FILE}.{}", std::process::id()));
    write_whole(&fresh, &[&key]).and_then(|()| File::open(&fresh)?.sync_all()).map_err(io)?;
    if there {
        // No reason not to start: what was compiled under another key is compiled again.
        tracing::warn!(path = %path.display(), "the key of the policy cache is damaged; a new one is made");
        fs::rename(&fresh, &path).map_err(io)?;
    } else {
        let linked = fs::hard_link(&fresh, &path);
        fs::remove_file(&fresh).map_err(io)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let damaged = || io(io::Error::new(io::ErrorKind::InvalidData, "the key is damaged; remove it"));
    read_key(&path)?.ok_or_else(damaged)
}

/// The key in a file that nobody else can reach; `None` where the file does not hold one.
fn read_key(path: &Path) -> Result<Option<[u8; KEY_BYTES]>, CacheError> {
    own(path, false, 0o600)?;
    let bytes = fs::read(path).map_err(|source| CacheError::Io { path: path.to_owned(), source })?;
    Ok(bytes.try_into().ok())
}

/// Writes a file beside its place and moves it there, mode 0600. No fsync: an entry that a power cut tears fails its
/// HMAC, and is compiled again.
fn write_whole(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("new-{}-{write}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let written = pieces.iter().try_for_each(|piece| file.write_all(piece)).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, entries: usize) -> Cache {
        let config = CacheConfig { folder: folder.join("cache"), entries, bytes: 10_000 };
        Cache::open(config).unwrap()
    }

    fn entry(cache: &Cache, wasm: Digest, engine: &Engine) -> PathBuf {
        cache.config.folder.join(name_of(wasm, engine).to_string())
    }

    fn kept(cache: &Cache, wasm: Digest, engine: &Engine) -> Option<Vec<u8>> {
        cache.get(wasm, engine).map(|sealed| sealed.bytes().to_vec())
    }

    #[test]
    fn what_is_kept_comes_back_also_after_a_restart() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let first = cache(folder.path(), 4);
        first.put(Digest([1; 32]), &engine, &Sealed::from_child(b"machine code".to_vec())).unwrap();
        assert_eq!(kept(&first, Digest([1; 32]), &engine).as_deref(), Some(&b"machine code"[..]));
        assert_eq!(kept(&first, Digest([2; 32]), &engine), None);
        drop(first);
        let again = cache(folder.path(), 4);
        assert_eq!(kept(&again, Digest([1; 32]), &engine).as_deref(), Some(&b"machine code"[..]));
    }

    #[test]
    fn another_engine_finds_nothing() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = cache(folder.path(), 4);
        cache.put(Digest([1; 32]), &engine, &Sealed::from_child(b"code".to_vec())).unwrap();
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        assert_eq!(kept(&cache, Digest([1; 32]), &Engine::new(&config).unwrap()), None);
    }

    #[test]
    fn every_changed_byte_every_cut_and_every_swap_is_noticed() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = cache(folder.path(), 8);
        let (one, two) = (Digest([1; 32]), Digest([2; 32]));
        cache.put(one, &engine, &Sealed::from_child(b"code of one".to_vec())).unwrap();
        cache.put(two, &engine, &Sealed::from_child(b"code of two".to_vec())).unwrap();
        let path = entry(&cache, one, &engine);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(kept(&cache, one, &engine), None, "byte {at}");
            assert!(!path.exists(), "a bad entry is removed");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(kept(&cache, one, &engine), None, "cut at {at}");
        }
        fs::copy(entry(&cache, two, &engine), &path).unwrap();
        assert_eq!(kept(&cache, one, &engine), None, "an entry counts under its own name only");
        fs::write(&path, &good).unwrap();
        assert!(kept(&cache, one, &engine).is_some());
    }

    #[test]
    fn a_key_or_a_folder_of_another_user_is_none() {
        for theirs in ["cache/key", "cache"] {
            let folder = tempfile::tempdir().unwrap();
            drop(cache(folder.path(), 4));
            // Only root can give files away.
            if std::os::unix::fs::chown(folder.path().join(theirs), Some(65_534), None).is_ok() {
                let config = CacheConfig { folder: folder.path().join("cache"), entries: 4, bytes: 10_000 };
                let refused = Cache::open(config).err().unwrap().to_string();
                assert!(refused.contains("belongs to another user"), "{theirs}: {refused}");
            }
        }
    }

    #[test]
    fn an_entry_made_under_another_key_is_none() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let ours = cache(folder.path(), 4);
        ours.put(Digest([1; 32]), &engine, &Sealed::from_child(b"code".to_vec())).unwrap();
        fs::remove_file(folder.path().join("cache/key")).unwrap();
        assert_eq!(kept(&cache(folder.path(), 4), Digest([1; 32]), &engine), None);
    }

    #[test]
    fn a_key_that_was_torn_is_made_anew() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let ours = cache(folder.path(), 4);
        ours.put(Digest([1; 32]), &engine, &Sealed::from_child(b"code".to_vec())).unwrap();
        for torn in [&b""[..], b"half of it"] {
            fs::write(folder.path().join("cache/key"), torn).unwrap();
            let again = cache(folder.path(), 4);
            assert_eq!(kept(&again, Digest([1; 32]), &engine), None);
            again.put(Digest([1; 32]), &engine, &Sealed::from_child(b"code".to_vec())).unwrap();
            assert!(kept(&cache(folder.path(), 4), Digest([1; 32]), &engine).is_some());
        }
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = cache(folder.path(), 2);
        let put = |number: u8, age: u64| {
            cache.put(Digest([number; 32]), &engine, &Sealed::from_child(vec![number; 10])).unwrap();
            let used = SystemTime::now() - std::time::Duration::from_secs(age);
            let path = entry(&cache, Digest([number; 32]), &engine);
            OpenOptions::new().write(true).open(path).unwrap().set_modified(used).unwrap();
        };
        put(1, 30);
        put(2, 20);
        assert!(kept(&cache, Digest([1; 32]), &engine).is_some(), "used: now the youngest");
        put(3, 0);
        assert!(kept(&cache, Digest([2; 32]), &engine).is_none());
        assert!(kept(&cache, Digest([1; 32]), &engine).is_some());
        cache.put(Digest([4; 32]), &engine, &Sealed::from_child(vec![4; 9_990])).unwrap();
        assert!(kept(&cache, Digest([4; 32]), &engine).is_none(), "with its tag it is over the bound of bytes");
    }

    #[test]
    fn a_cache_that_others_can_reach_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(cache(folder.path(), 2));
        let config = CacheConfig::new(folder.path().join("cache"));
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("cache"), mode("cache/key")), (0o700, 0o600));

        fs::set_permissions(folder.path().join("cache/key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Cache::open(config.clone()), Err(CacheError::Open { .. })));
        fs::set_permissions(folder.path().join("cache"), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Cache::open(config), Err(CacheError::Open { .. })));
        std::os::unix::fs::symlink(folder.path().join("cache"), folder.path().join("link")).unwrap();
        assert!(matches!(Cache::open(CacheConfig::new(folder.path().join("link"))), Err(CacheError::Open { .. })));
    }
}
