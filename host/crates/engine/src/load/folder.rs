//! The policy folder as a file system shows it: what is there, and the bytes of one file, read once.
//!
//! A folder that others write to holds surprises: files half written, links that lead nowhere or to a device, pipes that
//! would block whoever opens them, names that are no text. Each is named in a [`Refused`]; none blocks, none is followed to
//! anything but a regular file, and no more is read than the bound allows.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{FileType, Mode, OFlags};

use super::{Refused, stage};

/// Names that are looked at in one folder.
const MAX_NAMES: usize = 10_000;
/// Letters of a policy's id.
const MAX_ID: usize = 64;
/// Bytes of a settings file.
pub const SETTINGS_BYTES: u64 = 1 << 20;
/// A file whose times are younger than this may change again without their showing it, since clocks tick coarsely.
const SETTLED: Duration = Duration::from_secs(2);

/// Which folder: another one at the same path has another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderId {
    /// The file system.
    pub device: u64,
    /// The folder in it.
    pub inode: u64,
    /// When it was made, where the file system tells: the number of one that was removed is soon another's.
    pub born: Option<SystemTime>,
}

impl FolderId {
    /// The folder that stands at this path now; links are followed.
    ///
    /// # Errors
    /// When there is none, or it can't be reached.
    pub fn of(path: &Path) -> io::Result<Self> {
        let data = fs::metadata(path)?;
        if !data.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { device: data.dev(), inode: data.ino(), born: data.created().ok() })
    }
}

/// Names of a policy's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `NAME.wasm`; none when only settings are there.
    pub wasm: Option<PathBuf>,
    /// `NAME.toml`.
    pub settings: Option<PathBuf>,
    /// Why the name can't be taken.
    pub refused: Option<Refused>,
}

/// What a folder holds, by policy id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which folder.
    pub folder: FolderId,
    /// Its policies.
    pub policies: BTreeMap<String, Names>,
    /// Files that are certainly a mistake but no policy: name and reason.
    pub mistakes: Vec<(String, Refused)>,
}

/// Lists a folder. Hidden files and whatever else editors and copies leave behind are passed over.
///
/// # Errors
/// [`Refused`] when the folder can't be listed whole.
pub fn list(path: &Path) -> Result<Listing, Refused> {
    let refuse =
        |error: &io::Error| Refused::passing(stage::READ, format!("the policy folder can't be read: {}", plain(error)));
    let folder = FolderId::of(path).map_err(|error| refuse(&error))?;
    let mut listing = Listing { folder, policies: BTreeMap::new(), mistakes: Vec::new() };
    for (at, entry) in fs::read_dir(path).map_err(|error| refuse(&error))?.enumerate() {
        let entry = entry.map_err(|error| refuse(&error))?;
        if at >= MAX_NAMES {
            return Err(Refused::passing(stage::READ, format!("the policy folder holds more than {MAX_NAMES} files")));
        }
        listing.take(&entry.file_name(), entry.path());
    }
    Ok(listing)
}

impl Listing {
    fn take(&mut self, name: &OsStr, path: PathBuf) {
        let bytes = name.as_bytes();
        if bytes.starts_with(b".") {
            return;
        }
        let Some(dot) = bytes.iter().rposition(|byte| *byte == b'.') else {
            return;
        };
        let (stem, extension) = (&bytes[..dot], &bytes[dot + 1..]);
        let shown = printable(bytes);
        match extension {
            b"wasm" | b"toml" => {
                let id = std::str::from_utf8(stem).ok().filter(|stem| usable(stem));
                let names = self.policies.entry(id.map_or_else(|| printable(stem), str::to_owned)).or_default();
                if id.is_none() {
                    names.refused = Some(unusable());
                }
                *(if extension == b"wasm" { &mut names.wasm } else { &mut names.settings }) = Some(path);
            }
            b"cwasm" => self.mistakes.push((
                shown,
                Refused::new(
                    stage::VALIDATE,
                    "precompiled files (.cwasm) hold machine code, which the sandbox can't check, so they are never loaded \
                     from the folder; put the .wasm here",
                ),
            )),
            other if other.eq_ignore_ascii_case(b"wasm") || other.eq_ignore_ascii_case(b"toml") => self.mistakes.push((
                shown,
                Refused::new(stage::READ, "it is not looked at: write its ending in small letters"),
            )),
            _ => {}
        }
    }
}

/// Whether a file's stem can be a policy's id, which goes to records, metrics and terminals.
pub fn usable(stem: &str) -> bool {
    let letters = stem.chars().count();
    (1..=MAX_ID).contains(&letters) && stem.chars().all(|letter| letter.is_alphanumeric() || "-_.".contains(letter))
}

/// Why a policy with another name is not taken.
pub fn unusable() -> Refused {
    let why = format!("a policy's name has letters, digits, `-`, `_` and `.`, at most {MAX_ID}: rename it");
    Refused::new(stage::READ, why)
}

/// Any name as harmless text.
fn printable(name: &[u8]) -> String {
    name.escape_ascii().to_string().chars().take(MAX_ID).collect()
}

/// What changes when a file is written, replaced or touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// Whether the file's times were old enough, when it was read, that any later write must show in them.
    settled: bool,
}

impl Stamp {
    fn of(data: &Metadata) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let age = i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_sub(data.ctime().max(data.mtime()));
        Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
            settled: age > i64::try_from(SETTLED.as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// Whether the same file, unchanged as far as its times tell, still stands at this path.
    #[must_use]
    pub fn holds(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|data| data.is_file() && Self::of(&data).same_file(self))
    }

    /// Whether the file has certainly the bytes that were read under this stamp.
    #[must_use]
    pub fn still(&self, path: &Path) -> bool {
        self.settled && self.holds(path)
    }

    /// Whether nothing has changed between this and another, as far as size and times tell.
    #[must_use]
    pub fn same_file(&self, other: &Self) -> bool {
        Self { settled: other.settled, ..*self } == *other
    }
}

/// What came of reading a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Its bytes, and the stamp under which they were read.
    Bytes(Vec<u8>, Stamp),
    /// It is not there (any more).
    Gone,
    /// It was written to meanwhile.
    Changing,
}

/// Reads a file, whole and once.
///
/// # Errors
/// [`Refused`] for anything but a regular file within the bound.
pub fn read(path: &Path, bound: u64) -> Result<Read, Refused> {
    match read_regular(path, bound) {
        Ok(read) => Ok(read),
        Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            // A link that leads nowhere is there all the same.
            if fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_symlink()) {
                return Err(Refused::passing(stage::READ, "it is a symbolic link to nothing"));
            }
            Ok(Read::Gone)
        }
        Err(Trouble::Io(error)) => Err(Refused::passing(stage::READ, format!("it can't be read: {}", plain(&error)))),
        Err(Trouble::Refused(refused)) => Err(refused),
    }
}

enum Trouble {
    Io(io::Error),
    Refused(Refused),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn read_regular(path: &Path, bound: u64) -> Result<Read, Trouble> {
    let refuse = |message: String| Err(Trouble::Refused(Refused::passing(stage::READ, message)));
    // Opening some devices does something, so what is plainly none of ours is not even opened.
    if let Some(kind) = irregular(&fs::metadata(path)?) {
        return refuse(format!("it is {kind}, not a regular file"));
    }
    // Between the two calls it may have become a pipe: without NONBLOCK, opening one waits for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    let before = file.metadata()?;
    if let Some(kind) = irregular(&before) {
        return refuse(format!("it is {kind}, not a regular file"));
    }
    if before.len() > bound {
        return refuse(format!("it has {} bytes, and at most {bound} are taken", before.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or(0));
    (&file).take(bound + 1).read_to_end(&mut bytes)?;
    let stamp = Stamp::of(&file.metadata()?);
    if !stamp.same_file(&Stamp::of(&before)) || bytes.len() as u64 != stamp.size {
        return Ok(Read::Changing);
    }
    Ok(Read::Bytes(bytes, stamp))
}

/// What a path is, if no regular file.
fn irregular(data: &Metadata) -> Option<&'static str> {
    match FileType::from_raw_mode(data.mode()) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a folder"),
        FileType::Fifo => Some("a named pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        FileType::Symlink | FileType::Unknown => Some("something unknown"),
    }
}

/// An error as people say it, with no number behind it.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is none".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("permission denied for this user (uid {})", rustix::process::geteuid().as_raw())
        }
        io::ErrorKind::NotADirectory => "it is not a folder".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const BOUND: u64 = 1000;

    fn refusal(path: &Path) -> String {
        read(path, BOUND).expect_err("refused").message
    }

    fn bytes(path: &Path) -> (Vec<u8>, Stamp) {
        let Ok(Read::Bytes(bytes, stamp)) = read(path, BOUND) else { panic!("{} can be read", path.display()) };
        (bytes, stamp)
    }

    #[test]
    fn only_regular_files_are_read_and_nothing_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("good"), b"bytes").unwrap();
        assert_eq!(bytes(&at("good")).0, b"bytes");
        assert_eq!(read(&at("none"), BOUND), Ok(Read::Gone));

        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(refusal(&at("pipe")).contains("named pipe"));
        fs::create_dir(at("folder")).unwrap();
        assert!(refusal(&at("folder")).contains("a folder"));
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert!(refusal(&at("socket")).contains("a socket"));
        assert!(refusal(Path::new("/dev/zero")).contains("a device"));
    }

    #[test]
    fn links_lead_to_regular_files_or_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("good"), b"bytes").unwrap();
        symlink("good", at("link")).unwrap();
        symlink("link", at("link-to-link")).unwrap();
        assert_eq!(bytes(&at("link-to-link")).0, b"bytes");
        symlink("nothing", at("dangling")).unwrap();
        assert!(refusal(&at("dangling")).contains("a symbolic link to nothing"));
        symlink("loop", at("loop")).unwrap();
        assert!(refusal(&at("loop")).contains("can't be read"));
        symlink("/dev/urandom", at("device")).unwrap();
        assert!(refusal(&at("device")).contains("a device"));
    }

    #[test]
    fn a_sparse_giant_is_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("giant.wasm");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(refusal(&path).contains("1099511627776 bytes"), "{}", refusal(&path));
        File::create(&path).unwrap().set_len(BOUND).unwrap();
        assert_eq!(bytes(&path).0.len() as u64, BOUND);
    }

    #[test]
    fn what_may_not_be_read_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.wasm");
        fs::write(&path, b"bytes").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        // An administrator reads it all the same.
        match read(&path, BOUND) {
            Ok(Read::Bytes(bytes, _)) => {
                assert_eq!((bytes.as_slice(), rustix::process::geteuid().as_raw()), (&b"bytes"[..], 0));
            }
            Ok(other) => panic!("it is there: {other:?}"),
            Err(refused) => assert!(refused.message.contains("permission denied"), "{refused}"),
        }
    }

    #[test]
    fn a_stamp_that_is_not_settled_promises_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.wasm");
        fs::write(&path, b"one").unwrap();
        let (_, young) = bytes(&path);
        assert!(!young.still(&path), "written just now: it may be written again within the same tick");
        let old = Stamp { settled: true, ..young };
        assert!(old.still(&path));
        fs::write(&path, b"two").unwrap();
        assert!(!Stamp { changed: (0, 0), ..old }.still(&path));
        let again = folder.path().join("other");
        fs::write(&again, b"two").unwrap();
        fs::rename(&again, &path).unwrap();
        assert!(!old.still(&path), "another file at the same place");
        fs::remove_file(&path).unwrap();
        assert!(!old.still(&path));
    }

    #[test]
    fn a_folder_is_listed_by_policy_and_its_litter_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let touch = |name: &[u8]| fs::write(folder.path().join(OsStr::from_bytes(name)), b"").unwrap();
        for name in ["10-mask.wasm", "10-mask.toml", "lonely.toml", "ünï.wasm", "a.b.wasm"] {
            touch(name.as_bytes());
        }
        for litter in
            ["x.wasm~", "x.wasm.tmp", "#x.wasm#", ".x.wasm.swp", ".#x.wasm", "4913", "x.wasm.part", "README.md"]
        {
            touch(litter.as_bytes());
        }
        for mistake in ["fast.cwasm", "LOUD.WASM"] {
            touch(mistake.as_bytes());
        }
        for hostile in [&b"bad\xff.wasm"[..], b"two words.wasm", b"esc\x1b[31m.wasm", "x".repeat(65).as_bytes()] {
            touch(&[hostile, if hostile.ends_with(b"wasm") { b"" } else { b".wasm" }].concat());
        }
        let listing = list(folder.path()).unwrap();
        let good: Vec<_> = listing.policies.iter().filter(|(_, names)| names.refused.is_none()).collect();
        assert_eq!(good.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["10-mask", "a.b", "lonely", "ünï"]);
        assert!(good[0].1.wasm.is_some() && good[0].1.settings.is_some());
        assert!(good[2].1.wasm.is_none() && good[2].1.settings.is_some());
        let bad: Vec<_> = listing.policies.iter().filter(|(_, names)| names.refused.is_some()).collect();
        assert_eq!(bad.len(), 4);
        assert!(bad.iter().all(|(id, _)| id.chars().all(|letter| !letter.is_control())), "{bad:?}");
        let mut mistakes: Vec<_> = listing.mistakes.iter().map(|(name, _)| name.as_str()).collect();
        mistakes.sort_unstable();
        assert_eq!(mistakes, ["LOUD.WASM", "fast.cwasm"]);
    }

    #[test]
    fn a_folder_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(list(&folder.path().join("none")).expect_err("none").message.contains("there is none"));
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(list(&folder.path().join("file")).expect_err("a file").message.contains("not a folder"));
    }
}
