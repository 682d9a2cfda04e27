//! What a caller could read out of an answer, by every way that we know of: each string, name and number by itself, and
//! all that stand at one place of a stream joined; texts of one list, and of all contents and blocks, joined; JSON inside of
//! strings; escapes undone; bytes of tokens as text; all of it as it reads.
//!
//! What must hold: nothing of the host is in here. JSON is read by serde_json, event streams by the few lines below (WHATWG
//! HTML, 9.2.6), text is brought to one form by Unicode's NFKC and tables of this module's own.

use std::collections::BTreeMap;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::{canary::LOOK_ALIKES, json::Json, places::Framing};

/// How often JSON in a string of JSON is looked into.
const DEPTH: usize = 3;

/// Everything that can be read out of a body.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Strings, names and numbers, joined by their place where they stand in a stream.
    joined: BTreeMap<String, String>,
    /// The same, each by itself.
    single: Vec<String>,
    /// Joined bytes of tokens.
    bytes: BTreeMap<String, Vec<u8>>,
    /// What clients read that take each line of data in an event stream for a document.
    by_line: Vec<Self>,
    /// Whether something of it could not be read as what it must be.
    pub broken: Option<String>,
    /// Whether there is an error in it.
    pub error: bool,
}

impl Read {
    /// Reads a whole body of JSON.
    #[must_use]
    pub(super) fn whole(body: &[u8]) -> Self {
        let mut read = Self::default();
        read.document(body);
        read
    }

    /// What somebody else has read.
    #[must_use]
    pub(super) fn said(texts: Vec<String>) -> Self {
        Self { single: texts, ..Self::default() }
    }

    /// Reads a stream. `raw`: its data is text.
    #[must_use]
    pub(super) fn stream(framing: Framing, raw: bool, body: &[u8]) -> Self {
        let mut read = Self::default();
        match framing {
            Framing::Sse => {
                events(body, &mut read.single).iter().for_each(|data| read.data(raw, data));
                read.by_line = LINES
                    .iter()
                    .map(|ends| {
                        let mut other = Self::default();
                        data_lines(body, ends).iter().for_each(|data| other.data(raw, data));
                        other
                    })
                    .collect();
            }
            Framing::Lines => {
                for line in body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                    read.document(line);
                }
            }
            Framing::Array => match Json::read(&closed(body)) {
                Some(Json::List(items)) => items.iter().for_each(|item| read.event(item)),
                Some(other) => read.event(&other),
                None => read.broken = Some("no array of JSON".to_owned()),
            },
            Framing::Text => read.add("text", &String::from_utf8_lossy(body)),
        }
        read
    }

    /// Reads the data of an event.
    fn data(&mut self, raw: bool, data: &str) {
        if raw {
            self.add("data", data);
        }
        if data != "[DONE]" && (!raw || data.starts_with('{')) {
            self.document(data.as_bytes());
        }
    }

    /// Where one of these is read, if anywhere and by anybody; all in the form of [`plain`].
    #[must_use]
    pub(super) fn find(&self, needles: &[String]) -> Option<String> {
        let own = self.find_here(needles);
        own.or_else(|| self.by_line.iter().find_map(|read| Some(format!("by lines: {}", read.find_here(needles)?))))
    }

    fn find_here(&self, needles: &[String]) -> Option<String> {
        let joined = self.joined.iter().map(|(place, text)| (place.as_str(), text.as_str()));
        let single = self.single.iter().map(|text| ("a string", text.as_str()));
        for (place, text) in joined.chain(single) {
            if reads(text, needles) {
                return Some(format!("{place}: {text:?}"));
            }
        }
        let texts = self.bytes.iter().map(|(place, bytes)| (place, String::from_utf8_lossy(bytes)));
        texts
            .into_iter()
            .find(|(_, text)| reads(text, needles))
            .map(|(place, text)| format!("bytes of {place}: {text:?}"))
    }

    /// Whether these stand in this order in a text that arrived, one directly after the other as it reads. The middle one of
    /// three may stand there twice: a piece that is a value by itself, and the begin of a longer one with the next, is
    /// judged both ways where it is not known what the pieces are.
    #[must_use]
    pub(super) fn arrived(&self, texts: &[&str]) -> bool {
        let once: String = texts.iter().map(|text| plain(text)).collect();
        let twice: Option<String> = match texts {
            [before, instead, behind] => Some([before, instead, instead, behind].map(|text| plain(text)).concat()),
            _ => None,
        };
        let arrived = |said: &str| said.contains(&once) || twice.as_ref().is_some_and(|twice| said.contains(twice));
        self.texts().any(|text| says(text, 0, &arrived))
    }

    /// The same, with whatever between them.
    #[must_use]
    pub(super) fn arrived_apart(&self, texts: &[&str]) -> bool {
        let wanted: Vec<String> = texts.iter().map(|text| plain(text)).collect();
        let in_order = |said: &str| {
            let mut rest = said;
            wanted.iter().all(|wanted| rest.split_once(wanted.as_str()).map(|(_, behind)| rest = behind).is_some())
        };
        self.texts().any(|text| says(text, 0, &in_order))
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.joined.values().chain(&self.single).map(String::as_str)
    }

    fn document(&mut self, text: &[u8]) {
        match Json::read(text) {
            Some(document) => self.event(&document),
            None => {
                let text = String::from_utf8_lossy(text);
                self.broken = Some(format!("no JSON: {text:?}"));
                self.single.push(text.into_owned());
            }
        }
    }

    /// One document of a stream, or the only one. Clients put together what has the same place, where a place is told by
    /// the members that number it.
    fn event(&mut self, document: &Json) {
        let numbered = ["type", "item_id", "output_index", "content_index", "summary_index", "index"];
        let place: Vec<&str> = numbered.iter().filter_map(|name| document.get(name).and_then(Json::scalar)).collect();
        self.error |= document.get("error").is_some_and(|error| *error != Json::Word);
        self.walk(&place.join(","), document);
        self.side_by_side(document.get("type").and_then(Json::scalar).unwrap_or_default(), document);
    }

    /// Texts that SDKs put together (`output_text`, `text_stream`), and models read so: of all items of a list, of all
    /// contents, outputs and blocks. What has an `index` of its own in a list is another answer.
    fn side_by_side(&mut self, place: &str, value: &Json) {
        match value {
            Json::Word | Json::Number(_) | Json::Text(_) => {}
            Json::List(items) => {
                for item in items {
                    let index = item.get("index").and_then(Json::scalar).unwrap_or("*");
                    self.side_by_side(&format!("{place}/{index}"), item);
                }
            }
            Json::Object(members) => {
                for (name, value) in members {
                    let place = format!("{place}/{name}");
                    match value {
                        Json::Text(text) if matches!(&**name, "text" | "delta" | "thinking" | "refusal") => {
                            self.add(&format!("{place}, side by side"), text);
                        }
                        value => self.side_by_side(&place, value),
                    }
                }
            }
        }
    }

    fn walk(&mut self, place: &str, value: &Json) {
        match value {
            Json::Word => {}
            Json::Number(text) | Json::Text(text) => {
                self.add(place, text);
                self.single.push(text.clone());
            }
            Json::List(items) => {
                if let Some(bytes) = value.bytes() {
                    self.bytes.entry(place.to_owned()).or_default().extend(bytes);
                }
                for (at, item) in items.iter().enumerate() {
                    let index = item.get("index").and_then(Json::scalar);
                    // Tokens of a list follow each other.
                    let follows = item.get("token").is_some() || place.ends_with("tokens");
                    let at = if follows { "*".to_owned() } else { index.map_or(at.to_string(), str::to_owned) };
                    self.walk(&format!("{place}/{at}"), item);
                }
            }
            Json::Object(members) => {
                for (name, value) in members {
                    self.single.push(name.clone());
                    self.walk(&format!("{place}/{name}"), value);
                }
            }
        }
    }

    fn add(&mut self, place: &str, text: &str) {
        match self.joined.get_mut(place) {
            Some(joined) => joined.push_str(text),
            None => {
                self.joined.insert(place.to_owned(), text.to_owned());
            }
        }
    }
}

/// Whether a text says one of these, as it is, with its escapes undone, or in JSON that it holds.
fn reads(text: &str, needles: &[String]) -> bool {
    let found = |said: &str| needles.iter().any(|needle| said.contains(needle.as_str()));
    says(text, 0, &found) || text.contains('\\') && found(&plain(&unescaped(text)))
}

/// Whether a text passes a test as it reads, or a string of the JSON that it holds.
fn says(text: &str, depth: usize, test: &dyn Fn(&str) -> bool) -> bool {
    if test(&plain(text)) {
        return true;
    }
    if depth > DEPTH || !text.trim_start().starts_with(['{', '[', '"']) {
        return false;
    }
    Json::read(text.as_bytes()).is_some_and(|json| any_string(&json, &mut |text| says(text, depth + 1, test)))
}

fn any_string(value: &Json, test: &mut dyn FnMut(&str) -> bool) -> bool {
    match value {
        Json::Word => false,
        Json::Number(text) | Json::Text(text) => test(text),
        Json::List(items) => items.iter().any(|item| any_string(item, test)),
        Json::Object(members) => members.iter().any(|(name, value)| test(name) || any_string(value, test)),
    }
}

/// Text as it reads, with nothing left but letters and digits, in lower case.
#[must_use]
pub(super) fn plain(text: &str) -> String {
    if text.is_ascii() {
        return text
            .bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|byte| char::from(byte.to_ascii_lowercase()))
            .collect();
    }
    text.chars()
        .nfkc()
        .filter_map(|c| {
            let latin = LOOK_ALIKES.iter().find(|(_, cyrillic)| *cyrillic == c).map_or(c, |(latin, _)| *latin);
            let digit = DIGITS.iter().find_map(|zero| (u32::from(c)).checked_sub(*zero).filter(|value| *value < 10));
            let plain = digit.and_then(|value| char::from_digit(value, 10)).unwrap_or(latin);
            // Letters that a mark was composed with count as themselves.
            let mut first = None;
            unicode_normalization::char::decompose_canonical(plain, |c| first = first.or(Some(c)));
            first.filter(|c| c.is_alphanumeric() && !is_combining_mark(*c)).map(|c| c.to_ascii_lowercase())
        })
        .collect()
}

/// Zeros of the digits that NFKC leaves.
const DIGITS: [u32; 8] = [0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xe50];

/// Escapes of JSON undone wherever they are valid.
fn unescaped(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let code = rest.strip_prefix("\\u").and_then(|digits| digits.get(..4));
        if let Some(unit) = code.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
            units.push(unit);
            rest = &rest[6..];
            continue;
        }
        if c == '\\' && rest.len() > 1 {
            rest = &rest[1..];
            continue;
        }
        units.extend(c.encode_utf16(&mut [0; 2]).iter());
        rest = &rest[c.len_utf8()..];
    }
    String::from_utf16_lossy(&units)
}

/// The data of events. Lines that no event is made of are put into `others`. What stands behind the last blank line is
/// read too, as some clients do.
fn events(body: &[u8], others: &mut Vec<String>) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut out = Vec::new();
    let mut data: Option<String> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind.strip_prefix("\r\n").or_else(|| behind.get(1..)).unwrap_or_default();
        if line.is_empty() {
            out.extend(data.take());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if field == "data" {
            data = Some(data.map_or_else(|| value.to_owned(), |before| before + "\n" + value));
        } else {
            others.extend([field.to_owned(), value.to_owned()]);
        }
    }
    out.extend(data);
    out
}

/// How lines end for clients that take each line of data for a document: with LF, and as `str.splitlines` in Python has it.
const LINES: [&[char]; 2] =
    [&['\n'], &['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}']];

/// What stands behind `data:` on the lines of a stream.
fn data_lines(body: &[u8], ends: &[char]) -> Vec<String> {
    let body = String::from_utf8_lossy(body);
    let lines = body.split(ends).filter_map(|line| line.strip_prefix("data:"));
    lines.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned()).collect()
}

/// An array that was cut behind an item, closed.
fn closed(body: &[u8]) -> Vec<u8> {
    let body = body.trim_ascii();
    if body.ends_with(b"]") || !body.starts_with(b"[") { body.to_vec() } else { [body, b"]"].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(framing: Framing, body: &str) -> bool {
        Read::stream(framing, false, body.as_bytes()).find(&[plain("078-05-1120")]).is_some()
    }

    #[test]
    fn a_canary_is_read_wherever_it_hides() {
        for body in [
            "data: {\"a\":\"x 078-05-1120\"}\n\n",
            "data: {\"a\":\"\\u0030\\uff178-05\"}\r\rdata: {\"a\":\"-1120\"}\r\r",
            "data: {\"078 05\u{2013}1120\":1}\n\n",
            "data: {\"b\":[{\"index\":1,\"t\":\"078-\"}]}\n\ndata: {\"b\":[{\"index\":0,\"t\":\"x\"},{\"index\":1,\"t\":\"051120\"}]}",
            "data: {\"f\":\"{\\\"n\\\":\\\"\\\\u00\"}\n\ndata: {\"f\":\"3078-05-1120\\\"}\"}\n\n",
            "data: {\"t\":[{\"token\":\"\",\"bytes\":[48,55,56]},{\"token\":\"\",\"bytes\":[48,53,49,49,50,48]}]}\n\n",
            "data: {\"a\":\"078-05-1120\",\"a\":\"fine\"}\n\n",
            ": 0７8-05-1120\n\n",
            "id: 078-05-1120\n\n",
            "data: {\"a\":\n\u{feff}data: \"078-05-1120\"}",
            "data: no JSON 078-05-1120\n\n",
            "data: {\"content\":[{\"text\":\"078-05\"},{\"image\":1},{\"text\":\"-1120\"}]}\n\n",
            "data: {\"type\":\"d\",\"content_index\":0,\"delta\":\"078\"}\n\ndata: {\"type\":\"d\",\"content_index\":1,\"delta\":\"-05-1120\"}\n\n",
            "id: \u{b}data: {\"a\":\"078-05\"}\ndata: {\"a\":\"\"}\n\ndata: {\"a\":\"-1120\"}\n\n",
            ":\rdata: {\"a\":\"x\"}\ndata: {\"a\":\"078-05\"}\ndata: ]\n\ndata: {\"a\":\"-1120\"}\n\n",
            "data: {\"type\":\"d\",\"index\":0,\"delta\":{\"text\":\"078-05\"}}\n\ndata: {\"type\":\"d\",\"index\":2,\"delta\":{\"text\":\"-1120\"}}\n\n",
        ] {
            assert!(found(Framing::Sse, body), "{body}");
        }
        assert!(found(Framing::Array, "[{\"a\":\"078-05\"},{\"a\":\"-1120\"}"));
        assert!(found(Framing::Lines, "{\"a\":\"078-05\"}\n\n{\"a\":\"\u{200b}-11\"}\n{\"a\":\"2\u{660}\"}\n"));
        assert!(found(Framing::Text, "0\u{301}78-05\u{a0}1120"));
    }

    #[test]
    fn what_is_apart_is_not_joined() {
        let body =
            "data: {\"c\":[{\"index\":0,\"t\":\"078-05\"}]}\n\ndata: {\"c\":[{\"index\":1,\"t\":\"-1120\"}]}\n\n";
        assert!(!found(Framing::Sse, body));
        let read = Read::stream(Framing::Sse, false, b"data: {\"a\":\"it is [SS\"}\n\ndata: {\"a\":\"N] so\"}\n\n");
        assert!(read.arrived(&["it is ", "[SSN]", " so"]) && !read.arrived(&["it is ", "so"]));
        assert!(read.arrived_apart(&["it", "so"]) && !read.arrived_apart(&["so", "it"]));
        assert!(Read::whole(b"{\"a\":\"{\\\"b\\\":\\\"it [SSN]\\\"}\"}").arrived(&["it ", "[SSN]"]));
    }

    #[test]
    fn text_as_it_reads() {
        assert_eq!(plain("０７8-٠५\u{1d7ce}\u{200b}é\u{336}Р"), "078050ep");
        assert_eq!(unescaped("\\u0030\\n\\ud83d\\ude00"), "0n😀");
    }
}
