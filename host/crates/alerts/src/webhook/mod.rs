//! Webhooks, as Standard Webhooks has them (github.com/standard-webhooks, specification of 2023): an alert is one message,
//! signed, and tried again until the receiver has taken it.
//!
//! What must hold: a message has the same id and the same bytes at every attempt, so a receiver can tell it apart from
//! another; a redirect is followed nowhere; no secret is in a `Debug` form, a log line or an error.

mod message;
mod schedule;
mod secret;

use std::{path::Path, time::Duration};

use http::{Request, StatusCode, header};
use model::{Alert, Rule, alert::DeliveryState};
use outbound::Http;

pub use self::secret::Secret;
use self::{message::Message, schedule::due};

/// Time for an attempt, from the name to the end of the answer: the specification recommends 15 to 30 s.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(15);

/// Where alerts are told.
pub struct Webhook {
    name: String,
    url: String,
    /// The first signs first; a receiver takes any.
    secrets: Vec<Secret>,
    rules: Vec<Rule>,
    http: Http,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The receiver has it.
    Yes,
    /// It wants no more from here, of anything.
    Gone,
    /// It does not have it.
    No {
        /// Why.
        cause: String,
        /// When it wants to be asked again, in milliseconds from now.
        after_ms: Option<u64>,
    },
}

impl Webhook {
    /// A receiver. `rules`: what it is told of, all where there are none. `authorities`: PEM file of those that vouch for
    /// it; none: the system's.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the URL or the authorities.
    pub fn new(
        name: String,
        url: String,
        secrets: Vec<Secret>,
        rules: Vec<Rule>,
        authorities: Option<&Path>,
    ) -> Result<Self, String> {
        let http = Http::new(authorities, [&url])?.within(ATTEMPT_DEADLINE);
        Ok(Self { name, url, secrets, rules, http })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is told of; all where there are none.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Tells it of an alert, once, at this time of day.
    pub(crate) async fn tell(&self, alert: &Alert, wall_ms: u64) -> Told {
        let message = Message::of(alert);
        let timestamp = wall_ms / 1000;
        let request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", message.signatures(timestamp, &self.secrets))
            .body(message.body.into_bytes());
        let request = match request {
            Ok(request) => request,
            Err(error) => return Told::No { cause: error.to_string(), after_ms: None },
        };
        let answer = match self.http.tell(request).await {
            Ok(answer) => answer,
            Err(error) => return Told::No { cause: error.to_string(), after_ms: None },
        };
        match answer.status() {
            status if status.is_success() => Told::Yes,
            StatusCode::GONE => Told::Gone,
            status => {
                let after =
                    answer.headers().get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
                let after_ms = after.map(|seconds: u64| seconds.saturating_mul(1000));
                Told::No { cause: format!("it answered {status}"), after_ms }
            }
        }
    }
}

/// Where a delivery stands after so many attempts, at this time of day.
pub(crate) fn after(alert: &Alert, attempts: u32, told: Told, wall_ms: u64) -> DeliveryState {
    match told {
        Told::Yes => DeliveryState::Delivered { at_ms: wall_ms },
        Told::Gone => DeliveryState::GivenUp { at_ms: wall_ms, cause: "it answered 410 Gone".to_owned() },
        Told::No { cause, after_ms } => match due(&alert.id, attempts, after_ms, wall_ms) {
            Some(due_ms) => DeliveryState::Pending { due_ms },
            None => DeliveryState::GivenUp { at_ms: wall_ms, cause },
        },
    }
}
