//! Control events: what was recorded and belongs to no exchange.

use clap::Args;
use model::{Caller, ControlEvent, Event, Scope, Target, control::Revoked};
use serde_json::json;
use store::EventRecord;

use super::{
    super::{
        host::HostArgs,
        print_line,
        show::{self, json_of, lines_of, short, time_of},
    },
    records::Records,
};

/// Characters of what is told of one event in a table; `--json` tells all of it.
const TOLD: usize = 120;

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// At most so many.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// Only those before the event of this number: the last one of the page before.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(super) async fn list(args: EventsArgs) -> anyhow::Result<()> {
    let events = Records::open(&args.host)?.events(args.before, usize::try_from(args.limit)?).await?;
    if args.json {
        return print_line(&json_of(&json!({ "events": events.iter().map(admin::event_told).collect::<Vec<_>>() }))?);
    }
    if events.is_empty() {
        return print_line("no events");
    }
    let mut table = show::table(&["NUMBER", "TIME", "EVENT", "WHAT"]);
    for EventRecord { number, event } in &events {
        let (kind, what) = text(event);
        table.add_row([number.to_string(), time_of(event.at_ms()), kind.to_owned(), short(&what, TOLD)]);
    }
    print_line(&lines_of(&table))
}

/// What kind of event it is, and what it says; the latter is not yet safe for a terminal.
fn text(event: &Event) -> (&'static str, String) {
    match event {
        Event::Started { version, .. } => ("started", format!("version {version}")),
        Event::SetPublished { set, policies, problems, .. } => {
            let counted = (policies.len(), problems.len());
            let (generation, digest) = (set.generation, set.digest.short());
            ("policy set", format!("{generation} ({digest}): {} policies, {} problems", counted.0, counted.1))
        }
        Event::Approval { approval, state, by, reason, .. } => {
            ("approval", format!("{approval} {state}{}", signed(by, reason)))
        }
        Event::Stopped { .. } => ("stopped", String::new()),
        Event::Control(event) => control_text(event),
    }
}

fn control_text(event: &ControlEvent) -> (&'static str, String) {
    match event {
        ControlEvent::TokenIssued(token) => (
            "token issued",
            format!("{} to {}{}", token.id, holder(&token.caller, &token.scope), signed(&token.by, "")),
        ),
        ControlEvent::TokenExchanged(exchanged) => {
            let token = &exchanged.token;
            let to = holder(&token.caller, &token.scope);
            ("token issued", format!("{} to {to}, for another credential{}", token.id, signed(&token.by, "")))
        }
        ControlEvent::Revoked(revoked) => ("revoked", revoked_text(revoked)),
        ControlEvent::GivenBack(revoked) => ("given back", revoked_text(revoked)),
        ControlEvent::Lifted(lifted) => {
            ("lifted", format!("{}{}", named(&lifted.target), signed(&lifted.by, &lifted.reason)))
        }
        ControlEvent::AccessRequested(asked) => {
            let who = holder(&asked.caller, &asked.scope);
            ("access asked", format!("{} by {who}, grant {}{}", asked.id, asked.grant, signed("", &asked.reason)))
        }
        ControlEvent::AccessDecided(decided) => {
            let kind = if decided.approved { "access given" } else { "access denied" };
            (kind, format!("{}{}", decided.id, signed(&decided.by, &decided.reason)))
        }
        ControlEvent::Alert(alert) => {
            let seen =
                alert.acked.as_ref().map_or_else(String::new, |acked| format!(", seen{}", signed(&acked.by, "")));
            ("alert", format!("{} {}, {} time(s){seen}: {}", alert.rule, alert.subject, alert.count, alert.detail))
        }
    }
}

fn revoked_text(revoked: &Revoked) -> String {
    let before = revoked.issued_before_ms.map_or_else(String::new, |ms| format!(" issued before {}", time_of(ms)));
    format!("{}{before}{}", named(&revoked.target), signed(&revoked.by, &revoked.reason))
}

/// Who has a token or wants one, and where it is good.
fn holder(caller: &Caller, scope: &Scope) -> String {
    format!("{}|{} on {}", caller.issuer, caller.subject, scope.connections.join(", "))
}

/// A target as `portcullis revoke` names it.
fn named(target: &Target) -> String {
    match target {
        Target::Token(id) => format!("token {id}"),
        Target::Credential(digest) => format!("credential with SHA-256 {digest}"),
        Target::Caller { issuer, subject } => format!("caller {issuer}|{subject}"),
        Target::Session { session, .. } => format!("session {session}"),
        Target::Connection(name) => format!("connection {name}"),
        Target::Issuer(issuer) => format!("issuer {issuer}"),
        Target::Everything => "everything".to_owned(),
    }
}

/// Who did it, and why, as far as somebody said so.
fn signed(by: &str, reason: &str) -> String {
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    if reason.is_empty() { by } else { format!("{by}: {reason}") }
}
