//! `[oauth]`: the token endpoint on the data listener, and how people sign in (`host/docs/identity.md`).

use std::collections::HashSet;

use identity::{CLIENT, Login, OauthTerms};
use toml::Spanned;

use super::{
    Problem, Problems,
    issuer::{no_user, plain},
    problem::Code,
    read::{Section, unknown},
    resolve::{Base, secret_file},
    upstream::hide_user,
};

/// `[oauth]` as it is written.
pub(super) struct OauthTable {
    url: Option<Spanned<String>>,
    clients: Vec<Spanned<String>>,
    login: Option<LoginTable>,
}

/// `login = { … }`.
struct LoginTable {
    issuer: Option<Spanned<String>>,
    client_id: Option<Spanned<String>>,
    client_secret_file: Option<Spanned<String>>,
    scopes: Vec<Spanned<String>>,
}

impl OauthTable {
    /// Reads it.
    pub(super) fn read(section: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
        Self {
            url: section.needed("url", "\"https://gate.example.com\"", problems),
            clients: section.texts_or("clients", &[CLIENT], problems),
            login: section.table("login", "login = { … }", problems).map(|mut table| {
                let login = LoginTable {
                    issuer: table.needed("issuer", "\"https://login.example.com\"", problems),
                    client_id: table.needed("client_id", "\"portcullis\"", problems),
                    client_secret_file: table.text("client_secret_file", problems),
                    scopes: table.texts("scopes", problems),
                };
                table.finish(problems);
                login
            }),
        }
    }

    /// What the token endpoint goes by, if nothing is wrong with it.
    pub(super) fn resolve(
        self,
        issuers: &HashSet<String>,
        base: &Base<'_>,
        problems: &mut Problems,
    ) -> Option<OauthTerms> {
        let login = self.login.map(|login| login.resolve(issuers, base, problems));
        let url = self.url?;
        if !no_user(&url, problems) {
            return None;
        }
        let terms = OauthTerms {
            url: url.get_ref().clone(),
            clients: plain(self.clients),
            // A login that is named and wrong is an error already.
            login: login.flatten(),
        };
        if let Err(error) = terms.check() {
            hide_user(url.span(), problems);
            let help = "for example \"https://gate.example.com\": as browsers and callers reach the data listener";
            problems.push(Problem::error(Code::BadUrl, url.span(), error.to_string()).label("refused").help(help));
        }
        Some(terms)
    }
}

impl LoginTable {
    fn resolve(self, issuers: &HashSet<String>, base: &Base<'_>, problems: &mut Problems) -> Option<Login> {
        let secret = self.client_secret_file.map(|written| secret_file(&written, base, problems));
        let issuer = self.issuer?;
        if !issuers.contains(issuer.get_ref()) {
            let mut known: Vec<&str> = issuers.iter().map(String::as_str).collect();
            known.sort_unstable();
            unknown("issuer", &issuer, &known, problems);
        }
        Some(Login {
            issuer: issuer.into_inner(),
            client_id: self.client_id?.into_inner(),
            // A secret that is named and can't be had is an error already; the host never goes on without it.
            client_secret: secret.map_or(Some(None), |secret| secret.map(|secret| Some(secret.expose().into())))?,
            scopes: plain(self.scopes),
        })
    }
}
