//! The control listener of a running host, and what it tells: the policy set in force, approvals, records.

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{Client, Host, within};

/// Pause between two looks at something that must come to be.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

impl Host {
    /// Asks the control listener.
    ///
    /// # Panics
    /// When it does not answer 200 with JSON.
    pub async fn look(&self, path: &str) -> Value {
        let mut reply = self.operator().send("GET", path, &[], b"").await;
        let body = reply.rest().await;
        assert_eq!(reply.status, 200, "GET {path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("the control listener answers with JSON")
    }

    /// Orders something of the control listener; its status and what it says.
    pub async fn order(&self, path: &str, order: &Value) -> (u16, Value) {
        let body = order.to_string();
        let mut reply =
            self.operator().send("POST", path, &[("content-type", "application/json")], body.as_bytes()).await;
        let body = reply.rest().await;
        (reply.status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The number of the policy set in force.
    pub async fn generation(&self) -> u64 {
        self.look("/v1/policies").await["generation"].as_u64().expect("a generation is a number")
    }

    /// Waits until the policy set in force is as wanted, and returns it.
    pub async fn until_set(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        within(what, async {
            loop {
                let set = self.look("/v1/policies").await;
                if wanted(&set) {
                    return set;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        })
        .await
    }

    /// Waits until a policy with this id is in force.
    pub async fn until_policy(&self, id: &str) -> Value {
        self.until_set(&format!("policy {id} in force"), |set| policies(set).any(|policy| policy == id)).await
    }

    /// Waits until a question is pending, and returns it.
    pub async fn until_asked(&self) -> Value {
        within("a pending approval", async {
            loop {
                let approvals = self.look("/v1/approvals").await;
                let pending =
                    approvals["approvals"].as_array().into_iter().flatten().find(|it| it["state"] == "pending");
                if let Some(pending) = pending {
                    return pending.clone();
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        })
        .await
    }

    /// The record of an exchange, from its first page to its last.
    ///
    /// # Panics
    /// When a page has no entries.
    pub async fn record(&self, exchange: &str) -> Value {
        let mut record = self.look(&format!("/v1/exchanges/{exchange}")).await;
        while let Some(next) = record["next"].as_str() {
            let mut page = self.look(&format!("/v1/exchanges/{exchange}?from={next}")).await;
            let mut entries = record["entries"].as_array().expect("a page has entries").clone();
            entries.append(page["entries"].as_array_mut().expect("a page has entries"));
            page["entries"] = Value::Array(entries);
            record = page;
        }
        record
    }

    /// The records of the newest exchanges, so many at most (the control listener lists 10,000).
    ///
    /// # Panics
    /// When there are none.
    pub async fn records(&self, most: usize) -> Vec<Value> {
        let listed = self.look(&format!("/v1/exchanges?limit={most}")).await;
        let listed = listed["exchanges"].as_array().expect("exchanges are listed");
        let ids: Vec<&str> = listed.iter().filter_map(|exchange| exchange["exchange"].as_str()).collect();
        assert!(!ids.is_empty(), "no exchange is listed");
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            records.push(self.record(id).await);
        }
        records
    }

    /// The metrics, as they are told.
    ///
    /// # Panics
    /// When there are none.
    pub async fn metrics(&self) -> String {
        let mut reply = self.operator().send("GET", "/metrics", &[], b"").await;
        let body = reply.rest().await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&body));
        String::from_utf8(body).expect("metrics are text")
    }

    /// Whoever holds the control token, at the control listener.
    #[must_use]
    pub fn operator(&self) -> Client {
        let file: PathBuf = self.home().join("store/admin.token");
        let token = std::fs::read_to_string(file).expect("a running host has an admin token");
        Client { address: self.control(), token: token.trim().to_owned() }
    }
}

/// Ids of a policy set's policies, in order.
pub fn policies(set: &Value) -> impl Iterator<Item = &str> {
    set["policies"].as_array().into_iter().flatten().filter_map(|policy| policy["id"].as_str())
}

/// The entries of one kind in an exchange's record.
pub fn entries<'a>(record: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    record["entries"].as_array().into_iter().flatten().filter_map(move |entry| entry["entry"].get(kind))
}

/// Whether a text in a record, or in anything else that was told as JSON, holds `text`: in a file of the store it may be
/// squeezed.
#[must_use]
pub fn holds(told: &Value, text: &str) -> bool {
    if told.get("base64").is_some() {
        return String::from_utf8_lossy(&bytes(told)).contains(text);
    }
    match told {
        Value::String(said) => said.contains(text),
        Value::Array(all) => all.iter().any(|one| holds(one, text)),
        Value::Object(all) => all.iter().any(|(name, one)| name.contains(text) || holds(one, text)),
        _ => false,
    }
}

/// Bytes as JSON tells them: the text that they are, or `{"base64": "…"}`.
///
/// # Panics
/// When it is neither.
#[must_use]
pub fn bytes(told: &Value) -> Vec<u8> {
    let encoded = told["base64"].as_str().map(|encoded| STANDARD.decode(encoded).expect("it is Base64"));
    encoded.unwrap_or_else(|| told.as_str().expect("bytes are text, or Base64").as_bytes().to_vec())
}

/// What an exchange's record says was delivered.
#[must_use]
pub fn delivered(record: &Value) -> String {
    let all: Vec<u8> = entries(record, "Chunk").flat_map(|chunk| bytes(&chunk["data"])).collect();
    String::from_utf8_lossy(&all).into_owned()
}
