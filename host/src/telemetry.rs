//! What the host says of itself while it runs: one event a line on standard error. Standard output is for what a
//! command was asked for.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// Chooses what is said, such as `debug` or `info,exchange=trace`.
const FILTER: &str = "PORTCULLIS_LOG";

/// How events look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// For programs: one JSON object a line.
    Json,
}

/// Begins to tell; later calls change nothing.
pub(crate) fn init(format: LogFormat, default: &str) {
    let asked = std::env::var(FILTER).ok().map(EnvFilter::try_new);
    let (filter, wrong) = match asked {
        None => (EnvFilter::new(default), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(wrong)) => (EnvFilter::new(default), Some(wrong)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = begun {
        tracing::debug!(%error, "events are told somewhere already");
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "{FILTER} is not understood, so this host tells `{default}`");
    }
}
