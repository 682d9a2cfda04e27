//! `portcullis approvals`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::ApprovalId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    host::{HostArgs, Place},
    print_line,
    show::{self, bytes_of, duration_of, json_of, line_of, lines_of, short, text_of, time_of},
};
use crate::app::now_ms;

/// Decide on requests that a policy holds until a person has looked at them.
///
/// A held request waits; its caller gets the answer once it is approved, an error when it is denied or nobody decides in
/// time. An approval lets exactly the bytes pass that `show` shows, once.
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
    /// Show one question, with the whole of what would go on.
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
    /// Not in a list.
    #[serde(with = "model::bytes", default)]
    shown: Vec<u8>,
    asked_at_ms: u64,
    expires_at_ms: u64,
    by: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Caller {
    subject: String,
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
    let mut table = show::table(&["ID", "STATE", "LEFT", "CALLER", "CONNECTION", "POLICY", "QUESTION"]);
    for approval in approvals {
        let approval: Shown = serde_json::from_value(approval)?;
        table.add_row([
            approval.id.to_string(),
            line_of(&approval.state),
            left(&approval),
            short(&approval.caller.subject, 24),
            short(&approval.connection, 24),
            short(&approval.policy, 24),
            short(&approval.question.title, 60),
        ]);
    }
    print_line(&lines_of(&table))
}

/// Time left to decide.
fn left(approval: &Shown) -> String {
    if approval.state != "pending" {
        return "-".to_owned();
    }
    let left_ms = approval.expires_at_ms.saturating_sub(now_ms());
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
    let rows = [
        ("approval", approval.id.to_string()),
        ("state", state),
        ("reason", line_of(&approval.reason)),
        ("asked", time_of(approval.asked_at_ms)),
        ("caller", line_of(&approval.caller.subject)),
        ("connection", line_of(&approval.connection)),
        ("model", line_of(&approval.model)),
        ("policy", line_of(&approval.policy)),
        ("question", line_of(&approval.question.title)),
        ("summary", text_of(&approval.question.summary).replace('\n', "\n            ")),
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
