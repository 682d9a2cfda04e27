//! `portcullis access`: access that a person must agree to first.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    caller::caller_words,
    gate::GateArgs,
    host::{HostArgs, Place},
    kept::Kept,
    login::explained,
    print_line,
    show::{self, duration_of, json_of, line_of, lines_of, short, time_of},
    token::SubjectArgs,
    wanted::WantedArgs,
};
use crate::app::now_ms;

/// Ask for access that a grant gives only after a person agreed, and decide about it.
///
/// Who asks talks to the gate, as whoever they are signed in as; who decides talks to the control listener. What is
/// approved is good for one token, for exactly what was asked, and nobody decides about their own request.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis access request --connection openai --reason 'release night'
  portcullis access request --id 0199f3c2-7d1e-7000-8000-000000000000
  portcullis access list
  portcullis access show 0199f3c2-7d1e-7000-8000-000000000000
  portcullis access approve 0199f3c2-7d1e-7000-8000-000000000000 --by lea

Then, for the same scope, the token: `portcullis login`, or `portcullis token issue` with a token of the issuer.")]
pub(super) struct AccessArgs {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Debug, Subcommand)]
enum AccessCommand {
    /// Ask for access, or how a request stands.
    #[command(after_help = "\
Examples:
  portcullis access request --reason 'release night'
  portcullis access request --reason INC-4711 --subject-env CI_JOB_JWT \\
    --url https://gate.example.com
  portcullis access request --id 0199f3c2-7d1e-7000-8000-000000000000")]
    Request(RequestArgs),
    /// List requests, the oldest first.
    List {
        /// Also those that are decided, used or lapsed.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Show one request.
    Show {
        /// The request's id.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Let who asked have one token.
    Approve(DecideArgs),
    /// Let them have none.
    Deny(DecideArgs),
}

#[derive(Debug, Args)]
struct RequestArgs {
    /// Why; approvers read it.
    #[arg(long, required_unless_present = "id", value_name = "TEXT")]
    reason: Option<String>,
    /// Show how this request stands, and ask for nothing.
    #[arg(long, conflicts_with = "reason", value_name = "ID")]
    id: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    wanted: WantedArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    gate: GateArgs,
}

#[derive(Debug, Args)]
struct DecideArgs {
    /// The request's id.
    id: String,
    /// Why; it is recorded, and told to who asked.
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// Who decides, for the record; never who asked.
    #[arg(long, default_value = "admin", value_name = "NAME")]
    by: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// What is shown of a request; the rest is for `--json`.
#[derive(Debug, Deserialize)]
struct Shown {
    id: String,
    state: String,
    caller: Caller,
    scope: model::Scope,
    lifetime_ms: u64,
    reason: String,
    grant: String,
    asked_ms: u64,
    expires_ms: u64,
    decided: Option<Decided>,
}

#[derive(Debug, Deserialize)]
struct Decided {
    by: String,
    reason: String,
}

impl Shown {
    /// Time left to decide, or to use what was approved.
    fn left(&self) -> String {
        match self.state.as_str() {
            "asked" | "approved" => duration_of(self.expires_ms.saturating_sub(now_ms()) / 1000 * 1_000_000),
            _ => "-".to_owned(),
        }
    }

    /// How long the token would be good.
    fn lifetime(&self) -> String {
        duration_of(self.lifetime_ms.saturating_mul(1000))
    }

    fn scope(&self) -> String {
        line_of(&identity::scope_words(&self.scope))
    }
}

#[derive(Debug, Deserialize)]
struct Caller {
    subject: String,
    issuer: String,
}

pub(super) async fn cmd_access(args: AccessArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        AccessCommand::Request(args) => request(args).await?,
        AccessCommand::List { all, json, host } => list(&host.place()?, all, json).await?,
        AccessCommand::Show { id, json, host } => one(&host.place()?, &id, json).await?,
        AccessCommand::Approve(args) => decide(args, "approve").await?,
        AccessCommand::Deny(args) => decide(args, "deny").await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn request(args: RequestArgs) -> anyhow::Result<()> {
    let gate = args.gate.gate()?;
    let subject = match args.subject.read()? {
        Some(subject) => subject,
        None => {
            let kept = Kept::needed()?;
            anyhow::ensure!(gate.url == kept.url, "you are signed in at {}, not at {}", kept.url, gate.url);
            kept.access_token.into()
        }
    };
    let wanted = args.wanted.form();
    let mut form = vec![("subject_token", subject.as_str()), ("subject_token_type", args.subject.kind())];
    form.extend(wanted.iter().map(|(name, value)| (*name, value.as_str())));
    form.extend(args.reason.as_deref().map(|reason| ("reason", reason)));
    form.extend(args.id.as_deref().map(|id| ("request_id", id)));
    let told = gate.ask("/oauth/access", &form, None).await.map_err(explained)?;
    if args.json {
        return print_line(&json_of(&told)?);
    }
    let text = |name: &str| line_of(told[name].as_str().unwrap_or_default());
    let next = match told["state"].as_str() {
        Some("asked") => format!("an approver decides: portcullis access approve {}", text("request_id")),
        Some("approved") => "the token can be had now: `portcullis login`, or `portcullis token issue`".to_owned(),
        _ => String::new(),
    };
    let expires = told["expires"].as_u64().map(|expires| time_of(expires.saturating_mul(1000))).unwrap_or_default();
    let rows = [
        ("request", text("request_id")),
        ("state", text("state")),
        ("grant", text("grant")),
        ("scope", text("scope")),
        ("until", expires),
        ("by", text("by")),
        ("reason", text("reason")),
        ("next", next),
    ];
    print_line(&rows_of(rows))
}

async fn list(place: &Place, all: bool, json: bool) -> anyhow::Result<()> {
    let mut told: Value = place.get("/v1/access").await?;
    let requests = told["requests"].as_array_mut().context("the host's answer has no requests")?;
    requests.retain(|request| all || request["state"] == "asked");
    if json {
        return print_line(&json_of(&json!({ "requests": requests }))?);
    }
    if requests.is_empty() {
        return print_line(if all { "nobody asked for access" } else { "no request waits for a decision" });
    }
    let mut table = show::table(&["ID", "STATE", "LEFT", "CALLER", "ISSUER", "GRANT", "SCOPE", "LIFETIME", "REASON"]);
    for request in requests {
        let request = Shown::deserialize(&*request)?;
        table.add_row([
            line_of(&request.id),
            line_of(&request.state),
            request.left(),
            short(&request.caller.subject, 24),
            short(&request.caller.issuer, 32),
            short(&request.grant, 24),
            request.scope(),
            request.lifetime(),
            short(&request.reason, 48),
        ]);
    }
    print_line(&lines_of(&table))
}

async fn one(place: &Place, id: &str, json: bool) -> anyhow::Result<()> {
    check_id(id)?;
    let told: Value = place.get(&format!("/v1/access/{id}")).await?;
    if json {
        return print_line(&json_of(&told)?);
    }
    let shown = Shown::deserialize(&told)?;
    let state = match (&shown.decided, shown.left().as_str()) {
        (Some(decided), _) => format!("{}, decided by {}", line_of(&shown.state), line_of(&decided.by)),
        (None, "-") => line_of(&shown.state),
        (None, left) => format!("{}, {left} left", line_of(&shown.state)),
    };
    let said = shown.decided.as_ref().map(|decided| line_of(&decided.reason)).unwrap_or_default();
    let rows = [
        ("request", line_of(&shown.id)),
        ("state", state),
        ("said", said),
        ("asked", time_of(shown.asked_ms)),
        ("caller", line_of(&caller_words(&shown.caller.issuer, &shown.caller.subject))),
        ("grant", line_of(&shown.grant)),
        ("scope", shown.scope()),
        ("lifetime", shown.lifetime()),
        ("reason", line_of(&shown.reason)),
    ];
    print_line(&rows_of(rows))
}

/// Names and values, one a line; those that are empty are not told.
fn rows_of<const N: usize>(rows: [(&str, String); N]) -> String {
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    rows.map(|(name, value)| format!("{name:<11} {value}")).collect::<Vec<_>>().join("\n")
}

fn check_id(id: &str) -> anyhow::Result<()> {
    let fits = !id.is_empty() && id.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
    anyhow::ensure!(fits, "`{}` is not a request's id; `portcullis access list` shows what there is", line_of(id));
    Ok(())
}

async fn decide(args: DecideArgs, word: &str) -> anyhow::Result<()> {
    check_id(&args.id)?;
    let said = json!({ "reason": args.reason, "by": args.by });
    let decided: Value = args.host.place()?.post(&format!("/v1/access/{}/{word}", args.id), &said).await?;
    if args.json {
        return print_line(&json_of(&decided)?);
    }
    let shown = Shown::deserialize(&decided)?;
    let by = line_of(decided["decided"]["by"].as_str().unwrap_or_default());
    let (caller, scope, lifetime) = (line_of(&shown.caller.subject), shown.scope(), shown.lifetime());
    print_line(&format!("{} {} by {by}: {caller}, {scope}, for {lifetime}", line_of(&shown.id), line_of(&shown.state)))
}
