//! The seam under the journal and the control log: files that bytes are appended to. Tests put failing ones in its place.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use rustix::{fs::FallocateFlags, io::Errno};

/// Makes journal files.
pub(crate) trait Medium: Send + Sync {
    /// A new file at `path`, readable by its owner only, with room for `room` bytes where the file system can promise it.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, path: &Path, room: u64) -> io::Result<Arc<dyn JournalFile>>;
}

/// A file that is only appended to. One thread writes; another may sync at the same time.
pub(crate) trait JournalFile: Send + Sync {
    /// Appends all bytes.
    ///
    /// # Errors
    /// The operating system's; some of the bytes may have been appended.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Writes zeros into room that was made ahead and that nothing was appended to. What is appended next goes where it would
    /// have gone.
    ///
    /// # Errors
    /// The operating system's.
    fn zero(&self, from: u64, zeros: &[u8]) -> io::Result<()>;

    /// Returns when everything written before is on the disk.
    ///
    /// # Errors
    /// The operating system's; what is on the disk is then unknown, and asking again would not tell.
    fn sync(&self) -> io::Result<()>;

    /// An error when the file has no name any more: what was synced goes with whoever has it open.
    ///
    /// # Errors
    /// Also the operating system's.
    fn still_there(&self) -> io::Result<()>;
}

/// The error for a file that somebody removed.
pub(crate) fn removed() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "somebody removed it while it was in use")
}

/// The real disk.
pub(crate) struct Disk;

impl Medium for Disk {
    fn create(&self, path: &Path, room: u64) -> io::Result<Arc<dyn JournalFile>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, room) {
            // Without room made ahead every sync also writes the file's new size; it is slower, not less safe.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Arc::new(file))
    }
}

impl JournalFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file: &Self = self;
        file.write_all(bytes)
    }

    fn zero(&self, from: u64, zeros: &[u8]) -> io::Result<()> {
        self.write_all_at(zeros, from)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn still_there(&self) -> io::Result<()> {
        if self.metadata()?.nlink() == 0 { Err(removed()) } else { Ok(()) }
    }
}
