//! A case, written out: the request that is sent, the bytes that the upstream answers with and where they are cut, and
//! what must come of both.

use super::{
    canary::{CARD_NUMBER, KINDS, Kind},
    frame,
    matrix::{Case, Delivery, Escape, Request, Tokens, Wrap},
    oracle::plain,
    pack::{self, ENCODINGS},
    places::{Dialect, Form, Places, Shape},
};
use crate::rig::Dice;

/// What stands before a canary, and what behind it.
const AROUND: [&str; 2] = ["it is ", " so far"];
/// Marks the place of a cut until bytes are made of it. A character that no text here has.
const MARK: char = '\u{f8ff}';
/// Words with nothing to hide, some of which look as if.
const CLEAN: [&str; 20] = [
    "fox",
    "jumps",
    "über",
    "日本語",
    "🙂",
    "12 apples,",
    "v1.22.3",
    "2026-01-13",
    "#471-1",
    "a/b",
    "x = {y};",
    "411:",
    "1,234.56",
    "jane.roe",
    "at home.net",
    "EMP-20",
    "Ω≈ç",
    "e\u{301}",
    "\u{200b}",
    "DE-9",
];
/// Bytes of a clean text, at least.
const CLEAN_BYTES: usize = 2 << 10;
/// Most bytes of a piece that dribbles in.
const DRIBBLE: usize = 9;

/// A case as bytes.
#[derive(Debug)]
pub(super) struct Made {
    /// Path and query.
    pub path: String,
    /// The request's body.
    pub request_body: Vec<u8>,
    /// The same, packed.
    pub request: Vec<u8>,
    /// How it is packed; empty when it is not.
    pub request_encoding: String,
    /// What must come of the canary in the request.
    pub request_wanted: Wanted,
    /// The answer's body.
    pub body: Vec<u8>,
    /// The answer: its head, then pieces of its body, framed for HTTP.
    pub answer: Vec<Vec<u8>>,
    /// Whether the host must have read a piece before it gets the next one.
    pub apart: bool,
    /// What must come of the canary in the answer.
    pub wanted: Wanted,
}

/// What must come of a canary.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// What must not be readable, in the form of [`plain`].
    pub needles: Vec<String>,
    /// What must be: words, the label, words.
    pub texts: Vec<&'static str>,
    /// Whether there may be something between.
    pub apart: bool,
}

impl Wanted {
    fn of(kind: &Kind, spelled: &str, encoded: bool, alone: bool) -> Self {
        let mut needles = vec![plain(kind.text)];
        if encoded {
            needles.push(plain(spelled));
        }
        let texts = if alone { vec![kind.label] } else { vec![AROUND[0], kind.label, AROUND[1]] };
        Self { needles, texts, apart: encoded }
    }
}

/// Writes a case out.
#[must_use]
pub(super) fn make(case: &Case, places: &Places) -> Made {
    let form = &places.forms[case.form];
    let mut dice = case.dice.clone();
    let kind = &KINDS[case.kind];
    let number = form.number() || form.arguments && case.wrap == Wrap::Number;
    let spelled = if number { CARD_NUMBER.to_owned() } else { case.spelling.write(kind.text, &mut dice) };
    let wanted = Wanted::of(kind, &spelled, case.spelling.encodes(), number);
    let request = &case.request;
    let asked = request.spelling.write(KINDS[request.kind].text, &mut dice);
    let texts = Texts {
        answer: marked(case, kind, &spelled, number, &mut dice),
        header: case.header.then(|| if number { kind.text.to_owned() } else { spelled.clone() }),
        notes: if form.number() { String::new() } else { spelled },
        request: format!("{}{asked}{}", AROUND[0], AROUND[1]),
    };
    let request_wanted = Wanted::of(&KINDS[request.kind], &asked, request.spelling.encodes(), false);
    let wanted = Wanted { apart: case.spelling.encodes() || form.alone, ..wanted };
    Made { wanted, request_wanted, ..write_out(case, places, &texts, &mut dice) }
}

/// A case with nothing to hide in it: a text of some thousand characters in the place of each canary.
#[must_use]
pub(super) fn make_clean(case: &Case, places: &Places) -> Made {
    let mut dice = case.dice.clone();
    let mut text = |length: usize| {
        let mut text = String::new();
        while text.len() < length {
            text.push_str(dice.pick::<&str>(&CLEAN));
            text.push(' ');
        }
        text
    };
    let (mut before, behind, request) = (text(CLEAN_BYTES), text(CLEAN_BYTES), text(CLEAN_BYTES));
    before.push(MARK);
    let texts = Texts { answer: before + &behind, notes: String::new(), header: None, request };
    write_out(case, places, &texts, &mut dice)
}

/// What is said in a case.
struct Texts {
    /// The answer's, with a mark where it is cut.
    answer: String,
    /// What comments and ids say.
    notes: String,
    /// What a header says.
    header: Option<String>,
    /// The request's.
    request: String,
}

fn write_out(case: &Case, places: &Places, texts: &Texts, dice: &mut Dice) -> Made {
    let form = &places.forms[case.form];
    let dialect = &places.dialects[form.dialect];
    let text = if form.arguments { carried(case, &texts.answer) } else { texts.answer.clone() };
    let documents = documents(case, form, &text, dice);
    let frames = match form.shape {
        Shape::Whole(_) => documents,
        Shape::Stream { .. } => frame::stream(dialect, case.grammar, &documents, &texts.notes),
    };
    let segments = segments(case, &frames, dice);
    let body = segments.concat();
    let packed = pack::pack(ENCODINGS[case.encoding], segments, case.flush && case.delivery != Delivery::Together);
    let packed = if case.delivery == Delivery::Dribble { dribble(&packed.concat(), dice) } else { packed };
    let request_body = request(&case.request, dialect, form, &texts.request);
    Made {
        path: form.path.clone(),
        request: pack::pack(ENCODINGS[case.request.encoding], vec![request_body.clone()], false).concat(),
        request_body,
        request_encoding: pack::named(ENCODINGS[case.request.encoding]),
        answer: answer(case, form, dialect, texts.header.as_deref(), packed),
        body,
        apart: case.delivery == Delivery::Apart,
        wanted: Wanted::default(),
        request_wanted: Wanted::default(),
    }
}

/// The text, with a mark where it is cut.
fn marked(case: &Case, kind: &Kind, spelled: &str, number: bool, dice: &mut Dice) -> String {
    let (plain, length) = (kind.text.chars().count(), spelled.chars().count());
    // Spelled otherwise it may be longer: its cuts are spread over all of it.
    let stride = if number { 0 } else { length / plain };
    let cut = if number { case.cut } else { case.cut * length / plain };
    let cut = (cut + if stride > 1 { dice.below(stride) } else { 0 }).min(length);
    let at = spelled.char_indices().nth(cut).map_or(spelled.len(), |(at, _)| at);
    let (before, behind) = spelled.split_at(at);
    let [first, last] = if number { ["", ""] } else { AROUND };
    format!("{first}{before}{MARK}{behind}{last}")
}

/// JSON around it: the text of arguments. The cut may be within an escape.
fn carried(case: &Case, text: &str) -> String {
    let inner = |text: &str| written(text, case.escapes[1]);
    let carried = match case.wrap {
        Wrap::Value => format!("{{\"note\":\"{}\",\"n\":[1,true]}}", inner(text)),
        Wrap::Deep => format!("{{\"a\":[{{\"b\":{{\"c\":\"{}\"}}}}]}}", inner(text)),
        Wrap::Name => format!("{{\"{}\":1}}", inner(text)),
        Wrap::Twice => format!("{{\"note\":\"fine\",\"note\":\"{}\"}}", inner(text)),
        Wrap::Number => format!("{{\"n\": {text}}}"),
        Wrap::None => format!("note {text}"),
    };
    let mut characters: Vec<char> = carried.chars().collect();
    if let Some(at) = characters.iter().position(|c| *c == MARK) {
        characters.remove(at);
        characters.insert((at + case.nudge).min(characters.len()), MARK);
    }
    characters.into_iter().collect()
}

/// Text in a string of JSON. Marks stay.
fn written(text: &str, escape: Escape) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        let escaped = match escape {
            _ if c == MARK => false,
            Escape::Needed => false,
            Escape::Lower | Escape::Upper => true,
            Escape::Second => at % 2 == 0,
            Escape::Ascii => !c.is_ascii(),
        };
        match c {
            _ if escaped => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let code =
                        if escape == Escape::Upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                    out.push_str(&code);
                }
            }
            '"' | '\\' => out.extend(['\\', c]),
            '/' if escape == Escape::Ascii => out.push_str("\\/"),
            _ => out.push(c),
        }
    }
    out
}

/// The pieces in which the text is streamed. Marks stay in what is not cut.
fn pieces(case: &Case, text: &str, dice: &mut Dice) -> Vec<String> {
    match case.tokens {
        Tokens::One => vec![text.to_owned()],
        Tokens::Two => text.split(MARK).map(str::to_owned).collect(),
        Tokens::Three => {
            let mut pieces: Vec<String> = text.split(MARK).map(str::to_owned).collect();
            let long = usize::from(pieces.len() > 1 && pieces[1].len() > pieces[0].len());
            let ends: Vec<usize> = pieces[long].char_indices().map(|(at, _)| at).collect();
            if !ends.is_empty() {
                let behind = pieces[long].split_off(*dice.pick(&ends));
                pieces.insert(long + 1, behind);
            }
            pieces
        }
        Tokens::Words => text.split_inclusive(' ').map(|word| word.replace(MARK, "")).collect(),
        Tokens::Each => text.chars().filter(|c| *c != MARK).map(String::from).collect(),
    }
}

/// The documents of the answer, one for each frame.
fn documents(case: &Case, form: &Form, text: &str, dice: &mut Dice) -> Vec<String> {
    let whole = Hole { piece: text, text, raw: form.raw, escape: case.escapes[0] };
    let (open, piece, beside, close) = match &form.shape {
        Shape::Whole(template) => return vec![whole.fill(template, 0)],
        Shape::Stream { open, piece, beside, close } => (open, piece, beside, close),
    };
    let unmarked: String = text.chars().filter(|c| *c != MARK).collect();
    let around = if piece.is_some() { Hole { text: &unmarked, ..whole } } else { whole };
    let mut documents: Vec<String> = Vec::new();
    let mut put = |hole: &Hole<'_>, template: &str| {
        let document = hole.fill(template, documents.len());
        documents.push(document);
    };
    open.iter().for_each(|template| put(&around, template));
    if let Some(template) = piece {
        for piece in pieces(case, text, dice) {
            put(&Hole { piece: &piece, ..around }, template);
            beside.iter().for_each(|template| put(&around, template));
        }
    }
    close.iter().for_each(|template| put(&around, template));
    documents
}

/// What goes into the holes of a template.
#[derive(Clone, Copy)]
struct Hole<'t> {
    piece: &'t str,
    text: &'t str,
    raw: bool,
    escape: Escape,
}

impl Hole<'_> {
    fn fill(&self, template: &str, number: usize) -> String {
        let mut out = String::with_capacity(template.len() + 256);
        let mut rest = template;
        while let Some((before, hole)) = rest.split_once('«') {
            let (name, behind) = hole.split_once('»').expect("a hole ends");
            out.push_str(before);
            let write = |text: &str| if self.raw { text.to_owned() } else { written(text, self.escape) };
            match name {
                "piece" => out.push_str(&write(self.piece)),
                "text" => out.push_str(&write(self.text)),
                "head" => out.push_str(&write(self.text.split_once(MARK).map_or(self.text, |(head, _)| head))),
                "tail" => out.push_str(&write(self.text.split_once(MARK).map_or("", |(_, tail)| tail))),
                "number" => out.push_str(self.text),
                "n" => out.push_str(&number.to_string()),
                // Behind the event that begins a message.
                "block" => out.push_str(&number.saturating_sub(1).to_string()),
                "bytes" => {
                    let piece: String = self.piece.chars().filter(|c| *c != MARK).collect();
                    let bytes: Vec<String> = piece.bytes().map(|byte| byte.to_string()).collect();
                    out.push_str(&format!("[{}]", bytes.join(",")));
                }
                other => unreachable!("no hole is named {other}"),
            }
            rest = behind;
        }
        out.push_str(rest);
        out
    }
}

/// The body as it is to arrive, before it is packed: cut where frames end and at marks, which go.
fn segments(case: &Case, frames: &[String], dice: &mut Dice) -> Vec<Vec<u8>> {
    let unmarked = |frame: &String| frame.replace(MARK, "").into_bytes();
    match case.delivery {
        Delivery::Together | Delivery::Dribble => vec![frames.iter().flat_map(unmarked).collect()],
        Delivery::Events | Delivery::Apart => {
            let mut segments = Vec::with_capacity(frames.len() + 2);
            for frame in frames {
                let mut ends = Vec::new();
                let mut length = 0;
                for part in frame.split(MARK) {
                    length += part.len();
                    ends.push(length);
                }
                let body = unmarked(frame);
                // The last one is the frame's end. A cut may be within a character, or an escape.
                ends.pop();
                if ends.is_empty() && case.delivery == Delivery::Apart && dice.below(4) == 0 {
                    ends.push(dice.below(body.len().max(1)));
                }
                let mut from = 0;
                for end in ends {
                    let end = (end + case.nudge).clamp(from, body.len());
                    segments.push(body[from..end].to_vec());
                    from = end;
                }
                segments.push(body[from..].to_vec());
            }
            segments.retain(|segment| !segment.is_empty());
            segments
        }
    }
}

fn dribble(body: &[u8], dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut rest = body;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((1 + dice.below(DRIBBLE)).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces
}

/// The answer as HTTP has it.
fn answer(case: &Case, form: &Form, dialect: &Dialect, note: Option<&str>, body: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let content_type = if form.streamed() { frame::content_type(dialect.framing) } else { "application/json" };
    let mut head = format!("HTTP/1.1 {} Status\r\ncontent-type: {content_type}\r\n", form.status);
    let encoding = pack::named(ENCODINGS[case.encoding]);
    if !encoding.is_empty() {
        head.push_str(&format!("content-encoding: {encoding}\r\n"));
    }
    if let Some(note) = note {
        head.push_str(&format!("openai-note: it is {note}\r\nx-note: {note}\r\n"));
    }
    let length = case.length && !form.streamed();
    let framing = if length {
        format!("content-length: {}", body.iter().map(Vec::len).sum::<usize>())
    } else {
        "transfer-encoding: chunked".to_owned()
    };
    head.push_str(&format!("{framing}\r\n\r\n"));
    let mut pieces = vec![head.into_bytes()];
    if length {
        pieces.extend(body);
    } else {
        let body: Vec<&[u8]> = body.iter().map(Vec::as_slice).collect();
        pieces.extend(crate::rig::http_chunks(&body));
    }
    pieces
}

/// The request's body.
fn request(chosen: &Request, dialect: &Dialect, form: &Form, text: &str) -> Vec<u8> {
    let template = &dialect.requests[chosen.body % dialect.requests.len()];
    let stream = if form.streamed() { "true" } else { "false" };
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    let (head, tail) = text.split_at(middle);
    let [text, head, tail] = [text, head, tail].map(|text| written(text, chosen.escape));
    let filled = template.replace("«text»", &text).replace("«head»", &head).replace("«tail»", &tail);
    filled.replace("«stream»", stream).into_bytes()
}
