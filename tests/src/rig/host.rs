//! The host: the real binary, in a temporary folder of its own, on ports that the system chooses.

use std::{
    fmt::Write as _,
    fs::Permissions,
    io::PipeReader,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{Cli, Client, within};

/// The one credential of the rig's callers.
const TOKEN: &str = "rig-token-0123456789abcdef0123456789abcdef";

/// The repository's root.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package stands in the repository")
}

/// The binary under test: `PORTCULLIS_BIN`, or the one that was built beside the tests.
///
/// # Panics
/// When there is none: the message says how to build it.
#[must_use]
pub fn binary() -> PathBuf {
    let binary = std::env::var_os("PORTCULLIS_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test knows its own path");
            // target/PROFILE/deps/TEST, or target/PROFILE/BIN
            let folders = test.ancestors().skip(1).take(2);
            folders.map(|folder| folder.join("portcullis")).find(|path| path.is_file()).unwrap_or_default()
        },
        PathBuf::from,
    );
    assert!(binary.is_file(), "no host binary: run `cargo build -p portcullis` first, or set PORTCULLIS_BIN");
    binary
}

/// When a record counts as kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before the exchange goes on.
    #[default]
    Strict,
    /// Within a window.
    Bounded,
    /// Never.
    Off,
}

impl Durability {
    /// Its word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Bounded => "bounded",
            Self::Off => "off",
        }
    }
}

/// How a host is to be started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    durability: Durability,
    policies: Vec<(String, PathBuf, Option<String>)>,
    folder: String,
    approvals: String,
    limits: String,
    /// The listener's certificate and key, as PEM.
    certificate: Option<(String, String)>,
    /// The authority that vouches for an upstream behind TLS, as PEM.
    authority: Option<String>,
    /// What the connection speaks; `openai` when nothing is said.
    dialect: Option<String>,
    /// Authorities of callers' certificates, as PEM.
    client_authority: Option<String>,
    /// Files beside the configuration, by name.
    files: Vec<(String, String)>,
    /// Whole tables at its end.
    tables: String,
    /// Connections in the place of the one: name, path prefix, dialect, more lines.
    connections: Vec<[String; 4]>,
    /// Bytes of the store's file system, where it has one of its own.
    disk: Option<u64>,
    /// Variables of the host's environment.
    environment: Vec<(String, String)>,
    /// Files and sockets that the host may have open, where that is bounded.
    open_files: Option<usize>,
    /// Whether standard error is a pipe that nobody reads.
    unread_log: bool,
    /// Whether the log is for programs.
    json_log: bool,
}

impl Setup {
    /// No policies, strict recording.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records with this durability.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Puts the shipped policy `name` into the folder as `file` (with `.wasm`).
    #[must_use]
    pub fn policy(self, file: &str, name: &str) -> Self {
        let path = shipped(name);
        self.component(file, &path, None)
    }

    /// The same, with the text of its settings file.
    #[must_use]
    pub fn policy_with(self, file: &str, name: &str, settings: &str) -> Self {
        let path = shipped(name);
        self.component(file, &path, Some(settings))
    }

    /// Puts any component into the folder as `file`, with the text of its settings file.
    #[must_use]
    pub fn component(mut self, file: &str, path: &Path, settings: Option<&str>) -> Self {
        self.policies.push((file.to_owned(), path.to_owned(), settings.map(str::to_owned)));
        self
    }

    /// Adds lines to `[policies]`.
    #[must_use]
    pub fn folder(mut self, lines: &str) -> Self {
        self.folder.push_str(lines);
        self.folder.push('\n');
        self
    }

    /// Adds lines to `[approvals]`.
    #[must_use]
    pub fn approvals(mut self, lines: &str) -> Self {
        self.approvals.push_str(lines);
        self.approvals.push('\n');
        self
    }

    /// Adds lines to `[limits]`.
    #[must_use]
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits.push_str(lines);
        self.limits.push('\n');
        self
    }

    /// Speaks TLS with callers.
    #[must_use]
    pub fn tls_listener(mut self, certificate: String, key: String) -> Self {
        self.certificate = Some((certificate, key));
        self
    }

    /// Speaks TLS with the upstream, which this authority vouches for, and shows it the rig's credential.
    #[must_use]
    pub fn tls_upstream(mut self, authority: String) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Speaks another dialect.
    #[must_use]
    pub fn dialect(mut self, name: &str) -> Self {
        self.dialect = Some(name.to_owned());
        self
    }

    /// Asks callers for certificates that this authority vouches for; needs [`tls_listener`](Self::tls_listener).
    #[must_use]
    pub fn client_authority(mut self, authority: String) -> Self {
        self.client_authority = Some(authority);
        self
    }

    /// Puts a file, which only its owner may read, beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds whole tables to the configuration.
    #[must_use]
    pub fn tables(mut self, text: &str) -> Self {
        self.tables.push_str(text);
        self
    }

    /// Has this connection too; the first one takes the place of the usual one. `lines` are added to it.
    #[must_use]
    pub fn connection(mut self, name: &str, prefix: &str, dialect: &str, lines: &str) -> Self {
        self.connections.push([name, prefix, dialect, lines].map(str::to_owned));
        self
    }

    /// The names of all connections, and their tables; `more` stands in each.
    fn connections(&self, upstream: &str, more: &str) -> (Vec<&str>, String) {
        let table = |name: &str, prefix: &str, dialect: &str, lines: &str| {
            format!(
                "[[connection]]\nname = \"{name}\"\npath_prefix = \"{prefix}\"\ndialect = \"{dialect}\"\n\
                 upstream = \"{upstream}\"\n{more}\n{lines}\n"
            )
        };
        if self.connections.is_empty() {
            return (vec!["openai"], table("openai", "/", self.dialect.as_deref().unwrap_or("openai"), ""));
        }
        let all = self.connections.iter();
        all.map(|[name, prefix, dialect, lines]| (name.as_str(), table(name, prefix, dialect, lines))).unzip()
    }

    /// Gives the store a disk of its own of this many bytes; needs [`alone`](super::alone).
    #[must_use]
    pub fn disk(mut self, bytes: u64) -> Self {
        self.disk = Some(bytes);
        self
    }

    /// Sets a variable of the host's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the host have no more files and sockets open than this.
    #[must_use]
    pub fn open_files(mut self, most: usize) -> Self {
        self.open_files = Some(most);
        self
    }

    /// Makes standard error a pipe that nobody reads, in the place of a file.
    #[must_use]
    pub fn unread_log(mut self) -> Self {
        self.unread_log = true;
        self
    }

    /// Has the log as JSON.
    #[must_use]
    pub fn json_log(mut self) -> Self {
        self.json_log = true;
        self
    }

    /// Starts the host in front of `upstream` and waits until it is ready.
    pub async fn start(self, upstream: SocketAddr) -> Host {
        let home = TempDir::with_prefix("portcullis-rig-").expect("the temporary folder can be written");
        let host = Host::lay_out(&self, home, upstream);
        host.run().await
    }
}

/// Path of a shipped policy.
fn shipped(name: &str) -> PathBuf {
    let path = repository().join("policies/dist").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run policies/build", path.display());
    path
}

/// A running host. Killed and its folder removed when dropped.
pub struct Host {
    home: TempDir,
    process: Option<Process>,
    environment: Vec<(String, String)>,
    open_files: Option<usize>,
    unread_log: bool,
    json_log: bool,
}

struct Process {
    child: Child,
    // Kept open: nobody reads is not the same as nobody is there.
    _unread: Option<PipeReader>,
    listen: SocketAddr,
    control: SocketAddr,
    // Kept open: a host must not die of a closed standard output.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Host {
    fn lay_out(setup: &Setup, home: TempDir, upstream: SocketAddr) -> Self {
        let host = Self {
            home,
            process: None,
            environment: setup.environment.clone(),
            open_files: setup.open_files,
            unread_log: setup.unread_log,
            json_log: setup.json_log,
        };
        if let Some(bytes) = setup.disk {
            super::alone::mount_small(&host.home.path().join("store"), bytes);
        }
        std::fs::create_dir(host.folder()).expect("a fresh folder can be written");
        for (file, path, settings) in &setup.policies {
            host.install(file, path, settings.as_deref());
        }
        let mut config = String::new();
        let durability = setup.durability.as_str();
        let put = |name: &str, text: &str| {
            let path = host.home.path().join(name);
            std::fs::write(&path, text).expect("a fresh folder can be written");
            std::fs::set_permissions(path, Permissions::from_mode(0o600)).expect("its owner may");
        };
        put("token", TOKEN);
        setup.files.iter().for_each(|(name, text)| put(name, text));
        let mut listen = String::new();
        if let Some((certificate, key)) = &setup.certificate {
            put("listener.pem", certificate);
            put("listener.key", key);
            let mut clients = "";
            if let Some(authority) = &setup.client_authority {
                put("clients.pem", authority);
                clients = ", client_ca = \"./clients.pem\"";
            }
            listen = format!("tls = {{ certificate = \"./listener.pem\", key = \"./listener.key\"{clients} }}");
        }
        let (mut scheme, mut connection) = ("http", String::new());
        if let Some(authority) = &setup.authority {
            put("authority.pem", authority);
            scheme = "https";
            connection.push_str("tls_ca = \"./authority.pem\"\n");
            connection.push_str("credential = { header = \"authorization\", file = \"./token\" }");
        }
        let (names, connections) = setup.connections(&format!("{scheme}://{upstream}"), &connection);
        write!(
            config,
            r#"
[listen]
address = "127.0.0.1:0"
{listen}
[control]
address = "127.0.0.1:0"
[store]
path = "./store"
durability = "{durability}"
[policies]
folder = "./policies"
{folder}
[approvals]
{approvals}
[limits]
{limits}
{connections}
[[token]]
name = "rig"
value_file = "./token"
connections = {names:?}
expires = 2099-12-31
{tables}
"#,
            folder = setup.folder,
            approvals = setup.approvals,
            limits = setup.limits,
            tables = setup.tables,
        )
        .expect("a string takes text");
        std::fs::write(host.config(), config).expect("a fresh folder can be written");
        host
    }

    async fn run(mut self) -> Self {
        let (log, unread) = self.standard_error();
        let mut command = match self.open_files {
            None => Command::new(binary()),
            Some(most) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).arg(binary());
                shell
            }
        };
        let mut child = command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .args(self.json_log.then_some("--log-format=json"))
            .current_dir(self.home.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be started");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (mut listen, mut control) = (None, None);
        within("the ready line", async {
            while listen.is_none() || control.is_none() {
                let line = stdout.next_line().await.expect("standard output is text");
                let Some(line) = line else {
                    let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                    assert!(log.is_empty() && control.is_some(), "the host ended before it was ready:\n{log}");
                    break;
                };
                listen = listen.or_else(|| address_after(&line, "proxy"));
                control = control.or_else(|| address_after(&line, "control"));
            }
        })
        .await;
        let (listen, control) = (listen.expect("it has a value"), control.expect("it has a value"));
        self.process = Some(Process { child, listen, control, _unread: unread, _stdout: stdout });
        self
    }

    /// Where the host's log goes, and who does not read it.
    fn standard_error(&self) -> (Stdio, Option<PipeReader>) {
        if self.unread_log {
            let (reader, writer) = std::io::pipe().expect("there can be a pipe");
            return (writer.into(), Some(reader));
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log());
        (log.expect("the log can be written").into(), None)
    }

    /// A caller with the rig's credential.
    #[must_use]
    pub fn client(&self) -> Client {
        Client { address: self.process().listen, token: TOKEN.to_owned() }
    }

    /// A caller with another credential.
    #[must_use]
    pub fn caller(&self, token: &str) -> Client {
        Client { address: self.process().listen, token: token.to_owned() }
    }

    /// The control listener.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.process().control
    }

    /// The command line on this host's configuration.
    #[must_use]
    pub fn cli(&self) -> Cli {
        Cli {
            config: self.config(),
            home: self.home.path().to_owned(),
            control: self.process.as_ref().map(|it| it.control),
        }
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process().child.id().expect("it has not been waited for")
    }

    /// The host's folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The policy folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("policies")
    }

    /// The log so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The first line of the log for which this holds, as soon as it stands there: nothing waits for the log.
    pub async fn logged(&self, fits: impl Fn(&str) -> bool) -> String {
        within("a line of the log", async {
            loop {
                if let Some(line) = self.log_text().lines().find(|line| fits(line)) {
                    return line.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    /// Puts a component into the policy folder in one step (written beside it, then renamed), its settings before it.
    pub fn install(&self, file: &str, from: &Path, settings: Option<&str>) {
        if let Some(settings) = settings {
            self.put(&Path::new(file).with_extension("toml").to_string_lossy(), settings.as_bytes());
        }
        let bytes = std::fs::read(from).expect("the component can be read");
        self.put(file, &bytes);
    }

    /// Puts the shipped policy `name` into the folder as `file`.
    pub fn install_shipped(&self, file: &str, name: &str) {
        self.install(file, &shipped(name), None);
    }

    /// Writes a file of the policy folder in one step.
    pub fn put(&self, file: &str, bytes: &[u8]) {
        let aside = self.home.path().join(".aside");
        std::fs::write(&aside, bytes).expect("the folder can be written");
        std::fs::rename(&aside, self.folder().join(file)).expect("both are on one file system");
    }

    /// Writes a file of [`Setup::file`] anew.
    pub fn rewrite(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).expect("a file of the rig's own can be written");
    }

    /// Ends the process as a power cut would, as far as a process can tell (SIGKILL).
    pub async fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.child.kill().await.expect("a child can be killed");
        }
    }

    /// Ends the process in order (SIGTERM) and returns its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take()?;
        process.signal(Signal::TERM);
        within("the host stops", process.child.wait()).await.expect("a child can be waited for").code()
    }

    /// Tells it to reload, as many services understand that (SIGHUP).
    pub fn hang_up(&self) {
        self.process().signal(Signal::HUP);
    }

    /// Ends the process as a fault would (SIGABRT); whether it left a core file.
    pub async fn abort(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let mut process = self.process.take().expect("the host runs");
        process.signal(Signal::ABORT);
        let status = within("the host ends", process.child.wait()).await.expect("a child can be waited for");
        assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
        status.core_dumped()
    }

    /// Starts it again on the same store.
    pub async fn restart(self) -> Self {
        assert!(self.process.is_none(), "it still runs");
        self.run().await
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the host runs")
    }

    fn config(&self) -> PathBuf {
        self.home.path().join("portcullis.toml")
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }
}

impl Process {
    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("it has not been waited for"), signal).expect("a child can be signalled");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log_text();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("the host's log ends with:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// The address in `WORD … http://ADDRESS` of a ready line.
fn address_after(line: &str, word: &str) -> Option<SocketAddr> {
    let rest = line.split_once(word)?.1;
    let url = rest.split_once("://")?.1;
    url.split(|c: char| c.is_whitespace() || c == '/' || c == '"').next()?.parse().ok()
}
