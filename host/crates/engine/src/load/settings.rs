//! What the operator says of a policy: `NAME.toml` beside `NAME.wasm`.
//!
//! ```toml
//! order = 10                   # place in the chain; default: the number that the file's name begins with, else 1000
//! mode = "enforce"             # or "shadow" (record verdicts, change nothing), or "off"
//! on_failure = "closed"        # or "open": the exchange goes on when the policy fails
//! connections = ["openai"]     # default: all
//! grants = ["state"]           # of "clock", "state", "scan"; default: none
//! required = true              # stays in force even when its file is deleted; default: false
//!
//! [limits]
//! time_per_call = "50ms"
//! memory = "64MiB"
//! hold_back = "64KiB"
//! answer = "1MiB"
//!
//! [settings]                   # whatever the policy itself understands
//! words = ["export"]
//! ```
//!
//! Each key may be left out. A key that is not known is an error, never passed over: a misspelt `on_failure` must not
//! quietly become the default. All errors are found at once, each with its place.

use std::{fmt, ops::Range, path::PathBuf, time::Duration};

use model::{FailureMode, Mode, PolicyLimits};
use serde_json::Value as Json;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Refused, stage};
use crate::{
    runtime::{Grants, MOST_ANSWER, MOST_TIME, SettingProblem},
    words::{nearest, quoted},
};

/// Place in the chain of a policy whose name begins with no number and that says nothing.
pub const DEFAULT_ORDER: i64 = 1000;
/// Keys of the file.
const KEYS: [&str; 8] = ["order", "mode", "on_failure", "connections", "grants", "required", "limits", "settings"];
/// Keys of `[limits]`.
const LIMIT_KEYS: [&str; 4] = ["time_per_call", "memory", "hold_back", "answer"];
/// What the operator may ask for.
const TIME_PER_CALL: (Duration, Duration) = (Duration::from_millis(1), MOST_TIME);
const MEMORY: (u64, u64) = (64 << 10, 4 << 30);
const HOLD_BACK: (u64, u64) = (0, 16 << 20);
const ANSWER: (u64, u64) = (1 << 10, MOST_ANSWER as u64);

/// What the operator says of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Place in the chain, smallest first.
    pub order: i64,
    /// Whether its verdicts count.
    pub mode: Mode,
    /// What happens when it fails, or can't be loaded.
    pub on_failure: FailureMode,
    /// Connections it guards; empty: all.
    pub connections: Vec<String>,
    /// Interfaces of the host that it may import.
    pub grants: Grants,
    /// Whether it stays in force when its file is deleted.
    pub required: bool,
    /// Bounds.
    pub limits: PolicyLimits,
    /// The table `[settings]` as a JSON object; `{}` when there is none.
    pub settings_json: String,
}

/// One thing wrong with a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFault {
    /// What is wrong, as a sentence without an end.
    pub message: String,
    /// Bytes of the source that it is about.
    pub span: Range<usize>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// All that is wrong with a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The file.
    pub file: PathBuf,
    /// Its text, for showing the places.
    pub source: String,
    /// What is wrong, in the order of the text; never empty.
    pub faults: Vec<SettingsFault>,
}

impl SettingsError {
    /// Of a file that is not UTF-8; `good`: what stands before the first wrong byte.
    pub(super) fn not_text(file: impl Into<PathBuf>, good: &[u8]) -> Self {
        let source = String::from_utf8_lossy(good).into_owned();
        let mut reader = Reader { text: &source, connections: None, faults: Vec::new() };
        reader.fault(source.len()..source.len(), "the file is not text in UTF-8", None);
        Self { file: file.into(), faults: reader.faults, source }
    }

    /// What a policy has against its settings, each at its place in the file's text.
    pub(super) fn of_policy(file: impl Into<PathBuf>, source: &str, problems: &[SettingProblem]) -> Self {
        let mut reader = Reader { text: source, connections: None, faults: Vec::new() };
        let (table, _) = DeTable::parse_recoverable(source);
        for problem in problems {
            reader.fault(place(table.get_ref(), problem), &problem.message, problem.hint.clone());
        }
        reader.faults.sort_by_key(|fault| fault.span.start);
        Self { file: file.into(), faults: reader.faults, source: source.to_owned() }
    }
}

/// Where in the file the setting stands that a problem is about, or what it is missing in.
fn place(table: &DeTable<'_>, problem: &SettingProblem) -> Range<usize> {
    let settings = table.iter().find(|(key, _)| key.get_ref() == "settings");
    let Some((key, value)) = settings else { return 0..0 };
    let (mut span, mut at) = (key.span(), value);
    let path = problem.pointer.strip_prefix('/');
    for token in path.into_iter().flat_map(|path| path.split('/')) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let next = match at.get_ref() {
            DeValue::Table(table) => table
                .iter()
                .find(|(key, _)| **key.get_ref() == token)
                .map(|(key, value)| (if problem.name { key.span() } else { value.span() }, value)),
            DeValue::Array(list) => {
                token.parse::<usize>().ok().and_then(|index| list.get(index)).map(|item| (item.span(), item))
            }
            _ => None,
        };
        let Some(next) = next else { break };
        (span, at) = next;
    }
    span
}

impl fmt::Display for SettingsError {
    /// One line for logs and the policy set; `portcullis check` draws it better.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            let gap = if at == 0 { "" } else { "; " };
            write!(f, "{gap}line {}, column {}: {}", fault.line, fault.column, fault.message)?;
            if let Some(hint) = &fault.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

impl From<&SettingsError> for Refused {
    fn from(error: &SettingsError) -> Self {
        Self { settings: Some(Box::new(error.clone())), ..Self::new(stage::SETTINGS, error.to_string()) }
    }
}

impl Settings {
    /// Those of a policy that has no settings file.
    #[must_use]
    pub fn of_name(stem: &str) -> Self {
        Self {
            order: order_of_name(stem),
            mode: Mode::default(),
            on_failure: FailureMode::default(),
            connections: Vec::new(),
            grants: Grants::default(),
            required: false,
            limits: PolicyLimits::default(),
            settings_json: "{}".to_owned(),
        }
    }

    /// Reads a settings file; `stem` is the policy's id, `file` its path as messages name it, `connections` those that
    /// there are, where that is known: a policy for another one would guard nothing, and nobody would notice.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse(
        stem: &str,
        file: impl Into<PathBuf>,
        text: &str,
        connections: Option<&[String]>,
    ) -> Result<Self, SettingsError> {
        let mut reader = Reader { text, connections, faults: Vec::new() };
        let settings = reader.read(stem);
        if reader.faults.is_empty() {
            return Ok(settings);
        }
        reader.faults.sort_by_key(|fault| fault.span.start);
        Err(SettingsError { file: file.into(), source: text.to_owned(), faults: reader.faults })
    }
}

/// The number that a name begins with: `10-mask` is tenth.
fn order_of_name(stem: &str) -> i64 {
    let digits = stem.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(stem.len());
    stem[..digits].parse().unwrap_or(DEFAULT_ORDER)
}

struct Reader<'a> {
    text: &'a str,
    connections: Option<&'a [String]>,
    faults: Vec<SettingsFault>,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Reader<'a> {
    fn read(&mut self, stem: &str) -> Settings {
        let mut settings = Settings::of_name(stem);
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.fault(error.span().unwrap_or(0..0), error.message().trim_end(), None);
        }
        // What a broken text seems to say is not worth a message.
        if !errors.is_empty() {
            return settings;
        }
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "order" => set(&mut settings.order, self.integer(value)),
                "mode" => set(&mut settings.mode, self.choice(value, &Mode::ALL)),
                "on_failure" => {
                    let modes = [("closed", FailureMode::Closed), ("open", FailureMode::Open)];
                    set(&mut settings.on_failure, self.choice(value, &modes));
                }
                "connections" => {
                    let known = self.connections.map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
                    settings.connections = self.names(value, "connection", known.as_deref());
                    if value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
                        self.fault(value.span(), "an empty list guards nothing; leave the key out to guard all", None);
                    }
                }
                "grants" => {
                    for name in self.names(value, "grant", Some(&Grants::NAMES)) {
                        if !settings.grants.add(&name) {
                            self.fault(value.span(), &format!("there is no grant `{name}`"), None);
                        }
                    }
                }
                "required" => match value.get_ref().as_bool() {
                    Some(required) => settings.required = required,
                    None => self.wrong_type(value, "`true` or `false`"),
                },
                "limits" => self.limits(value, &mut settings.limits),
                "settings" => settings.settings_json = self.object(value),
                _ => self.unknown(key.get_ref(), key.span(), "key", &KEYS),
            }
        }
        settings
    }

    fn limits(&mut self, value: &Value<'a>, limits: &mut PolicyLimits) {
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong_type(value, "a table, `[limits]`");
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "time_per_call" => set(&mut limits.time_per_call, self.duration(value)),
                "memory" => set(&mut limits.memory_bytes, self.bytes(value, MEMORY)),
                "hold_back" => set(&mut limits.hold_back_bytes, self.bytes(value, HOLD_BACK)),
                "answer" => set(&mut limits.answer_bytes, self.bytes(value, ANSWER)),
                _ => self.unknown(key.get_ref(), key.span(), "limit", &LIMIT_KEYS),
            }
        }
    }

    fn integer(&mut self, value: &Value<'a>) -> Option<i64> {
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(value, "a whole number");
            return None;
        };
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        if parsed.is_none() {
            self.fault(value.span(), "the number is too large", None);
        }
        parsed
    }

    fn choice<T: Copy>(&mut self, value: &Value<'a>, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(value, &quoted(&names));
            return None;
        };
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if found.is_none() {
            self.unknown(text, value.span(), "value", &names);
        }
        found
    }

    /// A list of strings, each a `what`; `known`: the only ones there are.
    fn names(&mut self, value: &Value<'a>, what: &str, known: Option<&[&str]>) -> Vec<String> {
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type(value, "a list of strings, such as `[\"a\", \"b\"]`");
            return Vec::new();
        };
        let mut names: Vec<String> = Vec::new();
        for item in list {
            match (item.get_ref().as_str(), known) {
                (None, _) => self.wrong_type(item, "a string"),
                (Some(name), Some(known)) if !known.contains(&name) => self.unknown(name, item.span(), what, known),
                (Some(name), _) if names.iter().any(|other| other == name) => {
                    self.fault(item.span(), &format!("`{name}` stands here twice"), None);
                }
                (Some(name), _) => names.push(name.to_owned()),
            }
        }
        names
    }

    fn duration(&mut self, value: &Value<'a>) -> Option<Duration> {
        const UNITS: [(&str, u64); 3] = [("us", 1), ("ms", 1_000), ("s", 1_000_000)];
        let (least, most) = TIME_PER_CALL;
        let micros = self.quantity(value, &UNITS, "a time, such as `\"50ms\"` or `\"1s\"`")?;
        let time = Duration::from_micros(micros);
        if time < least || time > most {
            self.fault(
                value.span(),
                &format!("it must be from {} ms to {} s", least.as_millis(), most.as_secs()),
                None,
            );
            return None;
        }
        Some(time)
    }

    fn bytes(&mut self, value: &Value<'a>, (least, most): (u64, u64)) -> Option<usize> {
        const UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        let bytes = self.quantity(value, &UNITS, "a size, such as `\"64KiB\"` or `\"64MiB\"`")?;
        if bytes < least || bytes > most {
            self.fault(value.span(), &format!("it must be from {least} to {most} bytes"), None);
            return None;
        }
        usize::try_from(bytes).ok()
    }

    /// A whole number with a unit, in the smallest of the units.
    fn quantity(&mut self, value: &Value<'a>, units: &[(&str, u64)], expected: &str) -> Option<u64> {
        let parsed = value.get_ref().as_str().and_then(|text| {
            let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
            let (number, unit) = text.split_at(digits);
            let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
            number.parse::<u64>().ok()?.checked_mul(*factor)
        });
        if parsed.is_none() {
            self.wrong_type(value, expected);
        }
        parsed
    }

    fn object(&mut self, value: &Value<'a>) -> String {
        if value.get_ref().as_table().is_none() {
            self.wrong_type(value, "a table, `[settings]`");
        }
        self.json(value).to_string()
    }

    fn json(&mut self, value: &Value<'a>) -> Json {
        match value.get_ref() {
            DeValue::String(text) => Json::from(text.as_ref()),
            DeValue::Integer(_) => self.integer(value).map_or(Json::Null, Json::from),
            DeValue::Float(number) => {
                match number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
                    Some(number) => Json::Number(number),
                    None => {
                        self.fault(
                            value.span(),
                            "JSON, in which policies get their settings, has no such number",
                            None,
                        );
                        Json::Null
                    }
                }
            }
            DeValue::Boolean(truth) => Json::from(*truth),
            DeValue::Datetime(time) => Json::from(time.to_string()),
            DeValue::Array(list) => list.iter().map(|item| self.json(item)).collect(),
            DeValue::Table(table) => {
                Json::Object(table.iter().map(|(key, value)| (key.get_ref().to_string(), self.json(value))).collect())
            }
        }
    }

    fn wrong_type(&mut self, value: &Value<'a>, expected: &str) {
        let found = value.get_ref().type_str();
        let found = match value.get_ref().as_str() {
            Some(text) => format!("`{text}`"),
            None => format!("{found} here"),
        };
        self.fault(value.span(), &format!("expected {expected}, found {found}"), None);
    }

    fn unknown(&mut self, name: &str, span: Range<usize>, what: &str, known: &[&str]) {
        let hint = nearest(name, known).map(|other| format!("did you mean `{other}`?"));
        self.fault(span, &format!("unknown {what} `{name}`, expected {}", quoted(known)), hint);
    }

    fn fault(&mut self, span: Range<usize>, message: &str, hint: Option<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        self.faults.push(SettingsFault {
            message: message.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            hint,
        });
    }
}

/// Whether a settings file that can be read says nothing at all: an editor has cut it to write it anew, or a write of it was cut short.
pub(super) fn says_nothing(bytes: &[u8]) -> bool {
    // Without a key there is no value, so whatever begins with a bracket is the head of a table.
    let empty = |line: &[u8]| matches!(line.trim_ascii_start().first(), None | Some(b'#' | b'['));
    bytes.split(|byte| *byte == b'\n').all(empty)
}

/// Leaves the default where there is no good value; the fault is told already.
fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_every_key_with_its_default() {
        let documentation = include_str!("../../../../docs/configuration.md");
        let (_, section) = documentation.split_once("## `NAME.toml`").unwrap();
        let section = section.split("\n## ").next().unwrap();
        for key in KEYS.iter().chain(&LIMIT_KEYS) {
            assert!(section.contains(&format!("\n| `{key}` | ")), "missing in configuration.md: {key}");
        }
        let PolicyLimits { time_per_call, memory_bytes, hold_back_bytes, answer_bytes } = PolicyLimits::default();
        let (low, high) = TIME_PER_CALL;
        let time = format!("{}ms |", time_per_call.as_millis());
        assert!(section.contains(&format!("| `time_per_call` | {time}")));
        assert!(section.contains(&format!("; {}ms to {}s.", low.as_millis(), high.as_secs())));
        for (key, default, (least, most)) in [
            ("memory", memory_bytes, MEMORY),
            ("hold_back", hold_back_bytes, HOLD_BACK),
            ("answer", answer_bytes, ANSWER),
        ] {
            let row = section.lines().find(|line| line.starts_with(&format!("| `{key}` | {} |", size(default as u64))));
            let range = format!("; {} to {}.", size(least), size(most));
            assert!(row.is_some_and(|row| row.contains(&range)), "{key}: {range} {row:?}");
        }
        let example = section.split("```toml").nth(1).unwrap().split("```").next().unwrap();
        let settings = Settings::parse("10-mask", "10-mask.toml", example, None).unwrap();
        assert_eq!(settings.limits, PolicyLimits::default());
    }

    fn size(bytes: u64) -> String {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
        unit.map_or(format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
    }

    fn faults(text: &str) -> Vec<SettingsFault> {
        Settings::parse("p", "p.toml", text, None).expect_err("faults").faults
    }

    #[test]
    fn the_example_of_the_documentation_is_read_whole() {
        let text = "order = 10\nmode = \"shadow\"\non_failure = \"open\"\nconnections = [\"openai\"]\ngrants = [\"state\"]\n\
                    required = true\n[limits]\ntime_per_call = \"20ms\"\nmemory = \"32MiB\"\nhold_back = \"8KiB\"\n\
                    answer = \"2MiB\"\n[settings]\nwords = [\"export\", \"δ\"]\nwhen = 2026-11-22\nnested = { a = 0x10, b = 1.5 }\n";
        let settings = Settings::parse("p", "p.toml", text, None).unwrap();
        assert_eq!(
            settings,
            Settings {
                order: 10,
                mode: Mode::Shadow,
                on_failure: FailureMode::Open,
                connections: vec!["openai".to_owned()],
                grants: Grants { state: true, ..Grants::default() },
                required: true,
                limits: PolicyLimits {
                    time_per_call: Duration::from_millis(20),
                    memory_bytes: 32 << 20,
                    hold_back_bytes: 8 << 10,
                    answer_bytes: 2 << 20,
                },
                settings_json: settings.settings_json.clone(),
            }
        );
        let json: Json = serde_json::from_str(&settings.settings_json).unwrap();
        let expected = serde_json::json!({
            "words": ["export", "δ"], "when": "2026-11-22", "nested": { "a": 16, "b": 1.5 },
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn nothing_said_means_the_safe_defaults() {
        assert_eq!(Settings::parse("p", "p.toml", "", None).unwrap(), Settings::of_name("p"));
        let settings = Settings::of_name("p");
        assert_eq!((settings.mode, settings.on_failure), (Mode::Enforce, FailureMode::Closed));
        assert_eq!(settings.settings_json, "{}");
    }

    #[test]
    fn the_order_is_in_the_name() {
        for (stem, order) in [("10-mask", 10), ("00-lockdown", 0), ("7", 7), ("mask", 1000), ("-1", 1000)] {
            assert_eq!(Settings::of_name(stem).order, order, "{stem}");
        }
        assert_eq!(Settings::of_name(&"9".repeat(40)).order, DEFAULT_ORDER);
        assert_eq!(Settings::parse("10-mask", "x", "order = -5", None).unwrap().order, -5);
    }

    #[test]
    fn all_faults_are_told_at_once_each_with_its_place_and_the_nearest_name() {
        let text = "mode = \"shaddow\"\ngrant = [\"state\"]\n[limits]\nmemroy = \"1MiB\"\ntime_per_call = 50\n";
        let faults = faults(text);
        let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
        assert_eq!(places, [(1, 8), (2, 1), (4, 1), (5, 17)]);
        assert_eq!(&text[faults[0].span.clone()], "\"shaddow\"");
        assert!(faults[0].message.contains("expected `enforce`, `shadow` or `off`"), "{}", faults[0].message);
        let hints: Vec<_> = faults.iter().map(|fault| fault.hint.as_deref()).collect();
        let meant = |name: &str| format!("did you mean `{name}`?");
        assert_eq!(hints, [Some(meant("shadow").as_str()), Some(&meant("grants")), Some(&meant("memory")), None]);
    }

    #[test]
    fn a_connection_that_there_is_not_is_a_slip_of_the_keyboard() {
        let known = ["openai".to_owned(), "local".to_owned()];
        let parse = |text| Settings::parse("p", "p.toml", text, Some(&known));
        assert_eq!(parse("connections = [\"openai\", \"local\"]").unwrap().connections.len(), 2);
        let fault = parse("connections = [\"local\", \"opneai\"]").expect_err("none").faults.remove(0);
        assert_eq!(
            (fault.message.as_str(), fault.column),
            ("unknown connection `opneai`, expected `openai` or `local`", 25)
        );
        assert_eq!(fault.hint.as_deref(), Some("did you mean `openai`?"));
    }

    #[test]
    fn columns_count_characters() {
        let faults = faults("[settings]\n\"ключ\" = nan\n");
        assert_eq!((faults[0].line, faults[0].column), (2, 10));
    }

    #[test]
    fn out_of_bounds_is_out() {
        for text in [
            "[limits]\ntime_per_call = \"0ms\"",
            "[limits]\ntime_per_call = \"11s\"",
            "[limits]\nmemory = \"5GiB\"",
            "[limits]\nmemory = \"99999999999999999999GiB\"",
            "[limits]\nmemory = \"-1MiB\"",
            "[limits]\nmemory = \"MiB\"",
            "[limits]\nhold_back = \"17MiB\"",
            "order = 9223372036854775808",
            "grants = [\"network\"]",
            "grants = [\"state\", \"state\"]",
            "connections = \"openai\"",
            "connections = [1]",
            "connections = []",
            "required = \"yes\"",
            "limits = 3",
            "settings = 3",
            "mode = 3",
            "mode = \"off\"\nmode = \"enforce\"",
            "mode = ",
            "[settings]\nx = inf",
        ] {
            assert!(!faults(text).is_empty(), "{text}");
        }
    }
}
