//! The configuration: one TOML file, read whole, checked whole, then never asked again.
//!
//! ```text
//!   text ──parse──▶ tables with spans ──file.rs──▶ File (as written) ──resolve.rs──▶ Config (typed, checked)
//!                          │                            │                                │
//!                          └──────────── Problems, each with code, place, cause, hint ───┘
//! ```
//!
//! What must hold: every error of a file is told at once; nothing after this module asks whether a value is valid;
//! no secret is in a `Debug` form; relative paths are relative to the file.

mod alerts;
mod credential;
mod endpoint;
mod file;
mod grant;
mod issuer;
mod limits;
mod oauth;
mod problem;
mod read;
mod resolve;
pub(crate) mod secret;
mod signals;
#[cfg(test)]
mod tests;
mod token;
mod upstream;

use std::{
    fs::File,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use model::{Connection, Digest, Guard, Scope};
use store::Durability;

pub(crate) use self::alerts::Webhook;
pub(crate) use credential::{Credential, Source};
pub(crate) use limits::Limits;
use problem::Code;
pub(crate) use problem::{Problem, Problems, Severity};
pub(crate) use token::GUESSABLE;

/// Everything that the host is told by its operator.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where callers come in.
    pub listen: Listen,
    /// Where operators come in.
    pub control: Control,
    /// Where records go.
    pub store: Store,
    /// Where policies are.
    pub policies: Policies,
    /// How people are asked.
    pub approvals: Approvals,
    /// What a person is told of.
    pub alerts: ::alerts::Terms,
    /// Who else is told; no two with one name or one URL.
    pub webhooks: Vec<Webhook>,
    /// Bounds of the path.
    pub limits: Limits,
    /// Registered upstreams; at least one, no two with one name or one prefix.
    pub connections: Vec<Route>,
    /// Credentials of callers; no two with one name or one value.
    pub tokens: Vec<Token>,
    /// Who is trusted to say who somebody is; no two with one URL.
    pub issuers: Vec<identity::Issuer>,
    /// Which of their callers may use what; no two with one name.
    pub grants: Vec<identity::Grant>,
    /// The token endpoint, where there is one.
    pub oauth: Option<identity::OauthTerms>,
    /// Who may report that somebody is out; no two with one issuer.
    pub signals: Vec<identity::Transmitter>,
}

/// The data listener.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Certificate and key; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
}

impl Listen {
    /// When the certificate that callers are shown expires, in seconds since 1970-01-01T00:00:00Z; none where they are shown
    /// none, or that can't be told.
    pub(crate) fn certificate_expires(&self) -> Option<i64> {
        self.tls.as_ref()?.expires
    }
}

/// PEM files of the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Authorities whose clients' certificates are asked for and verified; `None`: nobody is asked for one.
    pub client_ca: Option<PathBuf>,
    /// When the listener's certificate expires, in seconds since 1970-01-01T00:00:00Z; none where that can't be told.
    pub expires: Option<i64>,
}

impl Config {
    /// What is as its operator wrote it, and guards less than one may think: one sentence each.
    pub(crate) fn unguarded<'a>(&'a self, policies: impl IntoIterator<Item = Guard<'a>>) -> Vec<String> {
        let connections =
            self.connections.iter().map(|route| (route.connection.name.as_str(), route.connection.family));
        let mut notes = model::unguarded(policies, connections);
        if self.store.durability == Durability::Off {
            notes.push("store.durability is \"off\": nothing is recorded".to_owned());
        }
        notes
    }
}

/// The control listener.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Names besides its address under which it may be called (`Host` header, without port).
    pub hosts: Vec<String>,
}

/// Where the listeners are when the file does not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// The data listener.
    pub listen: SocketAddr,
    /// The control listener.
    pub control: SocketAddr,
}

impl Default for Addresses {
    fn default() -> Self {
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { listen: here(8080), control: here(9440) }
    }
}

/// The store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// Its folder; made when missing.
    pub path: PathBuf,
    /// When a record counts as kept.
    pub durability: Durability,
    /// The most time of records that a power cut may lose with `Durability::Bounded`.
    pub loss_window: Duration,
}

impl Store {
    /// The file with the control listener's token.
    #[must_use]
    pub(crate) fn admin_token(&self) -> PathBuf {
        admin_token(&self.path)
    }
}

fn admin_token(store: &Path) -> PathBuf {
    store.join("admin.token")
}

/// Where a host is: all that a command needs to know that goes to it.
#[derive(Clone, Debug)]
pub(crate) struct Whereabouts {
    /// The control listener's address.
    pub control: SocketAddr,
    /// The store's folder.
    pub store: PathBuf,
}

impl Whereabouts {
    /// The file with the control listener's token.
    #[must_use]
    pub(crate) fn admin_token(&self) -> PathBuf {
        admin_token(&self.store)
    }
}

/// The policy folder.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    /// The folder.
    pub folder: PathBuf,
    /// Quiet time after a change before the folder is read.
    pub settle: Duration,
    /// The folder is read again this often, whether a change was told or not.
    pub rescan: Duration,
    /// How long a file must be gone before its policy is taken out (editors unlink first).
    pub removal_grace: Duration,
}

/// How people are asked.
#[derive(Clone, Debug)]
pub(crate) struct Approvals {
    /// How long a question stays open when the policy does not say.
    pub default_timeout: Duration,
    /// How long the caller of a whole (not streamed) answer waits before it is told `approval_pending`.
    pub wait: Duration,
    /// How often a waiting stream is kept alive.
    pub heartbeat: Duration,
    /// Groups that may decide when the policy names none; empty: whoever holds the control token.
    pub approvers: Vec<String>,
    /// Questions open at once; more are refused.
    pub pending: usize,
    /// Of these, by one caller.
    pub pending_per_caller: usize,
}

/// A connection and what only the host may know of it.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// What everybody may know.
    pub connection: Connection,
    /// What is put into each request in place of the caller's own credential.
    pub credential: Option<Credential>,
    /// PEM file of the authorities that vouch for the upstream; `None`: the system's.
    pub tls_ca: Option<PathBuf>,
    /// What the upstream is asked for: `identity`, or codings that save bandwidth.
    pub accept_encoding: http::HeaderValue,
    /// True when the upstream is the built-in model; its authority is then [`BUILT_IN`] until the model listens.
    pub built_in: bool,
}

/// Stands for the built-in model until its address is known. Never resolves (RFC 6761, section 6.4).
pub(crate) const BUILT_IN: &str = "echo-1.invalid";

/// A static token: what may be used by whoever presents it. Its value is not kept.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// Its name, and the caller's subject.
    pub name: String,
    /// SHA-256 of its value.
    pub digest: Digest,
    /// What it opens.
    pub scope: Scope,
    /// Groups of its caller.
    pub groups: Vec<String>,
    /// From when on it opens nothing (milliseconds since 1970-01-01T00:00:00Z); `None`: it lives for ever.
    pub expires_ms: Option<u64>,
}

/// Reads and checks a configuration. Warnings come with it.
///
/// # Errors
/// Everything that is wrong with the file, at once.
pub(crate) fn load(path: &Path) -> Result<(Config, Problems), Problems> {
    checked(path, read(path)?)
}

/// The same of a file that is open.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_open(path: &Path, file: File) -> Result<(Config, Problems), Problems> {
    checked(path, read_open(path, file)?)
}

fn checked(path: &Path, text: String) -> Result<(Config, Problems), Problems> {
    let (config, mut problems) = parse(path, text)?;
    if let Some(mode) = resolve::written_by_others(path) {
        let message = format!("others on this machine may change the configuration `{}`", path.display());
        let help = format!("its mode is {mode:04o}: chmod o-w '{}'", path.display());
        problems.push(Problem { span: None, ..Problem::warning(Code::WeakSecret, 0..0, message).help(help) });
    }
    Ok((config, problems))
}

fn read(path: &Path) -> Result<String, Problems> {
    let file = File::open(path).map_err(|error| Problems::unreadable(path, &error))?;
    read_open(path, file)
}

fn read_open(path: &Path, mut file: File) -> Result<String, Problems> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| Problems::unreadable(path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        Problems::not_text(path, &error.into_bytes()[..good])
    })
}

/// Where a host is, by its file, whatever else that says and whether or not the rest could be used here and now: who
/// revokes must not have to mend first.
///
/// # Errors
/// When the file can't be read or is no TOML, or one of the two places can't be meant.
pub(crate) fn whereabouts(path: &Path) -> Result<Whereabouts, Problems> {
    whereabouts_in(path, read(path)?)
}

/// As [`whereabouts`], of a file that is open already.
///
/// # Errors
/// As there.
pub(crate) fn whereabouts_of(path: &Path, file: File) -> Result<Whereabouts, Problems> {
    whereabouts_in(path, read_open(path, file)?)
}

fn whereabouts_in(path: &Path, text: String) -> Result<Whereabouts, Problems> {
    let mut problems = Problems::new(path, text);
    match resolve::whereabouts(path, &mut problems) {
        Some(found) if !problems.has_errors() => Ok(found),
        _ => Err(problems),
    }
}

/// Where policies are, and the names of connections, by a file that has errors: for whoever wants to tell what is wrong
/// there too. Of a file that is no TOML not all names are known, so none is told.
pub(crate) fn policies(path: &Path) -> Option<(PathBuf, Option<Vec<String>>)> {
    let mut problems = Problems::new(path, read(path).ok()?);
    let file = file::File::read(&mut problems);
    let (folder, names) = resolve::policies(file, path);
    Some((folder, (!problems.has_syntax_errors()).then_some(names)))
}

/// As [`load`], of a text that was read already.
///
/// # Errors
/// Everything that is wrong with the text, at once.
pub(crate) fn parse(path: &Path, text: String) -> Result<(Config, Problems), Problems> {
    let mut problems = Problems::new(path, text);
    let file = file::File::read(&mut problems);
    let config = resolve::resolve(file, path, &mut problems);
    match config {
        Some(config) if !problems.has_errors() => Ok((config, problems)),
        _ => Err(problems),
    }
}
