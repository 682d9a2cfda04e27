//! `[[token]]`: who may call with a value that never changes, for what, and until when.
//!
//! What must hold: where an identity provider says who is who, a static token has an end, since nothing else ends it
//! when its holder leaves.

use std::ops::Range;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use model::{Digest, Scope};
use toml::Spanned;

use super::{
    Problem, Problems, Token,
    grant::{check_known, check_pattern},
    issuer::plain,
    problem::Code,
    read::{Section, unknown},
    resolve::{Base, Once, check_name, secret_file},
};

/// A token with fewer bytes than this can be guessed.
/// What a short token is warned of with.
pub(crate) const GUESSABLE: &str = "the token's value can be guessed";
const GUESSABLE_BYTES: usize = 16;

/// A token as it is written.
pub(super) struct TokenTable {
    span: Range<usize>,
    name: Option<Spanned<String>>,
    value_file: Option<Spanned<String>>,
    value_sha256: Option<Spanned<String>>,
    connections: Vec<Spanned<String>>,
    models: Vec<Spanned<String>>,
    operations: Vec<Spanned<String>>,
    groups: Vec<Spanned<String>>,
    expires: Option<Spanned<String>>,
}

impl TokenTable {
    /// Reads one.
    pub(super) fn read(section: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
        Self {
            span: section.span(),
            name: section.needed("name", "\"demo\"", problems),
            value_file: section.text("value_file", problems),
            value_sha256: section.text("value_sha256", problems),
            connections: section.texts("connections", problems),
            models: section.narrowing_or("models", &["*"], problems),
            operations: section.narrowing_or("operations", &["*"], problems),
            groups: section.texts("groups", problems),
            expires: section.moment("expires", problems),
        }
    }
}

/// What tokens are read among.
pub(super) struct Among<'k> {
    /// Names of the connections.
    pub(super) connections: &'k [&'k str],
    /// Whether somebody is trusted to say who is who.
    pub(super) issuers: bool,
    pub(super) base: &'k Base<'k>,
}

/// The tokens that can be meant.
pub(super) fn tokens(tables: Vec<TokenTable>, among: &Among<'_>, problems: &mut Problems) -> Vec<Token> {
    let (mut names, mut values) = (Once::new("token name"), Once::new("token value"));
    let mut tokens = Vec::new();
    for table in tables {
        let digest = digest(&table, among.base, problems);
        if let Some((digest, span)) = &digest {
            values.check(*digest, span.clone(), problems);
        }
        scope(&table, among.connections, problems);
        let expires_ms = expiry(&table, among.issuers, problems);
        let Some(name) = table.name else { continue };
        check_name(&name, problems);
        names.check(name.get_ref().clone(), name.span(), problems);
        let Some((digest, _)) = digest else { continue };
        tokens.push(Token {
            name: name.into_inner(),
            digest,
            scope: Scope {
                connections: plain(table.connections),
                models: plain(table.models),
                operations: plain(table.operations),
            },
            groups: plain(table.groups),
            expires_ms,
        });
    }
    tokens
}

fn scope(table: &TokenTable, known: &[&str], problems: &mut Problems) {
    if table.connections.is_empty() {
        problems.push(
            Problem::error(Code::Missing, table.span.clone(), "the token opens no connection")
                .label("`connections` is missing or empty")
                .help("for example: connections = [\"openai\"]"),
        );
    }
    let others = table.connections.iter().filter(|name| !known.contains(&name.get_ref().as_str()));
    others.for_each(|name| unknown("connection", name, known, problems));
    table.models.iter().for_each(|pattern| check_pattern(pattern, problems));
    table.operations.iter().for_each(|pattern| check_known("operation", pattern, &wire::DIALECTS, problems));
}

/// From when on it opens nothing (milliseconds since 1970-01-01T00:00:00Z); none: never.
fn expiry(table: &TokenTable, needed: bool, problems: &mut Problems) -> Option<u64> {
    const EXAMPLE: &str = "for example: expires = 2027-03-31, or 2027-03-31T18:00:00Z";
    let Some(written) = &table.expires else {
        if needed {
            problems.push(
                Problem::error(
                    Code::Missing,
                    table.span.clone(),
                    "a static token must expire where there is an `[[issuer]]`",
                )
                .label("`expires` is missing: whoever leaves at the identity provider could use it for ever")
                .help(format!("{EXAMPLE}; or take the token out, and give its holder a `[[grant]]`")),
            );
        }
        return None;
    };
    let Some(expires) = moment(written.get_ref()) else {
        let message = format!("`{}` is not a time from which a token could expire", written.get_ref());
        problems.push(
            Problem::error(Code::BadValue, written.span(), message)
                .label("expected a date (its beginning, UTC, is meant), or a time with its zone (RFC 3339)")
                .help(EXAMPLE),
        );
        return None;
    };
    if expires <= Timestamp::now() {
        problems.push(
            Problem::warning(Code::BadValue, written.span(), "the token has expired")
                .label("it opens nothing")
                .help("take it out, or give its holder another one"),
        );
    }
    Some(u64::try_from(expires.as_millisecond()).unwrap_or(0))
}

/// A date's beginning in UTC, or a time that says its zone.
fn moment(text: &str) -> Option<Timestamp> {
    const DATE: usize = "2027-03-31".len();
    if text.len() == DATE {
        let date: Date = text.parse().ok()?;
        return Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp());
    }
    text.parse().ok()
}

fn digest(table: &TokenTable, base: &Base<'_>, problems: &mut Problems) -> Option<(Digest, Range<usize>)> {
    match (&table.value_file, &table.value_sha256) {
        (Some(file), None) => {
            let secret = secret_file(file, base, problems)?;
            if identity::Registry::is_token(secret.expose()) {
                problems.push(
                    Problem::error(Code::BadValue, file.span(), "the token's value opens nothing")
                        .label("it begins like a token that the gate issues, and is looked for among those only")
                        .help("openssl rand -base64 32 makes another one"),
                );
                return None;
            }
            if secret.expose().len() < GUESSABLE_BYTES {
                problems.push(
                    Problem::warning(Code::WeakSecret, file.span(), GUESSABLE)
                        .label(format!("shorter than {GUESSABLE_BYTES} bytes"))
                        .help("openssl rand -base64 32 makes a good one"),
                );
            }
            Some((identity::digest(secret.expose()), file.span()))
        }
        (None, Some(written)) => match written.get_ref().parse() {
            Ok(digest) => Some((digest, written.span())),
            Err(wrong) => {
                let message = format!("`value_sha256` can't be read: {wrong}");
                problems.push(
                    Problem::error(Code::BadValue, written.span(), message)
                        .help("printf %s \"$TOKEN\" | sha256sum makes one"),
                );
                None
            }
        },
        (Some(_), Some(second)) => {
            problems.push(
                Problem::error(Code::Duplicate, second.span(), "the token has two values")
                    .label("give `value_file` or `value_sha256`, not both"),
            );
            None
        }
        (None, None) => {
            problems.push(
                Problem::error(Code::Missing, table.span.clone(), "the token has no value")
                    .label("needs `value_file` or `value_sha256`")
                    .help("for example: value_file = \"./secrets/demo-token\""),
            );
            None
        }
    }
}
