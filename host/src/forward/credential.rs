//! Credentials of the host's own, looked for again while it runs: a new value is in the next request.
//!
//! What must hold: no request goes up without its credential, nor with the caller's; what a secret is stands in no log and
//! no error; a secret that can't be had any more leaves the last one in place, and says so.

use std::{io, path::Path, process::Stdio, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use exchange::Secrets;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{io::AsyncReadExt, process::Command, time::timeout};
use zeroize::Zeroizing;

use crate::config::{
    self, Source,
    secret::{self, SECRET_BYTES, Secret},
};

/// Time that a command has to tell a secret.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// A credential, as it is now.
pub(super) struct Rotating {
    connection: String,
    header: HeaderName,
    prefix: String,
    source: Source,
    refresh: Duration,
    value: ArcSwapOption<HeaderValue>,
    /// The one before, which the upstream may know still.
    last: ArcSwapOption<HeaderValue>,
}

impl Rotating {
    pub(super) fn new(connection: &str, own: &config::Credential) -> Self {
        Self {
            connection: connection.to_owned(),
            header: own.header.clone(),
            prefix: own.prefix.clone(),
            source: own.source.clone(),
            refresh: own.refresh,
            value: ArcSwapOption::new(own.value.clone().map(Arc::new)),
            last: ArcSwapOption::empty(),
        }
    }

    /// Looks for it unless it is there.
    ///
    /// # Errors
    /// As [`Self::look`], with the connection's name.
    pub(super) async fn fetch(&self) -> io::Result<()> {
        if self.value.load().is_some() {
            return Ok(());
        }
        let told = |error| io::Error::other(format!("the credential of connection {}: {error}", self.connection));
        self.look().await.map(drop).map_err(told)
    }

    /// Puts it among a request's headers, in the place of any other of its name.
    ///
    /// # Errors
    /// When there is none: the request must not go.
    pub(super) fn put(&self, headers: &mut HeaderMap) -> Result<(), String> {
        let value = self.value.load_full();
        let value = value.ok_or_else(|| format!("the credential of connection {} is not there", self.connection))?;
        headers.insert(self.header.clone(), HeaderValue::clone(&value));
        Ok(())
    }

    /// What no answer may say back: the credential as it is, and as it was before it changed.
    pub(super) fn secrets(&self) -> Secrets {
        let values = [self.value.load_full(), self.last.load_full()];
        Secrets::of(values.iter().flatten().map(AsRef::as_ref))
    }

    /// Looks for it. True when it is another than before.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the source; never what came from it.
    async fn look(&self) -> Result<bool, String> {
        let secret = match &self.source {
            Source::Environment(_) => return Ok(false),
            Source::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || secret::read(&path)).await;
                read.map_err(|error| error.to_string())??.secret
            }
            Source::Command { program, arguments } => run(program, arguments).await?,
        };
        let value = secret.header(&self.prefix);
        let value = value.ok_or_else(|| format!("the secret can't stand in the header `{}`", self.header))?;
        if self.value.load().as_deref() == Some(&value) {
            return Ok(false);
        }
        self.last.store(self.value.swap(Some(Arc::new(value))));
        Ok(true)
    }

    /// Looks for it again and again, until this is dropped.
    pub(super) async fn keep(&self) {
        if matches!(self.source, Source::Environment(_)) {
            return;
        }
        loop {
            tokio::time::sleep(self.refresh).await;
            let connection = &self.connection;
            match self.look().await {
                Ok(true) => tracing::info!(%connection, "the upstream's credential is a new one"),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%connection, %error, "the upstream's credential can't be had: the last one stays");
                }
            }
        }
    }
}

/// What a command tells. Its errors are not looked at: they may hold what must not be logged.
async fn run(program: &Path, arguments: &[String]) -> Result<Secret, String> {
    let told = |wrong: &dyn std::fmt::Display| format!("the command `{}` {wrong}", program.display());
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| told(&format!("can't be started: {error}")))?;
    let output = child.stdout.take().ok_or_else(|| told(&"has no output"))?;
    let answer = async {
        // Room for all of it at once: growing would leave copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(SECRET_BYTES as usize + 1));
        output.take(SECRET_BYTES + 1).read_to_end(&mut text).await?;
        Ok::<_, io::Error>((text, child.wait().await?))
    };
    let (text, status) = timeout(COMMAND_DEADLINE, answer)
        .await
        .map_err(|_| told(&format!("told nothing within {} s", COMMAND_DEADLINE.as_secs())))?
        .map_err(|error| told(&error))?;
    if !status.success() {
        return Err(told(&format!("failed: {status}")));
    }
    if text.len() as u64 > SECRET_BYTES {
        return Err(told(&format!("told more than {SECRET_BYTES} bytes")));
    }
    let text = std::str::from_utf8(&text).map_err(|_| told(&"told what is not UTF-8"))?;
    Secret::parse(text).map_err(|wrong| told(&format!("told what {wrong}")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn rotating(source: Source, value: Option<&str>) -> Rotating {
        Rotating::new(
            "openai",
            &config::Credential {
                header: http::header::AUTHORIZATION,
                prefix: "Bearer ".to_owned(),
                source,
                refresh: Duration::from_secs(1),
                value: value.map(|value| HeaderValue::from_str(value).unwrap()),
            },
        )
    }

    fn shell(script: &str) -> Source {
        Source::Command { program: PathBuf::from("sh"), arguments: vec!["-c".to_owned(), script.to_owned()] }
    }

    fn sent(rotating: &Rotating) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer the-callers-own"));
        rotating.put(&mut headers)?;
        Ok(headers[http::header::AUTHORIZATION].to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_file_that_changes_is_a_new_credential_and_one_that_is_bad_leaves_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "one\n").unwrap();
        let rotating = rotating(Source::File(path.clone()), None);
        assert!(sent(&rotating).is_err(), "nothing goes without it");
        assert_eq!(rotating.look().await, Ok(true));
        assert_eq!(rotating.look().await, Ok(false));
        assert_eq!(sent(&rotating).unwrap(), "Bearer one");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(rotating.look().await, Ok(true));
        for bad in ["", "canary\nsecond", "canary\u{7}"] {
            std::fs::write(&path, bad).unwrap();
            let error = rotating.look().await.unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(rotating.look().await.is_err());
        assert_eq!(sent(&rotating).unwrap(), "Bearer two");
    }

    #[tokio::test]
    async fn a_command_tells_it() {
        let rotating = rotating(shell("echo from-the-manager"), None);
        assert_eq!(rotating.look().await, Ok(true));
        assert_eq!(sent(&rotating).unwrap(), "Bearer from-the-manager");
    }

    #[tokio::test]
    async fn a_command_that_fails_tells_nothing_and_shows_nothing() {
        for script in [
            "echo canary; exit 3",
            "echo canary >&2; exit 1",
            "printf 'canary\\nsecond\\n'",
            "true",
            "printf '\\377canary'",
            "yes canary | head -c 100000",
        ] {
            let rotating = rotating(shell(script), Some("Bearer last"));
            let error = rotating.look().await.unwrap_err();
            assert!(!error.contains("canary"), "{error}");
            assert_eq!(sent(&rotating).unwrap(), "Bearer last", "{script}");
        }
        let missing = Source::Command { program: PathBuf::from("/no/such/program"), arguments: Vec::new() };
        assert!(rotating(missing, None).look().await.unwrap_err().contains("can't be started"));
    }
}
