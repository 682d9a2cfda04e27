//! What a host would not start with, told while it may still run: nothing here changes a store, or waits for one.

use std::{fs::File, io, path::Path};

use rustix::{fs::FallocateFlags, io::Errno};

use crate::{
    Durability, Limits, StoreError,
    ahead::Ahead,
    control::{LEAST_BYTES, check_control_log},
    folder, index,
    index::Index,
    numbered::JOURNAL,
    room,
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

/// That the disk has room for the files that a host begins when it starts. `on_it` is a new, empty file in the store's folder, or
/// in the nearest one above it that exists.
///
/// # Errors
/// There is too little, or nobody can tell.
pub fn check_room(store: &Path, on_it: &File, durability: Durability) -> Result<(), StoreError> {
    let journal = if durability == Durability::Off { 0 } else { Limits::default().journal_bytes };
    has_room(store, on_it, journal + LEAST_BYTES as u64)
}

fn has_room(store: &Path, on_it: &File, bytes: u64) -> Result<(), StoreError> {
    let wrong = |cause| StoreError::io("begin the journal in", store)(cause);
    let Some(free) = room_of(on_it).map_err(wrong)? else { return Ok(()) };
    let free = free + of_the_last(store);
    if free >= bytes {
        return Ok(());
    }
    let told = format!("a start takes {} MiB, and {} are free", bytes >> 20, free >> 20);
    Err(wrong(io::Error::new(io::ErrorKind::StorageFull, told)))
}

/// Free bytes of a disk; none where no file's room is made ahead, so that a start takes next to nothing.
fn room_of(file: &File) -> io::Result<Option<u64>> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, 1) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        // What there is not room for is told with the rest.
        Ok(()) | Err(Errno::NOSPC) => room::free(file).map(Some),
        Err(error) => Err(error.into()),
    }
}

/// Room that a start gives back first: the journal of the last process, or of the one that runs.
fn of_the_last(store: &Path) -> u64 {
    let folder = store.join(folder::JOURNAL);
    let files = JOURNAL.files(&folder).unwrap_or_default().into_iter().map(|(_, path)| path);
    let all = files.chain([Ahead::path(&folder)]);
    all.filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_for_a_start_is_told_and_an_old_journal_counts_as_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("not/there/yet");
        let file = tempfile::tempfile_in(folder.path()).unwrap();
        has_room(&store, &file, 1).unwrap();
        let told = has_room(&store, &file, u64::MAX).unwrap_err().to_string();
        assert!(told.contains("a start takes 17592186044415 MiB, and ") && told.contains("not/there/yet"), "{told}");
        let journal = store.join(folder::JOURNAL);
        std::fs::create_dir_all(&journal).unwrap();
        assert_eq!(of_the_last(&store), 0);
        File::create(JOURNAL.path(&journal, 7)).unwrap().set_len(1000).unwrap();
        File::create(Ahead::path(&journal)).unwrap().set_len(100).unwrap();
        assert_eq!(of_the_last(&store), 1100);
    }
}
