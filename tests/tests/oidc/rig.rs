//! A host that trusts a real provider.
//!
//! The gate is known to browsers by a place where nothing listens, so that the provider can be told of it before the
//! system has chosen a port; the rig's browser is led to where the host really is.

use std::time::Duration;

use http::StatusCode;
use openid_provider::{AUDIENCE, GATE_CLIENT, GATE_SECRET, Provider};
use scenarios::rig::{
    Channel, Client, Host, Reply, SSN, Setup, Upstream, http_chunks, json_head, sse_head, streamed, whole, within,
};
use serde_json::Value;

/// How the gate is known to browsers.
pub(crate) const GATE: &str = "http://127.0.0.1:1";
pub(crate) const CALLBACK: &str = "http://127.0.0.1:1/oauth/callback";

/// The audience of the provider's security events, and what it shows when it sends one.
pub(crate) const EVENTS_FOR: &str = "urn:gate:events";
pub(crate) const STREAM_SECRET: &str = "Bearer of-the-stream-of-events";

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
    &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";

/// Short enough for a test to see them pass; the proportions are those of the defaults.
pub(crate) const QUICK: &str = "keys_interval = \"1s\"\nkeys_refresh = \"2s\"\nkeys_stale_after = \"4s\"";

/// A provider, and a host that trusts it. `ci` may use everything, with its provider's tokens too; staff chat with some
/// models; contractors need an approval.
pub(crate) struct Gate {
    pub(crate) provider: Provider,
    pub(crate) host: Host,
}

impl Gate {
    pub(crate) async fn start(upstream: &Upstream) -> Self {
        Self::with(Setup::new().policy("10-mask.wasm", "mask"), "", upstream).await.ready().await
    }

    /// With lines more in the issuer's table.
    pub(crate) async fn with(setup: Setup, issuer: &str, upstream: &Upstream) -> Self {
        let provider = Provider::start(CALLBACK, 0).await;
        let tables = tables(&provider.issuer, issuer);
        let host = setup
            .file("gate-secret", GATE_SECRET)
            .file("stream-secret", STREAM_SECRET)
            .tables(&tables)
            .start(upstream.address)
            .await;
        Self { provider, host }
    }

    /// Waits until the provider's keys and metadata are there: who asks is told by them.
    pub(crate) async fn ready(self) -> Self {
        let bearer = format!("Bearer {}", self.provider.token().await);
        let asked = form_at(&self.host.caller(""), "/oauth/introspect", "token=x", &[("authorization", &bearer)]).await;
        assert_eq!(asked.0, 200, "{}", self.host.log_text());
        self
    }

    /// A form for the gate itself; status and JSON.
    pub(crate) async fn form(&self, path: &str, form: &str) -> (u16, Value) {
        form_at(&self.host.caller(""), path, form, &[]).await
    }

    /// A token of the gate for one of the provider's; the whole answer.
    pub(crate) async fn exchange(&self, token: &str, more: &str) -> Result<Value, Value> {
        let (status, answer) = self.form("/oauth/token", &format!("{EXCHANGE}&subject_token={token}{more}")).await;
        if status == StatusCode::OK { Ok(answer) } else { Err(answer) }
    }

    /// A token of the gate for the workload `ci`.
    pub(crate) async fn token(&self, more: &str) -> String {
        let answer = self.exchange(&self.provider.token().await, more).await.unwrap();
        text(&answer["access_token"]).to_owned()
    }
}

/// A form with these headers besides; status and JSON.
pub(crate) async fn form_at(client: &Client, path: &str, form: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let headers = [&[FORM][..], headers].concat();
    let mut reply = client.send_plain("POST", path, &headers, form.as_bytes()).await;
    let body = reply.rest().await;
    assert_eq!(reply.header("cache-control"), Some("no-store"), "what the gate says itself is never kept");
    (reply.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn tables(url: &str, issuer: &str) -> String {
    format!(
        r#"
[[issuer]]
url = "{url}"
audiences = ["{AUDIENCE}"]
{issuer}
[oauth]
url = "{GATE}"
login = {{ issuer = "{url}", client_id = "{GATE_CLIENT}", client_secret_file = "./gate-secret" }}
[[signals]]
issuer = "{url}"
audiences = ["{EVENTS_FOR}"]
authorization_file = "./stream-secret"
[[grant]]
name = "builds"
issuer = "{url}"
subjects = ["ci*"]
groups = ["builders"]
connections = ["openai"]
direct = true
[[grant]]
name = "night"
issuer = "{url}"
subjects = ["ci"]
connections = ["openai"]
models = ["gpt-*"]
approval = {{ approvers = ["leads"], timeout = "10m" }}
[[grant]]
name = "staff"
issuer = "{url}"
groups = ["staff"]
connections = ["openai"]
models = ["gpt-*"]
operations = ["openai-chat"]
[[grant]]
name = "contractors"
issuer = "{url}"
groups = ["contractors"]
connections = ["openai"]
approval = {{ approvers = ["leads"], timeout = "10m" }}
"#
    )
}

/// Looks again until it is as wanted.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, look: impl Fn() -> F) {
    within(what, async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

/// An upstream that tells a secret, streamed or whole as it is asked.
pub(crate) async fn talkative() -> Upstream {
    let said = format!("my ssn is {SSN} ok");
    Upstream::answering(move |received| {
        let request: Value = serde_json::from_slice(&received.body).unwrap();
        if request["stream"] == true {
            let body = streamed(Channel::Content, &said, 4);
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&body.chunks(50).collect::<Vec<_>>()));
            pieces
        } else {
            let body = whole(Channel::Content, &said);
            vec![json_head(200, body.len()), body]
        }
    })
    .await
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// The code of an error in OpenAI's form.
pub(crate) async fn code(reply: &mut Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.rest().await).unwrap();
    text(&body["error"]["code"]).to_owned()
}
