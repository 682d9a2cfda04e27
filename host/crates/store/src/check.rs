//! What a host would not start with, told while it may still run: nothing here changes a store, or waits for one.

use std::{io, path::Path};

use crate::{
    Durability, Limits, StoreError,
    control::{LEAST_BYTES, check_control_log},
    folder, index,
    index::Index,
    numbered::JOURNAL,
};

/// Looks at a store as a host does that starts, as far as one that runs lets it: the key and the control log; and the index, where
/// no host has the store open. Gives all that is wrong. Blocks.
#[must_use]
pub fn check(store: &Path) -> Vec<StoreError> {
    let looks = [folder::check_key(store), check_control_log(store), check_index(store)];
    looks.into_iter().filter_map(Result::err).collect()
}

fn check_index(store: &Path) -> Result<(), StoreError> {
    let file = store.join(index::FILE);
    if index::is_missing(&file)? {
        return Ok(());
    }
    let looked = folder::while_nobody_has_it(store, || Index::check(&file, Limits::default().cache_bytes))?;
    looked.unwrap_or(Ok(()))
}

/// That the disk of `there`, the store's folder or the nearest one above it that exists, has room for the files that a host begins
/// when it starts.
///
/// # Errors
/// There is too little, or nobody can tell.
pub fn check_room(store: &Path, there: &Path, durability: Durability) -> Result<(), StoreError> {
    let journal = if durability == Durability::Off { 0 } else { Limits::default().journal_bytes };
    has_room(store, there, journal + LEAST_BYTES as u64)
}

fn has_room(store: &Path, there: &Path, bytes: u64) -> Result<(), StoreError> {
    let wrong = StoreError::io("begin the journal in", store);
    let disk = match rustix::fs::statvfs(there) {
        Ok(disk) => disk,
        Err(error) => return Err(wrong(error.into())),
    };
    // Who is root may use what is kept back for it.
    let blocks = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
    let free = blocks.saturating_mul(disk.f_frsize) + of_the_last(store)?;
    if free >= bytes {
        return Ok(());
    }
    let mib = |bytes: u64| bytes >> 20;
    Err(wrong(io::Error::new(
        io::ErrorKind::StorageFull,
        format!("a start takes {} MiB, and {} are free", mib(bytes), mib(free)),
    )))
}

/// Room that a start gives back first: the journal of the last process, or of the one that runs.
fn of_the_last(store: &Path) -> Result<u64, StoreError> {
    let folder = store.join(folder::JOURNAL);
    if !folder.exists() {
        return Ok(0);
    }
    let files = JOURNAL.files(&folder)?;
    Ok(files.iter().filter_map(|(_, path)| path.metadata().ok()).map(|file| file.len()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_for_a_start_is_told_and_an_old_journal_counts_as_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("not/there/yet");
        has_room(&store, folder.path(), 1).unwrap();
        let told = has_room(&store, folder.path(), u64::MAX).unwrap_err().to_string();
        assert!(told.contains("a start takes 17592186044415 MiB, and ") && told.contains("not/there/yet"), "{told}");
        let journal = store.join(folder::JOURNAL);
        std::fs::create_dir_all(&journal).unwrap();
        assert_eq!(of_the_last(&store).unwrap(), 0);
        std::fs::File::create(JOURNAL.path(&journal, 7)).unwrap().set_len(1000).unwrap();
        assert_eq!(of_the_last(&store).unwrap(), 1000);
    }
}
