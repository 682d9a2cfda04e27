//! `portcullis check`.

use std::{
    fs,
    io::{self, IsTerminal},
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::ExitCode,
    slice,
    sync::Arc,
};

use admin::AdminToken;
use clap::Args;
use engine::{
    Runtime, RuntimeConfig,
    load::{
        Cache, CacheConfig, CacheError, CompileConfig, Compiler, Settings,
        inspect::{Inspection, inspect_folder},
    },
};
use exchange::ports::Problem as PolicyProblem;
use model::Guard;
use serde_json::{Value, json};

use super::{
    draw,
    found::ConfigArg,
    policy,
    show::{json_of, line_of},
    verdict,
};
use crate::{
    burst::Bursts,
    config::{self, Config, Problems, Severity},
    files,
    forward::Forwarder,
    listen,
};

/// The code of what else would keep a host from starting; `host/docs/configuration.md` lists it.
const START: &str = "P0121";

/// Check a configuration and everything that it names, without starting.
///
/// Reads the configuration, its secrets and certificates, runs the commands that tell credentials, and compiles and configures
/// every policy of the folder. Says everything that is wrong at once, each with a code, its place where it has one, and a way out,
/// and ends with 1 if anything is.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis check --config /etc/portcullis/portcullis.toml \\
    && systemctl restart portcullis")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found.
struct Findings {
    config: Option<Config>,
    problems: Problems,
    policies: Vec<Inspection>,
    folder: Vec<PolicyProblem>,
    /// What else would keep a host from starting.
    start: Vec<String>,
    /// What of the limits a host would lower, and what was not looked at.
    notes: Vec<String>,
}

impl Findings {
    fn good(&self) -> bool {
        self.config.is_some()
            && self.start.is_empty()
            && self.folder.is_empty()
            && self.policies.iter().all(|policy| policy.problems.is_empty())
    }
}

pub(super) async fn cmd_check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let findings = match args.config.load()? {
        Ok((config, problems)) => look(config, problems).await?,
        Err(problems) => look_all_the_same(args.config.path(), problems).await?,
    };
    let told = if args.json { json_of(&json(&findings))? } else { text(args.config.path(), &findings) };
    verdict(&told, findings.good())
}

async fn look(config: Config, problems: Problems) -> anyhow::Result<Findings> {
    let mut start: Vec<String> = place(&config.store).err().into_iter().collect();
    let cache = cache(&config.store.path).unwrap_or_else(|error| {
        start.push(error.to_string());
        None
    });
    start.extend(kept(&config.store));
    start.extend(elsewhere("listen.address", config.listen.address));
    start.extend(elsewhere("control.address", config.control.address));
    if let Some(error) = config.listen.tls.as_ref().and_then(|files| listen::acceptor(files).err()) {
        start.push(format!("listen.tls: {error}"));
    }
    start.extend(credentials(&config).await);
    let lowered = fit(&config).unwrap_or_else(|error| {
        start.push(error.to_string());
        None
    });
    let notes = lowered.into_iter().chain(anothers(&config.store.path)).collect();
    let connections: Vec<String> = config.connections.iter().map(|route| route.connection.name.clone()).collect();
    let (policies, folder) = look_at_policies(&config.policies.folder, Some(&connections), cache).await?;
    Ok(Findings { config: Some(config), problems, policies, folder, start, notes })
}

/// What of the limits a host would lower that is started as this command was.
fn fit(config: &Config) -> anyhow::Result<Option<String>> {
    files::fit(&mut config.limits.clone(), config.connections.len(), files::raise()?)
}

/// What a store holds already that a host would not start with: a control token that others may read, a file that is damaged
/// or missing.
fn kept(store: &config::Store) -> Vec<String> {
    if !is_own(&store.path) {
        return Vec::new();
    }
    let token = AdminToken::check(&store.admin_token()).err().map(|error| error.to_string());
    let wrong = store::check(&store.path).into_iter().map(|error| error.to_string());
    token.into_iter().chain(wrong).collect()
}

/// That nobody can listen there, since the address is none of this machine's. Of the port nothing is said: the host that
/// has it may be the one whose restart this is for.
fn elsewhere(key: &str, mut address: SocketAddr) -> Option<String> {
    address.set_port(0);
    let error = TcpListener::bind(address).err()?;
    Some(format!("{key}: {} can't be listened on: {error}", address.ip()))
}

/// Makes ready to dial every upstream, with its credential, as a host does that starts; tells what went wrong.
async fn credentials(config: &Config) -> Vec<String> {
    let bursts = Bursts::of(config.store.durability);
    let mut wrong = Vec::new();
    for route in &config.connections {
        let fetched = match Forwarder::new(slice::from_ref(route), &config.limits, bursts) {
            Ok(forwarder) => forwarder.fetch().await,
            Err(error) => Err(error),
        };
        wrong.extend(fetched.err().map(|error| error.to_string()));
    }
    wrong
}

/// The cache of compiled policies of a store that is there already; none is made just to check.
fn cache(store: &Path) -> Result<Option<Cache>, CacheError> {
    is_own(store).then(|| Cache::open(CacheConfig::new(store.join("compiled")))).transpose()
}

/// Whether a store is there already, and of this user: nobody else can tell whether it is as it must be.
fn is_own(store: &Path) -> bool {
    owner(store) == Some(rustix::process::geteuid().as_raw())
}

/// That a store is there, and of another user, whose host may start all the same.
fn anothers(store: &Path) -> Option<String> {
    let owner = owner(store).filter(|owner| *owner != rustix::process::geteuid().as_raw())?;
    let store = store.display();
    Some(format!(
        "the store `{store}` is user {owner}'s: what is in it was not looked at (as that user it is: `sudo -u '#{owner}' …`), \
         and a host of this user does not start with what that user's has begun"
    ))
}

/// Whose a store's folder is; none where there is none.
fn owner(store: &Path) -> Option<u32> {
    fs::metadata(store).ok().filter(fs::Metadata::is_dir).map(|data| data.uid())
}

/// The policies of a configuration that can't be used: what is wrong with them is told at once, too.
async fn look_all_the_same(file: &Path, problems: Problems) -> anyhow::Result<Findings> {
    let (policies, folder) = match config::policies(file) {
        // That a folder is not there is among the problems.
        Some((folder, connections)) if folder.is_dir() => {
            look_at_policies(&folder, connections.as_deref(), None).await?
        }
        Some(_) | None => (Vec::new(), Vec::new()),
    };
    Ok(Findings { config: None, problems, policies, folder, start: Vec::new(), notes: Vec::new() })
}

async fn look_at_policies(
    folder: &Path,
    connections: Option<&[String]>,
    cache: Option<Cache>,
) -> anyhow::Result<(Vec<Inspection>, Vec<PolicyProblem>)> {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let compiler = Arc::new(Compiler::new(CompileConfig::default(), &runtime, cache));
    Ok(match inspect_folder(&runtime, &compiler, folder, connections).await {
        Ok(found) => found,
        Err(refused) => (Vec::new(), vec![refused.problem(folder.display().to_string())]),
    })
}

/// Whether a store can be there: in the folder, or in the nearest one above it that exists.
fn place(store: &config::Store) -> Result<(), String> {
    let path = &store.path;
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let wrong = |error: io::Error| format!("the store `{}` can't be written: {error}", path.display());
    let file = tempfile::tempfile_in(there).map_err(wrong)?;
    store::check_room(path, &file, store.durability).map_err(|error| error.to_string())
}

fn text(file: &Path, findings: &Findings) -> String {
    let mut lines = Vec::new();
    if !findings.problems.is_empty() {
        lines.push(format!("{}\n", findings.problems.render(io::stdout().is_terminal())));
    }
    if let Some(config) = &findings.config {
        lines.push(format!("ok      {}", file.display()));
        for route in &config.connections {
            let connection = &route.connection;
            let scheme = if connection.upstream.tls { "https" } else { "http" };
            let to = if route.built_in {
                "the built-in model".to_owned()
            } else {
                format!("{scheme}://{}{}", connection.upstream.authority, connection.upstream.base_path)
            };
            lines.push(format!("ok      connection {}  {} -> {to}", connection.name, connection.path_prefix));
        }
        lines.push(format!("ok      {} token(s)", config.tokens.len()));
        lines.extend(config.issuers.iter().map(|issuer| format!("ok      issuer {}", issuer.url)));
        lines.extend(config.grants.iter().map(|grant| format!("ok      grant {}  {}", grant.name, grant.who.issuer)));
        lines.extend(config.oauth.iter().map(|oauth| format!("ok      token endpoint {}/oauth", oauth.url)));
    }
    lines.extend(findings.start.iter().map(|wrong| format!("error[{START}]: {}", line_of(wrong))));
    for policy in &findings.policies {
        let id = line_of(&policy.id);
        match &policy.description {
            Some(about) if policy.problems.is_empty() => {
                lines.push(format!("ok      policy {id}  {} {}", line_of(&about.name), line_of(&about.version)));
            }
            _ => lines.push(format!("WRONG   policy {id}\n{}\n", draw::problems_of(policy))),
        }
    }
    let others = findings.folder.iter();
    lines.extend(others.map(|problem| format!("WRONG   {}: {}", line_of(&problem.file), line_of(&problem.message))));
    lines.extend(notes(findings).iter().map(|note| format!("note    {}", line_of(note))));
    lines.join("\n")
}

/// What is not wrong, and guards less or serves fewer than one may think.
fn notes(findings: &Findings) -> Vec<String> {
    let Some(config) = &findings.config else { return Vec::new() };
    let found = findings.notes.clone();
    let unlisted = findings.folder.iter().any(|problem| Path::new(&problem.file) == config.policies.folder);
    if unlisted && findings.policies.is_empty() {
        let wrong = "the policy folder can't be read: a host that starts with it refuses every exchange";
        return found.into_iter().chain([wrong.to_owned()]).collect();
    }
    let policies = findings.policies.iter().map(|Inspection { id, settings, plan, .. }| {
        let Settings { mode, on_failure, connections, .. } = settings;
        // One that can't be loaded blocks what it guards.
        let bytes = plan.as_ref().is_none_or(|plan| plan.hooks.head || plan.hooks.body);
        Guard { id, mode: *mode, on_failure: *on_failure, connections, bytes }
    });
    let idle = findings.policies.iter().filter_map(Inspection::note);
    config.unguarded(policies).into_iter().chain(found).chain(idle).collect()
}

fn json(findings: &Findings) -> Value {
    let problems = findings.problems.sorted().into_iter().map(|problem| {
        let (line, column) = findings.problems.position(problem).unzip();
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        json!({
            "code": problem.code.as_str(), "severity": severity, "message": problem.message, "label": problem.label,
            "line": line, "column": column, "help": problem.help,
        })
    });
    let folder = findings.folder.iter();
    let folder =
        folder.map(|problem| json!({ "file": problem.file, "stage": problem.stage, "message": problem.message }));
    json!({
        "good": findings.good(),
        "problems": problems.collect::<Vec<_>>(),
        "start": findings.start.iter().map(|wrong| json!({ "code": START, "message": wrong })).collect::<Vec<_>>(),
        "policies": findings.policies.iter().map(policy::inspection_json).collect::<Vec<_>>(),
        "folder": folder.collect::<Vec<_>>(),
        "notes": notes(findings),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_not_be_read_is_no_folder_without_policies() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[policies]\nfolder = \".\"\n[[connection]]\nname = \"a\"\nupstream = \"builtin:echo-1\"\n\
                    dialect = \"openai\"\n[[token]]\nname = \"a\"\nvalue_sha256 = \"DIGEST\"\nconnections = [\"a\"]\n";
        let text = text.replace("DIGEST", &identity::digest("a").to_string());
        let (config, problems) = config::parse(&dir.path().join("portcullis.toml"), text).unwrap();
        let folder = config.policies.folder.display().to_string();
        let mut findings = Findings {
            config: Some(config),
            problems,
            policies: Vec::new(),
            folder: Vec::new(),
            start: Vec::new(),
            notes: Vec::new(),
        };
        assert!(notes(&findings).concat().contains("there are no policies: nothing is judged"));
        findings.folder.push(PolicyProblem { file: folder, stage: "read", message: "Permission denied".into() });
        let noted = notes(&findings).concat();
        assert!(noted.contains("refuses every exchange") && !noted.contains("nothing is judged"), "{noted}");
    }

    #[test]
    fn a_store_of_another_user_is_told_of() {
        let store = tempfile::tempdir().unwrap();
        assert_eq!((anothers(store.path()), anothers(&store.path().join("not-there"))), (None, None));
        // Only root can give it away.
        if std::os::unix::fs::chown(store.path(), Some(65534), None).is_ok() {
            let told = anothers(store.path()).unwrap();
            assert!(told.contains("is user 65534's: what is in it was not looked at"), "{told}");
        }
    }
}
