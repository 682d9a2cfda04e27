//! A frame while it is read: the dialect names what stands where, and text and slots come to be.

use std::ops::Range;

use model::{Channel, PartId, Speaker};

use crate::{
    Finds, ToolCallId,
    frame::{Kind, Slot},
    json::{Doc, Kind as Json, literal, number},
    named,
    nested::{LONG_NUMBER, Nested, long_number},
    parts::{Parts, Source},
    words,
};

/// Encoded files with more bytes than this are not shown as text.
const BULK_BYTES: usize = 256;

/// Digits that a count, or a time in seconds, does not have.
pub(crate) const COUNT_DIGITS: usize = 11;

/// Numbers that things in a list have are smaller, so that none can be somebody's.
pub(crate) const INDICES: u64 = 1_000_000;

/// The indices of one list of choices, by which a client puts together what comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Indices(Option<u64>);

impl Indices {
    /// The index of an item, of which `given` is the member that says it. What does not come in pieces stands by itself,
    /// whatever index it has; what does has one of its own among those that come with it, and behind those before it: a
    /// client that takes the first would else read another one than before.
    pub(crate) fn index(&mut self, sheet: &Sheet<'_>, place: usize, given: Option<usize>) -> Result<u64, &'static str> {
        let index = given.map_or(Some(0), |given| sheet.doc.raw(given).parse().ok());
        let index = index.filter(|index| *index < INDICES).ok_or("an index that is a small whole number")?;
        if sheet.whole {
            return Ok(place as u64);
        }
        if self.0.replace(index).is_some_and(|before| before >= index) {
            return Err("an index of its own, in order");
        }
        Ok(index)
    }
}

/// Digits in a row, signs between them or not, that no encoded file has by chance.
const LONGEST_BY_CHANCE: usize = 13;

/// The same with a hyphen between them.
const HYPHENATED: usize = 9;

/// The same directly behind a plus.
const BEHIND_A_PLUS: usize = 8;

/// Longest value of a structural member that is taken for what it says.
const WORD_BYTES: usize = 48;

/// One JSON document and what is read from it.
pub(crate) struct Sheet<'a> {
    /// The document.
    pub(crate) doc: Doc<'a>,
    /// Where text goes.
    pub(crate) parts: &'a mut Parts,
    /// Where it stands.
    pub(crate) slots: &'a mut Vec<Slot>,
    /// Where the document's lines stand in the frame: offset in the document, offset in the frame. Never empty.
    pub(crate) lines: &'a [(u32, u32)],
    /// Whether the document is the whole body.
    pub(crate) whole: bool,
    /// Whose words the fields are.
    pub(crate) speaker: Speaker,
    /// Names of members that say nothing by themselves.
    pub(crate) known: fn(&str) -> bool,
    /// What is told also where it stands in an encoded file.
    pub(crate) finds: Option<&'a Finds>,
}

impl Sheet<'_> {
    fn place(&self, at: u32) -> u32 {
        let behind = self.lines.partition_point(|(from, _)| *from <= at);
        let line = self.lines.get(behind.saturating_sub(1));
        line.map_or(at, |(from, raw)| raw + (at - from))
    }

    /// Notes that a node holds this text.
    pub(crate) fn slot(&mut self, node: usize, source: Source, kind: Kind, text: Range<u64>, tail: bool) {
        self.push(self.slot_at(node, source, kind, text, tail));
    }

    fn slot_at(&self, node: usize, source: Source, kind: Kind, text: Range<u64>, tail: bool) -> Slot {
        let node = self.doc.nodes[node];
        let (at, end) = (self.place(node.start), self.place(node.end - 1) + 1);
        Slot { source: Some(source), kind, at, end, from: text.start, to: text.end, tail }
    }

    /// Notes that a node holds the text of a source again, about which was decided that it leaves as it is.
    fn spare(&mut self, node: usize, source: Source, kind: Kind, text: Range<u64>, tail: bool) {
        if !self.whole {
            self.parts.spare(self.slot_at(node, source, kind, text, tail));
        }
    }

    /// Notes the place behind an object's `{`, for a member that is not there yet: a string, or with a call whose
    /// arguments are JSON ([`Parts::call_is_json`]) a value.
    pub(crate) fn anchor(&mut self, object: usize, source: Source, name: &'static str, at_text: u64) {
        let alone = self.doc.members(object).next().is_none();
        let at = self.place(self.doc.nodes[object].start) + 1;
        let raw = matches!(source, Source::Call(call) if self.parts.is_json_call(call));
        let kind = Kind::Member { name, alone, raw };
        self.push(Slot { source: Some(source), kind, at, end: at, from: at_text, to: at_text, tail: true });
    }

    fn push(&mut self, slot: Slot) {
        if self.parts.overflowed() {
            return;
        }
        if let Some(run) = slot.source.and_then(|source| self.parts.run_mut(source)) {
            run.live += 1;
        }
        self.slots.push(slot);
    }

    /// More text of a part, from a string; the answer is its range.
    pub(crate) fn say(&mut self, node: usize, part: PartId) -> Range<u64> {
        let doc = self.doc;
        let raw = doc.raw(node);
        let source = Source::Part(part);
        let run = self.parts.run(source);
        let (len, first) = run.map_or((0, false), |run| (run.len, run.live == 0));
        let inside = &raw[1..raw.len() - 1];
        if inside.is_empty() {
            self.slot(node, source, Kind::Text, len..len, self.whole && first);
            return len..len;
        }
        let escaped = doc.nodes[node].escaped;
        let text = self.parts.say(part, |out| {
            if escaped {
                literal::decode(inside, out);
            } else {
                out.push_str(inside);
            }
        });
        self.slot(node, source, Kind::Text, text.clone(), self.whole);
        text
    }

    /// More text of a call's arguments: a string, or a value that is JSON itself. `place`: what is given to a call with
    /// no text goes here.
    pub(crate) fn fill(&mut self, node: usize, call: ToolCallId, place: bool) {
        let doc = self.doc;
        let raw = doc.raw(node);
        if doc.kind(node) == Json::Text {
            let text = self.parts.fill_call(call, |out| literal::decode(&raw[1..raw.len() - 1], out));
            self.slot(node, Source::Call(call), Kind::Text, text, place);
        } else {
            let text = self.parts.fill_call(call, |out| out.push_str(raw));
            self.parts.call_is_json(call);
            self.slot(node, Source::Call(call), Kind::Raw, text, place);
        }
    }

    /// The arguments of a tool call of the past: a string, or a value that is JSON itself.
    pub(crate) fn quote(&mut self, node: usize) {
        let call = self.parts.begin_call(Nested::quoted());
        self.fill(node, call, true);
        self.parts.complete_call(call);
    }

    /// Notes a value that stands for the arguments of a call as long as there are none.
    pub(crate) fn stand_in(&mut self, node: usize, call: ToolCallId) {
        self.slot(node, Source::Call(call), Kind::StandIn, 0..0, true);
    }

    /// Keeps the frame until a call is decided.
    pub(crate) fn hold(&mut self, node: usize, call: ToolCallId) {
        let at = self.place(self.doc.nodes[node].start);
        let source = Some(Source::Call(call));
        self.push(Slot { source, kind: Kind::Hold, at, end: at, from: 0, to: 0, tail: false });
    }

    /// What is added behind the end of a part goes into its last slot in this frame; false when it has none.
    pub(crate) fn tail(&mut self, part: PartId) -> bool {
        if self.parts.overflowed() {
            return false;
        }
        let source = Some(Source::Part(part));
        let last = self.slots.iter_mut().rev().find(|slot| slot.source == source && slot.kind == Kind::Text);
        last.map(|slot| slot.tail = true).is_some()
    }

    /// A value that says again all that one of these sources said that is kept: it changes as the source did. The answer
    /// is which one, in their order; none when the value says anything else.
    pub(crate) fn again(&mut self, node: usize, sources: impl IntoIterator<Item = Source>) -> Option<usize> {
        let text = self.doc.name(node);
        let (place, source) = sources.into_iter().enumerate().find(|&(_, source)| self.parts.repeats(source, &text))?;
        let run = self.parts.run(source)?;
        let spared = run.closed && run.changes.is_empty() && run.echoes.is_empty();
        let (len, tail) = (run.len, run.ended || run.lingers);
        let kind = if matches!(self.doc.kind(node), Json::Text | Json::Key) { Kind::Text } else { Kind::Raw };
        if spared {
            self.spare(node, source, kind, 0..len, tail);
        } else {
            self.slot(node, source, kind, 0..len, tail);
        }
        Some(place)
    }

    /// A field that is never the same twice, and so is not worth being remembered.
    pub(crate) fn fresh(&mut self, node: usize) {
        if self.doc.kind(node) == Json::Text {
            self.once(node, Channel::Field, self.speaker);
        } else {
            self.rest(node);
        }
    }

    /// A string that is a part of its own.
    pub(crate) fn once(&mut self, node: usize, channel: Channel, speaker: Speaker) {
        self.alone(node, channel, speaker);
    }

    /// The same; the answer is the part and where in it the text stands.
    pub(crate) fn alone(&mut self, node: usize, channel: Channel, speaker: Speaker) -> (PartId, Range<u64>) {
        let kind = if self.doc.kind(node) == Json::Number { Kind::Number } else { Kind::Text };
        let (part, text) = self.parts.whole(channel, speaker, &self.doc.name(node));
        self.slot(node, Source::Part(part), kind, text.clone(), true);
        (part, text)
    }

    /// A string, a name or a number that the dialect gives no other meaning. The same one is told once.
    pub(crate) fn field(&mut self, node: usize) {
        self.field_part(node);
    }

    /// The same; the answer is the part that tells it.
    pub(crate) fn field_part(&mut self, node: usize) -> PartId {
        let doc = self.doc;
        let literal = doc.raw(node);
        if let Some(part) = self.parts.remembered(literal).map(|(part, _)| part) {
            return self.repeated(node, part);
        }
        let kind = if doc.kind(node) == Json::Number { Kind::Number } else { Kind::Text };
        let (part, text) = self.parts.whole(Channel::Field, self.speaker, &doc.name(node));
        self.parts.remember(literal, part);
        self.slot(node, Source::Part(part), kind, text, true);
        part
    }

    /// The same, of a value that says what it said when `part` told it.
    pub(crate) fn field_again(&mut self, node: usize, part: PartId) -> PartId {
        if self.parts.remembers(part) { self.repeated(node, part) } else { self.field_part(node) }
    }

    /// A field that a part that is remembered told.
    fn repeated(&mut self, node: usize, part: PartId) -> PartId {
        let source = Source::Part(part);
        let Some(run) = self.parts.run(source) else { return part };
        let (len, spared) = (run.len, run.left_alone());
        let kind = if self.doc.kind(node) == Json::Number { Kind::Number } else { Kind::Text };
        if spared {
            self.spare(node, source, kind, 0..len, true);
        } else {
            self.slot(node, source, kind, 0..len, true);
        }
        part
    }

    /// A member's name, unless it is one that the dialect knows.
    pub(crate) fn key(&mut self, key: usize) {
        if !(self.known)(&self.doc.name(key)) {
            self.field(key);
        }
    }

    /// A string that should be one of the protocol's words; told when it is another.
    pub(crate) fn word(&mut self, value: usize) {
        if !self.is_word(value) {
            self.rest(value);
        }
    }

    /// Whether a value is a string that only says what something is.
    pub(crate) fn is_word(&self, value: usize) -> bool {
        let raw = self.doc.raw(value);
        self.doc.kind(value) == Json::Text
            && raw.len() <= WORD_BYTES
            && (raw == "\"\"" || words::known(&raw[1..raw.len() - 1]))
    }

    /// A string that may be an encoded file; told unless it is one, and long.
    pub(crate) fn bulk(&mut self, value: usize) {
        if !self.is_bulk(value) {
            self.rest(value);
        }
    }

    /// Whether a value is an encoded file, and long, and holds nothing that must be seen.
    pub(crate) fn is_bulk(&self, value: usize) -> bool {
        if self.doc.kind(value) != Json::Text {
            return false;
        }
        let text = self.doc.name(value);
        is_bulk(&text) && !self.finds.is_some_and(|finds| finds(text.as_bytes()))
    }

    /// The same, of a value that can be text as well: only one that says that it is a file.
    pub(crate) fn is_file(&self, value: usize) -> bool {
        self.is_bulk(value) && self.doc.raw(value).starts_with("\"data:")
    }

    /// The encoded file of an object that says what it is in one of these members; told where any of them says that it is
    /// text.
    pub(crate) fn bulk_of(&mut self, value: usize, object: usize, kinds: &[&str]) {
        let mut kinds = kinds.iter().filter_map(|kind| self.doc.text_of(object, kind));
        if kinds.any(|kind| is_textual(&kind)) {
            self.rest(value);
        } else {
            self.bulk(value);
        }
    }

    /// All strings, names, long numbers and lists of bytes in a value, as fields; in a whole body with their names as well.
    pub(crate) fn rest(&mut self, value: usize) {
        self.fields(value);
        self.with_names(value);
    }

    /// All strings, names, long numbers and lists of bytes in a value, as fields.
    pub(crate) fn fields(&mut self, value: usize) {
        match self.doc.kind(value) {
            Json::Word => return,
            Json::Number if !long_number(self.doc.raw(value)) => return,
            _ => {}
        }
        self.walk(value, &mut |sheet, node| sheet.field(node));
        for node in value..self.doc.nodes[value].after as usize {
            self.bytes(node);
        }
    }

    /// In a whole body, the values in a value with their names.
    pub(crate) fn with_names(&mut self, value: usize) {
        let own = value.checked_sub(1).filter(|&key| self.doc.kind(key) == Json::Key);
        let plain = own.is_some_and(|key| (self.known)(&self.doc.name(key)));
        // An id comes in each event, and says the same under the same name.
        if self.whole && !(plain && matches!(self.doc.kind(value), Json::Text | Json::Number)) {
            self.named(value, Channel::Field, self.speaker);
        }
    }

    /// All strings, names and long numbers in a value, each a part of its own.
    pub(crate) fn all(&mut self, value: usize, channel: Channel, speaker: Speaker) {
        self.walk(value, &mut |sheet, node| sheet.once(node, channel, speaker));
        for node in value..self.doc.nodes[value].after as usize {
            self.bytes(node);
        }
        self.named(value, channel, speaker);
    }

    /// Tells the values in a value with their names, besides what is told of them alone.
    pub(crate) fn named(&mut self, value: usize, channel: Channel, speaker: Speaker) {
        self.named_as(value, (channel, speaker), long_number);
    }

    /// The same, of numbers those that are `long`.
    fn named_as(&mut self, value: usize, voice: (Channel, Speaker), long: fn(&str) -> bool) {
        let Some((part, places)) = named::tell(self.parts, self.doc, value, voice, long) else { return };
        for (node, text) in places {
            let kind = if self.doc.kind(node) == Json::Number { Kind::Number } else { Kind::Text };
            self.slot(node, Source::Part(part), kind, text, false);
        }
    }

    /// A list of numbers that may be the bytes of a text: told as that text, and gone once that is changed.
    pub(crate) fn bytes(&mut self, list: usize) {
        let doc = self.doc;
        if doc.kind(list) != Json::Array || doc.items(list).any(|item| doc.kind(item) != Json::Number) {
            return;
        }
        let bytes: Vec<u8> = doc.items(list).filter_map(|item| doc.raw(item).parse().ok()).collect();
        if bytes.len() >= LONG_NUMBER && 2 * bytes.len() >= doc.items(list).count() {
            let (part, text) = self.parts.whole(Channel::Field, self.speaker, &String::from_utf8_lossy(&bytes));
            self.slot(list, Source::Part(part), Kind::Null, text, true);
        }
    }

    /// All strings, names and lists of bytes in a value, as fields, and its numbers where they have more digits than what
    /// they count.
    pub(crate) fn counts(&mut self, value: usize) {
        self.but_for(value, |literal| number::whole_digits(literal) >= COUNT_DIGITS);
        for node in value..self.doc.nodes[value].after as usize {
            self.bytes(node);
        }
    }

    /// Numbers that are vectors: all strings and names in a value, and its numbers where they are long before the point,
    /// which no coordinate is.
    pub(crate) fn vectors(&mut self, value: usize) {
        self.but_for(value, |literal| number::whole_digits(literal) >= LONG_NUMBER);
    }

    /// All strings and names in a value, and of its numbers those that are `long`; in a whole body with their names as well.
    fn but_for(&mut self, value: usize, long: fn(&str) -> bool) {
        let mut said = false;
        self.walk(value, &mut |sheet, node| {
            if sheet.doc.kind(node) != Json::Number || long(sheet.doc.raw(node)) {
                said = true;
                sheet.field(node);
            }
        });
        let has_names = |node| self.doc.kind(node) == Json::Key;
        if said && self.whole && (value..self.doc.nodes[value].after as usize).any(has_names) {
            self.named_as(value, (Channel::Field, self.speaker), long);
        }
    }

    /// Hands out all strings, names that the dialect does not know, and long numbers in a value.
    pub(crate) fn walk(&mut self, value: usize, tell: &mut dyn FnMut(&mut Self, usize)) {
        let doc = self.doc;
        let mut type_of = false;
        for node in value..doc.nodes[value].after as usize {
            if self.parts.overflowed() {
                return;
            }
            let skip = std::mem::take(&mut type_of) && self.is_word(node);
            match doc.kind(node) {
                Json::Text if !skip => tell(self, node),
                Json::Key => {
                    let name = doc.name(node);
                    type_of = name == "type";
                    if !(self.known)(&name) {
                        tell(self, node);
                    }
                }
                Json::Number if long_number(doc.raw(node)) => tell(self, node),
                _ => {}
            }
        }
    }
}

/// Types of files that are text: how the names end that are not below one of [`TEXTUAL`].
const TEXTUAL_ENDS: [&str; 26] = [
    "json",
    "xml",
    "yaml",
    "csv",
    "javascript",
    "ecmascript",
    "typescript",
    "sql",
    "graphql",
    "rtf",
    "toml",
    "x-sh",
    "x-csh",
    "x-python",
    "x-perl",
    "x-ruby",
    "x-tcl",
    "php",
    "x-tex",
    "x-latex",
    "x-texinfo",
    "x-troff",
    "x-pem-file",
    "pem-certificate-chain",
    "x-www-form-urlencoded",
    "x-subrip",
];

/// The same, how they begin: text, and mail, of which most is.
const TEXTUAL: [&str; 3] = ["text/", "message/", "multipart/"];

/// Whether a file of this type is text: encoded it can be read all the same, by policies too. One of no type is
/// (RFC 2397, 2).
fn is_textual(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.is_empty()
        || TEXTUAL.iter().any(|begin| essence.starts_with(begin))
        || TEXTUAL_ENDS.iter().any(|end| essence.ends_with(end))
}

/// Whether this is a long run of base64 (RFC 4648), with or without the head of a data URL (RFC 2397). What spells out a
/// number between letters that mean nothing is none.
fn is_bulk(text: &str) -> bool {
    let payload = match text.strip_prefix("data:").and_then(|url| url.split_once(";base64,")) {
        Some((kind, _)) if is_textual(kind) => return false,
        Some((kind, payload)) if kind.len() < WORD_BYTES => payload,
        _ => text,
    };
    payload.len() > BULK_BYTES && is_base64(payload) && !spells_a_number(payload)
}

/// Whether a text is base64 in one of its two alphabets, whole.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let fits = if padding > 0 { padding <= 2 && text.len().is_multiple_of(4) } else { digits.len() % 4 != 1 };
    let among = |signs: [u8; 2]| digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || signs.contains(&byte));
    fits && (among(*b"+/") || among(*b"-_"))
}

/// Whether a text has digits in a row as numbers have that are somebody's: so many, or fewer with hyphens between them or
/// a plus before them. By chance this comes once in a hundred million characters.
fn spells_a_number(text: &str) -> bool {
    let digits = |run: &str| run.bytes().filter(u8::is_ascii_digit).count();
    let begin = |run: &str| run.bytes().take_while(u8::is_ascii_digit).count();
    text.split(|char: char| char.is_ascii_alphabetic() || char == '=').any(|run| {
        digits(run) >= LONGEST_BY_CHANCE
            || (run.contains('-') && digits(run) >= HYPHENATED)
            || run.split('+').skip(1).any(|run| begin(run) >= BEHIND_A_PLUS)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::json::{Rules, Tape};

    /// Reads a document that came in pieces, of which each begins a line of the frame: at these offsets in the document
    /// and in the frame.
    pub(crate) fn read(text: &str, lines: &[(u32, u32)], parts: &mut Parts, act: impl FnOnce(&mut Sheet<'_>)) {
        let mut tape = Tape::default();
        let doc = tape.read(text.as_bytes(), Rules { depth: 64, duplicates: false }).unwrap();
        let (speaker, mut slots) = (Speaker::Provider, Vec::new());
        let slots = &mut slots;
        act(&mut Sheet { doc, parts, slots, lines, whole: false, speaker, known: |_| false, finds: None });
    }

    #[test]
    fn what_stands_on_many_lines_is_found_on_its_own() {
        const LINES: u32 = 1_000_000;
        // On line n, behind "data:": its bytes have moved by five for each line up to there.
        let text = format!("[{}0]", "0,\n".repeat(LINES as usize));
        let mut lines = vec![(0, 5)];
        lines.extend((0..LINES).map(|line| (4 + 3 * line, 4 + 3 * line + 5 * (line + 2))));
        read(&text, &lines, &mut Parts::default(), |sheet| {
            assert_eq!(sheet.place(0), 5);
            for line in 0..LINES {
                let at = sheet.doc.nodes[line as usize + 1].start;
                assert_eq!(sheet.place(at), at + 5 * (line + 1));
            }
        });
    }

    #[test]
    fn what_is_beyond_the_bound_takes_no_room() {
        let many: Vec<String> = (0..300_000).map(|at| format!("\"{at}x\"")).collect();
        let mut parts = Parts::default();
        read(&format!("[{}]", many.join(",")), &[(0, 0)], &mut parts, |sheet| {
            sheet.rest(0);
            assert!(sheet.parts.bounded().is_err());
            assert_eq!(sheet.slots.len(), 100_000);
        });
    }
}
