//! What a server says: one message, a batch, or an event stream of them. Every message is complete in itself.

use model::Speaker;

use super::{
    message::{self, Side},
    names,
};
use crate::{Malformed, documents::Reader, json::Kind, parts::Parts, sheet::Sheet};

/// An answer in progress.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    /// Whether something was said to the server, so that it owes an answer.
    asked: bool,
}

impl Response {
    /// The answer with this HTTP status, to a request with a body or with none.
    pub(super) fn new(status: u16, asked: bool) -> Self {
        Self { status, asked }
    }
}

impl Reader for Response {
    fn speaker(&self) -> Speaker {
        Speaker::Provider
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        if self.status >= 400 && doc.get(0, "jsonrpc").is_none() {
            // What stands before a server may refuse in a form of its own.
            sheet.rest(0);
            return Ok(());
        }
        let messages: Vec<usize> = match doc.kind(0) {
            Kind::Array => doc.items(0).collect(),
            _ => vec![0],
        };
        for (place, &message) in messages.iter().enumerate() {
            let path = if message == 0 { String::new() } else { format!("/{place}") };
            message::read(sheet, message, Side::Server).map_err(|expected| Malformed::Shape { path, expected })?;
        }
        Ok(())
    }

    fn may_be_empty(&self) -> bool {
        self.status != 200 || !self.asked
    }

    fn end(&mut self, _parts: &mut Parts) {}
}
