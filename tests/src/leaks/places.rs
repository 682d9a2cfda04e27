//! Where an answer carries text: what `places.toml` says, as forms that a case is made of. A place that can be streamed
//! and whole is two forms.

use serde::Deserialize;

/// How a streamed answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Framing {
    /// Events of a stream.
    Sse,
    /// A JSON document on each line.
    Lines,
    /// Items of one JSON array.
    Array,
    /// Text, with nothing around it.
    Text,
}

/// What must come of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Expects {
    /// It arrives, masked.
    #[default]
    Masked,
    /// The answer is refused, in an error.
    Refused,
    /// The answer arrives; the text need not.
    Gone,
}

/// A dialect as it is spoken here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Dialect {
    /// Its name.
    pub name: String,
    path: String,
    stream_path: Option<String>,
    /// How its streams are framed.
    pub framing: Framing,
    /// Whether an event is named by its `type`.
    #[serde(default)]
    pub named: bool,
    envelope: Option<String>,
    whole_envelope: Option<String>,
    #[serde(default)]
    open: Vec<String>,
    #[serde(default)]
    close: Vec<String>,
    /// Bodies of requests, with a hole for the canary.
    pub requests: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Place {
    name: String,
    dialects: Vec<String>,
    open: Option<Vec<String>>,
    piece: Option<String>,
    beside: Option<String>,
    close: Option<Vec<String>>,
    whole: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    arguments: bool,
    #[serde(default)]
    raw: bool,
    #[serde(default)]
    alone: bool,
    #[serde(default)]
    expects: Expects,
}

#[derive(Deserialize)]
struct Book {
    dialect: Vec<Dialect>,
    place: Vec<Place>,
}

/// The documents of an answer.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// One document.
    Whole(String),
    /// Events, lines, items or text.
    Stream {
        /// Before the text.
        open: Vec<String>,
        /// For each piece of the text, where it can come in pieces.
        piece: Option<String>,
        /// After each piece.
        beside: Option<String>,
        /// Behind the text.
        close: Vec<String>,
    },
}

/// A place in whole answers, or in streamed ones.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// `openai-chat/content/stream`.
    pub name: String,
    /// Its dialect's place in the list of them.
    pub dialect: usize,
    /// Path and query that are asked.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
    /// Its documents.
    pub shape: Shape,
    /// Whether the text is JSON that holds the canary.
    pub arguments: bool,
    /// Whether the text stands there as it is.
    pub raw: bool,
    /// Whether its pieces are judged by themselves too, so that more than the canary may be taken away.
    pub alone: bool,
    /// What must come of it.
    pub expects: Expects,
}

impl Form {
    /// Whether it is streamed.
    #[must_use]
    pub(super) fn streamed(&self) -> bool {
        matches!(self.shape, Shape::Stream { .. })
    }

    /// Whether the canary stands there as a number.
    #[must_use]
    pub(super) fn number(&self) -> bool {
        let has = |text: &String| text.contains("«number»");
        match &self.shape {
            Shape::Whole(whole) => has(whole),
            Shape::Stream { open, close, .. } => open.iter().chain(close).any(has),
        }
    }
}

/// All dialects and forms.
#[derive(Debug)]
pub(super) struct Places {
    /// The dialects.
    pub dialects: Vec<Dialect>,
    /// The forms.
    pub forms: Vec<Form>,
}

impl Places {
    /// Reads the list.
    ///
    /// # Panics
    /// When it is not as it says of itself.
    #[must_use]
    pub(super) fn read() -> Self {
        let book: Book = toml::from_str(include_str!("places.toml")).expect("places.toml is TOML of this shape");
        let mut forms = Vec::new();
        for place in &book.place {
            for (nth, name) in place.dialects.iter().enumerate() {
                let at = book.dialect.iter().position(|dialect| dialect.name == *name);
                let at = at.expect("a place is in dialects that are there");
                place.forms(at, &book.dialect[at], nth == 0, &mut forms);
            }
        }
        Self { dialects: book.dialect, forms }
    }
}

impl Place {
    fn forms(&self, at: usize, dialect: &Dialect, first: bool, into: &mut Vec<Form>) {
        let form = |kind: &str, path: &str, shape| Form {
            name: format!("{}/{}/{kind}", dialect.name, self.name),
            dialect: at,
            path: path.to_owned(),
            status: self.status.unwrap_or(200),
            shape,
            arguments: self.arguments,
            raw: self.raw,
            alone: self.alone,
            expects: self.expects,
        };
        let within = |envelope: &Option<String>, text: &String| match (text.strip_prefix('='), envelope) {
            (Some(text), _) => text.to_owned(),
            (None, Some(envelope)) => envelope.replace("«inner»", text),
            (None, None) => text.clone(),
        };
        // Where two dialects differ in how they stream, whole answers are those of the first.
        if let Some(whole) = self.whole.as_ref().filter(|_| first) {
            let envelope = if dialect.whole_envelope.is_some() { &dialect.whole_envelope } else { &dialect.envelope };
            into.push(form("whole", &dialect.path, Shape::Whole(within(envelope, whole))));
        }
        if self.open.is_none() && self.piece.is_none() && self.close.is_none() {
            return;
        }
        let all = |own: &Option<Vec<String>>, usual: &[String]| -> Vec<String> {
            own.as_deref().unwrap_or(usual).iter().map(|text| within(&dialect.envelope, text)).collect()
        };
        let shape = Shape::Stream {
            open: all(&self.open, &dialect.open),
            piece: self.piece.as_ref().map(|text| within(&dialect.envelope, text)),
            beside: self.beside.as_ref().map(|text| within(&dialect.envelope, text)),
            close: all(&self.close, &dialect.close),
        };
        into.push(form("stream", dialect.stream_path.as_ref().unwrap_or(&dialect.path), shape));
    }
}
