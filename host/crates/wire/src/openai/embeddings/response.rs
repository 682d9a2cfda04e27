//! Answers that are numbers. The numbers are left alone; every string and name beside them is shown.

use model::{Speaker, Usage};

use crate::{
    Malformed,
    documents::Reader,
    json::Kind,
    openai::{errors, names},
    parts::Parts,
    sheet::Sheet,
};

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Response {
    usage: Usage,
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
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("data" | "results", Kind::Array) => doc.items(value).for_each(|item| read_item(sheet, item)),
                ("usage", _) => {
                    let tokens = doc.count_of(value, "prompt_tokens").unwrap_or(0);
                    self.usage.input_tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
                    sheet.counts(value);
                }
                ("error", _) => errors::tell(sheet, value),
                ("object", _) => sheet.word(value),
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, _parts: &mut Parts) {}

    fn usage(&self) -> Usage {
        self.usage
    }
}

/// Reads a vector, or what was found of one input.
fn read_item(sheet: &mut Sheet<'_>, item: usize) {
    let doc = sheet.doc;
    if doc.kind(item) != Kind::Object {
        return sheet.rest(item);
    }
    for (key, value) in doc.members(item) {
        sheet.key(key);
        match (&*doc.name(key), doc.kind(value)) {
            // A vector of numbers, or the same in base64.
            ("embedding", Kind::Text) => sheet.bulk(value),
            ("embedding" | "category_scores", _) => sheet.vectors(value),
            ("object", _) => sheet.word(value),
            _ => sheet.rest(value),
        }
    }
}
