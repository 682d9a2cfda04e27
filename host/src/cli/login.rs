//! `portcullis login`: the device flow (RFC 8628) against the gate.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::{
    gate::{Gate, GateArgs, Unserved},
    kept::Kept,
    print_line,
    show::{json_of, line_of},
    wanted::WantedArgs,
    whoami::told_of,
};
use crate::app::now_ms;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// By how much polls become rarer when the gate says that they come too soon (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// A token that is over sooner than this is not worth handing out again.
const WORTH_MS: u64 = 60_000;

/// Sign in, and keep a short-lived token.
///
/// Prints a link and a code; open the link in any browser, sign in, look at what this device would get, and allow it. The
/// token is kept in your configuration folder, readable by you only, until it expires or `portcullis logout` ends it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis login --url https://gate.example.com
  portcullis login --model 'gpt-4*' --lifetime 5m
  portcullis login --grant night-shift --reason INC-4711

With any SDK, unmodified:
  export OPENAI_BASE_URL=https://gate.example.com/v1
  export OPENAI_API_KEY=$(portcullis login --print-token)

What is said on the way goes to standard error, so that --print-token and --json can be read by programs.")]
pub(super) struct LoginArgs {
    /// Why; an approver reads it, where your grant needs one.
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// Print the token and nothing else; signs in only where none is kept, or the gate says that it is not good any more.
    #[arg(long, conflicts_with = "json")]
    print_token: bool,
    /// Print JSON: what was issued, not the token.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    wanted: WantedArgs,
    #[command(flatten)]
    gate: GateArgs,
}

/// RFC 8628, 3.2.
#[derive(Deserialize)]
struct Device {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: u64,
}

/// RFC 8693, 2.2.1.
#[derive(Deserialize)]
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) expires_in: u64,
    pub(super) scope: String,
    pub(super) token_id: String,
}

pub(super) async fn cmd_login(args: LoginArgs) -> anyhow::Result<ExitCode> {
    let gate = args.gate.gate()?;
    if args.print_token && args.wanted.is_anything() {
        let good = Kept::read()?.filter(|kept| kept.url == gate.url && kept.lasts(WORTH_MS));
        // It may have been revoked since it was kept: who runs a program with it would learn so from a 401.
        if let Some(kept) = good
            && told_of(&gate, &kept).await?.is_some()
        {
            print_line(&kept.access_token)?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let issued = sign_in(&gate, &args).await?;
    let expires_ms = now_ms().saturating_add(issued.expires_in.saturating_mul(1000));
    let kept = Kept {
        url: gate.url,
        access_token: issued.access_token,
        token_id: issued.token_id,
        scope: issued.scope,
        expires_ms,
    };
    let place = kept.keep()?;
    if args.print_token {
        print_line(&kept.access_token)?;
    } else if args.json {
        let Kept { url, token_id, scope, .. } = &kept;
        let told = json!({ "url": url, "token_id": token_id, "scope": scope, "expires_ms": expires_ms, "file": place });
        print_line(&json_of(&told)?)?;
    } else {
        print_line(&format!(
            "signed in until {}, for {}\nthe token is in {}; `portcullis login --print-token` prints it",
            kept.until(),
            line_of(&kept.scope),
            place.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn sign_in(gate: &Gate, args: &LoginArgs) -> anyhow::Result<Issued> {
    let wanted = args.wanted.form();
    let mut form = vec![("client_id", identity::CLIENT), ("reason", args.reason.as_str())];
    form.extend(wanted.iter().map(|(name, value)| (*name, value.as_str())));
    let answer = gate.ask("/oauth/device_authorization", &form, None).await.map_err(explained)?;
    let device =
        Device::deserialize(answer).context("the gate's answer is not understood; is it of another version?")?;
    let link = device.verification_uri_complete.as_ref().unwrap_or(&device.verification_uri);
    let (link, code) = (line_of(link), line_of(&device.user_code));
    tell(&format!("open {link}\nand compare the code: {code}\nwaiting …"))?;
    wait(gate, &device).await
}

/// Polls until somebody has decided.
async fn wait(gate: &Gate, device: &Device) -> anyhow::Result<Issued> {
    let form =
        [("grant_type", DEVICE_GRANT), ("client_id", identity::CLIENT), ("device_code", device.device_code.as_str())];
    let mut pause = Duration::from_secs(device.interval.max(1));
    let over = Instant::now() + Duration::from_secs(device.expires_in);
    loop {
        tokio::time::sleep(pause).await;
        let refused = match gate.ask("/oauth/token", &form, None).await {
            Ok(answer) => return Issued::deserialize(answer).context("the gate's answer is not understood"),
            Err(refused) => refused,
        };
        match (&refused, refused.code()) {
            (_, Some("authorization_pending" | "temporarily_unavailable")) => {}
            (_, Some("slow_down")) => pause += SLOWER,
            (_, Some("access_denied")) => bail!("not signed in: it was denied, or no grant is for you"),
            (_, Some("expired_token")) => bail!("not signed in: nobody decided in time; start again"),
            // The gate may be starting again; the device code is good until it says otherwise.
            (Unserved::Unreached(..), _) if Instant::now() < over => {}
            _ => return Err(explained(refused)),
        }
    }
}

/// What the gate said, with the way out where there is one.
pub(super) fn explained(refused: Unserved) -> anyhow::Error {
    let way_out = match refused.code() {
        Some("unauthorized_client") => {
            "its configuration needs `login` in `[oauth]`; `portcullis token issue` takes a token of the issuer"
        }
        Some("invalid_scope") => "less may be given: leave out --connection, --model, --operation or --grant",
        Some("approval_required") => "`portcullis access request --reason …` asks an approver",
        Some("access_denied") => "an operator must add a `[[grant]]` for you",
        _ => return refused.into(),
    };
    anyhow::anyhow!("{refused}; {way_out}")
}

fn tell(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}
