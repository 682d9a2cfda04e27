//! Whom an order to revoke means. Names are looked for among all that is known here: one that nothing has would end
//! nothing, and look as if it had.
//!
//! What must hold: an order means one target or is refused; one that means nobody who is known is refused with the
//! names that are, unless it insists.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use identity::STATIC_ISSUER;
use model::{Digest, SessionId, Target, TokenId};
use serde::Deserialize;

use crate::{Control, problem::Problem, records::read};

/// Names that an answer lists; of more it says how many there are.
const LISTED: usize = 20;

/// Names of the configuration that an order may use.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Static tokens.
    pub tokens: Vec<String>,
    /// Issuers of callers, by their URLs.
    pub issuers: Vec<String>,
    /// Connections.
    pub connections: Vec<String>,
}

/// What is to be revoked: exactly one of these, or only a time.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Aim {
    /// A token, by its id.
    token: Option<String>,
    /// A credential of any kind, by the SHA-256 of its value.
    sha256: Option<String>,
    /// A caller: `{"issuer": …, "subject": …}`; without issuer whoever is known by that name, if it is one.
    caller: Option<CallerAim>,
    /// A session, by its id.
    session: Option<String>,
    /// A connection, by its name.
    connection: Option<String>,
    /// An issuer.
    issuer: Option<String>,
    /// Everything.
    everything: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerAim {
    issuer: Option<String>,
    subject: String,
}

impl Aim {
    /// The target; `unknown`: also one that nobody here knows yet.
    ///
    /// # Errors
    /// [`Problem`].
    pub(crate) async fn target(self, control: &Control, unknown: bool) -> Result<Target, Problem> {
        let Self { token, sha256, caller, session, connection, issuer, everything } = self;
        let texts = [&token, &sha256, &session, &connection, &issuer];
        let count = texts.into_iter().flatten().count() + usize::from(caller.is_some()) + usize::from(everything);
        if count != 1 {
            let one = "token, sha256, caller, session, connection, issuer, everything";
            return Err(Problem::bad_request(format!("`target` wants exactly one of {one}; it has {count}")));
        }
        let names = &control.names;
        if let Some(id) = token {
            return token_id(&id).map(Target::Token);
        }
        if let Some(digest) = sha256 {
            return digest.parse::<Digest>().map(Target::Credential).map_err(Problem::bad_request);
        }
        if let Some(CallerAim { issuer, subject }) = caller {
            let who = Callers { control, unknown };
            return match issuer {
                Some(issuer) => who.of(issuer, subject),
                None => who.called(subject),
            };
        }
        if let Some(id) = session {
            let session = id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not a session's id")))?;
            return self::session(control, session).await;
        }
        if let Some(name) = connection {
            known("connection", &name, &names.connections, unknown)?;
            return Ok(Target::Connection(name));
        }
        if let Some(url) = issuer {
            known("issuer", &url, &issuers(control), unknown)?;
            return Ok(Target::Issuer(url));
        }
        Ok(Target::Everything)
    }
}

/// Callers, as far as this host knows them.
struct Callers<'c> {
    control: &'c Control,
    unknown: bool,
}

impl Callers<'_> {
    /// The one of an issuer. Whom an issuer knows can't be told from here, but which static tokens there are can.
    fn of(&self, issuer: String, subject: String) -> Result<Target, Problem> {
        known("issuer", &issuer, &issuers(self.control), self.unknown)?;
        if issuer == STATIC_ISSUER && !self.vouching(&subject).contains(STATIC_ISSUER) {
            known("static token", &subject, &self.control.names.tokens, self.unknown)?;
        }
        Ok(Target::Caller { issuer, subject })
    }

    /// The one with a name that no issuer stands before.
    fn called(&self, subject: String) -> Result<Target, Problem> {
        let mut vouching = self.vouching(&subject);
        if vouching.is_empty() && self.unknown {
            // No static token has this name: somebody is meant for whom an issuer will vouch.
            vouching.extend(issuers(self.control).into_iter().filter(|issuer| issuer != STATIC_ISSUER));
        }
        if vouching.len() > 1 {
            let exact = vouching.iter().map(|issuer| format!("{issuer}|{subject}"));
            let detail = format!("`{subject}` could be any of several callers; name one: {}", listed(exact));
            return Err(Problem::new(StatusCode::CONFLICT, "ambiguous", detail));
        }
        match vouching.pop_first() {
            Some(issuer) => Ok(Target::Caller { issuer, subject }),
            None => {
                let tokens = self.control.names.tokens.iter().map(|name| format!("{STATIC_ISSUER}|{name}"));
                let vouch = issuers(self.control).into_iter().filter(|issuer| issuer != STATIC_ISSUER);
                let exact: Vec<_> = vouch.map(|issuer| format!("{issuer}|{subject}")).collect();
                let to_come = match (exact.is_empty(), self.unknown) {
                    (false, _) => format!("; somebody whom an issuer vouches for is {}", listed(exact.into_iter())),
                    (true, false) => String::new(),
                    (true, true) => format!("; a static token to come is `{STATIC_ISSUER}|{subject}`"),
                };
                let detail = format!(
                    "nobody here is known as `{subject}`: no static token has this name, and no caller of this name holds \
                     a token, asked for access or runs anything; static tokens are: {}{to_come}",
                    listed(tokens)
                );
                Err(Problem::new(StatusCode::NOT_FOUND, "unknown_caller", detail))
            }
        }
    }

    /// Who vouches for callers of this name.
    fn vouching(&self, subject: &str) -> BTreeSet<String> {
        let Control { registry, access, names, .. } = self.control;
        let mut issuers = registry.callers_called(subject);
        if names.tokens.iter().any(|name| name == subject) {
            issuers.insert(STATIC_ISSUER.to_owned());
        }
        let asked = access.list().into_iter().map(|view| view.asked.caller);
        issuers.extend(asked.filter(|caller| caller.subject == subject).map(|caller| caller.issuer));
        let revoked = registry.revocations();
        issuers.extend(revoked.iter().filter_map(|revoked| match &revoked.target {
            Target::Caller { issuer, subject: who } if who == subject => Some(issuer.clone()),
            _ => None,
        }));
        issuers
    }
}

/// Everybody who vouches for callers here, static tokens included; also one that the configuration names no more, as long
/// as it vouched for anybody who holds a token or runs something.
fn issuers(control: &Control) -> Vec<String> {
    let configured = &control.names.issuers;
    let named = |issuer: &String| issuer == STATIC_ISSUER || configured.contains(issuer);
    let others = control.registry.issuers().into_iter().filter(|issuer| !named(issuer));
    [STATIC_ISSUER.to_owned()].into_iter().chain(configured.iter().cloned()).chain(others).collect()
}

/// That there is something of this name, exactly.
fn known(what: &str, name: &str, names: &[String], unknown: bool) -> Result<(), Problem> {
    if unknown || names.iter().any(|known| known == name) {
        return Ok(());
    }
    let detail = format!("there is no {what} `{name}` here; there are: {}", listed(names.iter().cloned()));
    Err(Problem::new(StatusCode::NOT_FOUND, "unknown_name", detail))
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

/// What a session's revocation is about: from those that run or ran of late, else from the record. It does not wait for what
/// was recorded just now: that is known without it, and a revocation must not wait for a disk.
async fn session(control: &Control, session: SessionId) -> Result<Target, Problem> {
    if let Some(target) = control.registry.session(session) {
        return Ok(target);
    }
    let summary = read(control, move |store| store.session(session)).await?;
    let [issuer, subject, connection] = [summary.issuer, summary.caller, summary.connection].map(String::from);
    Ok(Target::Session { session, token: None, issuer, subject, connection })
}

pub(crate) fn token_id(id: &str) -> Result<TokenId, Problem> {
    id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not a token's id")))
}
