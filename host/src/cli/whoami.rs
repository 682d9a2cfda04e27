//! `portcullis whoami`: what the gate says of the token that `portcullis login` kept (RFC 7662).

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::{
    gate::{Gate, GateArgs, Unserved},
    kept::Kept,
    print_line,
    show::{duration_of, json_of, line_of},
};
use crate::app::now_ms;

/// Show who you are to the gate, what your token is good for, and how long.
///
/// The gate is asked, so a token that was revoked is told of.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis whoami --json")]
pub(super) struct WhoamiArgs {
    /// Print JSON, as RFC 7662 has it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gate: GateArgs,
}

pub(super) async fn cmd_whoami(args: WhoamiArgs) -> anyhow::Result<ExitCode> {
    let kept = Kept::needed()?;
    let gate = args.gate.gate()?;
    anyhow::ensure!(gate.url == kept.url, "you are signed in at {}, not at {}", kept.url, gate.url);
    let Some(told) = told_of(&gate, &kept).await? else {
        bail!("you are not signed in any more: your token expired or was revoked; `portcullis login` signs you in")
    };
    print_line(&if args.json { json_of(&told)? } else { described(&told, &kept.url) })?;
    Ok(ExitCode::SUCCESS)
}

/// What the gate says of the token that is kept; none where it is not good any more.
pub(super) async fn told_of(gate: &Gate, kept: &Kept) -> Result<Option<Value>, Unserved> {
    let token = kept.access_token.as_str();
    match gate.ask("/oauth/introspect", &[("token", token)], Some(token)).await {
        Ok(told) => Ok((told["active"] == true).then_some(told)),
        Err(Unserved::Refused { status: StatusCode::UNAUTHORIZED, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn described(told: &Value, url: &str) -> String {
    let text = |name: &str| line_of(told[name].as_str().unwrap_or_default());
    let groups: Vec<&str> = told["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let left_ms = told["exp"].as_u64().unwrap_or_default().saturating_mul(1000).saturating_sub(now_ms());
    let bound = if told["cnf"].is_object() { "to a client certificate" } else { "" };
    let rows = [
        ("gate", line_of(url)),
        ("caller", text("sub")),
        ("issuer", text("idp")),
        ("groups", line_of(&groups.join(", "))),
        ("grant", text("grant")),
        ("scope", text("scope")),
        ("token", text("jti")),
        ("bound", bound.to_owned()),
        ("left", duration_of(left_ms / 1000 * 1_000_000)),
    ];
    let told = rows.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| format!("{name:<11} {value}")).collect::<Vec<_>>().join("\n")
}
