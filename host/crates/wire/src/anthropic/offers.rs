//! The tools that a request offers, wherever it does: in `tools`; in blocks of its messages that bring more of them
//! (`tool_addition`), or list those of another server (`mcp_tool_listing`); in what may be called of a server
//! (`allowed_tools`). Members that nobody here knows are looked into as well.
//!
//! What must hold: a tool is told by each of its names, and one of which a policy takes away any name goes, with as little
//! around it as can be. What could not be taken out, since it stands in no list, is refused.

use std::{borrow::Cow, collections::BTreeSet};

use super::{block, names};
use crate::{
    Asked, Tool, case,
    frame::Splice,
    hosted,
    json::{Doc, Kind},
    schema, splice,
};

/// What should stand where a tool is offered that could not be taken out.
pub(super) const EXPECTED: &str = "tools in a list, so that each can be taken away";

/// What an object is by where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In no list.
    Apart,
    Message,
    /// An item of any other list.
    Item,
    Tool,
    /// Within one of these.
    Inside,
}

impl Place {
    /// What an object is that is the value of a member of this; `None`: a tool that could not be taken out.
    fn below(self, name: &str) -> Option<Self> {
        match (name, self) {
            ("tools" | "allowed_tools", _) | ("tool" | "definition", Self::Apart | Self::Inside) => None,
            ("tool" | "definition", _) => Some(Self::Tool),
            (_, Self::Apart) => Some(Self::Apart),
            _ => Some(Self::Inside),
        }
    }

    /// What the items are of a list that is the value of a member of this.
    fn items(self, name: &str) -> Self {
        match (name, self) {
            ("tools", _) => Self::Tool,
            ("messages", Self::Apart) => Self::Message,
            _ => Self::Item,
        }
    }

    /// What an object here is by what it says of itself; `None`: a tool that could not be taken out.
    fn of(self, doc: Doc<'_>, object: usize) -> Option<Self> {
        let is_tool = || doc.get(object, "input_schema").is_some() || is_reference(doc, object);
        match self {
            Self::Tool => Some(self),
            _ if !is_tool() => Some(self),
            Self::Message | Self::Item => Some(Self::Tool),
            Self::Apart | Self::Inside => None,
        }
    }

    /// Whether this goes with the last of a list: what would stay of it would mean something else.
    fn goes_with(self, list: &str) -> bool {
        matches!((list, self), ("allowed_tools", _) | ("tools", Self::Tool) | ("content", Self::Message))
    }

    /// Whether names in a member are data, or are read elsewhere.
    fn passes(self, doc: Doc<'_>, object: usize, name: &str) -> bool {
        match name {
            "input" => doc.text_of(object, "type").is_some_and(|kind| block::calls(&kind)),
            "metadata" | "tool_choice" => self == Self::Apart,
            "input_schema" | "input_examples" | "schema" | "configs" => true,
            // A tool has the names in it.
            "allowed_tools" => self == Self::Tool,
            name => schema::NAMING.contains(&name),
        }
    }
}

/// Whether an object names a tool that was defined elsewhere.
fn is_reference(doc: Doc<'_>, object: usize) -> bool {
    doc.text_of(object, "type").is_some_and(|kind| matches!(&*kind, "tool_reference" | "mcp_tool_reference"))
}

/// A member's name; one that the dialect does not have in the spelling in which it counts to any reader.
fn spelled<'a>(doc: Doc<'a>, key: usize) -> Cow<'a, str> {
    let name = doc.name(key);
    if names::known(&name) || schema::NAMING.contains(&&*name) { name } else { case::folded(&name).into() }
}

/// The names of a tool's own: its name, and its type where that says of a tool of the server's something else. A set of
/// tools has no name but its type; it goes by those of the tools that it lists, too. Where there is none it is empty.
fn named<'a>(doc: Doc<'a>, tool: usize) -> Vec<Cow<'a, str>> {
    let mut names: Vec<_> = doc.text_of(tool, "name").into_iter().collect();
    match doc.text_of(tool, "type") {
        _ if is_reference(doc, tool) => names.extend(doc.text_of(tool, "tool_name")),
        // What it defines has the names, and is read as a tool of its own.
        Some(kind) if kind == "tool_definition" && is_object(doc, tool, "definition") => return names,
        Some(kind) if kind == "mcp_toolset_reference" => names.push("mcp_toolset".into()),
        Some(kind) if !names.iter().any(|name| is_of(&kind, name)) => names.push(kind),
        _ => {}
    }
    if names.is_empty() {
        names.push(Cow::default());
    }
    names
}

fn is_object(doc: Doc<'_>, object: usize, member: &str) -> bool {
    doc.get(object, member).is_some_and(|value| doc.kind(value) == Kind::Object)
}

/// Whether a type says no more than a name does: it is that of the caller's own tools, or the name with a date behind it.
fn is_of(kind: &str, name: &str) -> bool {
    let date = kind.strip_prefix(name).and_then(|rest| rest.strip_prefix('_'));
    kind == "custom" || kind == name || date.is_some_and(|date| date.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Tells the tools that a request offers, and the models that these name; else where (RFC 6901) one is that could not be
/// taken out. By recursion, which the bound on the nesting of JSON ends.
pub(super) fn tell(doc: Doc<'_>, asked: &mut Asked) -> Result<(), String> {
    let mut offers = Offers { doc, asked, within: 0 };
    doc.members(0).try_for_each(|(key, value)| offers.member(Place::Apart, 0, (key, value)))
}

/// The tools of a request while they are told.
struct Offers<'a, 'b> {
    doc: Doc<'a>,
    asked: &'b mut Asked,
    /// Tools around the one that is read.
    within: usize,
}

impl Offers<'_, '_> {
    fn member(&mut self, place: Place, object: usize, (key, value): (usize, usize)) -> Result<(), String> {
        let name = spelled(self.doc, key);
        if place.passes(self.doc, object, &name) {
            return Ok(());
        }
        let below = match self.doc.kind(value) {
            Kind::Object => place.below(&name).ok_or_else(String::new).and_then(|below| self.object(below, value)),
            Kind::Array => self.list(place, &name, value),
            _ => Ok(()),
        };
        below.map_err(|path| format!("/{name}{path}"))
    }

    fn list(&mut self, place: Place, name: &str, list: usize) -> Result<(), String> {
        if (name, place) == ("allowed_tools", Place::Apart) {
            return Err(String::new());
        }
        for (at, item) in self.doc.items(list).enumerate() {
            let told = match self.doc.kind(item) {
                Kind::Text if is_list_of_names(name) => {
                    self.asked.tools.push(Tool { name: self.doc.name(item).into_owned(), ..Tool::default() });
                    Ok(())
                }
                Kind::Object => self.object(place.items(name), item),
                Kind::Array => self.list(Place::Item, name, item),
                _ => Ok(()),
            };
            told.map_err(|path| format!("/{at}{path}"))?;
        }
        Ok(())
    }

    fn object(&mut self, place: Place, object: usize) -> Result<(), String> {
        let doc = self.doc;
        let place = place.of(doc, object).ok_or_else(String::new)?;
        if place == Place::Tool {
            self.tool(object);
            self.within += 1;
        }
        doc.members(object).try_for_each(|member| self.member(place, object, member))?;
        if place == Place::Tool {
            self.within -= 1;
        }
        Ok(())
    }

    fn tool(&mut self, tool: usize) {
        let doc = self.doc;
        if self.within == 0 {
            hosted::models(doc, tool, &mut self.asked.tool_models);
        }
        let description = doc.text_of(tool, "description").unwrap_or_default();
        let schema = doc.get(tool, "input_schema").map(|schema| doc.raw(schema)).unwrap_or_default();
        self.asked.tools.extend(named(doc, tool).into_iter().map(|name| Tool {
            name: name.into_owned(),
            description: description.clone().into_owned(),
            parameters: schema.to_owned(),
        }));
        let listed = hosted::listed(doc, tool);
        self.asked.tools.extend(listed.map(|name| Tool { name: name.into_owned(), ..Tool::default() }));
    }
}

/// Whether texts in a list of this name are names of tools.
fn is_list_of_names(name: &str) -> bool {
    matches!(name, "tools" | "allowed_tools")
}

/// What goes of a request with the tools that were taken away: from its lists, and members of its own.
pub(super) fn without(doc: Doc<'_>, removed: &BTreeSet<String>) -> (Vec<Splice>, Vec<&'static str>) {
    let (mut out, mut gone) = (Vec::new(), Vec::new());
    if removed.is_empty() {
        return (out, gone);
    }
    let thin = Thin { doc, removed };
    for (key, value) in doc.members(0) {
        if &*doc.name(key) != "tools" {
            thin.member(Place::Apart, 0, (key, value), &mut out);
            continue;
        }
        let mut within = Vec::new();
        if thin.list(Place::Apart, "tools", value, &mut within) {
            // The API refuses a choice where there is nothing to choose from.
            gone.extend(["tools", "tool_choice"]);
        } else {
            out.append(&mut within);
        }
    }
    let choice = doc.get(0, "tool_choice").and_then(|choice| doc.text_of(choice, "name"));
    if gone.is_empty() && !out.is_empty() && choice.is_some_and(|name| removed.contains(&*name)) {
        gone.push("tool_choice");
    }
    (out, gone)
}

/// A request while tools are taken out of it.
struct Thin<'a> {
    doc: Doc<'a>,
    removed: &'a BTreeSet<String>,
}

impl Thin<'_> {
    /// Whether what has a member goes with it; what goes of it is put into `out`.
    fn member(&self, place: Place, object: usize, (key, value): (usize, usize), out: &mut Vec<Splice>) -> bool {
        let name = spelled(self.doc, key);
        if place.passes(self.doc, object, &name) {
            return false;
        }
        match self.doc.kind(value) {
            Kind::Object => place.below(&name).is_some_and(|below| self.object(below, value, out)),
            Kind::Array => self.list(place, &name, value, out) && place.goes_with(&name),
            _ => false,
        }
    }

    /// Whether nothing stays of a list that had something.
    fn list(&self, place: Place, name: &str, list: usize, out: &mut Vec<Splice>) -> bool {
        let doc = self.doc;
        let goes = |item| match doc.kind(item) {
            Kind::Text => is_list_of_names(name) && self.removed.contains(&*doc.name(item)),
            Kind::Object => self.object(place.items(name), item, out),
            Kind::Array => {
                self.list(Place::Item, name, item, out);
                false
            }
            _ => false,
        };
        let gone: Vec<bool> = doc.items(list).map(goes).collect();
        if gone.contains(&true) {
            out.extend(splice::items(doc, list, &gone));
        }
        !gone.is_empty() && gone.iter().all(|&gone| gone)
    }

    /// Whether an object goes: a tool of which any name was taken away, or what would be nothing without it.
    fn object(&self, place: Place, object: usize, out: &mut Vec<Splice>) -> bool {
        let doc = self.doc;
        let place = place.of(doc, object).unwrap_or(place);
        let taken = |name: &Cow<'_, str>| self.removed.contains(&**name);
        if place == Place::Tool
            && (named(doc, object).iter().any(taken) || hosted::listed(doc, object).any(|name| taken(&name)))
        {
            return true;
        }
        let mut within = Vec::new();
        if doc.members(object).any(|member| self.member(place, object, member, &mut within)) {
            return true;
        }
        out.append(&mut within);
        false
    }
}
