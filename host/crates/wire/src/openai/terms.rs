//! What a request asks for besides its conversation: model, tools, parameters; and what policies make of these.
//!
//! What must hold: a tool is told by every name that some server may know it by, wherever in the request it is offered; one
//! of which a policy takes away any name goes.

use std::{borrow::Cow, collections::BTreeSet};

use model::{Channel, Speaker};
use smallvec::SmallVec;

use crate::{
    Asked, Malformed, Tool,
    frame::Splice,
    hosted,
    json::{Doc, Kind},
    sheet::Sheet,
    splice::{self, Patch},
    target::{self, Named},
};

/// A list of tools: of a request, of an item of its conversation, of a tool that stands for several.
const TOOLS: &str = "tools";

/// Types of tools that say nothing of what they are beside their name.
const NAMED: [&str; 4] = ["function", "builtin_function", "custom", "namespace"];

/// Which members of a request are no parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members {
    /// Those that hold the conversation.
    pub(crate) conversation: &'static [&'static str],
    /// Lists of tools, and the member that chooses among each.
    pub(crate) tools: &'static [(&'static str, &'static str)],
}

/// What one request asks for.
#[derive(Debug)]
pub(crate) struct Terms {
    members: Members,
    /// The model that the path names.
    named: Named,
    removed: BTreeSet<String>,
    patch: Patch,
}

impl Terms {
    /// Of a request with these members.
    pub(crate) fn new(members: Members) -> Self {
        Self { members, named: Named::default(), removed: BTreeSet::new(), patch: Patch::default() }
    }

    /// The same at this path. Some paths name the model (Azure's `/openai/deployments/NAME/…`), whatever the body says.
    pub(crate) fn at(self, path: &str) -> Self {
        Self { named: target::named(path), ..self }
    }

    /// Whether the path names the model, so that the body's is a string as any other.
    pub(crate) fn at_deployment(&self) -> bool {
        !self.named.model.is_empty()
    }

    /// What the request asks for as it came.
    pub(crate) fn asked(&self, doc: Doc<'_>) -> Asked {
        let mut asked = Asked { parameters: "{".to_owned(), ..Asked::default() };
        for (key, value) in doc.members(0) {
            match &*doc.name(key) {
                "model" => {
                    asked.model = if doc.kind(value) == Kind::Text { doc.name(value).into() } else { String::new() };
                    if self.at_deployment() && self.named.doubted {
                        tell(&mut asked.parameters, doc, (key, value));
                    }
                }
                "stream" => asked.streaming = doc.raw(value) == "true",
                name if self.members.tools.iter().any(|&(list, _)| list == name) => {
                    tools(doc, value, &mut asked);
                }
                name if self.members.conversation.contains(&name) => {
                    doc.items(value)
                        .filter_map(|item| doc.get(item, TOOLS))
                        .for_each(|list| tools(doc, list, &mut asked));
                }
                _ => tell(&mut asked.parameters, doc, (key, value)),
            }
        }
        asked.parameters.push('}');
        if self.at_deployment() {
            asked.model.clone_from(&self.named.model);
        }
        asked
    }

    /// Takes tools away, by name.
    pub(crate) fn remove_tools(&mut self, names: &[String]) {
        self.removed.extend(names.iter().cloned());
    }

    /// Takes a merge patch for the parameters. It can't touch conversation and tools, nor turn a whole answer into a
    /// stream.
    pub(crate) fn patch(&mut self, patch: &str) -> Result<(), Malformed> {
        let lists = self.members.tools.iter().map(|&(list, _)| list);
        let not: Vec<&str> = self.members.conversation.iter().copied().chain(lists).chain(["stream"]).collect();
        self.patch.add(patch, &not)
    }

    /// Whether [`Terms::splices`] has any.
    pub(crate) fn spliced(&self) -> bool {
        !self.removed.is_empty() || !self.patch.is_empty()
    }

    /// What tools and patch come to, in the request's bytes.
    pub(crate) fn splices(&self, doc: Doc<'_>) -> Vec<Splice> {
        let mut out = Vec::new();
        let mut gone: Vec<&str> = Vec::new();
        for &(list, choice) in self.members.tools {
            let Some(tools) = doc.get(0, list) else { continue };
            let before = out.len();
            if self.thin(doc, tools, &mut out) {
                // Servers refuse an empty list, and a choice where there is nothing to choose from.
                gone.extend([list, choice]);
                gone.extend((list == TOOLS).then_some("parallel_tool_calls"));
            } else if out.len() > before {
                gone.extend(doc.get(0, choice).filter(|&value| self.chooses_removed(doc, value)).map(|_| choice));
            }
        }
        let conversation = self.members.conversation.iter().filter_map(|name| doc.get(0, name));
        for item in conversation.flat_map(|items| doc.items(items)) {
            let Some(tools) = doc.get(item, TOOLS).filter(|&tools| self.thin(doc, tools, &mut out)) else { continue };
            // What the item answers, or brings, must not be missed.
            if doc.kind(tools) == Kind::Array {
                out.extend(splice::items(doc, tools, &vec![true; doc.items(tools).count()]));
            } else {
                out.extend(splice::members(doc, item, &[TOOLS]));
            }
        }
        out.extend(self.patch.splices(doc, &gone));
        out
    }

    /// Whether nothing stays of a list of tools; else what goes of it is put into `out`.
    fn thin(&self, doc: Doc<'_>, list: usize, out: &mut Vec<Splice>) -> bool {
        let mut within = Vec::new();
        let gone: Vec<bool> = each(doc, list).map(|tool| self.goes(doc, tool, &mut within)).collect();
        if !gone.is_empty() && gone.iter().all(|&gone| gone) {
            return true;
        }
        out.append(&mut within);
        if gone.contains(&true) {
            out.extend(splice::items(doc, list, &gone));
        }
        false
    }

    /// Whether a tool goes: a name of it was taken away, or all that it holds. What goes of what it holds is put into `out`.
    fn goes(&self, doc: Doc<'_>, tool: usize, out: &mut Vec<Splice>) -> bool {
        named(doc, tool).any(|(_, name)| self.removed.contains(&*name))
            || doc.get(tool, TOOLS).is_some_and(|list| self.thin(doc, list, out))
    }

    /// Whether a tool choice names a tool that was taken away.
    fn chooses_removed(&self, doc: Doc<'_>, choice: usize) -> bool {
        let inside = choice + 1..doc.nodes[choice].after as usize;
        inside.into_iter().any(|node| doc.kind(node) == Kind::Text && self.removed.contains(&*doc.name(node)))
    }
}

/// Puts a member behind the others of an object that is not ended yet.
fn tell(parameters: &mut String, doc: Doc<'_>, (key, value): (usize, usize)) {
    if parameters.len() > 1 {
        parameters.push(',');
    }
    parameters.push_str(doc.raw(key));
    parameters.push(':');
    parameters.push_str(doc.raw(value));
}

/// The items of a list; one that stands alone is a list of one to some servers.
fn each(doc: Doc<'_>, list: usize) -> impl Iterator<Item = usize> {
    let alone = (doc.kind(list) == Kind::Object).then_some(list);
    doc.items(list).chain(alone)
}

/// All names of a tool, each with the object that has it. Tools that the server has built in have no name but their type,
/// and keep it whatever else they are called; those of other servers that they list are names of theirs too, which no
/// object describes. Where there is no name it is empty.
fn named<'a>(doc: Doc<'a>, tool: usize) -> impl Iterator<Item = (Option<usize>, Cow<'a, str>)> {
    let definitions = [doc.get(tool, "function"), doc.get(tool, "custom"), Some(tool)];
    let mut names: SmallVec<[_; 2]> = definitions
        .into_iter()
        .flatten()
        .filter_map(|definition| Some((Some(definition), doc.text_of(definition, "name")?)))
        .collect();
    let kind = doc.text_of(tool, "type");
    names.extend(kind.filter(|kind| names.is_empty() || !NAMED.contains(&&**kind)).map(|kind| (Some(tool), kind)));
    names.extend(hosted::listed(doc, tool).map(|name| (None, name)));
    if names.is_empty() {
        names.push((Some(tool), Cow::default()));
    }
    names.into_iter()
}

/// Tells a list of tools, and what models they name.
fn tools(doc: Doc<'_>, list: usize, asked: &mut Asked) {
    tell_tools(doc, list, &mut asked.tools);
    hosted::models(doc, list, &mut asked.tool_models);
}

/// Tells a list of tools, and those that they hold in lists of their own. By recursion, which the bound on the nesting of
/// JSON ends.
fn tell_tools(doc: Doc<'_>, list: usize, out: &mut Vec<Tool>) {
    for item in each(doc, list) {
        out.extend(named(doc, item).map(|(definition, name)| {
            let get = |name| doc.get(definition?, name);
            let schema = get("parameters").or_else(|| get("format"));
            let description = definition.and_then(|definition| doc.text_of(definition, "description"));
            Tool {
                name: name.into_owned(),
                description: description.unwrap_or_default().into_owned(),
                parameters: schema.map(|schema| doc.raw(schema).to_owned()).unwrap_or_default(),
            }
        }));
        if let Some(list) = doc.get(item, TOOLS) {
            tell_tools(doc, list, out);
        }
    }
}

/// Tells the definitions of tools.
pub(crate) fn define(sheet: &mut Sheet<'_>, tools: usize) {
    sheet.walk(tools, &mut |sheet, node| {
        sheet.once(node, Channel::ToolDefinition, Speaker::Developer);
    });
}
