//! Problems with policies, drawn: a settings file's with its lines and carets, others in one line each.

use std::{
    io::{IsTerminal, stdout},
    path::Path,
};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use engine::load::{SettingsError, inspect::Inspection};

use super::show::line_of;

/// The code of everything that is wrong with a policy's file or settings; `host/docs/configuration.md` lists it.
const CODE: &str = "P0120";

/// All that is wrong with a policy.
pub(super) fn problems_of(found: &Inspection) -> String {
    let drawn = found.settings_error.as_ref().map(|error| settings(error, found.file.parent()));
    let is_drawn = |file: &str| found.settings_error.as_ref().is_some_and(|error| error.file.as_os_str() == file);
    let others = found.problems.iter().filter(|problem| !is_drawn(&problem.file));
    let others = others.map(|problem| {
        format!("error[{CODE}]: {}: {}: {}", line_of(&problem.file), problem.stage, line_of(&problem.message))
    });
    drawn.clone().into_iter().chain(others).collect::<Vec<_>>().join("\n\n")
}

/// For standard output; `folder`: where the file is, so that its place can be opened from there.
fn settings(error: &SettingsError, folder: Option<&Path>) -> String {
    let renderer = if stdout().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    let path = folder.unwrap_or(Path::new("")).join(&error.file).display().to_string();
    let faults = error.faults.iter().map(|fault| {
        let label = fault.hint.clone().unwrap_or_default();
        let annotation = AnnotationKind::Primary.span(fault.span.clone()).label(label);
        let snippet = Snippet::source(error.source.as_str()).path(path.as_str()).annotation(annotation);
        renderer.render(&[Level::ERROR.primary_title(fault.message.as_str()).id(CODE).element(snippet)])
    });
    faults.collect::<Vec<_>>().join("\n\n")
}
