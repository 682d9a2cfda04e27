//! From the file as written to the configuration as meant: addresses, files, URLs, names that refer to each other.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
    ops::Range,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use http::HeaderName;
use identity::{Oauth, Signals};
use jiff::Timestamp;
use model::Connection;
use rustls::{InconsistentKeys, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use toml::Spanned;

use super::{
    Addresses, Config, Control, Listen, Policies, Problem, Problems, Route, Store, TlsFiles, Whereabouts, alerts,
    credential::credential,
    endpoint,
    file::{ConnectionTable, ControlTable, File, ListenTable, StoreTable, TlsTable},
    grant::{Known, grants},
    issuer::issuers,
    problem::Code,
    secret::{self, Secret},
    signals::signals,
    token::{Among, tokens},
    upstream,
};

/// The store's folder when the file does not say.
const STORE: &str = "./portcullis-store";
/// The policies' folder when the file does not say.
const POLICIES: &str = "./policies";

/// Resolves relative paths: against the folder of the configuration file.
pub(super) struct Base<'a>(&'a Path);

impl Base<'_> {
    pub(super) fn join(&self, path: &str) -> PathBuf {
        // Components again, so that no `./` is left in the middle.
        self.0.parent().unwrap_or(Path::new("")).join(path).components().collect()
    }
}

/// The configuration, or `None` when so much is wrong that there is none. Problems that leave one are in `problems`.
pub(super) fn resolve(file: File, path: &Path, problems: &mut Problems) -> Option<Config> {
    let base = Base(path);
    let certificates = file.listen.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let listen = listen(file.listen, &base, problems);
    let control = control(file.control, listen.as_ref(), problems);
    let store = store(&file.store, &base);
    let folder = folder(file.policies.folder.as_ref(), &base, problems);
    let own = Own { oauth: file.oauth.is_some(), signals: !file.signals.is_empty() };
    let connections = connections(file.connections, own, &base, problems);
    let names: Vec<&str> = connections.iter().map(|entry| entry.name.as_str()).collect();
    let among = Among { connections: &names, issuers: !file.issuers.is_empty(), base: &base };
    let tokens = tokens(file.tokens, &among, problems);
    let (trusted, issuers) = issuers(file.issuers, &base, problems);
    let known = Known { issuers: &trusted, connections: &names, endpoint: file.oauth.is_some(), certificates };
    let grants = grants(file.grants, &known, problems);
    let signals = signals(file.signals, &trusted, &issuers, &base, problems);
    let oauth = file.oauth.and_then(|oauth| oauth.resolve(&trusted, &base, problems));
    let webhooks = alerts::webhooks(file.webhooks, &base, problems);
    Some(Config {
        listen: listen?,
        control: control?,
        store,
        policies: Policies {
            folder,
            settle: file.policies.settle,
            rescan: file.policies.rescan,
            removal_grace: file.policies.removal_grace,
        },
        approvals: file.approvals,
        alerts: file.alerts,
        webhooks,
        limits: file.limits,
        connections: connections.into_iter().filter_map(|entry| entry.route).collect(),
        tokens,
        issuers,
        grants,
        oauth,
        signals,
    })
}

/// Where a host is, by what is written of it.
pub(super) fn whereabouts(path: &Path, problems: &mut Problems) -> Option<Whereabouts> {
    let (control, store) = File::whereabouts(problems);
    let control = address(control.as_ref(), Addresses::default().control, problems)?;
    Some(Whereabouts { control, store: store_path(store.as_ref(), &Base(path)) })
}

/// Where policies are, and the names of connections, right or wrong.
pub(super) fn policies(file: File, path: &Path) -> (PathBuf, Vec<String>) {
    let folder = Base(path).join(file.policies.folder.as_ref().map_or(POLICIES, |path| path.get_ref()));
    let names = file.connections.into_iter().filter_map(|table| table.name.map(Spanned::into_inner));
    (folder, names.collect())
}

fn listen(table: ListenTable, base: &Base<'_>, problems: &mut Problems) -> Option<Listen> {
    let tls = match table.tls {
        Some(TlsTable { certificate: Some(certificate), key: Some(key), client_ca }) => {
            tls_files(&certificate, &key, client_ca.as_ref(), base, problems)
        }
        _ => None,
    };
    let address = address(table.address.as_ref(), Addresses::default().listen, problems)?;
    if let Some(written) = table.address.filter(|_| tls.is_none() && !address.ip().is_loopback()) {
        problems.push(
            Problem::warning(
                Code::Exposed,
                written.span(),
                "callers' credentials and prompts cross the network in clear",
            )
            .label("reachable from other machines, with no TLS")
            .help("add `tls = { certificate = \"…\", key = \"…\" }`, or put a TLS terminator in front"),
        );
    }
    Some(Listen { address, tls })
}

fn control(table: ControlTable, listen: Option<&Listen>, problems: &mut Problems) -> Option<Control> {
    let address = address(table.address.as_ref(), Addresses::default().control, problems)?;
    if listen.is_some_and(|listen| collide(listen.address, address)) {
        let span = table.address.as_ref().map_or(0..0, Spanned::span);
        let message = format!("callers and operators can't both come in at {address}");
        problems.push(
            Problem::error(Code::Duplicate, span, message)
                .label("the same port as `listen.address`")
                .help("give the control listener a port of its own, such as 127.0.0.1:9440"),
        );
    }
    if let Some(written) = table.address.filter(|_| !address.ip().is_loopback()) {
        problems.push(
            Problem::warning(Code::Exposed, written.span(), "the control listener has no TLS")
                .label("reachable from other machines")
                .help("keep it on 127.0.0.1 and reach it through a tunnel"),
        );
    }
    table.hosts.iter().for_each(|name| check_host(name, problems));
    Some(Control { address, hosts: table.hosts.into_iter().map(Spanned::into_inner).collect() })
}

/// That a name is one that the `Host` header may carry, as it is compared: with no port, and no URL.
fn check_host(name: &Spanned<String>, problems: &mut Problems) {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let text = name.get_ref();
    if !text.split('.').all(label) {
        let message = format!("no `Host` header carries the name `{text}`");
        let problem = Problem::error(Code::BadValue, name.span(), message);
        problems.push(problem.label("a name with no port, and no URL").help("for example \"ops.example.com\""));
    }
}

/// Whether one of two listeners would find its address in use by the other.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    // `[::]` takes what comes by IPv4 as well.
    let covers =
        |one: IpAddr, other: IpAddr| one == other || one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    let (a, b) = (one.ip(), other.ip());
    one.port() == other.port() && one.port() != 0 && (covers(a, b) || covers(b, a))
}

fn store_path(written: Option<&Spanned<String>>, base: &Base<'_>) -> PathBuf {
    base.join(written.map_or(STORE, |path| path.get_ref()))
}

fn store(table: &StoreTable, base: &Base<'_>) -> Store {
    Store { path: store_path(table.path.as_ref(), base), durability: table.durability, loss_window: table.loss_window }
}

fn folder(written: Option<&Spanned<String>>, base: &Base<'_>, problems: &mut Problems) -> PathBuf {
    let folder = base.join(written.map_or(POLICIES, |path| path.get_ref()));
    if !folder.is_dir() {
        let message = format!("the policy folder `{}` is not there", folder.display());
        let help = "put it back with its policies: a host that starts with an empty one guards nothing";
        let span = written.map_or(0..0, Spanned::span);
        problems.push(Problem::error(Code::BadFile, span, message).label("no such folder").help(help));
    }
    if let Some(mode) = written_by_others(&folder) {
        let span = written.map_or(0..0, Spanned::span);
        let message = format!("others on this machine may change the policies in `{}`", folder.display());
        let problem = Problem::warning(Code::WeakSecret, span, message).label(format!("its mode is {mode:04o}"));
        problems.push(problem.help(format!("chmod o-w '{}'", folder.display())));
    }
    folder
}

/// Mode bits that let anybody write to it, if any.
pub(super) fn written_by_others(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o002 != 0).then_some(mode)
}

fn address(written: Option<&Spanned<String>>, default: SocketAddr, problems: &mut Problems) -> Option<SocketAddr> {
    let Some(written) = written else { return Some(default) };
    let text = written.get_ref();
    let parsed = text.parse().ok();
    if parsed.is_none() {
        problems.push(
            Problem::error(Code::BadValue, written.span(), format!("`{text}` is not an address to listen on"))
                .label("expected an IP address and a port")
                .help(format!(
                    "for example \"{default}\", \"0.0.0.0:8080\" or \"[::1]:8080\"; port 0 takes any free port"
                )),
        );
    }
    parsed
}

fn tls_files(
    certificate: &Spanned<String>,
    key: &Spanned<String>,
    client_ca: Option<&Spanned<String>>,
    base: &Base<'_>,
    problems: &mut Problems,
) -> Option<TlsFiles> {
    let chain = certificates(certificate, base, problems);
    let validity = chain.as_deref().and_then(validity);
    if let Some(validity) = validity {
        warn_if_out_of_time(validity, certificate.span(), problems);
    }
    let client_ca = client_ca.map(|written| certificates(written, base, problems));
    let path = base.join(key.get_ref());
    let secret_key = match PrivateKeyDer::from_pem_file(&path) {
        Ok(secret_key) => secret_key,
        Err(error) => {
            let message = format!("no private key in `{}`: {error}", path.display());
            problems.push(
                Problem::error(Code::BadFile, key.span(), message).label("expected a PEM file with a private key"),
            );
            return None;
        }
    };
    if let Some(chain) = &chain
        && !belongs_to(secret_key, chain)
    {
        let message = format!("the key `{}` is not that of the certificate `{}`", path.display(), chain.display());
        problems.push(
            Problem::error(Code::BadFile, key.span(), message)
                .label("another certificate's")
                .other(certificate.span(), "expected the key of this one")
                .help(
                    "where they belong together, `openssl pkey -in KEY -pubout` and `openssl x509 -in CERTIFICATE \
                       -noout -pubkey` say the same",
                ),
        );
        return None;
    }
    if let Some(mode) = secret::open_mode(&path) {
        warn_if_open("the listener's private key", &path, mode, key.span(), problems);
    }
    // A file that is named and wrong is an error already; the host never listens without it.
    let client_ca = client_ca.map_or(Some(None), |given| given.map(Some))?;
    Some(TlsFiles { certificate: chain?, key: path, client_ca, expires: validity.map(|(_, ends)| ends.as_second()) })
}

/// Whether a key is that of a chain's first certificate. What can't be told is for the listener to say.
fn belongs_to(key: PrivateKeyDer<'static>, chain: &Path) -> bool {
    let Ok(chain) = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect) else { return true };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let made = CertifiedKey::from_der(chain, key, &provider);
    !matches!(made, Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)))
}

/// From when to when a chain's first certificate is good; none where that can't be told.
fn validity(chain: &Path) -> Option<(Timestamp, Timestamp)> {
    let leaf = CertificateDer::from_pem_file(chain).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&leaf).ok()?;
    let validity = certificate.validity();
    let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some((time(validity.not_before)?, time(validity.not_after)?))
}

/// A certificate that has no time now is shown all the same; callers refuse it, and their errors name no cause here.
fn warn_if_out_of_time((begins, ends): (Timestamp, Timestamp), span: Range<usize>, problems: &mut Problems) {
    let now = Timestamp::now();
    let wrong = if now > ends {
        format!("has expired ({ends})")
    } else if now < begins {
        format!("is not valid before {begins}")
    } else {
        return;
    };
    problems.push(
        Problem::warning(Code::BadFile, span, format!("the listener's certificate {wrong}"))
            .label("callers that verify it refuse every connection")
            .help("put the renewed one here, and restart: it is read at the start"),
    );
}

/// A PEM file with at least one certificate, and nothing broken in it.
pub(super) fn certificates(written: &Spanned<String>, base: &Base<'_>, problems: &mut Problems) -> Option<PathBuf> {
    let path = base.join(written.get_ref());
    let wrong = match CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(chain) if !chain.is_empty() => return Some(path),
        Ok(_) => "it holds none".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("no certificates in `{}`: {wrong}", path.display());
    problems
        .push(Problem::error(Code::BadFile, written.span(), message).label("expected a PEM file with certificates"));
    None
}

/// Values that no two entries may share, and where each was seen first.
pub(super) struct Once<T> {
    what: &'static str,
    seen: HashMap<T, Range<usize>>,
}

impl<T: Eq + Hash> Once<T> {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, seen: HashMap::new() }
    }

    pub(super) fn check(&mut self, value: T, span: Range<usize>, problems: &mut Problems) {
        if let Some(first) = self.seen.get(&value) {
            problems.push(
                Problem::error(Code::Duplicate, span, format!("two entries have the same {}", self.what))
                    .label("again here")
                    .other(first.clone(), "first here"),
            );
        } else {
            self.seen.insert(value, span);
        }
    }
}

/// A connection by its name; `route` is `None` when the rest of it is wrong.
struct Entry {
    name: String,
    route: Option<Route>,
}

/// Which paths of the data listener are the gate's own.
#[derive(Clone, Copy)]
struct Own {
    oauth: bool,
    signals: bool,
}

impl Own {
    /// The table for which a connection's prefix is kept free, if it is one.
    fn table(self, prefix: &str) -> Option<&'static str> {
        if self.oauth && Oauth::serves(prefix) {
            return Some("[oauth]");
        }
        (self.signals && Signals::serves(prefix)).then_some("[[signals]]")
    }
}

fn connections(tables: Vec<ConnectionTable>, own: Own, base: &Base<'_>, problems: &mut Problems) -> Vec<Entry> {
    if tables.is_empty() && !problems.has_errors() {
        problems.push(
            Problem::error(Code::Missing, 0..0, "there is no connection")
                .label("needs at least one `[[connection]]`")
                .help("a connection names an upstream; `portcullis init` shows one"),
        );
    }
    let (mut names, mut prefixes) = (Once::new("connection name"), Once::new("path prefix"));
    let mut entries = Vec::new();
    for table in tables {
        let prefix = path_prefix(table.path_prefix.as_ref(), problems);
        if let Some(prefix) = &prefix {
            let span = table.path_prefix.as_ref().map_or(table.span.clone(), Spanned::span);
            if let Some(table) = own.table(prefix) {
                let message = format!("requests below `{prefix}` are for the gate itself");
                let problem = Problem::error(Code::Duplicate, span.clone(), message);
                problems.push(problem.label(format!("taken by `{table}`")).help("give the connection another prefix"));
            }
            prefixes.check(prefix.clone(), span, problems);
        }
        let Some(name) = table.name.clone() else { continue };
        check_name(&name, problems);
        names.check(name.get_ref().clone(), name.span(), problems);
        let route = route(table, name.get_ref(), prefix, base, problems);
        entries.push(Entry { name: name.into_inner(), route });
    }
    entries
}

fn route(
    table: ConnectionTable,
    name: &str,
    prefix: Option<String>,
    base: &Base<'_>,
    problems: &mut Problems,
) -> Option<Route> {
    let endpoints = endpoint::rules(table.endpoints, table.dialect, &table.span, problems);
    let caller_headers = table.caller_headers.iter().filter_map(|name| header_name(name, problems)).collect();
    let credential = table.credential.map(|written| credential(written, base, problems));
    let tls_ca = table.tls_ca.map(|written| certificates(&written, base, problems));
    let accept_encoding = table.accept_encoding;
    let written = table.upstream?;
    let upstream = upstream::parse(&written, problems);
    if let Some(upstream) = upstream.as_ref().filter(|place| credential.is_some() && !place.built_in) {
        upstream::warn_if_clear(&upstream.upstream, written.span(), problems);
    }
    let upstream = upstream?;
    if let (Some(family), Some(prefix)) = (table.dialect, &prefix) {
        upstream::warn_if_repeated(&upstream.upstream, family, prefix, written.span(), problems);
    }
    let connection = Connection {
        name: name.to_owned(),
        path_prefix: prefix?,
        upstream: upstream.upstream,
        family: table.dialect?,
        on_block: table.on_block,
        endpoints,
        restore: table.restore,
        caller_headers,
    };
    // A credential or authority file that is named and wrong is an error already; the host never goes on without it.
    let (credential, tls_ca) =
        (credential.map_or(Some(None), |given| given.map(Some)), tls_ca.map_or(Some(None), |given| given.map(Some)));
    Some(Route { connection, credential: credential?, tls_ca: tls_ca?, accept_encoding, built_in: upstream.built_in })
}

/// A header's name, in lower case.
fn header_name(written: &Spanned<String>, problems: &mut Problems) -> Option<String> {
    let name = HeaderName::from_bytes(written.get_ref().to_lowercase().as_bytes()).ok();
    if name.is_none() {
        let message = format!("`{}` is not a header's name", written.get_ref());
        let problem = Problem::error(Code::BadValue, written.span(), message);
        problems.push(problem.help("for example \"openai-organization\""));
    }
    Some(name?.as_str().to_owned())
}

/// Names stand in paths, headers, metrics and the record, so they are plain.
pub(super) fn check_name(name: &Spanned<String>, problems: &mut Problems) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let text = name.get_ref();
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        problems.push(
            Problem::error(Code::BadValue, name.span(), format!("`{text}` can't be a name"))
                .label("1 to 64 of: letters, digits, `-`, `_`, `.`"),
        );
    }
}

/// Canonical: begins with `/`, no empty, `.` or `..` segment, nothing to be decoded; ends with `/` only when it is `/`.
fn path_prefix(written: Option<&Spanned<String>>, problems: &mut Problems) -> Option<String> {
    let Some(written) = written else {
        return Some("/".to_owned());
    };
    let text = written.get_ref();
    if text == "/" {
        return Some(text.clone());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let segment_ok = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
    match text.strip_suffix('/').unwrap_or(text).strip_prefix('/') {
        Some(path) if path.split('/').all(segment_ok) => Some(format!("/{path}")),
        _ => {
            problems.push(
                Problem::error(Code::BadValue, written.span(), format!("`{text}` can't be a path prefix"))
                    .label("segments of letters, digits, `-`, `_`, `.`, `~`, after a `/` each")
                    .help("for example \"/\" or \"/anthropic\""),
            );
            None
        }
    }
}

fn warn_if_open(what: &str, path: &Path, mode: u32, span: Range<usize>, problems: &mut Problems) {
    let message = format!("others on this machine may read {what} `{}`", path.display());
    problems.push(
        Problem::warning(Code::WeakSecret, span, message)
            .label(format!("its mode is {mode:04o}"))
            .help(format!("chmod 600 '{}'", path.display())),
    );
}

/// What should name a place holds the secret, which is not repeated.
pub(super) fn pasted(span: Range<usize>, place: &str, problems: &mut Problems) {
    problems.hide(span.clone());
    let message = format!("what should name {place} looks like the secret itself");
    problems.push(
        Problem::error(Code::BadFile, span, message)
            .label("not shown here")
            .help("write the secret into a file that nobody else may read (mode 0600), and name the file"),
    );
}

/// A secret from a file; what is wrong with it becomes a problem.
pub(super) fn secret_file(written: &Spanned<String>, base: &Base<'_>, problems: &mut Problems) -> Option<Secret> {
    let path = base.join(written.get_ref());
    match secret::read(&path) {
        Ok(read) => {
            if let Some(mode) = read.open_mode {
                warn_if_open("the secret", &path, mode, written.span(), problems);
            }
            Some(read.secret)
        }
        Err(_) if secret::is_pasted(written.get_ref()) && !path.exists() => {
            pasted(written.span(), "a file", problems);
            None
        }
        Err(message) => {
            problems.push(
                Problem::error(Code::BadFile, written.span(), message)
                    .label("expected a file with the secret on one line")
                    .help("relative paths start at the folder of the configuration file"),
            );
            None
        }
    }
}
