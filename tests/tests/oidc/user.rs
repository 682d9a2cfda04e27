//! People: at a terminal, where `portcullis login` runs, and at a browser.

use std::{path::PathBuf, process::Stdio};

use http::StatusCode;
use openid_provider::{Browser, html, link, proof};
use scenarios::rig::{binary, within};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use super::rig::{CALLBACK, GATE, Gate};

/// Somebody at a terminal, with a home of their own.
pub(crate) struct User {
    home: TempDir,
    url: String,
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A `portcullis login` that waits for a person.
pub(crate) struct Login {
    child: Child,
    err: Lines<BufReader<ChildStderr>>,
    /// The link that it prints.
    pub(crate) link: String,
}

impl User {
    pub(crate) fn of(gate: &Gate) -> Self {
        Self::at(format!("http://{}", gate.host.caller("").address))
    }

    pub(crate) fn at(url: String) -> Self {
        Self { home: TempDir::new().unwrap(), url }
    }

    /// Where the token is kept.
    pub(crate) fn kept(&self) -> PathBuf {
        self.home.path().join("portcullis/login.json")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env("XDG_CONFIG_HOME", self.home.path()).env("PORTCULLIS_URL", &self.url);
        command.current_dir(self.home.path()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end, with these variables besides.
    pub(crate) async fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Said {
        let mut command = self.command(arguments);
        let output = within("the command's end", command.envs(more.iter().copied()).output()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[]).await
    }

    /// Runs a command that must go well and print JSON.
    pub(crate) async fn json(&self, arguments: &[&str], more: &[(&str, &str)]) -> Value {
        let said = self.run_with(&[arguments, &["--json"]].concat(), more).await;
        assert_eq!(said.code, Some(0), "{arguments:?}: {}{}", said.out, said.err);
        serde_json::from_str(&said.out).unwrap()
    }

    /// Begins to sign in.
    pub(crate) async fn login(&self, arguments: &[&str]) -> Login {
        let mut command = self.command(&[&["login"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = within("a link", err.next_line()).await.unwrap().unwrap_or_default();
        let link = line.strip_prefix("open ").unwrap_or_else(|| panic!("no link: {line}")).to_owned();
        Login { child, err, link }
    }

    /// Signs in as `name`, who allows it.
    pub(crate) async fn sign_in(&self, gate: &Gate, name: &str, arguments: &[&str]) -> Said {
        let login = self.login(arguments).await;
        Person::new(gate).allow(&login.link, name).await;
        login.end().await
    }
}

impl Login {
    pub(crate) async fn end(mut self) -> Said {
        let ended = async {
            let mut err = String::new();
            while let Some(line) = self.err.next_line().await.unwrap() {
                err.push_str(&line);
                err.push('\n');
            }
            let output = self.child.wait_with_output().await.unwrap();
            Said { code: output.status.code(), out: String::from_utf8(output.stdout).unwrap(), err }
        };
        within("the end of the login", ended).await
    }
}

/// A person at a browser.
pub(crate) struct Person {
    gate: Browser,
    provider: Browser,
}

impl Person {
    pub(crate) fn new(gate: &Gate) -> Self {
        Self { gate: Browser::led_to(gate.host.caller("").address), provider: Browser::default() }
    }

    /// Follows the link, signs in as `name`, and allows what the page shows; the last page.
    pub(crate) async fn allow(&mut self, followed: &str, name: &str) -> String {
        let page = html(&self.gate.get(followed).await);
        let code = followed.split_once("user_code=").unwrap().1;
        assert!(page.contains(code), "the code stands in its field: {page}");
        let sent = self.gate.submit(&format!("{GATE}/oauth/device"), &format!("user_code={code}")).await;
        let back = self.provider.sign_in(&link(&sent), name, CALLBACK).await;
        let asked = self.gate.get(back.as_str()).await;
        if asked.status() != StatusCode::OK {
            return html(&asked);
        }
        let form = format!("proof={}&decision=allow", proof(&html(&asked)));
        html(&self.gate.submit(&format!("{GATE}/oauth/device/decision"), &form).await)
    }
}
