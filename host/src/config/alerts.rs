//! `[alerts]` and `[[webhook]]`: what is looked for, and who is told.

use std::{path::PathBuf, time::Duration};

use alerts::{Burst, Secret, Terms, Volume};
use model::Rule;
use toml::Spanned;

use super::{
    Problem, Problems,
    issuer::no_user,
    limits::{Bound, Unit},
    problem::Code,
    read::{Section, choose},
    resolve::{Base, Once, certificates, check_name, secret_file},
    upstream::hide_user,
};

/// A receiver of alerts.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    /// Its name, for metrics and the record.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What messages are signed with; at least one.
    pub secrets: Vec<Secret>,
    /// What it is told of; all where there are none.
    pub rules: Vec<Rule>,
    /// PEM file of the authorities that vouch for it; `None`: the system's.
    pub tls_ca: Option<PathBuf>,
}

/// `[[webhook]]`.
pub(super) struct WebhookTable {
    name: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    secret_files: Vec<Spanned<String>>,
    rules: Vec<Spanned<String>>,
    tls_ca: Option<Spanned<String>>,
}

impl WebhookTable {
    pub(super) fn read(section: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
        Self {
            name: section.needed("name", "\"soc\"", problems),
            url: section.needed("url", "\"https://soc.example.com/portcullis\"", problems),
            secret_files: section.needed_texts("secret_file", "\"./secrets/soc\"", problems),
            rules: section.narrowing("rules", problems),
            tls_ca: section.text("tls_ca", problems),
        }
    }
}

fn time(key: &'static str, default: u64, low: u64, high: u64) -> Bound {
    Bound { key, unit: Unit::Time, default, range: low..=high }
}

fn count(key: &'static str, default: u64, low: u64, high: u64) -> Bound {
    Bound { key, unit: Unit::Count, default, range: low..=high }
}

const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `[alerts]`.
pub(super) fn terms(section: &mut Section<'_, '_>, problems: &mut Problems) -> Terms {
    let default = Terms::default();
    let mut terms = Terms {
        quiet_ms: millis(section.time(&time("quiet", default.quiet_ms, SECOND, 7 * DAY), problems)),
        subjects: section.count(&count("subjects", default.subjects as u64, 100, 1 << 20), problems),
        unusual_volume: volume(section, default.unusual_volume, problems),
        refused_credentials: burst(section, "refused_credentials", default.refused_credentials, problems),
        revoked_credentials: burst(section, "revoked_credentials", default.revoked_credentials, problems),
        failed_approvals: burst(section, "failed_approvals", default.failed_approvals, problems),
        policy_failures: burst(section, "policy_failures", default.policy_failures, problems),
        upstream_credentials: burst(section, "upstream_credentials", default.upstream_credentials, problems),
    };
    for rule in rules(&section.texts("off", problems), problems) {
        match rule {
            Rule::UnusualVolume => terms.unusual_volume = None,
            Rule::RefusedCredentials => terms.refused_credentials = None,
            Rule::RevokedCredentials => terms.revoked_credentials = None,
            Rule::FailedApprovals => terms.failed_approvals = None,
            Rule::PolicyFailures => terms.policy_failures = None,
            Rule::UpstreamCredentials => terms.upstream_credentials = None,
        }
    }
    terms
}

fn volume(section: &mut Section<'_, '_>, default: Option<Volume>, problems: &mut Problems) -> Option<Volume> {
    let (key, default) = ("unusual_volume", default?);
    let name = format!("{key} = {{ … }}");
    let mut table = section.table(key, &name, problems).unwrap_or_else(|| Section::absent(&name));
    let volume = Volume {
        interval_ms: millis(table.time(&time("interval", default.interval_ms, SECOND, DAY), problems)),
        history: table.bound(&count("history", default.history, 1, 100_000), problems),
        floor: table.bound(&count("floor", default.floor, 1, 1 << 30), problems),
        deviations: table.bound(&count("deviations", default.deviations as u64, 1, 1000), problems) as f64,
        half_life: table.bound(&count("half_life", default.half_life, 1, 100_000), problems),
    };
    table.finish(problems);
    Some(volume)
}

fn burst(
    section: &mut Section<'_, '_>,
    key: &'static str,
    default: Option<Burst>,
    problems: &mut Problems,
) -> Option<Burst> {
    let default = default?;
    let name = format!("{key} = {{ … }}");
    let mut table = section.table(key, &name, problems).unwrap_or_else(|| Section::absent(&name));
    let burst = Burst {
        count: table.count(&count("count", default.count as u64, 1, 1000), problems),
        window_ms: millis(table.time(&time("window", default.window_ms, SECOND, DAY), problems)),
    };
    table.finish(problems);
    Some(burst)
}

fn rules(written: &[Spanned<String>], problems: &mut Problems) -> Vec<Rule> {
    let choices = Rule::ALL.map(|rule| (rule.as_str(), rule));
    written.iter().filter_map(|word| choose(word, &choices, problems)).collect()
}

/// The receivers; what is wrong with one becomes a problem.
pub(super) fn webhooks(tables: Vec<WebhookTable>, base: &Base<'_>, problems: &mut Problems) -> Vec<Webhook> {
    let (mut names, mut urls) = (Once::new("webhook name"), Once::new("webhook URL"));
    let mut webhooks = Vec::new();
    for table in tables {
        let rules = rules(&table.rules, problems);
        let secrets = table.secret_files.iter().map(|file| secret(file, base, problems)).collect::<Option<Vec<_>>>();
        let tls_ca = table.tls_ca.map(|written| certificates(&written, base, problems));
        let (Some(name), Some(url)) = (table.name, table.url) else { continue };
        check_name(&name, problems);
        names.check(name.get_ref().clone(), name.span(), problems);
        urls.check(url.get_ref().clone(), url.span(), problems);
        if !no_user(&url, problems) {
            continue;
        }
        let tls_ca = tls_ca.map_or(Some(None), |given| given.map(Some));
        let (Some(secrets), Some(tls_ca)) = (secrets, tls_ca) else { continue };
        let (span, name, url) = (url.span(), name.into_inner(), url.into_inner());
        let made = alerts::Webhook::new(name.clone(), url.clone(), Vec::new(), Vec::new(), tls_ca.as_deref());
        match made {
            Ok(_) => webhooks.push(Webhook { name, url, secrets, rules, tls_ca }),
            Err(wrong) => {
                hide_user(span.clone(), problems);
                problems.push(
                    Problem::error(Code::BadValue, span, format!("the webhook {name} can't be told: {wrong}"))
                        .label("`https`, or `http` to this machine"),
                );
            }
        }
    }
    webhooks
}

fn secret(written: &Spanned<String>, base: &Base<'_>, problems: &mut Problems) -> Option<Secret> {
    let secret = secret_file(written, base, problems)?;
    match Secret::parse(secret.expose()) {
        Ok(secret) => Some(secret),
        Err(wrong) => {
            problems.push(
                Problem::error(Code::BadFile, written.span(), format!("the webhook's secret {wrong}"))
                    .label("expected `whsec_` and 24 to 64 bytes as Base64")
                    .help("printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\" makes one"),
            );
            None
        }
    }
}
