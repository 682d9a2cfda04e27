//! What a disk has room for.

use std::{io, os::fd::AsFd};

/// Types of file systems that write what is written again to another place, as `statfs(2)` tells them: btrfs, ZFS, bcachefs. Zeros
/// that were written are no room there.
const COPY_ON_WRITE: [u64; 3] = [0x9123_683e, 0x2fc1_2fc1, 0xca45_1a4e];

/// Free bytes of the disk on which a file or folder is, as far as this user may have them.
pub(crate) fn free(on: impl AsFd) -> io::Result<u64> {
    let disk = rustix::fs::fstatvfs(on)?;
    // Who is root may use what is kept back for it.
    let blocks = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
    Ok(blocks.saturating_mul(disk.f_frsize))
}

/// Whether what is written again there stays in its place, so that it needs no other.
pub(crate) fn stays(on: impl AsFd) -> io::Result<bool> {
    let disk = rustix::fs::fstatfs(on)?;
    Ok(!is_copied(disk.f_type as u64))
}

fn is_copied(file_system: u64) -> bool {
    // It is a signed number of 32 bits on some machines.
    COPY_ON_WRITE.contains(&(file_system & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_known_by_their_file_system_and_room_is_told() {
        let ext4 = 0xef53;
        for (file_system, copied) in [(ext4, false), (0x9123_683e, true), (0xffff_ffff_9123_683e, true)] {
            assert_eq!(is_copied(file_system), copied, "{file_system:x}");
        }
        let folder = tempfile::tempdir().unwrap();
        let folder = std::fs::File::open(folder.path()).unwrap();
        stays(&folder).unwrap();
        free(&folder).unwrap();
    }
}
