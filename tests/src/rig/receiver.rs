//! A receiver of webhooks that the host did not write: the reference library of Standard Webhooks, in Python. And
//! Prometheus' own parser of metrics. `tests/setup` installs both.

use std::{path::PathBuf, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{repository, within};

fn python(script: &str) -> Command {
    let folder = repository().join("tests/sdk/python");
    let python: PathBuf = folder.join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run tests/setup", python.display());
    let mut command = Command::new(python);
    command.arg(folder.join(script)).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// A receiver that runs.
pub struct Receiver {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u64,
}

impl Receiver {
    /// Starts one that has this secret and answers with these statuses, then with 200.
    ///
    /// # Panics
    /// When the library is not installed.
    pub async fn start(secret: &str, statuses: &[u16]) -> Self {
        let mut command = python("receiver.py");
        command.arg(secret).args(statuses.iter().map(u16::to_string)).stdin(Stdio::null());
        let mut child = command.spawn().expect("Python is there");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut receiver = Self { _child: child, lines, port: 0 };
        receiver.port = receiver.next().await["port"].as_u64().expect("it tells its port first");
        receiver
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// The next message that it got.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&mut self) -> Value {
        let line = within("a message at the receiver", self.lines.next_line()).await.expect("a pipe can be read");
        serde_json::from_str(&line.expect("the receiver runs")).expect("each line is JSON")
    }
}

/// Every sample of these metrics: name, labels, value.
///
/// # Panics
/// When the parser does not take them.
pub async fn samples(metrics: &str) -> Vec<Value> {
    let mut child = python("metrics.py").stdin(Stdio::piped()).spawn().expect("Python is there");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(metrics.as_bytes()).await.expect("it reads");
    drop(input);
    let output = within("the end of the parser", child.wait_with_output()).await.expect("it can be waited for");
    assert!(output.status.success(), "the parser does not take:\n{metrics}");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}
