//! Tables with spans, read key by key: each access says what it wants, and what is there instead becomes a problem.
//!
//! What must hold: a key that nobody asked for is an error (a misspelt bound must not silently be the default).

use std::{ops::Range, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Problem, Problems,
    limits::{Bound, Unit},
    problem::Code,
    upstream::{hide_user, without_user},
};

/// Below this likeness (0 to 1, Jaro-Winkler) a known word is not offered for an unknown one.
const ALIKE: f64 = 0.75;

/// Tables in which people write secrets by mistake: what stands at a key that is none is not repeated there.
const SECRETIVE: [&str; 4] = ["credential", "[[token]]", "login", "[[webhook]]"];

/// A table of the file, and which of its keys were asked for.
pub(super) struct Section<'t, 'i> {
    /// As it is written: `[listen]`.
    name: String,
    /// Where it stands.
    span: Range<usize>,
    table: Option<&'t DeTable<'i>>,
    known: Vec<&'static str>,
}

impl<'t, 'i> Section<'t, 'i> {
    pub(super) fn new(name: &str, span: Range<usize>, table: &'t DeTable<'i>) -> Self {
        Self { name: name.to_owned(), span, table: Some(table), known: Vec::new() }
    }

    /// A table that the file does not have: every key takes its default.
    pub(super) fn absent(name: &str) -> Self {
        Self { name: name.to_owned(), span: 0..0, table: None, known: Vec::new() }
    }

    /// Where the table stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// A text, if the key is there.
    pub(super) fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<Spanned<String>> {
        let value = self.get(key)?;
        text(key, value, problems)
    }

    /// A date or a time as text, if the key is there: TOML's own, or a string.
    pub(super) fn moment(&mut self, key: &'static str, problems: &mut Problems) -> Option<Spanned<String>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Datetime(moment) => Some(Spanned::new(value.span(), moment.to_string())),
            DeValue::String(text) => Some(Spanned::new(value.span(), text.to_string())),
            _ => {
                wrong_type(key, value, "a date or time", problems);
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn needed(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<Spanned<String>> {
        if self.table.is_some_and(|table| table.contains_key(key)) {
            return self.text(key, problems);
        }
        self.known.push(key);
        problems.push(
            Problem::error(Code::Missing, self.span(), format!("`{}` needs the key `{key}`", self.name))
                .label(format!("`{key}` is missing"))
                .help(format!("for example: {key} = {example}")),
        );
        None
    }

    /// A list of texts; empty when the key is not there.
    pub(super) fn texts(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Spanned<String>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            wrong_type(key, value, "a list of strings", problems);
            return Vec::new();
        };
        items.iter().filter_map(|item| text(key, item, problems)).collect()
    }

    /// One text or a list of them; the key must be there, with at least one.
    pub(super) fn needed_texts(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems,
    ) -> Vec<Spanned<String>> {
        match self.table.and_then(|table| table.get(key)).map(Spanned::get_ref) {
            Some(DeValue::Array(items)) if !items.is_empty() => self.texts(key, problems),
            Some(DeValue::Array(_)) => {
                self.known.push(key);
                problems.push(
                    Problem::error(Code::Missing, self.span(), format!("`{key}` of `{}` is empty", self.name))
                        .label("needs at least one")
                        .help(format!("for example: {key} = {example}")),
                );
                Vec::new()
            }
            _ => self.needed(key, example, problems).into_iter().collect(),
        }
    }

    /// A list of texts that narrows; none when the key is not there, which narrows nothing. An empty list would be read by
    /// people as nobody, and mean everybody.
    pub(super) fn narrowing(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Spanned<String>> {
        self.narrowing_or(key, &[], problems)
    }

    /// A list of texts that narrows; what is usual when the key is not there.
    pub(super) fn narrowing_or(
        &mut self,
        key: &'static str,
        usual: &[&str],
        problems: &mut Problems,
    ) -> Vec<Spanned<String>> {
        let texts = self.texts_or(key, usual, problems);
        match usual {
            [] | ["*"] => self.not_empty(key, "all", problems),
            _ => self.not_empty(key, &format!("the usual: {}", usual.join(", ")), problems),
        }
        texts
    }

    /// That what narrows is not written and empty. `without`: what is meant where it is not written.
    pub(super) fn not_empty(&self, key: &str, without: &str, problems: &mut Problems) {
        let Some(value) = self.table.and_then(|table| table.get(key)) else { return };
        let empty = match value.get_ref() {
            DeValue::Array(items) => items.is_empty(),
            DeValue::Table(table) => table.is_empty(),
            _ => false,
        };
        if empty {
            let message = format!("`{key}` of `{}` is empty", self.name);
            let problem = Problem::error(Code::BadValue, value.span(), message).label("is this nobody, or everybody?");
            problems.push(problem.help(format!("leave `{key}` out for {without}")));
        }
    }

    /// A list of texts; what is usual when the key is not there.
    pub(super) fn texts_or(
        &mut self,
        key: &'static str,
        usual: &[&str],
        problems: &mut Problems,
    ) -> Vec<Spanned<String>> {
        if self.table.is_some_and(|table| table.contains_key(key)) {
            return self.texts(key, problems);
        }
        self.known.push(key);
        usual.iter().map(|text| Spanned::new(self.span(), (*text).to_owned())).collect()
    }

    /// True or false; false when the key is not there.
    pub(super) fn flag(&mut self, key: &'static str, problems: &mut Problems) -> bool {
        match self.get(key).map(|value| (value, value.get_ref())) {
            None => false,
            Some((_, DeValue::Boolean(said))) => *said,
            Some((value, _)) => {
                wrong_type(key, value, "true or false", problems);
                false
            }
        }
    }

    /// A table that narrows, whose keys the operator chooses, each with a text or a list of them.
    pub(super) fn entries(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Vec<(Spanned<String>, Vec<Spanned<String>>)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Table(table) = value.get_ref() else {
            wrong_type(key, value, "a table", problems);
            return Vec::new();
        };
        self.not_empty(key, "all", problems);
        let named = |name: &Spanned<_>| Spanned::new(name.span(), String::from(AsRef::<str>::as_ref(name.get_ref())));
        let each = table.iter().map(|(name, value)| {
            let name: Spanned<String> = named(name);
            let texts = match value.get_ref() {
                DeValue::Array(items) => items.iter().filter_map(|item| text(name.get_ref(), item, problems)).collect(),
                _ => text(name.get_ref(), value, problems).into_iter().collect(),
            };
            (name, texts)
        });
        each.collect()
    }

    /// One of some words, if the key is there.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let word = self.text(key, problems)?;
        choose(&word, choices, problems)
    }

    /// One of some words; the key must be there.
    pub(super) fn needed_choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let example = choices.first().map(|(name, _)| format!("\"{name}\"")).unwrap_or_default();
        let word = self.needed(key, &example, problems)?;
        choose(&word, choices, problems)
    }

    /// A time: a string such as `"10s"`, `"500ms"`, `"5m"`, or a whole number of seconds.
    pub(super) fn time(&mut self, bound: &Bound, problems: &mut Problems) -> Duration {
        Duration::from_millis(self.bound(bound, problems))
    }

    /// A number of things.
    pub(super) fn count(&mut self, bound: &Bound, problems: &mut Problems) -> usize {
        usize::try_from(self.bound(bound, problems)).unwrap_or(usize::MAX)
    }

    /// A bound's value; its default when it is not there, or wrong (the problem is noted).
    pub(super) fn bound(&mut self, bound: &Bound, problems: &mut Problems) -> u64 {
        let Some(value) = self.get(bound.key) else {
            return bound.default;
        };
        let Some(number) = quantity(bound, value, problems) else {
            return bound.default;
        };
        if bound.range.contains(&number) {
            return number;
        }
        let (low, high) = (bound.unit.show(*bound.range.start()), bound.unit.show(*bound.range.end()));
        problems.push(
            Problem::error(Code::BadValue, value.span(), format!("`{}` is out of range", bound.key))
                .label(format!("must be {low} to {high}"))
                .help(format!("the default is {}", bound.default_text())),
        );
        bound.default
    }

    /// A table inside this one, if it is there. `name` is how people would write it.
    pub(super) fn table(&mut self, key: &'static str, name: &str, problems: &mut Problems) -> Option<Section<'t, 'i>> {
        let value = self.get(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            wrong_type(key, value, "a table", problems);
            return None;
        };
        Some(Section::new(name, value.span(), table))
    }

    /// The tables of a list of tables. `name` is how people would write it: `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str, name: &str, problems: &mut Problems) -> Vec<Section<'t, 'i>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            problems.push(
                Problem::error(Code::WrongType, value.span(), format!("`{key}` is a list of tables"))
                    .label(format!("expected `{name}`, found {}", kind(value.get_ref())))
                    .help(format!("write `{name}` in place of `{}`", name.get(1..name.len() - 1).unwrap_or(key))),
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Section::new(name, item.span(), table)),
                _ => wrong_type(key, item, "a table", problems),
            }
        }
        sections
    }

    /// Every key that nobody asked for is an error.
    pub(super) fn finish(self, problems: &mut Problems) {
        let Some(table) = self.table else { return };
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            if SECRETIVE.iter().any(|part| self.name.contains(part)) {
                problems.hide(value.span());
            }
            let mut problem =
                Problem::error(Code::UnknownKey, key.span(), format!("unknown key `{name}` in {}", self.name));
            problem = match nearest(name, self.known.clone()) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem.label("not a key here").help(format!("keys here: {}", self.known.join(", "))),
            };
            problems.push(problem);
        }
    }
}

/// The known word that an unknown one was meant to be, if one is alike.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let small = word.to_lowercase();
    let likeness = |candidate: &str| match candidate.eq_ignore_ascii_case(word) {
        true => 1.0,
        false => strsim::jaro_winkler(&small, candidate),
    };
    known
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

/// Says that a name is nobody's: which one was meant, or which there are. Where names are URLs, a password in one is not
/// repeated.
pub(super) fn unknown(what: &str, name: &Spanned<String>, known: &[&str], problems: &mut Problems) {
    hide_user(name.span(), problems);
    let message = format!("no {what} is named `{}`", without_user(name.get_ref()));
    let problem = Problem::error(Code::UnknownName, name.span(), message);
    let all = || known.iter().map(|name| without_user(name)).collect::<Vec<_>>().join(", ");
    problems.push(match nearest(name.get_ref(), known.iter().copied()) {
        Some(near) => problem.label(format!("did you mean `{}`?", without_user(near))),
        None if known.is_empty() => problem.label("there are none"),
        None => problem.label("unknown").help(format!("there are: {}", all())),
    });
}

/// The value of a word, if it is one of the choices.
pub(super) fn choose<T: Copy>(
    word: &Spanned<String>,
    choices: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<T> {
    if let Some((_, value)) = choices.iter().find(|(name, _)| name == word.get_ref()) {
        return Some(*value);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let message = format!("unknown variant `{}`, expected {}", word.get_ref(), one_of(&names));
    let mut problem = Problem::error(Code::UnknownVariant, word.span(), message);
    if let Some(near) = nearest(word.get_ref(), names) {
        problem = problem.label(format!("did you mean `{near}`?"));
    }
    problems.push(problem);
    None
}

/// `a`, `b` or `c`.
fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn text(key: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Spanned<String>> {
    let DeValue::String(text) = value.get_ref() else {
        wrong_type(key, value, "a string", problems);
        return None;
    };
    Some(Spanned::new(value.span(), text.to_string()))
}

fn wrong_type(key: &str, value: &Spanned<DeValue<'_>>, expected: &str, problems: &mut Problems) {
    problems.push(
        Problem::error(Code::WrongType, value.span(), format!("`{key}` must be {expected}"))
            .label(format!("this is {}", kind(value.get_ref()))),
    );
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Bytes, milliseconds or things; `None` when the value is none of these (the problem is noted).
fn quantity(bound: &Bound, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<u64> {
    let (expected, scale) = match bound.unit {
        Unit::Size => ("a size: a number of bytes, or a string such as \"512 KiB\" or \"32 MiB\"", 1),
        Unit::Time => ("a time: a number of seconds, or a string such as \"500ms\", \"10s\" or \"5m\"", 1000),
        Unit::Count => ("a whole number", 1),
    };
    let number = match (value.get_ref(), bound.unit) {
        (DeValue::Integer(number), _) => {
            u64::from_str_radix(number.as_str(), number.radix()).ok().and_then(|number| number.checked_mul(scale))
        }
        (DeValue::String(text), Unit::Size) => parse_size(text),
        (DeValue::String(text), Unit::Time) => parse_duration(text),
        _ => {
            wrong_type(bound.key, value, expected, problems);
            return None;
        }
    };
    if number.is_none() {
        problems.push(
            Problem::error(Code::BadValue, value.span(), format!("`{}` must be {expected}", bound.key))
                .label("can't be read as one"),
        );
    }
    number
}

/// Bytes in `"64"`, `"64 B"`, `"32 KiB"`, `"4MiB"`, `"1 GiB"`.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Milliseconds in `"500ms"`, `"10s"`, `"1h 30m"`.
fn parse_duration(text: &str) -> Option<u64> {
    let duration: jiff::SignedDuration = text.trim().parse().ok()?;
    u64::try_from(duration.as_millis()).ok()
}

/// Bytes as one would write them.
pub(super) fn show_size(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("\"{} {name}\"", bytes / unit);
        }
    }
    format!("\"{bytes} B\"")
}

/// Milliseconds as one would write them.
pub(super) fn show_duration(milliseconds: u64) -> String {
    for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if milliseconds >= unit && milliseconds.is_multiple_of(unit) {
            return format!("\"{}{name}\"", milliseconds / unit);
        }
    }
    format!("\"{milliseconds}ms\"")
}
