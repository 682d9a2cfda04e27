//! What a host would not start with, told while it may still run: nothing here changes a store, or waits for one.

use std::path::Path;

use crate::{Limits, StoreError, control::check_control_log, folder, index, index::Index};

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
