//! `portcullis token`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::{
    host::HostArgs,
    print_line,
    show::{self, json_of, line_of, lines_of, short, time_of},
};

/// Look at tokens that this host has issued.
///
/// What is shown never opens anything: of a token only its hash is kept, and that is not shown either.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis token list
  portcullis token show 0199f3c2-7d1e-7000-8000-000000000000
  portcullis revoke --token 0199f3c2-7d1e-7000-8000-000000000000 --reason INC-4711")]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// List those that have not expired.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Show one: whose it is, what it opens, what ended it.
    Show {
        /// The token's id.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
}

/// What is shown of a token; the rest of what the host tells is for `--json`.
#[derive(Debug, Deserialize)]
struct Shown {
    id: String,
    caller: Caller,
    issued_ms: u64,
    expires_ms: u64,
    by: String,
    revoked: Option<Value>,
    scope: Value,
}

#[derive(Debug, Deserialize)]
struct Caller {
    issuer: String,
    subject: String,
}

pub(super) async fn cmd_token(args: TokenArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        TokenCommand::List { json, host } => {
            let told: Value = host.place()?.get("/v1/tokens").await?;
            print_line(&if json { json_of(&told)? } else { listed(&told)? })?;
        }
        TokenCommand::Show { id, json, host } => {
            let told: Value = host.place()?.get(&format!("/v1/tokens/{}", plain(&id)?)).await?;
            print_line(&if json { json_of(&told)? } else { described(&told)? })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An id as it may stand in a path.
fn plain(id: &str) -> anyhow::Result<&str> {
    let fits = !id.is_empty() && id.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
    anyhow::ensure!(fits, "`{}` is not a token's id; `portcullis token list` shows what there is", line_of(id));
    Ok(id)
}

fn listed(told: &Value) -> anyhow::Result<String> {
    let tokens = Vec::<Shown>::deserialize(&told["tokens"])?;
    if tokens.is_empty() {
        return Ok("no token is in use".to_owned());
    }
    let mut table = show::table(&["ID", "STATE", "EXPIRES", "CALLER", "ISSUER"]);
    for token in tokens {
        table.add_row([
            line_of(&token.id),
            if token.revoked.is_some() { "revoked" } else { "good" }.to_owned(),
            time_of(token.expires_ms),
            short(&token.caller.subject, 32),
            short(&token.caller.issuer, 40),
        ]);
    }
    Ok(lines_of(&table))
}

fn described(told: &Value) -> anyhow::Result<String> {
    let token = Shown::deserialize(told)?;
    let revoked = match &token.revoked {
        Some(revoked) => line_of(revoked["reason"].as_str().filter(|reason| !reason.is_empty()).unwrap_or("yes")),
        None => String::new(),
    };
    let rows = [
        ("token", line_of(&token.id)),
        ("caller", line_of(&token.caller.subject)),
        ("issuer", line_of(&token.caller.issuer)),
        ("scope", line_of(&token.scope.to_string())),
        ("issued", time_of(token.issued_ms)),
        ("expires", time_of(token.expires_ms)),
        ("by", line_of(&token.by)),
        ("revoked", revoked),
    ];
    let told = rows.into_iter().filter(|(_, value)| !value.is_empty());
    Ok(told.map(|(name, value)| format!("{name:<11} {value}")).collect::<Vec<_>>().join("\n"))
}
