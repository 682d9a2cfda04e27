//! An alert as a message, and its signatures.

use jiff::Timestamp;
use model::Alert;
use serde_json::json;

use super::Secret;

/// The type of the only kind of message there is.
const TYPE: &str = "alert.raised";

/// A message: made of what of an alert never changes, so that every attempt has the same bytes.
pub(super) struct Message {
    /// The same at every attempt. No `.` in it, which would make the signed text ambiguous.
    pub(super) id: String,
    /// JSON.
    pub(super) body: String,
}

impl Message {
    pub(super) fn of(alert: &Alert) -> Self {
        let at = i64::try_from(alert.first_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let body = json!({
            "type": TYPE,
            "timestamp": at.unwrap_or_default().to_string(),
            "data": {
                "id": alert.id,
                "rule": alert.rule,
                "subject": alert.subject,
                "detail": alert.detail,
            },
        });
        Self { id: format!("msg_{}", alert.id), body: body.to_string() }
    }

    /// One signature for each secret, over id, time of the attempt (seconds since 1970) and body.
    pub(super) fn signatures(&self, timestamp: u64, secrets: &[Secret]) -> String {
        let content = format!("{}.{timestamp}.{}", self.id, self.body);
        secrets.iter().map(|secret| secret.sign(content.as_bytes())).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use model::{AlertId, Rule, Subject};

    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specifications_example() {
        // The vector of the reference libraries.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let message = Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(), body: r#"{"test": 2432232314}"#.into() };
        let signed = message.signatures(1_614_265_330, std::slice::from_ref(&secret));
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let other = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx").unwrap();
        let both = message.signatures(1_614_265_330, &[other, secret]);
        assert!(both.ends_with(&format!(" {signed}")), "{both}");
    }

    #[test]
    fn a_message_stays_the_same_while_its_alert_goes_on() {
        let subject = Subject::caller("https://id.example", "ann\"\n.");
        let mut alert = Alert::new(AlertId::new(), Rule::UnusualVolume, subject, "x".into(), 1_700_000_000_000);
        let before = Message::of(&alert);
        (alert.count, alert.last_ms) = (99, 1_800_000_000_000);
        let after = Message::of(&alert);
        assert_eq!((&before.id, &before.body), (&after.id, &after.body));
        assert!(!before.id.contains('.'));
        let read: serde_json::Value = serde_json::from_str(&before.body).unwrap();
        assert_eq!(read["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(read["data"]["rule"], "unusual-volume");
        assert_eq!(read["data"]["subject"]["kind"], "caller");
    }
}
