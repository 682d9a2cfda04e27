//! What tests with a real `OpenID` provider stand on: the provider (npm `oidc-provider`, `provider.js`) as a child process,
//! and a browser that is no more than a cookie jar. `tests/setup` installs the provider.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod browser;

use std::{path::PathBuf, process::Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

pub use browser::{Browser, html, link, location, proof};

/// The audience of the provider's access tokens.
pub const AUDIENCE: &str = "urn:gate";
/// What the provider knows the gate by, for people's sign-ins.
pub const GATE_CLIENT: &str = "gate";
/// And the secret that it shares with it.
pub const GATE_SECRET: &str = "the-gates-own-5e1f0c7a";

/// The provider. Gone with the value.
pub struct Provider {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Its `iss`.
    pub issuer: String,
}

impl Provider {
    /// Starts one that sends browsers back to `redirect`, and whose clock differs by these seconds.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start(redirect: &str, shift: i64) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        assert!(folder.join("node_modules/oidc-provider").is_dir(), "the provider is not installed: run tests/setup");
        let mut child = Command::new("node")
            .args(["provider.js", "0", redirect, &shift.to_string()])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node can't be started: run tests/setup");
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = output.next_line().await.unwrap().expect("the provider says that it listens");
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let issuer = ready["issuer"].as_str().unwrap().to_owned();
        Self { _child: child, input, output, issuer }
    }

    /// One command; its answer.
    pub async fn tell(&mut self, what: &str) -> Value {
        self.command(&json!({ "do": what })).await
    }

    /// A security event (SET, RFC 8417) of the provider with these claims besides `iss`.
    pub async fn event(&mut self, claims: &Value) -> String {
        let told = self.command(&json!({ "do": "event", "claims": claims })).await;
        told["event"].as_str().unwrap_or_else(|| panic!("no event: {told}")).to_owned()
    }

    async fn command(&mut self, command: &Value) -> Value {
        self.input.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        serde_json::from_str(&self.output.next_line().await.unwrap().unwrap()).unwrap()
    }

    /// An access token for the workload `ci`, as it gets one itself.
    pub async fn token(&self) -> String {
        self.token_of("ci", Browser::default()).await
    }

    /// The same, bound to a client certificate, which is given in base64.
    pub async fn bound_token(&self, certificate: &str) -> String {
        self.token_of("ci-bound", Browser::with_certificate(certificate)).await
    }

    async fn token_of(&self, client: &str, mut browser: Browser) -> String {
        let form = format!("grant_type=client_credentials&scope=use&client_id={client}&client_secret=ci-secret");
        let answer = browser.post(&format!("{}/token", self.issuer), &form).await;
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }
}
