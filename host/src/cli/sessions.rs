//! `portcullis sessions`.

mod events;
mod records;
mod replay;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::{Entry, record::JudgedVerdict};
use serde_json::json;
use store::{ExchangeSummary, SessionFilter, SessionSummary, State};

use super::{
    caller::caller_of,
    host::HostArgs,
    print_line,
    show::{self, bytes_of, duration_of, json_of, line_of, lines_of, short, size_of, time_of},
};
use crate::app::now_ms;
use records::{ExchangeShown, Found, Records};

/// Look at what was recorded: sessions, the exchanges in them, and what belongs to no exchange.
///
/// Asks the running host; when none runs, reads its store directly.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis sessions list --since 24h
  portcullis sessions show ID         a session, or one exchange of it, by its whole id
  portcullis sessions replay ID       what was delivered, as fast as it was delivered
  portcullis sessions replay ID --speed 10
  portcullis sessions replay ID --speed 0 --json
  portcullis sessions events          starts, policy sets, approvals, tokens, revocations
  portcullis sessions verify          of a host that is stopped: whether all that was recorded is still there

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
    /// Show what was sent and delivered, with the timing that it had.
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
        SessionsCommand::Show { id, json, host } => show_one(&host, &id, json).await?,
        SessionsCommand::Replay { id, speed, json, host } => replay_one(&host, &id, speed, json).await?,
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
        before: None,
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
    let more = if more { format!("\n\nmore than {limit}: --limit N shows more of them") } else { String::new() };
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

async fn show_one(host: &HostArgs, id: &str, json: bool) -> anyhow::Result<()> {
    let records = Records::open(host)?;
    match records.find(id).await? {
        Found::Session(session) if json => print_line(&json_of(&session)?),
        Found::Exchange(exchange) if json => print_line(&json_of(&exchange)?),
        Found::Session(session) => {
            let summary = &session.summary;
            let tokens = (summary.input_tokens, summary.output_tokens);
            print_line(&format!(
                "session {}   {} on {}   since {}   {} tokens in, {} out\n\n{}",
                summary.session,
                line_of(&summary.caller),
                line_of(&summary.connection),
                time_of(summary.started_ms),
                tokens.0,
                tokens.1,
                exchanges_table(&session.exchanges),
            ))
        }
        Found::Exchange(exchange) => print_line(&entries_text(&exchange)),
    }
}

async fn replay_one(host: &HostArgs, id: &str, speed: f64, json: bool) -> anyhow::Result<()> {
    let records = Records::open(host)?;
    let exchanges = match records.find(id).await? {
        Found::Exchange(exchange) => vec![exchange.summary.exchange],
        Found::Session(session) => session.exchanges.iter().map(|summary| summary.exchange).collect(),
    };
    let mut left = exchanges.as_slice();
    while !left.is_empty() {
        let read = records.first_of(left).await?;
        left = left.get(read.len()..).unwrap_or_default();
        for exchange in &read {
            if json {
                replay::lines(exchange, speed).await?;
            } else {
                replay::replay(exchange, speed).await?;
            }
        }
    }
    Ok(())
}

/// An exchange, one entry after the other.
fn entries_text(exchange: &ExchangeShown) -> String {
    let summary = &exchange.summary;
    let head = format!(
        "exchange {}   {}   {} on {}   {}   {}\n",
        summary.exchange,
        outcome(summary),
        line_of(&summary.caller),
        line_of(&summary.connection),
        time_of(summary.started_ms),
        line_of(&summary.detail),
    );
    let entries = exchange.entries.iter().map(|timed| {
        let (title, body) = entry_text(&timed.entry);
        let mut lines = format!("{:>9}  {title}", format!("+{}", duration_of(timed.at_us)));
        body.lines().for_each(|line| lines.push_str(&format!("\n           {line}")));
        lines
    });
    std::iter::once(head).chain(entries).collect::<Vec<_>>().join("\n")
}

/// Title and body of an entry; safe for a terminal.
fn entry_text(entry: &Entry) -> (String, String) {
    match entry {
        Entry::Opened(opened) => {
            let headers =
                opened.headers.iter().map(|header| format!("{}: {}\n", line_of(&header.name), line_of(&header.value)));
            (format!("request    {} {}", line_of(&opened.method), line_of(&opened.path)), headers.collect())
        }
        Entry::Request(request) => {
            let word = if request.forwarded { "forwarded" } else { "stopped" };
            (format!("{word:<10} {}", size_of(request.body.len() as u64)), bytes_of(&request.body))
        }
        Entry::Judged(judged) => judged_text(judged),
        Entry::Held(held) => {
            (format!("held       {} ({})", line_of(&held.question.title), held.approval), String::new())
        }
        Entry::Decided(decided) => {
            let by = if decided.by.is_empty() { String::new() } else { format!(" by {}", line_of(&decided.by)) };
            (format!("decided    {}{by}", line_of(&decided.state)), line_of(&decided.reason))
        }
        Entry::Switched(set, _) => {
            (format!("switched   to policy set {} ({})", set.generation, set.digest.short()), String::new())
        }
        Entry::ResponseHead(head) => {
            let headers =
                head.headers.iter().map(|header| format!("{}: {}\n", line_of(&header.name), line_of(&header.value)));
            (format!("response   {}", head.status), headers.collect())
        }
        Entry::Chunk(chunk) => (format!("delivered  {}", size_of(chunk.data.len() as u64)), bytes_of(&chunk.data)),
        Entry::PutBack(back) => {
            let tokens =
                back.tokens.iter().map(|at| format!("{} bytes {}..{}\n", line_of(&at.token), at.start, at.end));
            (format!("put back   {} value(s)", back.tokens.len()), tokens.collect())
        }
        Entry::Closed(closed) => (format!("closed     {}", closed.outcome.as_str()), line_of(&closed.detail)),
    }
}

fn judged_text(judged: &model::record::Judged) -> (String, String) {
    let verdict = match &judged.verdict {
        JudgedVerdict::Allow => "allow".to_owned(),
        JudgedVerdict::Done => "done".to_owned(),
        JudgedVerdict::Block(refusal) => format!("block {}", line_of(&refusal.code)),
        JudgedVerdict::Ask(question) => format!("ask {}", line_of(&question.title)),
        JudgedVerdict::Failed { kind, message, open } => {
            format!("FAILED ({}{}) {}", line_of(kind), if *open { ", let pass" } else { "" }, line_of(message))
        }
        JudgedVerdict::Skipped(why) => format!("skipped: {}", line_of(why)),
    };
    let shadow = if judged.shadow { " (shadow)" } else { "" };
    let changed = if judged.edits.is_empty() { String::new() } else { format!(", {} edit(s)", judged.edits.len()) };
    let title = format!("judged     {} {}: {verdict}{changed}{shadow}", line_of(&judged.policy), line_of(&judged.hook));
    let edits = judged
        .edits
        .iter()
        .map(|edit| format!("{} bytes {}..{} -> {}\n", line_of(&edit.reason), edit.start, edit.end, line_of(&edit.by)));
    (title, edits.collect())
}
