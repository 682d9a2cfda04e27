//! `portcullis approvals`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::{ApprovalId, Attribute};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    caller::caller_words,
    host::{HostArgs, Place},
    print_line,
    show::{self, bytes_of, duration_of, json_of, line_of, lines_of, short, text_of, time_of},
};
use crate::app::now_ms;

/// Decide on requests that a policy holds until a person has looked at them.
///
/// A held request waits; its caller gets the answer once it is approved, an error when it is denied or nobody decides in
/// time. An approval lets exactly the bytes pass that `show` shows, with the method, target and headers that it shows, once.
/// They may hold secrets of the caller's.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis approvals list
  portcullis approvals show 0199f3
  portcullis approvals approve 0199f3 --reason 'agreed with the customer'
  portcullis approvals deny 0199f3 --reason INC-4711

An ID may be shortened to any beginning or end that only one question has.")]
pub(super) struct ApprovalsArgs {
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
    /// List what waits for a decision.
    List {
        /// Also what is decided.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Show one question, with the whole of what would go on: method, target, headers and body.
    Show {
        /// The approval.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Let the held request go on, once.
    Approve(DecideArgs),
    /// Stop the held request.
    Deny(DecideArgs),
}

#[derive(Debug, Args)]
struct DecideArgs {
    /// The approval.
    id: String,
    /// Why; it is recorded, and a caller that is denied is told.
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// Who decides, for the record. A caller never decides on its own request.
    #[arg(long, default_value = "admin", value_name = "NAME")]
    by: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// What is shown of an approval; the rest of what the host tells is for `--json`.
#[derive(Debug, Deserialize)]
struct Shown {
    id: ApprovalId,
    state: String,
    caller: Caller,
    connection: String,
    model: String,
    policy: String,
    question: Question,
    #[serde(default)]
    direction: String,
    #[serde(default)]
    method: String,
    /// Path and query.
    #[serde(default)]
    target: String,
    /// Not in a list.
    #[serde(default)]
    headers: Vec<Attribute>,
    /// Not in a list.
    #[serde(with = "model::bytes", default)]
    shown: Vec<u8>,
    asked_at_ms: u64,
    expires_at_ms: u64,
    /// Not told by an older host.
    #[serde(default)]
    left_ms: Option<u64>,
    by: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Caller {
    subject: String,
    #[serde(default)]
    issuer: String,
}

impl Caller {
    fn words(&self) -> String {
        caller_words(&self.issuer, &self.subject)
    }
}

#[derive(Debug, Deserialize)]
struct Question {
    title: String,
    summary: String,
}

pub(super) async fn cmd_approvals(args: ApprovalsArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ApprovalsCommand::List { all, json, host } => list(&host.place()?, all, json).await?,
        ApprovalsCommand::Show { id, json, host } => one(&host.place()?, &id, json).await?,
        ApprovalsCommand::Approve(args) => decide(args, "approve").await?,
        ApprovalsCommand::Deny(args) => decide(args, "deny").await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn all_of(place: &Place) -> anyhow::Result<Vec<Value>> {
    let mut answer: Value = place.get("/v1/approvals").await?;
    match answer.get_mut("approvals").map(Value::take) {
        Some(Value::Array(approvals)) => Ok(approvals),
        _ => anyhow::bail!("the host's answer has no approvals"),
    }
}

async fn list(place: &Place, all: bool, json: bool) -> anyhow::Result<()> {
    let mut approvals = all_of(place).await?;
    approvals.retain(|approval| all || approval["state"] == "pending");
    if json {
        return print_line(&json_of(&json!({ "approvals": approvals }))?);
    }
    if approvals.is_empty() {
        return print_line(if all { "no questions were asked" } else { "nothing waits for a decision" });
    }
    let mut table = show::table(&["ID", "STATE", "LEFT", "CALLER", "CONNECTION", "REQUEST", "POLICY", "QUESTION"]);
    for approval in approvals {
        let approval: Shown = serde_json::from_value(approval)?;
        table.add_row([
            approval.id.to_string(),
            line_of(&approval.state),
            left(&approval),
            short(&approval.caller.words(), 60),
            short(&approval.connection, 24),
            short(&request_of(&approval), 60),
            short(&approval.policy, 24),
            short(&approval.question.title, 60),
        ]);
    }
    print_line(&lines_of(&table))
}

/// Method and target, and whether it is about the answer.
fn request_of(approval: &Shown) -> String {
    let answer = if approval.direction == "response" { ", its answer" } else { "" };
    format!("{} {}{answer}", approval.method, approval.target).trim().to_owned()
}

/// Time left to decide.
fn left(approval: &Shown) -> String {
    if approval.state != "pending" {
        return "-".to_owned();
    }
    let left_ms = approval.left_ms.unwrap_or_else(|| approval.expires_at_ms.saturating_sub(now_ms()));
    duration_of(left_ms / 1000 * 1_000_000)
}

/// The id of the approval that an id, or a part of one, means.
async fn find(place: &Place, id: &str) -> anyhow::Result<ApprovalId> {
    let wanted = id.replace('-', "").to_lowercase();
    let fits = |approval: &Value| {
        approval["id"]
            .as_str()
            .map(|id| id.replace('-', ""))
            .is_some_and(|id| id.starts_with(&wanted) || id.ends_with(&wanted))
    };
    let mut found: Vec<Value> = all_of(place).await?.into_iter().filter(fits).collect();
    match (found.pop(), found.len()) {
        (Some(approval), 0) if !wanted.is_empty() => Ok(serde_json::from_value::<Shown>(approval)?.id),
        (Some(_), more) => anyhow::bail!("`{id}` may mean {} approvals; give more of the id", more + 1),
        (None, _) => anyhow::bail!(
            "there is no approval `{}`; `portcullis approvals list --all` shows what there is",
            line_of(id)
        ),
    }
}

async fn one(place: &Place, id: &str, json: bool) -> anyhow::Result<()> {
    let id = find(place, id).await?;
    let approval: Value = place.get(&format!("/v1/approvals/{id}")).await?;
    if json {
        return print_line(&json_of(&approval)?);
    }
    let approval: Shown = serde_json::from_value(approval)?;
    print_line(&describe(&approval))?;
    if !approval.shown.is_empty() {
        print_line(&format!("\n{}", bytes_of(&approval.shown)))?;
    }
    Ok(())
}

fn describe(approval: &Shown) -> String {
    let state = match approval.state.as_str() {
        "pending" => format!("pending, {} left", left(approval)),
        _ if approval.by.is_empty() => line_of(&approval.state),
        _ => format!("{} by {}", line_of(&approval.state), line_of(&approval.by)),
    };
    let header = |header: &Attribute| format!("{}: {}", line_of(&header.name), line_of(&header.value));
    let headers: Vec<_> = approval.headers.iter().map(header).collect();
    let rows = [
        ("approval", approval.id.to_string()),
        ("state", state),
        ("reason", line_of(&approval.reason)),
        ("asked", time_of(approval.asked_at_ms)),
        ("caller", line_of(&approval.caller.words())),
        ("connection", line_of(&approval.connection)),
        ("request", line_of(&request_of(approval))),
        ("model", line_of(&approval.model)),
        ("policy", line_of(&approval.policy)),
        ("question", line_of(&approval.question.title)),
        ("summary", text_of(&approval.question.summary).replace('\n', "\n            ")),
        ("headers", headers.join("\n            ")),
    ];
    let told = rows.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| format!("{name:<11} {value}")).collect::<Vec<_>>().join("\n")
}

async fn decide(args: DecideArgs, word: &str) -> anyhow::Result<()> {
    let place = args.host.place()?;
    let id = find(&place, &args.id).await?;
    let said = json!({ "reason": args.reason, "by": args.by });
    let decided: Value = place.post(&format!("/v1/approvals/{id}/{word}"), &said).await?;
    if args.json {
        return print_line(&json_of(&decided)?);
    }
    let decided: Shown = serde_json::from_value(decided)?;
    print_line(&format!("{} {} by {}", decided.id, line_of(&decided.state), line_of(&decided.by)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_decides_reads_whose_request_it_is_and_where_it_goes() {
        let mut told = json!({
            "id": ApprovalId::new(), "state": "pending", "connection": "jobs", "model": "", "policy": "approve",
            "caller": { "issuer": "https://idp", "subject": "ann" }, "question": { "title": "?", "summary": "" },
            "direction": "request", "method": "DELETE", "target": "/v1/jobs/production?force=true",
            "headers": [{ "name": "x-run-as", "value": "root\n" }],
            "asked_at_ms": 1, "expires_at_ms": 2, "by": "", "reason": "",
        });
        let page = describe(&Shown::deserialize(&told).unwrap());
        for line in [
            "caller      https://idp|ann",
            "request     DELETE /v1/jobs/production?force=true",
            "headers     x-run-as: root⏎",
        ] {
            assert!(page.lines().any(|told| told == line), "{line}:\n{page}");
        }
        assert!(page.contains("pending, 0"), "{page}");
        told["left_ms"] = 90_000.into();
        let page = describe(&Shown::deserialize(&told).unwrap());
        assert!(page.contains("pending, 1m 30s left"), "whatever the clocks of the two say: {page}");
        told["direction"] = "response".into();
        assert!(describe(&Shown::deserialize(&told).unwrap()).contains("force=true, its answer"));
        for later in ["direction", "method", "target", "headers"] {
            told.as_object_mut().unwrap().remove(later);
        }
        let older = describe(&Shown::deserialize(&told).unwrap());
        assert!(!older.contains("request ") && !older.contains("headers"), "{older}");
    }
}
