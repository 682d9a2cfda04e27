//! One choice of a completion, piece by piece.
//!
//! What must hold: its text is one part from its first piece to its `finish_reason`; log probabilities of changed text
//! don't leave.

use model::{Channel, PartId, Speaker};

use crate::{
    json::Kind,
    openai::{
        Wrong, choices,
        choices::At,
        logprobs,
        logprobs::{Form, Of, Spoken, Trail},
    },
    parts::Parts,
    sheet::Sheet,
    strays::Strays,
};

/// One choice.
#[derive(Debug, Default)]
pub(super) struct Choice {
    text: Option<PartId>,
    /// What the tokens say where it is not what they stand beside, in each form.
    tokens: Vec<((Of, Form), PartId)>,
    trails: [Trail; 3],
    strays: Strays,
    finished: bool,
}

impl choices::Choice for Choice {
    fn read(&mut self, sheet: &mut Sheet<'_>, choice: usize, at: &At<'_>) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let (mut spoken, mut tokens, mut ids, mut finish) = (None, None, None, false);
        self.strays.piece();
        for (key, value) in doc.members(choice) {
            match (&*doc.name(key), doc.kind(value)) {
                ("text", Kind::Text) => spoken = self.say(sheet, value)?,
                ("text", Kind::Number) => return Err("a choice whose text is text"),
                ("logprobs", Kind::Object) => tokens = Some(value),
                ("token_ids", Kind::Array) => ids = Some(value),
                ("finish_reason", _) => {
                    finish = doc.kind(value) == Kind::Text && doc.raw(value).len() > 2;
                    sheet.word(value);
                }
                ("index", Kind::Number) => sheet.rest(value),
                (name, _) => {
                    sheet.key(key);
                    if self.finished { sheet.rest(value) } else { self.strays.read(sheet, value, name) }
                }
            }
        }
        if let Some(value) = tokens {
            self.tokens(sheet, value, spoken.as_ref())?;
        }
        if let Some(ids) = ids {
            logprobs::void(sheet, ids, self.text.into_iter());
        }
        self.strays.end(sheet.parts);
        if finish && !sheet.whole {
            let room = self.text.is_some_and(|part| sheet.tail(part));
            self.finish(sheet.parts, (!room).then_some(at));
        }
        Ok(())
    }

    fn end(&mut self, parts: &mut Parts, at: &At<'_>) {
        self.finish(parts, Some(at));
    }
}

impl Choice {
    fn say(&mut self, sheet: &mut Sheet<'_>, node: usize) -> Result<Option<Spoken>, Wrong> {
        if self.finished {
            let silent = sheet.doc.raw(node).len() <= 2;
            return if silent { Ok(None) } else { Err("a choice with no text behind its finish_reason") };
        }
        let part = *self.text.get_or_insert_with(|| sheet.parts.begin(Channel::Content, Speaker::Assistant));
        let range = sheet.say(node, part);
        Ok(Some(Spoken { node, part, range }))
    }

    fn tokens(&mut self, sheet: &mut Sheet<'_>, value: usize, spoken: Option<&Spoken>) -> Result<(), Wrong> {
        for (of, tokens) in logprobs::read(sheet, value)? {
            let spoken = spoken.filter(|_| of == Of::Content);
            tokens.cover(sheet, value, spoken, &mut self.trails[of as usize], |parts, form| {
                if let Some((_, part)) = self.tokens.iter().find(|(known, _)| *known == (of, form)) {
                    return *part;
                }
                let part = parts.begin(Channel::Logprobs, Speaker::Assistant);
                self.tokens.push(((of, form), part));
                part
            });
        }
        Ok(())
    }

    /// Nothing more comes; text that is added behind the end goes into an event of its own where there is no `room`.
    fn finish(&mut self, parts: &mut Parts, extra: Option<&At<'_>>) {
        if let Some(part) = self.text.take() {
            if let Some(at) = extra {
                parts.extra(part, |parts| at.extra(parts, "\"text\":\"", "\""));
            }
            parts.end(part);
        }
        for (_, part) in self.tokens.drain(..) {
            parts.end(part);
        }
        self.strays.finish(parts);
        self.finished = true;
    }
}
