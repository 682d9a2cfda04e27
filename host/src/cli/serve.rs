//! `portcullis serve`.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::print_line;
use crate::{
    app::{self, Ready},
    config::{self, Problems},
    demo::Pace,
    telemetry::{self, LogFormat},
};

/// Run the host.
///
/// Says one line on standard output once it listens, with the real ports where the configuration says port 0:
///
///     portcullis ready proxy=http://127.0.0.1:8080 control=http://127.0.0.1:9440
///
/// Everything else that it tells goes to standard error. SIGTERM (or Ctrl-C) lets running exchanges end, a second one
/// ends the host at once. SIGHUP changes nothing, unless it comes from the terminal that the host was started from: then it
/// is as SIGTERM. A new configuration needs a restart; policies and credentials are looked for all the time.
#[derive(Debug, Args)]
#[command(
    after_help = "\
Example:
  portcullis init                         writes a configuration, and says what it still needs: the upstream's key
  portcullis check && portcullis serve",
    verbatim_doc_comment
)]
pub(super) struct ServeArgs {
    /// The configuration file.
    #[arg(long, short, env = "PORTCULLIS_CONFIG", default_value = "portcullis.toml", value_name = "FILE")]
    config: PathBuf,
    /// How events on standard error look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

pub(super) async fn cmd_serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let (config, warnings) = config::load(&args.config)?;
    warn(&warnings);
    telemetry::init(args.log_format, "info");
    Box::pin(app::serve(config, Pace::UNLIMITED, announce)).await?;
    Ok(ExitCode::SUCCESS)
}

fn announce(ready: &Ready) {
    let line = format!("portcullis ready proxy={} control=http://{}", proxy_url(ready), ready.control);
    if let Err(error) = print_line(&line) {
        tracing::warn!(%error, "the ready line could not be written");
    }
}

/// Where callers come in.
pub(super) fn proxy_url(ready: &Ready) -> String {
    format!("{}://{}", if ready.tls { "https" } else { "http" }, ready.proxy)
}

/// Shows warnings; they stop nothing.
pub(super) fn warn(warnings: &Problems) {
    if warnings.is_empty() {
        return;
    }
    // Nobody is left to warn when standard error is gone.
    let _ = writeln!(io::stderr(), "{}\n", warnings.render(io::stderr().is_terminal()));
}
