//! `portcullis alerts`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::{
    Alert,
    alert::{Delivery, DeliveryState},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    host::{HostArgs, Place},
    print_line,
    sessions::time_span,
    show::{self, json_of, line_of, lines_of, short, time_of},
};
use crate::app::now_ms;

/// See what the host noticed: unusual volume, refused and revoked credentials, failing policies.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis alerts list --since 24h
  portcullis alerts show 0199f3
  portcullis alerts ack 0199f3 --reason 'INC-4711, token revoked'

An ID may be shortened to any beginning or end that only one alert has.")]
pub(super) struct AlertsArgs {
    #[command(subcommand)]
    command: AlertsCommand,
}

#[derive(Debug, Subcommand)]
enum AlertsCommand {
    /// List what was noticed, the newest first.
    List {
        /// Only what was noticed in this time: `90s`, `24h`, `7d`.
        #[arg(long, value_name = "TIME", value_parser = time_span)]
        since: Option<u64>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Show one alert, and which webhooks were told.
    Show {
        /// The alert.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Say that you have seen one.
    Ack {
        /// The alert.
        id: String,
        /// What you say about it; it is recorded.
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        /// Who has seen it, for the record.
        #[arg(long, default_value = "admin", value_name = "NAME")]
        by: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
}

pub(super) async fn cmd_alerts(args: AlertsArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        AlertsCommand::List { since, json, host } => {
            let since = since.map_or(0, |span| now_ms().saturating_sub(span));
            let told: Value = host.place()?.get(&format!("/v1/alerts?since_ms={since}")).await?;
            print_line(&if json { json_of(&told)? } else { listed(&told)? })?;
        }
        AlertsCommand::Show { id, json, host } => {
            let alert = find(&host.place()?, &id).await?;
            print_line(&if json { json_of(&alert)? } else { described(&alert) })?;
        }
        AlertsCommand::Ack { id, reason, by, json, host } => {
            let place = host.place()?;
            let id = find(&place, &id).await?.id;
            let said = json!({ "reason": reason, "by": by });
            let alert: Alert = place.post(&format!("/v1/alerts/{id}/ack"), &said).await?;
            print_line(&if json { json_of(&alert)? } else { described(&alert) })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The alert that an id, or a part of one, means.
async fn find(place: &Place, id: &str) -> anyhow::Result<Alert> {
    let wanted = id.replace('-', "").to_lowercase();
    let told: Value = place.get("/v1/alerts").await?;
    let mut found = Vec::<Alert>::deserialize(&told["alerts"])?;
    found.retain(|alert| {
        let id = alert.id.to_string();
        id.starts_with(&wanted) || id.ends_with(&wanted)
    });
    match (found.pop(), found.len()) {
        (Some(alert), 0) if !wanted.is_empty() => Ok(alert),
        (Some(_), more) => anyhow::bail!("`{}` may mean {} alerts; give more of the id", line_of(id), more + 1),
        (None, _) => {
            anyhow::bail!("there is no alert `{}`; `portcullis alerts list` shows what there is", line_of(id))
        }
    }
}

fn listed(told: &Value) -> anyhow::Result<String> {
    let alerts = Vec::<Alert>::deserialize(&told["alerts"])?;
    if alerts.is_empty() {
        return Ok("nothing was noticed".to_owned());
    }
    let mut table = show::table(&["ID", "RULE", "ABOUT", "COUNT", "LAST", "SEEN", "WHAT"]);
    for alert in alerts {
        table.add_row([
            alert.id.to_string(),
            alert.rule.to_string(),
            short(&alert.subject.to_string(), 40),
            alert.count.to_string(),
            time_of(alert.last_ms),
            alert.acked.as_ref().map_or_else(|| "-".to_owned(), |acked| short(&acked.by, 16)),
            short(&alert.detail, 60),
        ]);
    }
    Ok(lines_of(&table))
}

fn described(alert: &Alert) -> String {
    let seen = alert.acked.as_ref().map(|acked| {
        let (by, at) = (line_of(&acked.by), time_of(acked.at_ms));
        if acked.reason.is_empty() {
            format!("{at} by {by}")
        } else {
            format!("{at} by {by}: {}", line_of(&acked.reason))
        }
    });
    let mut rows = vec![
        ("alert", alert.id.to_string()),
        ("rule", alert.rule.to_string()),
        ("about", line_of(&alert.subject.to_string())),
        ("what", line_of(&alert.detail)),
        ("first", time_of(alert.first_ms)),
        ("last", time_of(alert.last_ms)),
        ("count", alert.count.to_string()),
        ("seen", seen.unwrap_or_else(|| "-".to_owned())),
    ];
    rows.extend(alert.deliveries.iter().map(|delivery| ("webhook", delivered(delivery))));
    rows.into_iter().map(|(name, value)| format!("{name:<11} {value}")).collect::<Vec<_>>().join("\n")
}

fn delivered(delivery: &Delivery) -> String {
    let state = match &delivery.state {
        DeliveryState::Pending { due_ms } if delivery.attempts == 0 => format!("to be told from {}", time_of(*due_ms)),
        DeliveryState::Pending { due_ms } => {
            format!("not told after {} attempt(s), next at {}", delivery.attempts, time_of(*due_ms))
        }
        DeliveryState::Delivered { at_ms } => format!("told at {}", time_of(*at_ms)),
        DeliveryState::GivenUp { at_ms, cause } => format!("given up at {}: {}", time_of(*at_ms), line_of(cause)),
    };
    format!("{}: {state}", line_of(&delivery.webhook))
}
