//! The framings of streams, as a server may write them.

use super::{
    matrix::Grammar,
    places::{Dialect, Framing},
};

/// What a stream of this framing says of itself.
#[must_use]
pub(super) fn content_type(framing: Framing) -> &'static str {
    match framing {
        Framing::Sse => "text/event-stream",
        Framing::Lines => "application/x-ndjson",
        Framing::Array => "application/json; charset=UTF-8",
        Framing::Text => "text/plain; charset=utf-8",
    }
}

/// Documents in their frames. `note`: what comments and ids hold, where the grammar has such.
#[must_use]
pub(super) fn stream(dialect: &Dialect, grammar: Grammar, documents: &[String], note: &str) -> Vec<String> {
    let last = documents.len().saturating_sub(1);
    let frames = documents.iter().enumerate();
    match dialect.framing {
        Framing::Sse => frames.map(|(at, it)| event(dialect, grammar, it, note, (at, at == last))).collect(),
        Framing::Lines => frames.map(|(at, it)| line(grammar, it, at == last)).collect(),
        Framing::Array => frames.map(|(at, it)| item(grammar, it, at, at == last)).collect(),
        Framing::Text => documents.to_vec(),
    }
}

fn event(dialect: &Dialect, grammar: Grammar, data: &str, note: &str, (at, last): (usize, bool)) -> String {
    let ends = ["\n", "\r\n", "\r"];
    let mut lines: Vec<String> = Vec::new();
    let (colon, multi) = match grammar {
        // Readers take one space away, which must not be the text's.
        Grammar::Tight if !data.starts_with(' ') => (":", false),
        Grammar::Lines => (": ", true),
        _ => (": ", false),
    };
    if grammar == Grammar::Notes && !note.is_empty() {
        lines.extend([format!(": {note}"), format!("novel: {note}"), format!(":{note}"), format!("id: {note}")]);
    }
    if dialect.named {
        let kind = data.split("\"type\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        lines.push(format!("event{colon}{kind}"));
    }
    match data.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|_| multi) {
        Some(inner) => lines.extend(["data: {".to_owned(), format!("data:{inner}"), "data: }".to_owned()]),
        None => lines.push(format!("data{colon}{data}")),
    }
    if !(last && grammar == Grammar::Unended) {
        lines.push(String::new());
    }
    let mark = if at == 0 && grammar == Grammar::Mark { "\u{feff}" } else { "" };
    let mut out = mark.to_owned();
    for (number, line) in lines.iter().enumerate() {
        out.push_str(line);
        out.push_str(match grammar {
            Grammar::CrLf => ends[1],
            Grammar::Cr => ends[2],
            // CR, then an empty line that ends with LF, would be one line end.
            Grammar::Mixed if line.is_empty() => ends[1],
            Grammar::Mixed => ends[(at + number) % 3],
            _ => ends[0],
        });
    }
    out
}

fn line(grammar: Grammar, document: &str, last: bool) -> String {
    match grammar {
        Grammar::CrLf | Grammar::Mixed => format!("{document}\r\n"),
        Grammar::Lines => format!("\n{document}\n\n"),
        Grammar::Tight => format!(" {document} \n"),
        Grammar::Unended if last => document.to_owned(),
        _ => format!("{document}\n"),
    }
}

fn item(grammar: Grammar, document: &str, at: usize, last: bool) -> String {
    let (before, between, after) = match grammar {
        Grammar::CrLf | Grammar::Mixed => (" [\r\n", "\r\n,\r\n", "\r\n]\r\n"),
        Grammar::Lines | Grammar::Tight => ("[\n", "\n,", "\n]\n\n"),
        _ => ("[", ",", "]"),
    };
    let open = if at == 0 { before } else { between };
    format!("{open}{document}{}", if last { after } else { "" })
}
