//! What the host says of itself while it runs: one event a line on standard error. Standard output is for what a
//! command was asked for.
//!
//! What must hold: in JSON, every line is, from the first on; nobody waits for who reads it (`telemetry/lines.rs`).

mod lines;

use std::{
    io::{self, IsTerminal},
    panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use clap::ValueEnum;
use tracing::{Dispatch, Level, dispatcher};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, util::SubscriberInitExt};

pub(crate) use lines::Lines;

/// Chooses what is said, such as `debug` or `info,exchange=trace`.
const FILTER: &str = "PORTCULLIS_LOG";

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
            Self::Human => builder.with_ansi(io::stderr().is_terminal()).with_target(false).finish().into(),
            Self::Json => builder.json().flatten_event(true).finish().into(),
        }
    }
}

/// Begins to tell; later calls change nothing.
///
/// # Errors
/// When there can be no thread that writes.
pub(crate) fn init(format: LogFormat, default: &str) -> io::Result<Lines> {
    let asked = std::env::var(FILTER).ok().map(EnvFilter::try_new);
    let (filter, wrong) = match asked {
        None => (EnvFilter::new(default), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(wrong)) => (EnvFilter::new(default), Some(wrong)),
    };
    // Past the queue: this is told by the one who empties it.
    let past = format.told(EnvFilter::new("warn"), io::stderr);
    let lines = Lines::to(io::stderr(), move |lost| dispatcher::with_default(&past, || tell_of_lost(lost)))?;
    if let Err(error) = format.told(filter, lines.clone()).try_init() {
        tracing::debug!(%error, "events are told somewhere already");
    }
    tell_panics();
    if let Some(error) = wrong {
        tracing::warn!(%error, "{FILTER} is not understood, so this host tells `{default}`");
    }
    Ok(lines)
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

    /// What was written to standard error.
    static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    struct Said;

    impl io::Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            SAID.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_counted_and_one_event_that_quotes_nothing() {
        tell_panics();
        let before = panics();
        let events = tracing_subscriber::fmt().with_env_filter("info").with_writer(|| Said).json().flatten_event(true);
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
