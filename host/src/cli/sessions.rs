//! `portcullis sessions`.

mod entry;
mod events;
mod records;
mod replay;
mod shown;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::SessionId;
use serde_json::json;
use store::{ExchangeSummary, SessionFilter, SessionSummary, State};

use super::{
    caller::caller_of,
    host::HostArgs,
    print_line,
    show::{self, duration_of, json_of, lines_of, short, size_of, time_of},
};
use crate::app::now_ms;
use records::Records;

/// Look at what was recorded: sessions, the exchanges in them, and what belongs to no exchange.
///
/// Asks the running host; when none runs, reads its store directly.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis sessions list --since 24h
  portcullis sessions show ID       a session, or an exchange by its whole id
  portcullis sessions list --limit 1000 --before ID      the next page
  portcullis sessions replay ID     what was cleared for the caller, as it went
  portcullis sessions replay ID --speed 10
  portcullis sessions replay ID --speed 0 --json
  portcullis sessions events        starts, policy sets, approvals, tokens, …
  portcullis sessions verify        of a stopped host: whether all is there

What was recorded is shown with control characters escaped: it can't change your terminal.")]
pub(super) struct SessionsArgs {
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// List sessions, the newest first.
    List(ListArgs),
    /// Show a session's exchanges, or an exchange's entries.
    Show {
        /// A session or an exchange.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Show what was cleared for the upstream and for the caller, with the timing that it had.
    Replay {
        /// A session or an exchange.
        id: String,
        /// So many times faster than it was; 0: without waiting.
        #[arg(long, default_value_t = 1.0, value_name = "N", value_parser = replay::speed)]
        speed: f64,
        /// Print each entry as a line of JSON, when it is due.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// List what belongs to no exchange, the newest first: starts, policy sets, approvals, tokens, revocations, alerts.
    Events(events::EventsArgs),
    Verify(verify::VerifyArgs),
}

/// Sessions that a host lists at once.
const MOST_SESSIONS: usize = 10_000;

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those of this caller: SUBJECT or ISSUER|SUBJECT.
    #[arg(long, value_name = "CALLER")]
    caller: Option<String>,
    /// Only those on this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Only those with activity in this time: `90s`, `24h`, `7d`.
    #[arg(long, value_name = "TIME", value_parser = time_span)]
    since: Option<u64>,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// Only those before this one in the list: the last one of the page before.
    #[arg(long, value_name = "SESSION")]
    before: Option<SessionId>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// Milliseconds in `24h`; a day has 24 hours.
pub(super) fn time_span(text: &str) -> Result<u64, String> {
    let wrong = |error: jiff::Error| format!("{error}; it looks like `90s`, `24h` or `7d`");
    let span: jiff::Span = text.parse().map_err(wrong)?;
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(wrong)?;
    u64::try_from(length.as_millis()).map_err(|_| "it must not be negative".to_owned())
}

pub(super) async fn cmd_sessions(args: SessionsArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        SessionsCommand::List(args) => list(args).await?,
        SessionsCommand::Show { id, json, host } => shown::show(&Records::open(&host)?, &id, json).await?,
        SessionsCommand::Replay { id, speed, json, host } => {
            replay::replay(&Records::open(&host)?, &id, speed, json).await?;
        }
        SessionsCommand::Events(args) => events::list(args).await?,
        SessionsCommand::Verify(args) => return verify::verify(args).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: ListArgs) -> anyhow::Result<()> {
    let records = Records::open(&args.host)?;
    let limit = usize::try_from(args.limit)?;
    let (issuer, subject) = args.caller.as_deref().map(caller_of).unzip();
    let filter = SessionFilter {
        since: args.since.map(|span| now_ms().saturating_sub(span)),
        until: None,
        issuer: issuer.flatten().map(str::to_owned),
        caller: subject.map(str::to_owned),
        connection: args.connection.clone(),
        // One more than is shown tells whether there are more.
        limit: (limit + 1).min(MOST_SESSIONS),
        before: args.before,
    };
    let mut sessions = records.sessions(filter).await?;
    if let Some(connection) = args.connection.as_deref().filter(|_| sessions.is_empty()) {
        records.check_connection(connection).await?;
    }
    let more = sessions.len() > limit || sessions.len() == MOST_SESSIONS;
    sessions.truncate(limit);
    if args.json {
        return print_line(&json_of(&json!({ "sessions": sessions, "more": more }))?);
    }
    if sessions.is_empty() {
        return print_line("no sessions");
    }
    let more = sessions.last().filter(|_| more).map_or_else(String::new, |last| {
        format!("\n\nmore than {limit}: --limit N shows more of them, --before {} the next ones", last.session)
    });
    print_line(&format!("{}{more}", sessions_table(&sessions)))
}

fn sessions_table(sessions: &[SessionSummary]) -> String {
    let mut table =
        show::table(&["SESSION", "LAST", "CALLER", "CONNECTION", "EXCHANGES", "MASKED", "BLOCKED", "ASKED", "OUT"]);
    for session in sessions {
        table.add_row([
            session.session.to_string(),
            time_of(session.last_ms),
            short(&session.caller, 24),
            short(&session.connection, 24),
            session.exchanges.to_string(),
            session.masked.to_string(),
            session.blocked.to_string(),
            session.asked.to_string(),
            size_of(session.response_bytes),
        ]);
    }
    lines_of(&table)
}

fn exchanges_table(exchanges: &[ExchangeSummary]) -> String {
    let mut table = show::table(&["EXCHANGE", "STARTED", "TOOK", "OUTCOME", "STATUS", "MASKED", "MODEL", "REQUEST"]);
    for exchange in exchanges {
        table.add_row([
            exchange.exchange.to_string(),
            time_of(exchange.started_ms),
            duration_of(exchange.duration_us),
            outcome(exchange).to_owned(),
            exchange.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            exchange.masked.to_string(),
            short(&exchange.model, 24),
            format!("{} {}", short(&exchange.method, 8), short(&exchange.path, 48)),
        ]);
    }
    lines_of(&table)
}

fn outcome(exchange: &ExchangeSummary) -> &'static str {
    match (exchange.state, exchange.outcome) {
        (State::Running, _) => "running",
        (State::Interrupted, _) => "interrupted",
        (State::Damaged, _) => "DAMAGED",
        (State::Closed, Some(outcome)) => outcome.as_str(),
        (State::Closed, None) => "closed",
    }
}
