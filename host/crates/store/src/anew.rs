//! What only an operator can order: to go on without a file that was lost, or can't be read, and that nobody can make again.
//! The order is an empty file beside it, `<its name>.begin-anew`.
//!
//! What must hold: nothing that was lost is replaced without such an order, and an order is good for one start.

use std::path::{Path, PathBuf};

use crate::{StoreError, folder};

/// The file that orders it.
pub(crate) fn order(lost: &Path) -> PathBuf {
    let mut name = lost.file_name().unwrap_or_default().to_owned();
    name.push(".begin-anew");
    lost.with_file_name(name)
}

/// Whether it is ordered.
pub(crate) fn is_ordered(lost: &Path) -> bool {
    order(lost).is_file()
}

/// The order was carried out, or was not needed: it must not count a second time.
pub(crate) fn done(lost: &Path) -> Result<(), StoreError> {
    folder::remove(&order(lost))?;
    lost.parent().map_or(Ok(()), folder::sync)
}
