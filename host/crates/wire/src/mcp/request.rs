//! What a client says: one message, or in revision 2025-03-26 a batch of them.

use model::Speaker;

use super::{
    message::{self, Side},
    names,
};
use crate::{
    Asked, Malformed, ReplyTo, Step,
    documents::Reader,
    json::{Doc, Kind},
    parts::Parts,
    sheet::Sheet,
};

/// Messages of one request that may want an answer.
const BATCH: usize = 256;

/// A request.
#[derive(Debug)]
pub(super) struct Request;

impl Reader for Request {
    fn speaker(&self) -> Speaker {
        Speaker::User
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        let messages: Vec<usize> = match doc.kind(0) {
            Kind::Array => doc.items(0).collect(),
            _ => vec![0],
        };
        if messages.is_empty() {
            return Err(Malformed::Shape { path: String::new(), expected: "a batch with a message" });
        }
        let replies: Vec<ReplyTo> = messages.iter().filter_map(|&message| reply_to(doc, message)).collect();
        if replies.len() > BATCH {
            return Err(Malformed::TooLarge { bound: "batch", limit: BATCH });
        }
        sheet.parts.tell(Step::Asked(Box::new(Asked { parameters: "{}".to_owned(), replies, ..Asked::default() })));
        for (place, &message) in messages.iter().enumerate() {
            let path = if message == 0 { String::new() } else { format!("/{place}") };
            message::read(sheet, message, Side::Client).map_err(|expected| Malformed::Shape { path, expected })?;
        }
        Ok(())
    }

    fn end(&mut self, _parts: &mut Parts) {}
}

/// Which answer a message wants: a notification wants none, and an answer neither.
fn reply_to(doc: Doc<'_>, message: usize) -> Option<ReplyTo> {
    let id = doc.get(message, "id")?;
    let method = doc.text_of(message, "method")?;
    Some(ReplyTo { id: doc.raw(id).to_owned(), method: method.into_owned() })
}
