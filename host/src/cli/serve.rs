//! `portcullis serve`.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Args;

use super::{found::ConfigArg, print_line};
use crate::{
    app::{self, Ready},
    config::{Problems, Severity},
    demo::Pace,
    telemetry::{self, Lines, LogFormat},
};

/// Run the host
///
/// Says one line on standard output once it listens, with the real ports where the configuration says port 0:
/// `portcullis ready proxy=http://127.0.0.1:8080 control=http://127.0.0.1:9440`.
///
/// Everything else that it tells goes to standard error. SIGTERM (or Ctrl-C) lets running exchanges end, a second one
/// ends the host at once. SIGHUP changes nothing, unless it comes from the terminal that the host was started from: then it
/// is as SIGTERM. A new configuration needs a restart, and so do callers' tokens and certificates; policies and upstreams'
/// credentials are looked for all the time.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis init       writes a configuration, and says what it still needs
  portcullis check && portcullis serve")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// How events on standard error look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

pub(super) async fn cmd_serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let log = telemetry::init(args.log_format, "info")?;
    let served = serve(&args, &log).await;
    ended(served, args.log_format, &log)
}

async fn serve(args: &ServeArgs, log: &Lines) -> anyhow::Result<()> {
    let (config, warnings) = args.config.load()??;
    warn(&warnings, args.log_format, log);
    Box::pin(app::serve(config, Pace::UNLIMITED, log, announce)).await
}

/// How a host ended, as its log tells everything else: what programs read is theirs to the last line.
pub(super) fn ended(served: anyhow::Result<()>, format: LogFormat, log: &Lines) -> anyhow::Result<ExitCode> {
    let ended = match (served, format) {
        (Ok(()), _) => Ok(ExitCode::SUCCESS),
        // Not by way of standard error itself: nobody waits for who reads it.
        (Err(error), LogFormat::Human) => {
            log.say(&format!("{}\n", super::text_of(&error)));
            Ok(ExitCode::FAILURE)
        }
        (Err(error), LogFormat::Json) => {
            match error.downcast_ref::<Problems>() {
                Some(problems) => tell(problems),
                None => tracing::error!("{error:#}"),
            }
            Ok(ExitCode::FAILURE)
        }
    };
    log.flush();
    ended
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
pub(super) fn warn(warnings: &Problems, format: LogFormat, log: &Lines) {
    match format {
        LogFormat::Human if warnings.is_empty() => {}
        LogFormat::Human => log.say(&format!("{}\n\n", warnings.render(io::stderr().is_terminal()))),
        LogFormat::Json => tell(warnings),
    }
}

/// Each problem as an event.
fn tell(problems: &Problems) {
    for problem in problems.sorted() {
        let (code, place, help) = (problem.code.as_str(), problems.place(problem), problem.help.as_deref());
        let text = match problem.label.as_str() {
            "" => problem.message.clone(),
            label => format!("{}: {label}", problem.message),
        };
        match problem.severity {
            Severity::Error => tracing::error!(code, place, help, "{text}"),
            Severity::Warning => tracing::warn!(code, place, help, "{text}"),
        }
    }
}
