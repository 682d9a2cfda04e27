//! Names as messages say them: all that there are, and the one that was probably meant.

/// Two names this alike are a slip of the keyboard.
const ALIKE: f64 = 0.7;

/// What was probably meant.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |other: &'k str| (strsim::jaro_winkler(&name.to_lowercase(), other), other);
    let alike = known.iter().copied().map(likeness).filter(|(likeness, _)| *likeness >= ALIKE);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
}

/// `a`, `b` or `c`.
pub(crate) fn quoted(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first = first.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            format!("{first} or `{last}`")
        }
    }
}
