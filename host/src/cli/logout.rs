//! `portcullis logout`: the token that `portcullis login` kept is given back (RFC 7009).

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{gate::GateArgs, kept::Kept, print_line, show::json_of};

/// Give the token of `portcullis login` back: it ends everywhere, at once.
///
/// Streams that run with it are cut. The answer comes when that is on the gate's disk; then the file is removed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis logout
  portcullis logout --forget    the gate can't be reached: remove the file only

A token whose file is removed only ends when it expires.")]
pub(super) struct LogoutArgs {
    /// Remove the file without asking the gate.
    #[arg(long)]
    forget: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gate: GateArgs,
}

pub(super) async fn cmd_logout(args: LogoutArgs) -> anyhow::Result<ExitCode> {
    let kept = Kept::needed()?;
    if !args.forget {
        let gate = args.gate.gate()?;
        anyhow::ensure!(gate.url == kept.url, "you are signed in at {}, not at {}", kept.url, gate.url);
        gate.ask("/oauth/revoke", &[("token", &kept.access_token)], None).await.map_err(|error| {
            anyhow::anyhow!("not signed out: {error}; `portcullis logout --forget` removes the file all the same")
        })?;
    }
    Kept::forget()?;
    if args.json {
        let told = json!({ "url": kept.url, "token_id": kept.token_id, "revoked": !args.forget });
        print_line(&json_of(&told)?)?;
    } else if args.forget {
        print_line(&format!("forgotten; the token ends by itself at {}", kept.until()))?;
    } else {
        print_line(&format!("signed out at {}; the token is revoked", kept.url))?;
    }
    Ok(ExitCode::SUCCESS)
}
