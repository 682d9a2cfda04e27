//! `[[connection.endpoint]]`: endpoints that the operator allows besides those of a connection's dialect.
//!
//! What must hold: a rule's path is in the canonical form in which requests' paths are compared with it.

use std::ops::Range;

use model::{EndpointRule, Family, View};
use toml::Spanned;

use super::{
    Problem, Problems,
    problem::Code,
    read::{Section, choose},
};

/// Methods that a rule can allow. The others are refused before a route is looked for, or have no body to judge.
const METHODS: [(&str, &str); 6] =
    [("GET", "GET"), ("HEAD", "HEAD"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

/// A rule as it is written.
pub(super) struct EndpointTable {
    span: Range<usize>,
    path: Option<Spanned<String>>,
    methods: Vec<Spanned<String>>,
    views: Vec<Spanned<String>>,
}

impl EndpointTable {
    /// Reads one.
    pub(super) fn read(section: &mut Section<'_, '_>, problems: &mut Problems) -> Self {
        Self {
            span: section.span(),
            path: section.needed("path", "\"/v1/rerank\"", problems),
            methods: section.needed_texts("methods", "[\"POST\"]", problems),
            views: section.needed_texts("view", "\"json\"", problems),
        }
    }

    /// The rule, if nothing is wrong with it.
    fn resolve(self, problems: &mut Problems) -> Option<EndpointRule> {
        let path = self.path.and_then(|written| path(written, problems));
        let methods = self.methods.iter().map(|word| choose(word, &METHODS, problems).map(str::to_owned));
        let methods: Option<Vec<String>> = methods.collect::<Vec<_>>().into_iter().collect();
        let views: Vec<Option<View>> = self.views.iter().map(|word| choose(word, &View::ALL, problems)).collect();
        let views: Option<Vec<View>> = views.into_iter().collect();
        Some(EndpointRule {
            path: path?,
            methods: methods.filter(|methods| !methods.is_empty())?,
            views: views.filter(|views| !views.is_empty())?,
        })
    }
}

/// The rules of a connection of this family, whose table stands at `span`.
pub(super) fn rules(
    tables: Vec<EndpointTable>,
    family: Option<Family>,
    span: &Range<usize>,
    problems: &mut Problems,
) -> Vec<EndpointRule> {
    match (family, tables.first()) {
        (Some(Family::Http), None) => problems.push(
            Problem::error(Code::Missing, span.clone(), "the connection allows no endpoint")
                .label("`dialect = \"http\"` needs at least one `[[connection.endpoint]]`")
                .help("for example: path = \"/v1/rerank\", methods = [\"POST\"], view = \"json\""),
        ),
        (Some(Family::Raw), Some(rule)) => problems.push(
            Problem::error(Code::BadValue, rule.span.clone(), "the rule does nothing")
                .label("a connection with `dialect = \"raw\"` passes every request to policies that judge bytes")
                .help("`dialect = \"http\"` serves only what rules allow"),
        ),
        _ => {}
    }
    tables.into_iter().filter_map(|table| table.resolve(problems)).collect()
}

/// Canonical, so nothing in it is to be decoded or resolved; a `*` stands only behind the last `/`.
fn path(written: Spanned<String>, problems: &mut Problems) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':' | b'@');
    let segment_ok = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
    let text = written.get_ref();
    let folder = text.strip_suffix('*').map_or(text.as_str(), |folder| folder);
    let starred_well = folder == text || folder.ends_with('/');
    let inner = folder.strip_suffix('/').unwrap_or(folder);
    let fits = folder == "/" || inner.strip_prefix('/').is_some_and(|path| path.split('/').all(segment_ok));
    if fits && starred_well {
        return Some(written.into_inner());
    }
    problems.push(
        Problem::error(Code::BadValue, written.span(), format!("`{text}` can't be an endpoint's path"))
            .label("segments of letters, digits, `-`, `_`, `.`, `~`, `:`, `@`, after a `/` each; at its end `/*`")
            .help("for example \"/v1/rerank\" or \"/v1/files/*\""),
    );
    None
}
