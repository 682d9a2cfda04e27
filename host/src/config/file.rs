//! The file as it is written: which keys there are, and of which type. What they mean is `resolve.rs`'s.

use std::{ops::Range, time::Duration};

use http::HeaderValue;
use model::{Family, OnBlock, Restore};
use toml::{
    Spanned,
    de::{DeTable, Error},
};

use super::{
    Durability, Limits, Problem, Problems,
    alerts::WebhookTable,
    endpoint::EndpointTable,
    grant::{GrantTable, warn_of_approvers},
    issuer::{IssuerTable, plain},
    limits::{Bound, Unit},
    oauth::OauthTable,
    problem::Code,
    read::Section,
    signals::SignalsTable,
    token::TokenTable,
};

/// The file.
pub(super) struct File {
    pub(super) listen: ListenTable,
    pub(super) control: ControlTable,
    pub(super) store: StoreTable,
    pub(super) policies: PoliciesTable,
    pub(super) approvals: super::Approvals,
    pub(super) alerts: alerts::Terms,
    pub(super) webhooks: Vec<WebhookTable>,
    pub(super) limits: Limits,
    pub(super) connections: Vec<ConnectionTable>,
    pub(super) tokens: Vec<TokenTable>,
    pub(super) issuers: Vec<IssuerTable>,
    pub(super) grants: Vec<GrantTable>,
    pub(super) oauth: Option<OauthTable>,
    pub(super) signals: Vec<SignalsTable>,
}

/// `[listen]`.
pub(super) struct ListenTable {
    pub(super) address: Option<Spanned<String>>,
    pub(super) tls: Option<TlsTable>,
}

/// `tls = { … }`.
pub(super) struct TlsTable {
    pub(super) certificate: Option<Spanned<String>>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) client_ca: Option<Spanned<String>>,
}

/// `[control]`.
pub(super) struct ControlTable {
    pub(super) address: Option<Spanned<String>>,
    pub(super) hosts: Vec<Spanned<String>>,
}

/// `[store]`.
pub(super) struct StoreTable {
    pub(super) path: Option<Spanned<String>>,
    pub(super) durability: Durability,
    pub(super) loss_window: Duration,
}

/// `[policies]`.
pub(super) struct PoliciesTable {
    pub(super) folder: Option<Spanned<String>>,
    pub(super) settle: Duration,
    pub(super) rescan: Duration,
    pub(super) removal_grace: Duration,
}

/// `[[connection]]`.
pub(super) struct ConnectionTable {
    pub(super) span: Range<usize>,
    pub(super) name: Option<Spanned<String>>,
    pub(super) path_prefix: Option<Spanned<String>>,
    pub(super) upstream: Option<Spanned<String>>,
    pub(super) dialect: Option<Family>,
    pub(super) on_block: OnBlock,
    pub(super) restore: Restore,
    pub(super) caller_headers: Vec<Spanned<String>>,
    pub(super) credential: Option<CredentialTable>,
    pub(super) tls_ca: Option<Spanned<String>>,
    pub(super) accept_encoding: HeaderValue,
    pub(super) endpoints: Vec<EndpointTable>,
}

/// `credential = { … }`.
pub(super) struct CredentialTable {
    pub(super) span: Range<usize>,
    pub(super) header: Option<Spanned<String>>,
    pub(super) file: Option<Spanned<String>>,
    pub(super) env: Option<Spanned<String>>,
    pub(super) command: Vec<Spanned<String>>,
    pub(super) prefix: Option<Spanned<String>>,
    pub(super) refresh: Duration,
}

/// Bounds outside `[limits]`, by table.
pub(super) mod bounds {
    use super::{Bound, Unit};

    const fn time(key: &'static str, default: u64, low: u64, high: u64) -> Bound {
        Bound { key, unit: Unit::Time, default, range: low..=high }
    }

    pub(in crate::config) const LOSS_WINDOW: Bound = time("loss_window", 100, 1, 10_000);
    pub(in crate::config) const SETTLE: Bound = time("settle", 2, 0, 10_000);
    pub(in crate::config) const RESCAN: Bound = time("rescan", 10_000, 100, 3_600_000);
    pub(in crate::config) const REMOVAL_GRACE: Bound = time("removal_grace", 2_000, 0, 60_000);
    pub(in crate::config) const DEFAULT_TIMEOUT: Bound = time("default_timeout", 300_000, 1_000, 86_400_000);
    pub(in crate::config) const WAIT: Bound = time("wait", 50_000, 0, 86_400_000);
    pub(in crate::config) const REFRESH: Bound = time("refresh", 60_000, 1_000, 86_400_000);
    pub(in crate::config) const HEARTBEAT: Bound = time("heartbeat", 5_000, 100, 600_000);
    const fn count(key: &'static str, default: u64, low: u64, high: u64) -> Bound {
        Bound { key, unit: Unit::Count, default, range: low..=high }
    }

    pub(in crate::config) const PENDING: Bound = count("pending", 1_000, 1, 100_000);
    pub(in crate::config) const PENDING_PER_CALLER: Bound = count("pending_per_caller", 100, 1, 100_000);
}

impl File {
    /// Reads the text of `problems`; what is wrong with it goes there.
    pub(super) fn read(problems: &mut Problems) -> Self {
        let text = problems.text().to_owned();
        let (root, errors) = DeTable::parse_recoverable(&text);
        let broken = !errors.is_empty();
        errors.iter().for_each(|error| problems.push(syntax(error, text.len())));
        let mut root_section = Section::new("the file", root.span(), root.get_ref());
        // What is left of a broken file is read all the same, so that its other errors are told; but what it seems
        // not to have may only be out of reach, so nothing is said of missing keys then.
        let mark = problems.len();
        let file = Self::tables(&mut root_section, problems);
        root_section.finish(problems);
        problems.retain_after(mark, |problem| !(broken && matches!(problem.code, Code::Missing | Code::UnknownKey)));
        file
    }

    /// Where the control listener and the store are, as written: nothing else of the text of `problems` is looked at, but
    /// that it is TOML.
    pub(super) fn whereabouts(problems: &mut Problems) -> (Option<Spanned<String>>, Option<Spanned<String>>) {
        let text = problems.text().to_owned();
        let (root, errors) = DeTable::parse_recoverable(&text);
        errors.iter().for_each(|error| problems.push(syntax(error, text.len())));
        let mut root = Section::new("the file", root.span(), root.get_ref());
        let mut text_of = |table: &'static str, key: &'static str| {
            root.table(table, &format!("[{table}]"), problems)?.text(key, problems)
        };
        (text_of("control", "address"), text_of("store", "path"))
    }

    fn tables(root: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
        Self {
            listen: with_table(root, "listen", problems, listen),
            control: with_table(root, "control", problems, control),
            store: with_table(root, "store", problems, store),
            policies: with_table(root, "policies", problems, policies),
            approvals: with_table(root, "approvals", problems, approvals),
            alerts: with_table(root, "alerts", problems, super::alerts::terms),
            webhooks: each_table(root, "webhook", "[[webhook]]", problems, WebhookTable::read),
            limits: with_table(root, "limits", problems, Limits::read),
            connections: each_table(root, "connection", "[[connection]]", problems, connection),
            tokens: each_table(root, "token", "[[token]]", problems, TokenTable::read),
            issuers: each_table(root, "issuer", "[[issuer]]", problems, IssuerTable::read),
            grants: each_table(root, "grant", "[[grant]]", problems, GrantTable::read),
            signals: each_table(root, "signals", "[[signals]]", problems, SignalsTable::read),
            oauth: root.table("oauth", "[oauth]", problems).map(|mut section| {
                let oauth = OauthTable::read(&mut section, problems);
                section.finish(problems);
                oauth
            }),
        }
    }
}

fn with_table<T>(
    root: &mut Section<'_, '_>,
    key: &'static str,
    problems: &mut Problems,
    read: impl FnOnce(&mut Section<'_, '_>, &mut Problems) -> T,
) -> T {
    let name = format!("[{key}]");
    let mut section = root.table(key, &name, problems).unwrap_or_else(|| Section::absent(&name));
    let value = read(&mut section, problems);
    section.finish(problems);
    value
}

fn each_table<T>(
    root: &mut Section<'_, '_>,
    key: &'static str,
    name: &str,
    problems: &mut Problems,
    read: impl Fn(&mut Section<'_, '_>, &mut Problems) -> T,
) -> Vec<T> {
    let sections = root.tables(key, name, problems);
    sections
        .into_iter()
        .map(|mut section| {
            let value = read(&mut section, problems);
            section.finish(problems);
            value
        })
        .collect()
}

fn listen(section: &mut Section<'_, '_>, problems: &mut Problems) -> ListenTable {
    let address = section.text("address", problems);
    let tls = section.table("tls", "tls = { … }", problems).map(|mut tls| {
        let certificate = tls.needed("certificate", "\"./tls/chain.pem\"", problems);
        let key = tls.needed("key", "\"./tls/key.pem\"", problems);
        let client_ca = tls.text("client_ca", problems);
        tls.finish(problems);
        TlsTable { certificate, key, client_ca }
    });
    ListenTable { address, tls }
}

fn control(section: &mut Section<'_, '_>, problems: &mut Problems) -> ControlTable {
    ControlTable { address: section.text("address", problems), hosts: section.texts("hosts", problems) }
}

fn store(section: &mut Section<'_, '_>, problems: &mut Problems) -> StoreTable {
    StoreTable {
        path: section.text("path", problems),
        durability: section.choice("durability", &Durability::ALL, problems).unwrap_or_default(),
        loss_window: section.time(&bounds::LOSS_WINDOW, problems),
    }
}

fn policies(section: &mut Section<'_, '_>, problems: &mut Problems) -> PoliciesTable {
    PoliciesTable {
        folder: section.text("folder", problems),
        settle: section.time(&bounds::SETTLE, problems),
        rescan: section.time(&bounds::RESCAN, problems),
        removal_grace: section.time(&bounds::REMOVAL_GRACE, problems),
    }
}

fn approvals(section: &mut Section<'_, '_>, problems: &mut Problems) -> super::Approvals {
    let approvers = section.texts("approvers", problems);
    warn_of_approvers(&approvers, problems);
    super::Approvals {
        default_timeout: section.time(&bounds::DEFAULT_TIMEOUT, problems),
        wait: section.time(&bounds::WAIT, problems),
        heartbeat: section.time(&bounds::HEARTBEAT, problems),
        approvers: plain(approvers),
        pending: section.count(&bounds::PENDING, problems),
        pending_per_caller: section.count(&bounds::PENDING_PER_CALLER, problems),
    }
}

/// What a connection may ask its upstream for, by the word in the file. A name stands for itself and what is cheaper.
const ACCEPT_ENCODING: [(&str, &str); 3] = [("identity", "identity"), ("gzip", "gzip"), ("zstd", "zstd, gzip")];

fn connection(section: &mut Section<'_, '_>, problems: &mut Problems) -> ConnectionTable {
    let on_block = [("error", OnBlock::Error), ("refusal", OnBlock::Refusal)];
    let restore = [("off", Restore::Off), ("text", Restore::Text), ("all", Restore::All)];
    ConnectionTable {
        span: section.span(),
        name: section.needed("name", "\"openai\"", problems),
        path_prefix: section.text("path_prefix", problems),
        upstream: section.needed("upstream", "\"https://api.example.com\"", problems),
        dialect: section.needed_choice("dialect", &Family::ALL, problems),
        on_block: section.choice("on_block", &on_block, problems).unwrap_or_default(),
        restore: section.choice("restore", &restore, problems).unwrap_or_default(),
        caller_headers: section.texts("caller_headers", problems),
        credential: section.table("credential", "credential = { … }", problems).map(|mut table| {
            let credential = CredentialTable {
                span: table.span(),
                header: table.needed("header", "\"authorization\"", problems),
                file: table.text("file", problems),
                env: table.text("env", problems),
                command: table.texts("command", problems),
                prefix: table.text("prefix", problems),
                refresh: table.time(&bounds::REFRESH, problems),
            };
            table.finish(problems);
            credential
        }),
        tls_ca: section.text("tls_ca", problems),
        accept_encoding: HeaderValue::from_static(
            section.choice("accept_encoding", &ACCEPT_ENCODING, problems).unwrap_or("identity"),
        ),
        endpoints: each_table(section, "endpoint", "[[connection.endpoint]]", problems, EndpointTable::read),
    }
}

fn syntax(error: &Error, length: usize) -> Problem {
    let span = error.span().unwrap_or(length..length);
    Problem::error(Code::Syntax, span, "not valid TOML").label(error.message())
}
