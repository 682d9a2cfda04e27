//! Patterns of the configuration: a whole name, or the beginning of one before `*`.

/// Whether a text is what a pattern says.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => pattern == text,
    }
}
