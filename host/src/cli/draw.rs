//! Problems with policies, drawn: a settings file's with its lines and carets, others in one line each.

use std::io::{IsTerminal, stderr};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use engine::load::{SettingsError, inspect::Inspection};

use super::show::line_of;

/// The code of everything that is wrong with a policy's file or settings; `host/docs/configuration.md` lists it.
const CODE: &str = "P0120";

/// All that is wrong with a policy.
pub(super) fn problems_of(found: &Inspection) -> String {
    let drawn = found.settings_error.as_ref().map(settings);
    let is_drawn = |file: &str| found.settings_error.as_ref().is_some_and(|error| error.file.as_os_str() == file);
    let others = found.problems.iter().filter(|problem| !is_drawn(&problem.file));
    let others = others.map(|problem| {
        format!("error[{CODE}]: {}: {}: {}", line_of(&problem.file), problem.stage, line_of(&problem.message))
    });
    drawn.clone().into_iter().chain(others).collect::<Vec<_>>().join("\n\n")
}

fn settings(error: &SettingsError) -> String {
    let renderer = if stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    let path = error.file.display().to_string();
    let faults = error.faults.iter().map(|fault| {
        let label = fault.hint.clone().unwrap_or_default();
        let annotation = AnnotationKind::Primary.span(fault.span.clone()).label(label);
        let snippet = Snippet::source(error.source.as_str()).path(path.as_str()).annotation(annotation);
        renderer.render(&[Level::ERROR.primary_title(fault.message.as_str()).id(CODE).element(snippet)])
    });
    faults.collect::<Vec<_>>().join("\n\n")
}
