//! What a request asks for besides its conversation: model, tools, parameters; and what policies make of these.
//!
//! What must hold: what is told is what the request asks for, and what policies make of it is what goes out.

use std::collections::BTreeSet;

use model::{Channel, Speaker};

use super::offers;
use crate::{
    Asked, Malformed,
    frame::Splice,
    json::{Doc, Kind},
    sheet::Sheet,
    splice::Patch,
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
                name if self.members.tools.iter().any(|&(list, _)| list == name) => {}
                name if self.members.conversation.contains(&name) => {}
                _ => tell(&mut asked.parameters, doc, (key, value)),
            }
        }
        asked.parameters.push('}');
        offers::tell(doc, self.members, &mut asked);
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
        let (mut out, gone) = offers::without(doc, self.members, &self.removed);
        out.extend(self.patch.splices(doc, &gone.iter().map(|name| &**name).collect::<Vec<_>>()));
        out
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

/// Tells the definitions of tools.
pub(crate) fn define(sheet: &mut Sheet<'_>, tools: usize) {
    sheet.walk(tools, &mut |sheet, node| {
        sheet.once(node, Channel::ToolDefinition, Speaker::Developer);
    });
}
