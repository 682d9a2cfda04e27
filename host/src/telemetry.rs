//! What the host says of itself while it runs: one event a line on standard error. Standard output is for what a
//! command was asked for.
//!
//! What must hold: in JSON, every line is, from the first on; in the form for people an event is one line, and nothing in it
//! is an order to a terminal; nobody waits for who reads it (`telemetry/lines.rs`).

mod lines;

use std::{
    fmt,
    io::{self, IsTerminal},
    panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use clap::ValueEnum;
use model::text::deceives;
use tracing::{Dispatch, Level, dispatcher, field::Field};
use tracing_subscriber::{
    EnvFilter,
    filter::LevelFilter,
    fmt::{
        MakeWriter,
        format::{Writer, debug_fn},
    },
    util::SubscriberInitExt,
};

pub(crate) use lines::Lines;

/// Chooses what is said, such as `debug` or `info,exchange=trace`.
const FILTER: &str = "PORTCULLIS_LOG";
/// What may stand there.
const UNDERSTOOD: &str =
    "a level (off, error, warn, info, debug, trace), TARGET=LEVEL, or several with commas between them";
/// What tells of changes in a folder, and whose own words may be such a change: the log may lie beside the policies.
const NOTIFY: &str = "notify";
/// What is told of it, unless something else is asked for.
const NOTIFY_QUIET: &str = "notify=info";

/// Panics since the host started.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// How events look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// For programs: one JSON object a line.
    Json,
}

impl LogFormat {
    /// Who tells what the filter lets through, in this form.
    fn told<W>(self, filter: EnvFilter, to: W) -> Dispatch
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(to);
        match self {
            Self::Human => builder
                .fmt_fields(debug_fn(field))
                .with_ansi(io::stderr().is_terminal())
                .with_target(false)
                .finish()
                .into(),
            Self::Json => builder.json().flatten_event(true).finish().into(),
        }
    }
}

/// Begins to tell; later calls change nothing.
///
/// # Errors
/// When there can be no thread that writes.
pub(crate) fn init(format: LogFormat, default: &str) -> io::Result<Lines> {
    let asked = std::env::var_os(FILTER).unwrap_or_default();
    let (filter, wrong) = match directives(&asked.to_string_lossy(), default) {
        Ok(directives) => (EnvFilter::new(directives), None),
        Err(wrong) => (EnvFilter::new(default), Some(wrong)),
    };
    // Past the queue: this is told by the one who empties it.
    let past = format.told(EnvFilter::new("warn"), io::stderr);
    let lines = Lines::to(io::stderr(), move |lost| dispatcher::with_default(&past, || tell_of_lost(lost)))?;
    if let Err(error) = format.told(filter, lines.clone()).try_init() {
        tracing::debug!(%error, "events are told somewhere already");
    }
    tell_panics();
    if let Some(error) = wrong {
        tracing::warn!(%error, "{FILTER} is not understood, so this host tells `{default}`; it takes {UNDERSTOOD}");
    }
    Ok(lines)
}

/// What is told, by what was asked for: nothing asked is the default; without a level for all, the default's stays.
///
/// # Errors
/// What of it is not understood.
fn directives(asked: &str, default: &str) -> Result<String, String> {
    let mut directives: Vec<&str> = asked.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    let (of_targets, levels): (Vec<&str>, Vec<&str>) =
        directives.iter().copied().partition(|directive| directive.contains('='));
    // A word that is no level would be taken for the name of a target, and nothing else be told.
    if let Some(word) = levels.iter().find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(format!("`{word}` is no level"));
    }
    if levels.is_empty() {
        directives.insert(0, default);
    }
    let everything = levels.iter().filter_map(|level| level.parse::<LevelFilter>().ok()).max();
    if everything > Some(LevelFilter::INFO) && !of_targets.iter().any(|directive| directive.starts_with(NOTIFY)) {
        directives.push(NOTIFY_QUIET);
    }
    let directives = directives.join(",");
    EnvFilter::try_new(&directives).map_err(|wrong| format!("`{asked}`: {wrong}"))?;
    Ok(directives)
}

/// One field of an event, for people. Words of others may be in it: line ends and what else deceives are spelled out.
fn field(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        // It comes first.
        "message" => {}
        // Where an event of the `log` crate was made.
        name if name.starts_with("log.") => return Ok(()),
        name => write!(to, " {name}=")?,
    }
    for c in format!("{value:?}").chars() {
        if deceives(c) { write!(to, "{}", c.escape_default())? } else { to.write_char(c)? }
    }
    Ok(())
}

fn tell_of_lost(lines: u64) {
    tracing::warn!(lines, "lines of this log were dropped: they came faster than they were read");
}

/// How often the host panicked.
pub(crate) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// A panic is one event, as everything else that is told. Its message is told to who asks for more than errors: it may quote
/// text that an exchange brought.
fn tell_panics() {
    let otherwise = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        if !tracing::enabled!(Level::ERROR) {
            return otherwise(panic);
        }
        let place = panic.location().map(tracing::field::display);
        let at = thread::current();
        let thread = at.name();
        tracing::error!(place, thread, "a fault of this host's own ended what it was at: please report it");
        tracing::debug!(place, said = panic.payload_as_str(), "what the fault says of itself");
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What is written to standard error goes there.
    struct Said(&'static Mutex<Vec<u8>>);

    impl io::Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_asked_of_the_log_is_understood_or_refused_and_never_silences_it() {
        for (asked, told) in [
            ("", "info"),
            (" ", "info"),
            ("INFO ", "INFO"),
            ("warn", "warn"),
            ("off", "off"),
            ("exchange=debug", "info,exchange=debug"),
            ("warn, exchange=trace,", "warn,exchange=trace"),
            ("trace", "trace,notify=info"),
            ("trace,notify=trace", "trace,notify=trace"),
        ] {
            assert_eq!(directives(asked, "info").as_deref(), Ok(told), "{asked}");
        }
        for asked in ["inof", "warning", "exchange", "info,exchange", "info,exchange=lots", "info;debug"] {
            assert!(directives(asked, "info").is_err(), "{asked}");
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_others_put_into_it() {
        static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        let log = LogFormat::Human.told(EnvFilter::new("info"), || Said(&LINES));
        let reason = "x\n2026-11-30T00:00:00Z  WARN forged \u{1b}[31mred \u{202e}";
        dispatcher::with_default(&log, || tracing::warn!(%reason, count = 2, "revoked by {reason}"));
        let told = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
        assert_eq!(told.lines().count(), 1, "{told}");
        let spelled = r"x\n2026-11-30T00:00:00Z  WARN forged \u{1b}[31mred \u{202e}";
        let end = format!("revoked by {spelled} reason={spelled} count=2\n");
        assert!(told.ends_with(&end), "{told}");
    }

    #[test]
    fn a_panic_is_counted_and_one_event_that_quotes_nothing() {
        static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        tell_panics();
        let before = panics();
        let events =
            tracing_subscriber::fmt().with_env_filter("info").with_writer(|| Said(&SAID)).json().flatten_event(true);
        tracing::subscriber::with_default(events.finish(), || {
            panic::catch_unwind(|| panic!("in ann@example.com")).unwrap_err();
        });
        assert!(panics() > before);
        let said = String::from_utf8(SAID.lock().unwrap().clone()).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        let event: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(event["level"], "ERROR");
        assert!(event["place"].as_str().unwrap().contains("telemetry.rs:") && !said.contains("ann@"), "{said}");
    }
}
