//! The command line of the binary under test, on a host's configuration.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::binary;

/// The command line on a host's configuration.
#[derive(Clone, Debug)]
pub struct Cli {
    pub(super) config: PathBuf,
    pub(super) home: PathBuf,
    pub(super) control: Option<SocketAddr>,
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Cli {
    /// Runs a command to its end, with `--config` (and, while the host runs, the address of its control listener).
    pub fn run(&self, arguments: &[&str]) -> Told {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--config").arg(&self.config);
        if let Some(control) = self.control {
            command.env("PORTCULLIS_CONTROL", format!("http://{control}"));
        }
        run(command.current_dir(&self.home))
    }

    /// Runs a command that prints JSON.
    ///
    /// # Panics
    /// When it fails or prints something else.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let told = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(told.code, Some(0), "{arguments:?}: {}{}", told.stdout, told.stderr);
        serde_json::from_str(&told.stdout).unwrap_or_else(|error| {
            assert!(told.stdout.is_empty(), "{arguments:?} printed no JSON: {error}\n{}", told.stdout);
            Value::Null
        })
    }
}

/// Runs the binary in a folder, with no configuration of the rig.
pub(super) fn run(command: &mut Command) -> Told {
    let output = command.stdin(Stdio::null()).output().expect("the binary can be started");
    Told {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Told {
    /// What the binary says to these arguments in this folder.
    #[must_use]
    pub fn by(arguments: &[&str], folder: &Path) -> Self {
        run(Command::new(binary()).args(arguments).current_dir(folder))
    }
}
