//! What the tools of a request name that run at the server: one (an advisor, one that makes images) may ask a model of its
//! own, and one that stands for another server (MCP) may list which of that server's tools may be called.
//!
//! What must hold: names in what describes arguments are data, all others count.

use std::borrow::Cow;

use crate::{
    json::{Doc, Kind},
    schema,
    target::chooses_model,
};

/// Members in whose values names are data, besides those in which a schema names members.
pub(crate) const DATA: [&str; 7] = ["enum", "const", "default", "example", "examples", "required", "description"];

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

/// The tools of another server that a tool lets the model call: `allowed_tools` (a list, or an object with `tool_names`), or
/// `configs` by their names, but for those that are switched off.
pub(crate) fn listed(doc: Doc<'_>, tool: usize) -> impl Iterator<Item = Cow<'_, str>> {
    let allowed = doc.get(tool, "allowed_tools");
    let lists = [allowed, allowed.and_then(|allowed| doc.get(allowed, "tool_names"))];
    let texts = lists.into_iter().flatten().flat_map(move |list| doc.items(list));
    let texts = texts.filter(move |&item| doc.kind(item) == Kind::Text);
    let is_on = move |config: usize| doc.get(config, "enabled").is_none_or(|enabled| doc.raw(enabled) != "false");
    let configs = doc.get(tool, "configs").into_iter().flat_map(move |configs| doc.members(configs));
    let on = configs.filter(move |&(_, config)| is_on(config)).map(|(key, _)| key);
    texts.chain(on).map(move |name| doc.name(name))
}
