//! Files that hold one secret each.

use std::{fs, io::Read, os::unix::fs::PermissionsExt, path::Path};

use zeroize::Zeroizing;

/// The longest secret that is taken; a longer file is not a secret but a mistake.
const SECRET_BYTES: u64 = 16 << 10;

/// What a secret file holds, wiped from memory when dropped; never in a `Debug` form.
pub(super) struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

/// A secret file that was read.
pub(super) struct SecretFile {
    /// Its one line.
    pub(super) secret: Secret,
    /// Mode bits that let others read it, if any.
    pub(super) open_mode: Option<u32>,
}

/// Reads a file that holds one line. White space around it is not part of the secret.
///
/// # Errors
/// A sentence that says what is wrong with the file; never what is in it.
pub(super) fn read(path: &Path) -> Result<SecretFile, String> {
    let told = |error: std::io::Error| format!("can't read `{}`: {error}", path.display());
    // Looked at before it is opened: opening a FIFO would wait for its writer.
    let meta = fs::metadata(path).map_err(told)?;
    if !meta.is_file() {
        return Err(format!("`{}` is not a regular file", path.display()));
    }
    let file = fs::File::open(path).map_err(told)?;
    let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES as usize + 1));
    file.take(SECRET_BYTES + 1).read_to_string(&mut text).map_err(told)?;
    if text.len() as u64 > SECRET_BYTES {
        return Err(format!("`{}` is longer than {SECRET_BYTES} bytes", path.display()));
    }
    let line = text.trim();
    if line.is_empty() {
        return Err(format!("`{}` is empty", path.display()));
    }
    if line.chars().any(char::is_control) {
        return Err(format!("`{}` holds more than one line, or control characters", path.display()));
    }
    let mode = meta.permissions().mode() & 0o777;
    let open_mode = (mode & 0o077 != 0).then_some(mode);
    Ok(SecretFile { secret: Secret(Zeroizing::new(line.to_owned())), open_mode })
}
