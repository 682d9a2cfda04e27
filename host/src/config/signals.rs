//! `[[signals]]`: who may report that somebody is out (`host/docs/signals.md`).
//!
//! What must hold: a secret that is named and can't be had is an error: the host never takes events without it.

use std::{collections::HashSet, ops::Range, time::Duration};

use identity::{Issuer, Issuers, STATIC_ISSUER, SignalEvent, SubjectFormat, Transmitter, digest};
use toml::Spanned;

use super::{
    Problem, Problems,
    issuer::{no_user, plain},
    limits::{Bound, Unit},
    problem::Code,
    read::{Section, choose, unknown},
    resolve::{Base, Once, certificates, secret_file},
};

const fn time(key: &'static str, default: u64, low: u64, high: u64) -> Bound {
    Bound { key, unit: Unit::Time, default, range: low..=high }
}

const LEEWAY: Bound = time("leeway", 30_000, 0, 600_000);
const OLDEST: Bound = time("oldest", 7 * 86_400_000, 60_000, 31 * 86_400_000);

/// Every bound of it, for the documentation's test.
#[cfg(test)]
pub(super) const BOUNDS: [Bound; 2] = [LEEWAY, OLDEST];

/// A transmitter as it is written.
pub(super) struct SignalsTable {
    span: Range<usize>,
    issuer: Option<Spanned<String>>,
    audiences: Vec<Spanned<String>>,
    authorization_file: Option<Spanned<String>>,
    events: Vec<Spanned<String>>,
    formats: Vec<Spanned<String>>,
    about: Vec<Spanned<String>>,
    jwks: Option<Spanned<String>>,
    tls_ca: Option<Spanned<String>>,
    leeway: Duration,
    oldest: Duration,
}

impl SignalsTable {
    /// Reads one.
    pub(super) fn read(section: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
        section.not_empty("about", "its own issuer", problems);
        Self {
            span: section.span(),
            issuer: section.needed("issuer", "\"https://login.example.com\"", problems),
            audiences: section.needed_texts("audiences", "[\"https://gate.example.com/ssf\"]", problems),
            authorization_file: section.text("authorization_file", problems),
            events: section.texts_or("events", &SignalEvent::ALL.map(|(name, _)| name), problems),
            formats: section.texts_or("formats", &["iss_sub"], problems),
            about: section.texts("about", problems),
            jwks: section.text("jwks", problems),
            tls_ca: section.text("tls_ca", problems),
            leeway: section.time(&LEEWAY, problems),
            oldest: section.time(&OLDEST, problems),
        }
    }

    /// The transmitter; what is wrong with it becomes a problem.
    fn resolve(
        mut self,
        issuer: &Spanned<String>,
        issuers: &HashSet<String>,
        base: &Base<'_>,
        problems: &mut Problems,
    ) -> Option<Transmitter> {
        for url in [Some(issuer), self.jwks.as_ref()].into_iter().flatten() {
            no_user(url, problems);
        }
        if self.about.is_empty() {
            self.about.push(issuer.clone());
        }
        for about in &self.about {
            if about.get_ref() != STATIC_ISSUER && !issuers.contains(about.get_ref()) {
                let mut known: Vec<&str> = issuers.iter().map(String::as_str).chain([STATIC_ISSUER]).collect();
                known.sort_unstable();
                unknown("issuer", about, &known, problems);
            }
        }
        let events: Vec<_> = self.events.iter().filter_map(|word| choose(word, &SignalEvent::ALL, problems)).collect();
        let formats = self.formats.iter().filter_map(|word| choose(word, &SubjectFormat::ALL, problems)).collect();
        for (key, empty) in [("events", self.events.is_empty()), ("formats", self.formats.is_empty())] {
            if empty {
                let message = format!("`{key}` is empty, so nothing could be reported");
                problems.push(
                    Problem::error(Code::BadValue, self.span.clone(), message)
                        .label("leave the key out for the default"),
                );
            }
        }
        let secret = self.authorization_file.map(|written| secret_file(&written, base, problems));
        let authorities = self.tls_ca.map(|written| certificates(&written, base, problems));
        let transmitter = Transmitter {
            events,
            formats,
            about: plain(self.about),
            authorization: match secret {
                None => None,
                Some(secret) => Some(digest(secret?.expose())),
            },
            jwks: self.jwks.map(Spanned::into_inner),
            // A file that is named and wrong is an error already.
            authorities: authorities.flatten(),
            leeway: self.leeway,
            oldest: self.oldest,
            ..Transmitter::new(issuer.get_ref(), plain(self.audiences))
        };
        Some(transmitter)
    }
}

/// The transmitters that the file names.
pub(super) fn signals(
    tables: Vec<SignalsTable>,
    named: &HashSet<String>,
    issuers: &[Issuer],
    base: &Base<'_>,
    problems: &mut Problems,
) -> Vec<Transmitter> {
    let mut once = Once::new("issuer");
    let mut transmitters = Vec::new();
    // Those that are wrong are an error already.
    let trusted = Issuers::new(issuers.iter().cloned());
    for table in tables {
        let Some(issuer) = table.issuer.clone() else { continue };
        once.check(issuer.get_ref().clone(), issuer.span(), problems);
        let before = problems.len();
        let Some(transmitter) = table.resolve(&issuer, named, base, problems) else { continue };
        if let (Ok(trusted), true) = (&trusted, problems.len() == before && named.len() == issuers.len())
            && let Err(error) = transmitter.check(trusted)
        {
            let message = format!("signals of `{}` can't be used", error.issuer);
            problems.push(
                Problem::error(Code::BadUrl, issuer.span(), message)
                    .label(error.what)
                    .help("a transmitter is named by the `iss` of its events, exactly; its keys are reached by https"),
            );
        }
        transmitters.push(transmitter);
    }
    transmitters
}
