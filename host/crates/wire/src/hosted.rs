//! Models that the tools of a request name: a tool that runs at the server (an advisor, one that makes images) may ask a
//! model of its own.
//!
//! What must hold: names in what describes arguments are data, all others count.

use crate::{
    json::{Doc, Kind},
    schema,
    target::chooses_model,
};

/// Members in whose values names are data, besides those in which a schema names members.
const DATA: [&str; 7] = ["enum", "const", "default", "example", "examples", "required", "description"];

/// The models that a list of tools names, or one tool. By recursion, which the bound on the nesting of JSON ends.
pub(crate) fn models(doc: Doc<'_>, tools: usize, out: &mut Vec<String>) {
    doc.items(tools).for_each(|item| models(doc, item, out));
    for (key, value) in doc.members(tools) {
        let name = doc.name(key);
        if schema::NAMING.contains(&&*name) || DATA.contains(&&*name) {
            continue;
        }
        if chooses_model(&name) {
            let inside = value..doc.nodes[value].after as usize;
            out.extend(inside.filter(|&node| doc.kind(node) == Kind::Text).map(|node| doc.name(node).into_owned()));
        } else {
            models(doc, value, out);
        }
    }
}
