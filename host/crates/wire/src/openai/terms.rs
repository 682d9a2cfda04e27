//! What a request asks for besides its conversation: model, tools, parameters; and what policies make of these.

use std::{borrow::Cow, collections::BTreeSet};

use model::{Channel, Speaker};

use crate::{
    Asked, Malformed, Tool,
    frame::Splice,
    json::{Doc, Kind},
    sheet::Sheet,
    splice::{self, Patch},
    target::{self, Named},
};

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
                    asked.tools.extend(doc.items(value).map(|item| tool(doc, item)));
                }
                name if self.members.conversation.contains(&name) => {}
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
            let Some(array) = doc.get(0, list).filter(|&list| doc.kind(list) == Kind::Array) else {
                continue;
            };
            let removed: Vec<bool> =
                doc.items(array).map(|tool| self.removed.contains(&*tool_name(doc, tool))).collect();
            if !removed.contains(&true) {
                continue;
            }
            if removed.iter().all(|&removed| removed) {
                // Servers refuse an empty list, and a choice where there is nothing to choose from.
                gone.extend([list, choice]);
                gone.extend((list == "tools").then_some("parallel_tool_calls"));
            } else {
                out.extend(splice::items(doc, array, &removed));
                gone.extend(doc.get(0, choice).filter(|&value| self.chooses_removed(doc, value)).map(|_| choice));
            }
        }
        out.extend(self.patch.splices(doc, &gone));
        out
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

/// The object that says what a tool is: inside `function` or `custom`, or the item itself.
fn definition(doc: Doc<'_>, item: usize) -> usize {
    doc.get(item, "function").or_else(|| doc.get(item, "custom")).unwrap_or(item)
}

fn tool_name<'a>(doc: Doc<'a>, item: usize) -> Cow<'a, str> {
    let definition = definition(doc, item);
    // Tools that the server has built in have no name but their type.
    doc.text_of(definition, "name").or_else(|| doc.text_of(item, "type")).unwrap_or_default()
}

fn tool(doc: Doc<'_>, item: usize) -> Tool {
    let definition = definition(doc, item);
    let schema = doc.get(definition, "parameters").or_else(|| doc.get(definition, "format"));
    Tool {
        name: tool_name(doc, item).into_owned(),
        description: doc.text_of(definition, "description").unwrap_or_default().into_owned(),
        parameters: schema.map(|schema| doc.raw(schema).to_owned()).unwrap_or_default(),
    }
}

/// Tells the definitions of tools.
pub(crate) fn define(sheet: &mut Sheet<'_>, tools: usize) {
    sheet.walk(tools, &mut |sheet, node| {
        sheet.once(node, Channel::ToolDefinition, Speaker::Developer);
    });
}
