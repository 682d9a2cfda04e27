//! What a token is wanted for: the same words for `login`, `token issue` and `access request`.

use clap::Args;

/// What it should be good for.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What for (all that your grant gives, where nothing is said)")]
pub(super) struct WantedArgs {
    /// Only this connection; may be given several times.
    #[arg(long, value_name = "NAME")]
    connection: Vec<String>,
    /// Only this model, or those that begin so before `*`; may be given several times.
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// Only this operation (openai-chat, anthropic-messages, …); may be given several times.
    #[arg(long, value_name = "DIALECT")]
    operation: Vec<String>,
    /// By this grant and no other.
    #[arg(long, value_name = "NAME")]
    grant: Option<String>,
    /// For so long at most: 5m, 1h; never longer than the grant gives.
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    lifetime: Option<u64>,
}

/// Whole seconds in `90s`, `5m`, `1h 30m`.
fn seconds(text: &str) -> Result<u64, String> {
    let duration: Result<jiff::SignedDuration, _> = text.parse();
    let seconds = duration.ok().and_then(|duration| u64::try_from(duration.as_secs()).ok()).filter(|time| *time > 0);
    seconds.ok_or_else(|| "a time looks like 90s, 5m or 1h".to_owned())
}

impl WantedArgs {
    /// Whether nothing in particular is wanted.
    pub(super) fn is_anything(&self) -> bool {
        self.scope().is_empty() && self.lifetime.is_none()
    }

    /// As `scope` has it.
    fn scope(&self) -> String {
        let words =
            |kind: &str, names: &[String]| names.iter().map(|name| format!("{kind}:{name}")).collect::<Vec<_>>();
        let mut all = words("connection", &self.connection);
        all.extend(words("model", &self.model));
        all.extend(words("operation", &self.operation));
        all.extend(self.grant.iter().map(|name| format!("grant:{name}")));
        all.join(" ")
    }

    /// The parameters that say so.
    pub(super) fn form(&self) -> Vec<(&'static str, String)> {
        let scope = Some(self.scope()).filter(|scope| !scope.is_empty());
        let lifetime = self.lifetime.map(|seconds| seconds.to_string());
        scope.map(|scope| ("scope", scope)).into_iter().chain(lifetime.map(|time| ("lifetime", time))).collect()
    }
}
