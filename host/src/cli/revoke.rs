//! `portcullis revoke`.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use model::ExchangeId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    caller::caller_of,
    host::{HostArgs, Place, Unanswered},
    print_line,
    show::{self, json_of, line_of, lines_of, short},
};

/// End credentials and all that runs with them.
///
/// New requests are refused, held ones cancelled, running streams cut. The answer comes when the revocation is on the
/// disk: it holds after a crash. On a terminal it first shows what it would end, and asks.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("target").required(true),
    after_help = "\
Examples:
  portcullis revoke --caller contractor --reason INC-4711
  portcullis revoke --caller 'https://id.example.com|ann' --reason INC-4711
  portcullis revoke --connection openai --dry-run
  portcullis revoke --issuer https://id.example.com \\
    --issued-before 2026-11-23T08:00:00Z --yes

A caller with no `ISSUER|` before it is whoever is known here by that name, if it is only one: a static token, or a \
caller who holds a token or runs something. What is not known is refused, unless --unknown says that it is meant: a \
bare name is then a caller of the issuer, where there is one and no other.

What was revoked is listed by GET /v1/revocations of the control API, and taken back by POST /v1/lift with its target:
  curl -H \"authorization: Bearer $(cat STORE/admin.token)\" \\
    -H 'content-type: application/json' \\
    -d '{\"target\": {\"connection\": \"openai\"}, \"reason\": \"a mistake\"}' \\
    http://127.0.0.1:9440/v1/lift",
    override_usage = "\
portcullis revoke [OPTIONS] <--caller <CALLER>|--token <ID>|
       --sha256 <HEX>|--session <ID>|--connection <NAME>|--issuer <URL>|
       --everything>"
)]
pub(super) struct RevokeArgs {
    /// Everything of a caller: SUBJECT or ISSUER|SUBJECT.
    #[arg(long, group = "target", value_name = "CALLER")]
    caller: Option<String>,
    /// One token that was issued here, by its id.
    #[arg(long, group = "target", value_name = "ID")]
    token: Option<String>,
    /// One credential of any kind, by the SHA-256 of its value.
    #[arg(long, group = "target", value_name = "HEX")]
    sha256: Option<String>,
    /// One session.
    #[arg(long, group = "target", value_name = "ID")]
    session: Option<String>,
    /// Everybody on a connection.
    #[arg(long, group = "target", value_name = "NAME")]
    connection: Option<String>,
    /// Everybody for whom an issuer vouches.
    #[arg(long, group = "target", value_name = "URL")]
    issuer: Option<String>,
    /// Every credential.
    #[arg(long, group = "target")]
    everything: bool,
    /// Only what was issued before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    issued_before: Option<Timestamp>,
    /// Why; it is recorded.
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// Who says so, for the record.
    #[arg(long, default_value = "admin", value_name = "NAME")]
    by: String,
    /// Show what it would end, and end nothing.
    #[arg(long)]
    dry_run: bool,
    /// Also where nobody here knows the target yet: revoke it ahead of time.
    #[arg(long)]
    unknown: bool,
    /// Don't ask.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// What a revocation ends.
#[derive(Debug, Deserialize)]
struct Blast {
    tokens: u64,
    streams: u64,
    callers: u64,
    already: bool,
    named: Vec<Affected>,
}

#[derive(Debug, Deserialize)]
struct Affected {
    issuer: String,
    subject: String,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    exchange: Option<String>,
}

pub(super) async fn cmd_revoke(args: RevokeArgs) -> anyhow::Result<ExitCode> {
    let place = args.host.place()?;
    if args.dry_run {
        let told = order(&place, &args, true).await?;
        print_line(&if args.json { json_of(&told)? } else { describe(&told, args.issued_before, true)? })?;
        return Ok(ExitCode::SUCCESS);
    }
    let asks = !args.yes && !args.json && io::stdin().is_terminal();
    if asks && !agreed(&describe(&order(&place, &args, true).await?, args.issued_before, true)?)? {
        print_line("nothing was revoked")?;
        return Ok(ExitCode::FAILURE);
    }
    let told = order(&place, &args, false).await?;
    print_line(&if args.json {
        json_of(&told)?
    } else {
        let text = describe(&told, args.issued_before, false)?;
        format!("{text}\nhow to take it back: portcullis revoke --help")
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn order(place: &Place, args: &RevokeArgs, dry_run: bool) -> anyhow::Result<Value> {
    let before = args.issued_before.map(|time| u64::try_from(time.as_millisecond()).unwrap_or(0));
    let said = json!({
        "target": target(args),
        "issued_before_ms": before,
        "reason": args.reason,
        "by": args.by,
        "dry_run": dry_run,
        "unknown": args.unknown,
    });
    let told = place.post("/v1/revoke", &said).await;
    told.map_err(|error| match &error {
        Unanswered::Refused { code: Some(code), detail, .. } if code == "unknown_name" => {
            anyhow::anyhow!("{detail}. To revoke it ahead of time all the same, add --unknown")
        }
        _ => error.into(),
    })
}

/// The one that the command line names.
fn target(args: &RevokeArgs) -> Value {
    let caller = args.caller.as_deref().map(|caller| match caller_of(caller) {
        (Some(issuer), subject) => json!({ "issuer": issuer, "subject": subject }),
        (None, subject) => json!({ "subject": subject }),
    });
    let named = [
        ("caller", caller),
        ("token", args.token.as_deref().map(Value::from)),
        ("sha256", args.sha256.as_deref().map(Value::from)),
        ("session", args.session.as_deref().map(Value::from)),
        ("connection", args.connection.as_deref().map(Value::from)),
        ("issuer", args.issuer.as_deref().map(Value::from)),
        ("everything", args.everything.then_some(Value::Bool(true))),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn describe(told: &Value, issued_before: Option<Timestamp>, dry_run: bool) -> anyhow::Result<String> {
    let blast = Blast::deserialize(told)?;
    let verb = if dry_run { "would end" } else { "ended" };
    let mut text = format!(
        "{verb} {}, {} of {}",
        counted(blast.tokens, "token"),
        counted(blast.streams, "running exchange"),
        counted(blast.callers, "caller")
    );
    if blast.already {
        text.push_str(" (it is revoked already)");
    } else if blast.tokens + blast.streams == 0 {
        let stands = if dry_run { "the rule would stand" } else { "the rule stands" };
        let what = match issued_before {
            None => "whatever comes".to_owned(),
            // Nobody dates a static token, so it counts as older than any time.
            Some(time) => format!("what was issued before {time}, and any static token,"),
        };
        text = format!("nothing is running with {}, but {stands}: {what} is refused", named(&told["target"]));
    }
    if !blast.named.is_empty() {
        let mut table = show::table(&["CALLER", "ISSUER", "TOKEN", "EXCHANGE"]);
        for affected in blast.named {
            let id = |id: Option<String>| id.map_or_else(|| "-".to_owned(), |id| line_of(&id));
            // As other commands show it, and take it.
            let exchange = |id: String| id.parse().map_or(id, |id: ExchangeId| id.to_string());
            table.add_row([
                short(&affected.subject, 32),
                short(&affected.issuer, 40),
                id(affected.token),
                id(affected.exchange.map(exchange)),
            ]);
        }
        text = format!("{text}\n{}", lines_of(&table));
    }
    Ok(text)
}

/// A target as the command line names it.
fn named(target: &Value) -> String {
    let text = |value: &Value| line_of(value.as_str().unwrap_or_default());
    let Some((kind, value)) = target.as_object().and_then(|target| target.iter().next()) else {
        return "any credential".to_owned();
    };
    match kind.as_str() {
        "caller" => format!("{}|{}", text(&value["issuer"]), text(&value["subject"])),
        "session" => format!("session {}", text(&value["session"])),
        _ => format!("{} {}", line_of(kind), text(value)),
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Shows what would end, on standard error, and asks.
fn agreed(shown: &str) -> anyhow::Result<bool> {
    let mut err = io::stderr().lock();
    write!(err, "{shown}\nrevoke? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_ends_nothing_now_is_told_as_one_that_stands() {
        let told = |target: Value, streams: u64, already: bool| {
            let told = json!({ "target": target, "tokens": 0, "streams": streams, "callers": 0, "already": already, "named": [] });
            describe(&told, None, false).unwrap()
        };
        let ann = json!({ "caller": { "issuer": "https://idp", "subject": "ann" } });
        let idle = told(ann.clone(), 0, false);
        assert_eq!(idle, "nothing is running with https://idp|ann, but the rule stands: whatever comes is refused");
        assert!(told(json!("everything"), 0, false).contains("any credential"));
        assert!(told(json!({ "connection": "openai" }), 0, false).contains("connection openai"));
        assert!(told(ann.clone(), 1, false).starts_with("ended 0 tokens, 1 running exchange"));
        assert!(told(ann, 0, true).ends_with("(it is revoked already)"));
    }

    #[test]
    fn a_rule_with_a_time_refuses_what_is_older() {
        let none =
            json!({ "target": "everything", "tokens": 0, "streams": 0, "callers": 0, "already": false, "named": [] });
        let said = describe(&none, Some("2026-11-23T08:00:00Z".parse().unwrap()), false).unwrap();
        assert!(
            said.ends_with("what was issued before 2026-11-23T08:00:00Z, and any static token, is refused"),
            "{said}"
        );
    }
}
