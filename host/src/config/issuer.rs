//! `[[issuer]]`: who is trusted to say who somebody is (`host/docs/identity.md`).
//!
//! What must hold: what comes out of here is taken by `identity::Issuers`; it was asked.

use std::{collections::HashSet, ops::Range, time::Duration};

use identity::{Algorithm, ClaimPath, Freshness, Issuer, Issuers};
use toml::Spanned;

use super::{
    Problem, Problems,
    limits::{Bound, Unit},
    problem::Code,
    read::{Section, choose, show_duration},
    resolve::{Base, Once, certificates},
    upstream::{hide_user, without_user},
};

const fn time(key: &'static str, default: u64, low: u64, high: u64) -> Bound {
    Bound { key, unit: Unit::Time, default, range: low..=high }
}

const LEEWAY: Bound = time("leeway", 30_000, 0, 600_000);
const LONGEST: Bound = time("longest", 86_400_000, 60_000, 31 * 86_400_000);
const KEYS_INTERVAL: Bound = time("keys_interval", 30_000, 1_000, 600_000);
const KEYS_REFRESH: Bound = time("keys_refresh", 300_000, 1_000, 86_400_000);
const KEYS_STALE_AFTER: Bound = time("keys_stale_after", 3_600_000, 2_000, 7 * 86_400_000);

/// Every bound of an issuer, for the documentation's test.
#[cfg(test)]
pub(super) const BOUNDS: [Bound; 5] = [LEEWAY, LONGEST, KEYS_INTERVAL, KEYS_REFRESH, KEYS_STALE_AFTER];

/// How an issuer's tokens may be signed when the file does not say.
const ALGORITHMS: [&str; 6] = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"];

/// An issuer as it is written.
pub(super) struct IssuerTable {
    span: Range<usize>,
    url: Option<Spanned<String>>,
    audiences: Vec<Spanned<String>>,
    parties: Vec<Spanned<String>>,
    algorithms: Vec<Spanned<String>>,
    types: Vec<Spanned<String>>,
    groups: Vec<Spanned<String>>,
    shown: Vec<Spanned<String>>,
    leeway: Duration,
    longest: Duration,
    freshness: Freshness,
    jwks: Option<Spanned<String>>,
    tls_ca: Option<Spanned<String>>,
}

impl IssuerTable {
    /// Reads one.
    pub(super) fn read(section: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
        Self {
            span: section.span(),
            url: section.needed("url", "\"https://login.example.com\"", problems),
            audiences: section.needed_texts("audiences", "[\"portcullis\"]", problems),
            parties: section.narrowing("parties", problems),
            algorithms: section.narrowing_or("algorithms", &ALGORITHMS, problems),
            types: section.narrowing_or("types", &["jwt", "at+jwt"], problems),
            groups: section.texts_or("groups", &["groups"], problems),
            shown: section.texts("shown", problems),
            leeway: section.time(&LEEWAY, problems),
            longest: section.time(&LONGEST, problems),
            freshness: Freshness {
                interval: section.time(&KEYS_INTERVAL, problems),
                refresh: section.time(&KEYS_REFRESH, problems),
                stale_after: section.time(&KEYS_STALE_AFTER, problems),
            },
            jwks: section.text("jwks", problems),
            tls_ca: section.text("tls_ca", problems),
        }
    }

    /// The issuer, if nothing is wrong with it.
    fn resolve(self, url: &Spanned<String>, base: &Base<'_>, problems: &mut Problems) -> Option<Issuer> {
        let before = problems.len();
        check_freshness(&self.freshness, &self.span, problems);
        let no_user = [Some(url), self.jwks.as_ref()].into_iter().flatten().all(|url| no_user(url, problems));
        let authorities = self.tls_ca.map(|written| certificates(&written, base, problems));
        let algorithms = self.algorithms.iter().map(|word| choose(word, &Algorithm::ALL, problems));
        let algorithms: Option<Vec<Algorithm>> = algorithms.collect::<Vec<_>>().into_iter().collect();
        let (groups, shown) = (paths(&self.groups, problems), paths(&self.shown, problems));
        let issuer = Issuer {
            audiences: plain(self.audiences),
            parties: plain(self.parties),
            // An empty list is an error already.
            algorithms: algorithms.filter(|algorithms| !algorithms.is_empty())?,
            types: plain(self.types),
            groups,
            shown,
            leeway: self.leeway,
            longest: self.longest,
            freshness: self.freshness,
            jwks: self.jwks.map(Spanned::into_inner),
            // A file that is named and wrong is an error already.
            authorities: authorities.flatten(),
            ..Issuer::new(url.get_ref(), [""; 0])
        };
        if problems.len() > before || !no_user {
            return None;
        }
        if let Err(error) = Issuers::new([issuer.clone()]) {
            problems.push(
                Problem::error(Code::BadUrl, url.span(), format!("the issuer `{}` can't be used", error.url))
                    .label(error.what)
                    .help(
                        "an issuer is named by its `iss`, exactly; it is reached by https, and by http on this machine",
                    ),
            );
            return None;
        }
        Some(issuer)
    }
}

/// The issuers that the file names, whatever else is wrong with them, and those that can be used.
pub(super) fn issuers(
    tables: Vec<IssuerTable>,
    base: &Base<'_>,
    problems: &mut Problems,
) -> (HashSet<String>, Vec<Issuer>) {
    let mut once = Once::new("issuer");
    let (mut named, mut issuers) = (HashSet::new(), Vec::new());
    for table in tables {
        let Some(url) = table.url.clone() else { continue };
        once.check(url.get_ref().clone(), url.span(), problems);
        issuers.extend(table.resolve(&url, base, problems));
        named.insert(url.into_inner());
    }
    (named, issuers)
}

fn check_freshness(freshness: &Freshness, span: &Range<usize>, problems: &mut Problems) {
    let Freshness { interval, refresh, stale_after } = *freshness;
    if interval <= refresh && refresh < stale_after {
        return;
    }
    let shown = |time: Duration| show_duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let message = "the issuer's keys would be stale before they are fetched again";
    problems.push(
        Problem::error(Code::BadValue, span.clone(), message)
            .label(format!(
                "`keys_interval` is {}, `keys_refresh` {}, `keys_stale_after` {}",
                shown(interval),
                shown(refresh),
                shown(stale_after)
            ))
            .help("keep keys_interval <= keys_refresh < keys_stale_after"),
    );
}

/// A URL with a password in it is refused here, where the message does not repeat it.
pub(super) fn no_user(url: &Spanned<String>, problems: &mut Problems) -> bool {
    let authority = url.get_ref().split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    if !authority.contains('@') {
        return true;
    }
    hide_user(url.span(), problems);
    let message = format!("the URL `{}` holds user information", without_user(url.get_ref()));
    problems.push(Problem::error(Code::BadUrl, url.span(), message).label("nobody is asked as somebody"));
    false
}

/// Texts without their places.
pub(super) fn plain(texts: Vec<Spanned<String>>) -> Vec<String> {
    texts.into_iter().map(Spanned::into_inner).collect()
}

fn paths(texts: &[Spanned<String>], problems: &mut Problems) -> Vec<ClaimPath> {
    texts.iter().filter_map(|text| claim_path(text, problems)).collect()
}

/// A claim by its name or a JSON Pointer.
pub(super) fn claim_path(text: &Spanned<String>, problems: &mut Problems) -> Option<ClaimPath> {
    let path = ClaimPath::read(text.get_ref());
    if path.is_none() {
        problems.push(
            Problem::error(Code::BadValue, text.span(), "a claim has a name")
                .label("this is empty")
                .help("a name such as \"groups\", or a JSON Pointer such as \"/realm_access/roles\""),
        );
    }
    path
}
