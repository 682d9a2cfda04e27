//! Programs that use vendors' own SDKs, unmodified, with only base URL and key changed. `tests/setup` installs them.

use std::{path::PathBuf, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{Client, Host, repository, within};

/// A language of an SDK.
#[derive(Clone, Copy, Debug)]
pub enum Language {
    /// Python 3.
    Python,
    /// JavaScript.
    Node,
}

/// Whose SDK.
#[derive(Clone, Copy, Debug)]
pub enum Vendor {
    /// `openai`.
    Openai,
    /// `anthropic`, `@anthropic-ai/sdk`.
    Anthropic,
}

impl Language {
    fn command(self, vendor: Vendor) -> Command {
        let folder = repository().join("tests/sdk");
        let python = folder.join("python/.venv/bin/python");
        let modules = folder.join("node/node_modules");
        let (program, script, installed): (PathBuf, _, PathBuf) = match (self, vendor) {
            (Self::Python, Vendor::Openai) => (python.clone(), "python/walk.py", python),
            (Self::Python, Vendor::Anthropic) => (python.clone(), "python/walk_anthropic.py", python),
            (Self::Node, Vendor::Openai) => ("node".into(), "node/walk.js", modules.join("openai")),
            (Self::Node, Vendor::Anthropic) => {
                ("node".into(), "node/walk-anthropic.js", modules.join("@anthropic-ai/sdk"))
            }
        };
        assert!(installed.exists(), "{} is missing: run tests/setup", installed.display());
        let mut command = Command::new(program);
        command.arg(folder.join(script));
        command
    }
}

/// A program that uses an SDK, as it runs.
pub struct Walk {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Walk {
    /// Starts it. `mode` names what it does (`whole`, `stream`, and besides `tools`, or `responses` or `completions` where
    /// another API than chat's is used, or `azure`), `text` what it asks.
    ///
    /// # Panics
    /// When the SDK is not installed: `tests/setup` does that.
    #[must_use]
    pub fn start(walker: (Vendor, Language), host: &Host, mode: &str, text: &str) -> Self {
        Self::start_as(host.client(), walker, mode, text)
    }

    /// The same, as a caller with a credential of its own.
    ///
    /// # Panics
    /// When the SDK is not installed: `tests/setup` does that.
    #[must_use]
    pub fn start_as(client: Client, (vendor, language): (Vendor, Language), mode: &str, text: &str) -> Self {
        let mut command = language.command(vendor);
        let base = match vendor {
            Vendor::Openai => "/v1",
            Vendor::Anthropic => "",
        };
        command.arg(format!("http://{}{base}", client.address)).arg(client.token).arg(mode).arg(text);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the language is there");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    /// The next thing that the SDK's user met.
    ///
    /// # Panics
    /// When nothing comes.
    pub async fn next(&mut self) -> Option<Value> {
        let line = within("a line of the SDK's walk", self.lines.next_line()).await.expect("a pipe can be read")?;
        Some(serde_json::from_str(&line).expect("each line is JSON"))
    }

    /// The last thing, after an orderly end.
    ///
    /// # Panics
    /// When the program fails.
    pub async fn last(mut self) -> Value {
        let mut last = Value::Null;
        while let Some(line) = self.next().await {
            last = line;
        }
        assert!(
            within("the end of the walk", self.child.wait()).await.is_ok_and(|end| end.success()),
            "it failed after {last}"
        );
        last
    }
}

/// Whether what was met is an error of this class.
#[must_use]
pub fn raised(met: &Value, class: &str) -> bool {
    met["raised"].as_array().is_some_and(|classes| classes.iter().any(|one| one == class))
}
