//! Secrets: from files that hold one each, from the environment, from what a command says.

use std::{fs, io::Read, os::unix::fs::PermissionsExt, path::Path};

use http::HeaderValue;
use zeroize::Zeroizing;

/// The longest secret that is taken; a longer file is not a secret but a mistake.
pub(crate) const SECRET_BYTES: u64 = 16 << 10;

/// A secret, wiped from memory when dropped; never in a `Debug` form.
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret in a text that holds nothing else. White space around it is not part of it.
    ///
    /// # Errors
    /// What is wrong with the text, to be put after its name; never what is in it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let line = text.trim();
        if line.is_empty() {
            return Err("is empty");
        }
        if line.starts_with('\u{feff}') {
            return Err("begins with a byte order mark: save it without one (as UTF-8, not as `UTF-8 with BOM`)");
        }
        if line.chars().any(char::is_control) {
            return Err("holds more than one line, or control characters");
        }
        if !line.is_ascii() {
            return Err("holds a character outside ASCII, which no header can carry: make another one");
        }
        Ok(Self(Zeroizing::new(line.to_owned())))
    }

    /// The secret.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// As a header's value, marked sensitive, with `prefix` before it unless it is there already; `None` when it holds
    /// what no header can.
    pub(crate) fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let whole =
            if self.0.starts_with(prefix) { self.0.clone() } else { Zeroizing::new(format!("{prefix}{}", &*self.0)) };
        let mut value = HeaderValue::from_str(&whole).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// How secrets begin that can be told by it: of providers, of code hosts, tokens of issuers, the gate's own.
const BEGINNINGS: [&str; 22] = [
    "sk-",
    "sk_",
    "rk_",
    "pct_",
    "whsec_",
    "eyJ",
    "Bearer ",
    "AIza",
    "AKIA",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "gsk_",
    "hf_",
    "xai-",
    "xox",
    "pplx-",
    "nvapi-",
    "r8_",
];

/// Whether what should name a place looks like the secret itself: it begins as some do, or is long, no path, and made by
/// chance.
pub(super) fn is_pasted(text: &str) -> bool {
    const BYTES: usize = 20;
    let has = |class: fn(&u8) -> bool| text.as_bytes().iter().any(class);
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let chance = has(u8::is_ascii_digit) && (hex || mixed) && !text.contains(['/', '.']) || text.ends_with('=');
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) || text.len() >= BYTES && chance
}

/// A secret file that was read.
pub(crate) struct SecretFile {
    /// Its one line.
    pub(crate) secret: Secret,
    /// Mode bits that let others read it, if any.
    pub(crate) open_mode: Option<u32>,
}

/// Reads a file that holds one line. White space around it is not part of the secret.
///
/// # Errors
/// A sentence that says what is wrong with the file; never what is in it.
pub(crate) fn read(path: &Path) -> Result<SecretFile, String> {
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
    let secret = Secret::parse(&text).map_err(|wrong| format!("`{}` {wrong}", path.display()))?;
    Ok(SecretFile { secret, open_mode: open_mode_of(&meta) })
}

/// Mode bits that let others read a file, if any.
pub(super) fn open_mode(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().as_ref().and_then(open_mode_of)
}

fn open_mode_of(meta: &fs::Metadata) -> Option<u32> {
    let mode = meta.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// The secret in a variable of the environment.
///
/// # Errors
/// A sentence that says what is wrong with the variable; never what is in it.
pub(super) fn from_environment(name: &str) -> Result<Secret, String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("`{name}` can't be the name of a variable"));
    }
    let text = match std::env::var(name) {
        Ok(text) => Zeroizing::new(text),
        Err(std::env::VarError::NotPresent) => return Err(format!("the environment has no variable `{name}`")),
        Err(std::env::VarError::NotUnicode(_)) => return Err(format!("the variable `{name}` is not UTF-8")),
    };
    Secret::parse(&text).map_err(|wrong| format!("the variable `{name}` {wrong}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_of_a_place_is_known_for_a_secret() {
        for pasted in [
            "sk-live-0123",
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
            "9f86d081884c7d659a2feaa0c55ad015",
            "550e8400-e29b-41d4-a716-446655440000",
            "wJalrXUtnFEMIK7MDENGbPxRfiCY1",
            "q83vASNF/6iL5nkT+abcdefghijklmnopqr0=",
        ] {
            assert!(is_pasted(pasted), "{pasted}");
        }
        for name in [
            "./secrets/openai",
            "openai",
            "openai-production-key-2026",
            "OPENAI_API_KEY_2",
            "/run/secrets/A1b2C3d4E5f6G7h8I9j0",
            "Anthropic-Production-Key-1.txt",
            "",
        ] {
            assert!(!is_pasted(name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_what_a_header_can_carry() {
        let wrong = |text: &str| Secret::parse(text).map(drop).unwrap_err();
        assert!(wrong("\u{feff}sk-1\n").contains("byte order mark"));
        assert!(wrong("schlüssel").contains("outside ASCII") && wrong("sk\u{200b}-1").contains("outside ASCII"));
        assert!(wrong("one\ntwo").contains("more than one line"));
        for good in ["sk-1", " sk-1 \r\n", "pass phrase ~!\"'"] {
            let secret = Secret::parse(good).unwrap();
            assert!(secret.expose() == good.trim() && secret.header("Bearer ").is_some(), "{good:?}");
        }
    }
}
