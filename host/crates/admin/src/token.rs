//! The control token: made once, kept in a file that only its owner may read, compared by its hash.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Random bytes of a new token.
const RANDOM_BYTES: usize = 32;
/// The longest token file that is read.
const FILE_BYTES: u64 = 4 << 10;
/// The fewest characters of a token that is taken: 128 bits in base64.
const SHORTEST: usize = 22;

/// Why there is no control token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The operating system said no.
    #[error("can't {operation} the control token {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// The file is there, and is not one to trust.
    #[error("the control token {} {what}; remove it, and the next start makes a new one", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

/// The hash of the control token.
#[derive(Clone)]
pub struct AdminToken {
    digest: [u8; 32],
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

impl AdminToken {
    /// Reads the token's file, or makes it: 32 random bytes in base64url, mode 0600.
    ///
    /// # Errors
    /// [`TokenError`], also when others may read the file.
    pub fn load_or_make(path: &Path) -> Result<Self, TokenError> {
        let io = |operation| move |source| TokenError::Io { operation, path: path.to_owned(), source };
        match Self::load(path) {
            Err(TokenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let mut random = [0; RANDOM_BYTES];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| io("make")(io::Error::other("no randomness")))?;
        let token = URL_SAFE_NO_PAD.encode(random);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io("make"))?;
        file.write_all(format!("{token}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(io("write"))?;
        Ok(Self::of(&token))
    }

    /// Whether a host would start with the token's file; one that is not there it makes.
    ///
    /// # Errors
    /// [`TokenError`] when it would not.
    pub fn check(path: &Path) -> Result<(), TokenError> {
        match Self::load(path) {
            Err(TokenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            loaded => loaded.map(drop),
        }
    }

    fn load(path: &Path) -> Result<Self, TokenError> {
        let io = |operation| move |source| TokenError::Io { operation, path: path.to_owned(), source };
        let unfit = |what| TokenError::Unfit { path: path.to_owned(), what };
        let meta = fs::symlink_metadata(path).map_err(io("read"))?;
        if !meta.is_file() {
            return Err(unfit("is not a regular file"));
        }
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(unfit("may be read by others (its mode must be 0600)"));
        }
        let mut text = String::new();
        fs::File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text)).map_err(io("read"))?;
        let token = text.trim();
        if token.len() < SHORTEST {
            return Err(unfit("is too short"));
        }
        Ok(Self::of(token))
    }

    fn of(token: &str) -> Self {
        Self { digest: hash(token) }
    }

    /// Whether this is it; takes the same time whatever it is.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        self.digest.ct_eq(&hash(presented)).into()
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.token");
        AdminToken::check(&path).unwrap();
        assert!(!path.exists(), "nothing is made to check");
        let made = AdminToken::load_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 43);
        assert!(made.is(text.trim()));
        assert!(AdminToken::load_or_make(&path).unwrap().is(text.trim()));
        assert!(!made.is("") && !made.is(&text));
        assert!(!format!("{made:?}").contains(text.trim()));
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_no_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.token");
        fs::write(&path, "x".repeat(43)).unwrap();
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(AdminToken::load_or_make(&path), Err(TokenError::Unfit { .. })), "{mode:o}");
            assert!(matches!(AdminToken::check(&path), Err(TokenError::Unfit { .. })), "{mode:o}");
        }
        fs::write(&path, "short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(AdminToken::load_or_make(&path), Err(TokenError::Unfit { .. })));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(matches!(AdminToken::load_or_make(&path), Err(TokenError::Unfit { .. })));
    }
}
