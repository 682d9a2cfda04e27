//! The tools that a request offers, wherever it does: in its lists of tools, in items of its conversation that bring more of
//! them, in tools that hold others (a namespace), and in members that nobody here knows.
//!
//! What must hold: a tool is told by every name that some server may know it by, and one of which a policy takes away any
//! name goes. What only looks like tools (schemas, arguments of calls) is left alone.

use std::{borrow::Cow, collections::BTreeSet};

use smallvec::SmallVec;

use super::terms::Members;
use crate::{
    Asked, Tool, case,
    frame::Splice,
    hosted,
    json::{Doc, Kind},
    schema, splice,
};

/// What lets the model call tools of another server: of an empty one some servers say that it lets it call all.
const ALLOWED: &str = "allowed_tools";

/// Types of tools that say nothing of what they are beside their name.
const NAMED: [&str; 4] = ["function", "builtin_function", "custom", "namespace"];

/// Types of a choice that say nothing of what is chosen.
const CHOOSING: [&str; 6] = ["allowed_tools", "any", "auto", "none", "required", "tool"];

/// Members of a tool in which its definition may stand.
const DEFINITIONS: [&str; 2] = ["function", "custom"];

/// Members in which a schema of arguments may stand.
const SCHEMAS: [&str; 4] = ["parameters", "input_schema", "inputschema", "parametersjsonschema"];

/// A member's name in the spelling in which it counts to any reader. Those that the dialect has were seen to have it.
fn spelled<'a>(doc: Doc<'a>, key: usize) -> Cow<'a, str> {
    let name = doc.name(key);
    let is_plain = name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_plain || schema::NAMING.contains(&&*name) { name } else { case::folded(&name).into() }
}

/// The text of a member, however its name is spelled.
fn text_of<'a>(doc: Doc<'a>, object: usize, name: &str) -> Option<Cow<'a, str>> {
    let (_, value) = doc.members(object).find(|&(key, _)| spelled(doc, key) == name)?;
    (doc.kind(value) == Kind::Text).then(|| doc.name(value))
}

/// Whether the items of a list of this name are tools.
fn is_list(name: &str) -> bool {
    matches!(name, "tools" | "functions" | "function_declarations" | "functiondeclarations")
}

/// Whether texts in a list of this name are names of tools.
fn is_list_of_names(name: &str) -> bool {
    is_list(name) || name == ALLOWED
}

/// Whether names in a member are somebody's own, or those of calls of the past.
fn passes(doc: Doc<'_>, name: &str, value: usize) -> bool {
    match doc.kind(value) {
        Kind::Object => {
            matches!(name, "arguments" | "input" | "variables" | "function_call")
                || schema::NAMING.contains(&name)
                || hosted::DATA.contains(&name)
        }
        Kind::Array => name == "tool_calls" || hosted::DATA.contains(&name),
        _ => true,
    }
}

/// Whether an object is a tool by what it says of itself, wherever it stands.
fn is_tool(doc: Doc<'_>, object: usize) -> bool {
    let within = DEFINITIONS.into_iter().filter_map(|name| doc.get(object, name));
    let mut definitions = within.chain([object]).filter(|&definition| text_of(doc, definition, "name").is_some());
    let has = |definition, names: &[&str], kind: Option<Kind>| {
        doc.members(definition)
            .any(|(key, value)| names.contains(&&*spelled(doc, key)) && kind.is_none_or(|kind| doc.kind(value) == kind))
    };
    match text_of(doc, object, "type").as_deref() {
        Some("mcp") => true,
        Some("function" | "custom") => definitions.any(|definition| !has(definition, &["arguments", "input"], None)),
        _ => definitions.any(|definition| has(definition, &SCHEMAS, Some(Kind::Object))),
    }
}

/// All names of a tool, each with the object that has it. Tools that the server has built in have no name but their type,
/// and keep it whatever else they are called; those of other servers that they list are names of theirs too, which no
/// object describes. Where there is no name it is empty.
fn named<'a>(doc: Doc<'a>, tool: usize) -> impl Iterator<Item = (Option<usize>, Cow<'a, str>)> {
    let within = DEFINITIONS.into_iter().filter_map(|name| doc.get(tool, name));
    let mut names: SmallVec<[_; 2]> = within
        .chain([tool])
        .filter_map(|definition| Some((Some(definition), text_of(doc, definition, "name")?)))
        .collect();
    let kind = text_of(doc, tool, "type");
    names.extend(kind.filter(|kind| names.is_empty() || !NAMED.contains(&&**kind)).map(|kind| (Some(tool), kind)));
    names.extend(hosted::listed(doc, tool).map(|name| (None, name)));
    if names.is_empty() {
        names.push((Some(tool), Cow::default()));
    }
    names.into_iter()
}

/// Tells the tools that a request offers, and the models that these name. By recursion, which the bound on the nesting of
/// JSON ends.
pub(super) fn tell(doc: Doc<'_>, members: Members, asked: &mut Asked) {
    let mut offers = Offers { doc, asked, within: 0 };
    let is_choice = |name: &str| members.tools.iter().any(|&(_, choice)| choice == name);
    for (key, value) in doc.members(0) {
        let name = doc.name(key);
        if members.tools.iter().any(|&(list, _)| list == name) {
            offers.list("tools", value);
        } else if !is_choice(&name) && name != "metadata" {
            offers.member(key, value);
        }
    }
    // A choice names what is offered elsewhere, be it with a prompt that the server stores.
    let mut chosen = Asked::default();
    let choices = doc.members(0).filter(|&(key, _)| is_choice(&doc.name(key)));
    choices.for_each(|(_, choice)| Offers { doc, asked: &mut chosen, within: 0 }.choice(choice));
    chosen.tools.retain(|tool| {
        !CHOOSING.contains(&tool.name.as_str()) && !asked.tools.iter().any(|offered| offered.name == tool.name)
    });
    asked.tools.append(&mut chosen.tools);
}

/// The tools of a request while they are told.
struct Offers<'a, 'b> {
    doc: Doc<'a>,
    asked: &'b mut Asked,
    /// Tools around what is read.
    within: usize,
}

impl Offers<'_, '_> {
    fn member(&mut self, key: usize, value: usize) {
        let doc = self.doc;
        let name = spelled(doc, key);
        match doc.kind(value) {
            _ if passes(doc, &name, value) => {}
            Kind::Object if is_list(&name) => self.list("tools", value),
            Kind::Object => self.object(value),
            _ => self.list(&name, value),
        }
    }

    /// Tells what is in a list of this name; a tool that stands alone is a list of one to some servers.
    fn list(&mut self, name: &str, list: usize) {
        let doc = self.doc;
        let alone = (doc.kind(list) == Kind::Object).then_some(list);
        for item in doc.items(list).chain(alone) {
            match doc.kind(item) {
                Kind::Text if is_list_of_names(name) => {
                    self.asked.tools.push(Tool { name: doc.name(item).into_owned(), ..Tool::default() });
                }
                Kind::Array => self.list(name, item),
                _ if is_list(name) => self.tool(item),
                Kind::Object => self.object(item),
                _ => {}
            }
        }
    }

    fn object(&mut self, object: usize) {
        if is_tool(self.doc, object) {
            self.tool(object);
        } else {
            self.doc.members(object).for_each(|(key, value)| self.member(key, value));
        }
    }

    fn tool(&mut self, tool: usize) {
        let doc = self.doc;
        if self.within == 0 {
            hosted::models(doc, tool, &mut self.asked.tool_models);
        }
        self.asked.tools.extend(named(doc, tool).map(|(definition, name)| {
            let get = |name| doc.get(definition?, name);
            let schema = get("parameters").or_else(|| get("format")).or_else(|| get("input_schema"));
            let description = definition.and_then(|definition| doc.text_of(definition, "description"));
            Tool {
                name: name.into_owned(),
                description: description.unwrap_or_default().into_owned(),
                parameters: schema.map(|schema| doc.raw(schema).to_owned()).unwrap_or_default(),
            }
        }));
        self.within += 1;
        for (key, value) in doc.members(tool) {
            match &*doc.name(key) {
                // Those are names of its own, and told.
                ALLOWED if doc.kind(value) == Kind::Array => {}
                name if DEFINITIONS.contains(&name) => {
                    doc.members(value).for_each(|(key, value)| self.member(key, value));
                }
                _ => self.member(key, value),
            }
        }
        self.within -= 1;
    }

    fn choice(&mut self, choice: usize) {
        if self.doc.kind(choice) == Kind::Object {
            self.tool(choice);
        }
    }
}

/// What goes of a request with the tools that were taken away: from its lists, and members of its own.
pub(super) fn without<'a>(
    doc: Doc<'a>,
    members: Members,
    removed: &BTreeSet<String>,
) -> (Vec<Splice>, Vec<Cow<'a, str>>) {
    let (mut out, mut gone) = (Vec::new(), Vec::new());
    if removed.is_empty() {
        return (out, gone);
    }
    let thin = Thin { doc, removed };
    for (key, value) in doc.members(0) {
        let name = doc.name(key);
        if let Some(&(list, choice)) = members.tools.iter().find(|&&(list, _)| list == name) {
            let mut within = Vec::new();
            let goes = match doc.kind(value) {
                Kind::Object => thin.object(value, true, &mut within),
                _ => thin.list("tools", value, &mut within),
            };
            if goes {
                // Servers refuse an empty list, and a choice where there is nothing to choose from.
                gone.extend([name, choice.into()]);
                gone.extend((list == "tools").then_some("parallel_tool_calls".into()));
            } else {
                out.append(&mut within);
            }
        } else if members.tools.iter().any(|&(_, choice)| choice == name) {
            gone.extend(thin.chooses(value).then_some(name));
        } else if name != "metadata" && thin.member(false, key, value, &mut out) == Fate::Member {
            gone.push(name);
        }
    }
    (out, gone)
}

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Member,
    /// What has it goes with it: what would stay of that would mean something else.
    Holder,
}

/// A request while tools are taken out of it.
struct Thin<'a, 'b> {
    doc: Doc<'a>,
    removed: &'b BTreeSet<String>,
}

impl Thin<'_, '_> {
    /// What becomes of a member, of a tool or of another object; what goes of one that stays is put into `out`.
    fn member(&self, of_tool: bool, key: usize, value: usize, out: &mut Vec<Splice>) -> Fate {
        let doc = self.doc;
        let name = spelled(doc, key);
        if passes(doc, &name, value) {
            return Fate::Stays;
        }
        let is_object = doc.kind(value) == Kind::Object;
        let goes = match doc.kind(value) {
            // Its names are the tool's.
            Kind::Object if of_tool && DEFINITIONS.contains(&&*name) => self.members(value, true, out),
            Kind::Object => self.object(value, is_list(&name), out),
            _ => self.list(&name, value, out),
        };
        match goes {
            true if of_tool || (name == ALLOWED && !is_object) => Fate::Holder,
            true if is_object => Fate::Member,
            // What an item of the conversation answers, or brings, must not be missed: its list stays, empty.
            _ => Fate::Stays,
        }
    }

    /// Whether nothing stays of a list that had something.
    fn list(&self, name: &str, list: usize, out: &mut Vec<Splice>) -> bool {
        let doc = self.doc;
        let goes = |item| match doc.kind(item) {
            Kind::Text => is_list_of_names(name) && self.removed.contains(&*doc.name(item)),
            Kind::Array => {
                let mut within = Vec::new();
                let goes = self.list(name, item, &mut within) && is_list_of_names(name);
                if !goes {
                    out.append(&mut within);
                }
                goes
            }
            _ => self.object(item, is_list(name), out),
        };
        let gone: Vec<bool> = doc.items(list).map(goes).collect();
        if gone.contains(&true) {
            out.extend(splice::items(doc, list, &gone));
        }
        !gone.is_empty() && gone.iter().all(|&gone| gone)
    }

    /// Whether an object goes: a tool of which any name was taken away, or what would be nothing without it.
    fn object(&self, object: usize, listed: bool, out: &mut Vec<Splice>) -> bool {
        let doc = self.doc;
        let of_tool = listed || is_tool(doc, object);
        if of_tool && named(doc, object).any(|(_, name)| self.removed.contains(&*name)) {
            return true;
        }
        self.members(object, of_tool, out)
    }

    /// The same of what has these members.
    fn members(&self, object: usize, of_tool: bool, out: &mut Vec<Splice>) -> bool {
        let doc = self.doc;
        let (mut within, mut gone) = (Vec::new(), Vec::new());
        for (key, value) in doc.members(object) {
            match self.member(of_tool, key, value, &mut within) {
                Fate::Stays => {}
                Fate::Member => gone.push(doc.name(key)),
                Fate::Holder => return true,
            }
        }
        out.append(&mut within);
        if !gone.is_empty() {
            out.extend(splice::members(doc, object, &gone.iter().map(|name| &**name).collect::<Vec<_>>()));
        }
        false
    }

    /// Whether a choice names a tool that was taken away.
    fn chooses(&self, choice: usize) -> bool {
        let mut inside = choice..self.doc.nodes[choice].after as usize;
        inside.any(|node| self.doc.kind(node) == Kind::Text && self.removed.contains(&*self.doc.name(node)))
    }
}
