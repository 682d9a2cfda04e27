//! `portcullis token`.

use std::{io::Read, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    gate::GateArgs,
    host::HostArgs,
    login::{Issued, explained},
    print_line,
    show::{self, json_of, line_of, lines_of, short, time_of},
    wanted::WantedArgs,
};

const EXCHANGE_GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The longest token of an issuer that is read; the gate takes none that is longer.
const SUBJECT_BYTES: u64 = 16 << 10;

/// Get a token for one of your identity provider's, and look at those that a host has issued.
///
/// What `list` and `show` tell never opens anything: of a token only its hash is kept, and that is not shown either.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis token issue --subject-env CI_JOB_JWT --url https://gate.example.com
  portcullis token list
  portcullis token show 0199f3c2-7d1e-7000-8000-000000000000
  portcullis revoke --token 0199f3c2-7d1e-7000-8000-000000000000")]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Exchange a token of your identity provider for a short-lived, scoped one of the gate (RFC 8693); prints it.
    #[command(after_help = "\
Examples:
  export OPENAI_API_KEY=$(portcullis token issue --subject-env CI_JOB_JWT \\
    --model 'gpt-4*' --lifetime 5m)
  portcullis token issue --subject-file /var/run/secrets/tokens/gate \\
    --url https://gate.example.com
  kubectl create token builder --audience portcullis \\
    | portcullis token issue --subject-file -")]
    Issue {
        /// Print JSON: the token, its scope, its id, how long it lives.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        wanted: WantedArgs,
        #[command(flatten)]
        subject: SubjectArgs,
        #[command(flatten)]
        gate: GateArgs,
    },
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

/// A token of an identity provider. It is never an argument: those can be read by others on the machine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Your identity provider's token")]
pub(super) struct SubjectArgs {
    /// File that holds it; - is standard input.
    #[arg(long, conflicts_with = "subject_env", value_name = "FILE")]
    subject_file: Option<PathBuf>,
    /// Variable of the environment that holds it.
    #[arg(long, value_name = "NAME")]
    subject_env: Option<String>,
}

impl SubjectArgs {
    /// The token, where one was named.
    pub(super) fn read(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        let text = match (&self.subject_file, &self.subject_env) {
            (Some(file), _) if file.as_os_str() == "-" => read_bounded(std::io::stdin().lock(), "standard input")?,
            (Some(file), _) => {
                let name = file.display().to_string();
                read_bounded(std::fs::File::open(file).with_context(|| format!("can't read {name}"))?, &name)?
            }
            (None, Some(name)) => {
                let value = std::env::var(name);
                Zeroizing::new(value.with_context(|| format!("the variable `{}` holds no token", line_of(name)))?)
            }
            (None, None) => return Ok(None),
        };
        let token = text.trim();
        anyhow::ensure!(!token.is_empty(), "the identity provider's token is empty");
        Ok(Some(Zeroizing::new(token.to_owned())))
    }

    /// What kind of token it is, as RFC 8693 calls it: any signed one.
    pub(super) fn kind(&self) -> &'static str {
        if self.subject_file.is_some() || self.subject_env.is_some() {
            "urn:ietf:params:oauth:token-type:jwt"
        } else {
            "urn:ietf:params:oauth:token-type:access_token"
        }
    }
}

fn read_bounded(from: impl Read, name: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(SUBJECT_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("can't read a token from {name}"))?;
    anyhow::ensure!(text.len() as u64 <= SUBJECT_BYTES, "{name} is longer than a token ({SUBJECT_BYTES} bytes)");
    Ok(text)
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
        TokenCommand::Issue { json, wanted, subject, gate } => issue(json, &wanted, &subject, &gate).await?,
        TokenCommand::Show { id, json, host } => {
            let told: Value = host.place()?.get(&format!("/v1/tokens/{}", plain(&id)?)).await?;
            print_line(&if json { json_of(&told)? } else { described(&told)? })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn issue(json: bool, wanted: &WantedArgs, subject: &SubjectArgs, gate: &GateArgs) -> anyhow::Result<()> {
    let token =
        subject.read()?.context("which token of your identity provider? Name its --subject-file or --subject-env")?;
    let wanted = wanted.form();
    let mut form =
        vec![("grant_type", EXCHANGE_GRANT), ("subject_token", token.as_str()), ("subject_token_type", subject.kind())];
    form.extend(wanted.iter().map(|(name, value)| (*name, value.as_str())));
    let answer = gate.gate()?.ask("/oauth/token", &form, None).await.map_err(explained)?;
    if json {
        return print_line(&json_of(&answer)?);
    }
    let issued =
        Issued::deserialize(answer).context("the gate's answer is not understood; is it of another version?")?;
    print_line(&issued.access_token)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(revoked: &Value) -> Value {
        json!({
            "id": "0199f3c2-7d1e-7000-8000-000000000000",
            "caller": { "issuer": "https://idp.example", "subject": "ann\u{1b}[31m", "groups": [], "claims": "{}" },
            "scope": { "connections": ["openai"], "models": ["*"], "operations": ["*"] },
            "issued_ms": 1_800_000_000_000_u64,
            "expires_ms": 1_800_000_900_000_u64,
            "proven_ms": null,
            "by": "staff",
            "certificate": null,
            "revoked": revoked,
        })
    }

    #[test]
    fn a_token_is_shown_line_by_line_and_can_not_colour_the_terminal() {
        let shown = described(&token(&Value::Null)).unwrap();
        let names: Vec<_> = shown.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["token", "caller", "issuer", "scope", "issued", "expires", "by"]);
        assert!(
            shown.contains("0199f3c2-7d1e-7000-8000-000000000000") && shown.contains("https://idp.example"),
            "{shown}"
        );
        assert!(shown.contains("openai") && shown.contains("staff") && !shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn what_ended_a_token_is_shown() {
        let told = |reason: &str| described(&token(&json!({ "reason": reason }))).unwrap();
        assert!(told("INC-4711").ends_with("revoked     INC-4711"), "{}", told("INC-4711"));
        assert!(told("").ends_with("revoked     yes"));
    }
}
