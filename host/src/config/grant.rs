//! `[[grant]]`: which callers may use what, for how long, and whether a person must agree first
//! (`host/docs/identity.md`).
//!
//! What must hold: a grant names only issuers, connections and operations that there are: one with a misspelt name would
//! silently give nothing, or give it to nobody.

use std::{collections::HashSet, ops::Range, time::Duration};

use identity::{Approval, Grant, Grants, Who};
use model::Scope;
use toml::Spanned;

use super::{
    Problem, Problems,
    issuer::{claim_path, plain},
    limits::{Bound, Unit},
    problem::Code,
    read::{Section, unknown},
    resolve::{Once, check_name},
};

const fn time(key: &'static str, default: Duration, low: Duration, high: Duration) -> Bound {
    // A day has fewer milliseconds than a u64 holds.
    let (low, high) = (low.as_secs() * 1000, high.as_secs() * 1000);
    Bound { key, unit: Unit::Time, default: default.as_secs() * 1000, range: low..=high }
}

const LIFETIME: Bound = time("lifetime", identity::LIFETIME, identity::SHORTEST_LIFETIME, identity::LONGEST_LIFETIME);
const TIMEOUT: Bound =
    time("timeout", Duration::from_secs(1800), Duration::from_secs(10), Duration::from_secs(7 * 86_400));

/// Every bound of a grant, for the documentation's test.
#[cfg(test)]
pub(super) const BOUNDS: [Bound; 1] = [LIFETIME];

/// A grant as it is written.
pub(super) struct GrantTable {
    span: Range<usize>,
    name: Option<Spanned<String>>,
    issuer: Option<Spanned<String>>,
    groups: Vec<Spanned<String>>,
    subjects: Vec<Spanned<String>>,
    claims: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
    connections: Vec<Spanned<String>>,
    models: Vec<Spanned<String>>,
    operations: Vec<Spanned<String>>,
    lifetime: Duration,
    direct: bool,
    bound: bool,
    approval: Option<ApprovalTable>,
}

/// `approval = { … }`.
struct ApprovalTable {
    approvers: Vec<Spanned<String>>,
    timeout: Duration,
}

impl GrantTable {
    /// Reads one.
    pub(super) fn read(section: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
        Self {
            span: section.span(),
            name: section.needed("name", "\"staff\"", problems),
            issuer: section.needed("issuer", "\"https://login.example.com\"", problems),
            groups: section.narrowing("groups", problems),
            subjects: section.narrowing("subjects", problems),
            claims: section.entries("claims", problems),
            connections: section.needed_texts("connections", "[\"openai\"]", problems),
            models: section.narrowing_or("models", &["*"], problems),
            operations: section.narrowing_or("operations", &["*"], problems),
            lifetime: section.time(&LIFETIME, problems),
            direct: section.flag("direct", problems),
            bound: section.flag("bound", problems),
            approval: section.table("approval", "approval = { … }", problems).map(|mut table| {
                let approvers = table.needed_texts("approvers", "[\"leads\"]", problems);
                warn_of_approvers(&approvers, problems);
                let timeout = table.time(&TIMEOUT, problems);
                table.finish(problems);
                ApprovalTable { approvers, timeout }
            }),
        }
    }

    /// The grant, if nothing is wrong with it.
    fn resolve(self, known: &Known<'_>, problems: &mut Problems) -> Option<Grant> {
        let before = problems.len();
        let issuer = self.issuer?;
        if !known.issuers.contains(issuer.get_ref()) {
            let mut issuers: Vec<&str> = known.issuers.iter().map(String::as_str).collect();
            issuers.sort_unstable();
            unknown("issuer", &issuer, &issuers, problems);
        }
        self.connections.iter().for_each(|pattern| check_known("connection", pattern, known.connections, problems));
        self.operations.iter().for_each(|pattern| check_known("operation", pattern, &wire::DIALECTS, problems));
        self.groups.iter().for_each(|group| check_group(group, problems));
        let values = self.claims.iter().flat_map(|(_, values)| values);
        self.models.iter().chain(&self.subjects).chain(values).for_each(|pattern| check_pattern(pattern, problems));
        let claims = self.claims.into_iter();
        let claims = claims.filter_map(|(name, values)| Some((claim_path(&name, problems)?, plain(values))));
        let grant = Grant {
            who: Who {
                issuer: issuer.into_inner(),
                subjects: plain(self.subjects),
                groups: plain(self.groups),
                claims: claims.collect(),
            },
            name: self.name?.into_inner(),
            scope: Scope {
                connections: plain(self.connections),
                models: plain(self.models),
                operations: plain(self.operations),
            },
            lifetime: self.lifetime,
            direct: self.direct,
            bound: self.bound,
            approval: self
                .approval
                .map(|ApprovalTable { approvers, timeout }| Approval { approvers: plain(approvers), timeout }),
        };
        if problems.len() > before {
            return None;
        }
        if let Err(error) = Grants::new(vec![grant.clone()]) {
            let message = format!("the grant `{}` can't be meant", error.grant);
            problems.push(Problem::error(Code::BadValue, self.span, message).label(error.what));
            return None;
        }
        Some(grant)
    }
}

/// That a group is a whole name: the others of a grant's lists are patterns, and one that is meant so here would give
/// nothing to anybody.
fn check_group(group: &Spanned<String>, problems: &mut Problems) {
    if group.get_ref().ends_with('*') {
        let message = format!("`{}` is no pattern: a group is named whole", group.get_ref());
        problems.push(
            Problem::error(Code::BadValue, group.span(), message)
                .label("the beginning of a name fits no group here")
                .help("name each group; or match the claim that holds them: claims = { groups = [\"team-*\"] }"),
        );
    }
}

/// Who decides comes over the control listener, whose token is the operator's: there a group is never asked for.
pub(super) fn warn_of_approvers(approvers: &[Spanned<String>], problems: &mut Problems) {
    if let Some(first) = approvers.first() {
        problems.push(
            Problem::warning(Code::NotEnforced, first.span(), "nobody is held to the groups of `approvers`")
                .label("whoever holds the control token decides, as operator")
                .help("give the control token to nobody who may not decide"),
        );
    }
}

/// What grants may name.
pub(super) struct Known<'k> {
    /// Issuers, by their URLs.
    pub(super) issuers: &'k HashSet<String>,
    /// Connections, by their names.
    pub(super) connections: &'k [&'k str],
    /// Whether there is a token endpoint.
    pub(super) endpoint: bool,
    /// Whether callers are asked for certificates.
    pub(super) certificates: bool,
}

/// The grants that can be meant.
pub(super) fn grants(tables: Vec<GrantTable>, known: &Known<'_>, problems: &mut Problems) -> Vec<Grant> {
    let mut names = Once::new("grant name");
    let mut grants = Vec::new();
    for table in tables {
        if let Some(name) = &table.name {
            check_name(name, problems);
            names.check(name.get_ref().clone(), name.span(), problems);
        }
        if !table.direct && !known.endpoint {
            problems.push(
                Problem::warning(Code::BadValue, table.span.clone(), "nobody can use this grant")
                    .label("it gives tokens of the gate, and there is no `[oauth]` where they could be had")
                    .help("add `[oauth]` with `url = \"https://…\"`, or `direct = true` for the issuer's own tokens"),
            );
        }
        if table.bound && !known.certificates {
            problems.push(
                Problem::error(Code::Missing, table.span.clone(), "nobody can use this grant")
                    .label("`bound` needs a client certificate, and callers are asked for none")
                    .help("add `client_ca = \"…\"` to `tls` of `[listen]`, or take `bound` out"),
            );
        }
        grants.extend(table.resolve(known, problems));
    }
    grants
}

/// That a pattern is a name that there is, or the beginning of one before `*`.
pub(super) fn check_known(what: &str, pattern: &Spanned<String>, known: &[&str], problems: &mut Problems) {
    let text = pattern.get_ref();
    let fits = match text.strip_suffix('*') {
        Some(beginning) => beginning.is_empty() || known.iter().any(|name| name.starts_with(beginning)),
        None => known.contains(&text.as_str()),
    };
    if !fits {
        unknown(what, pattern, known, problems);
    }
}

pub(super) fn check_pattern(pattern: &Spanned<String>, problems: &mut Problems) {
    let text = pattern.get_ref();
    let inner = text.strip_suffix('*').unwrap_or(text);
    let wrong = match (text.is_empty(), inner.contains('*')) {
        (true, _) => "it is empty",
        (_, true) => "a `*` stands only at the end",
        (false, false) => return,
    };
    let message = format!("`{text}` fits nothing");
    let help = "a whole name, or its beginning and `*`; several beginnings make a list";
    problems.push(Problem::error(Code::BadValue, pattern.span(), message).label(wrong).help(help));
}
