//! What is wrong with a configuration: code, place, cause, hint. The one place that shows it to people.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The configuration can't be used.
    Error,
    /// It can, but should not stay so.
    Warning,
}

/// What kind of problem; the code stands in messages and in `host/docs/configuration.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The file can't be read.
    Unreadable,
    /// Not TOML.
    Syntax,
    /// A key that does not exist.
    UnknownKey,
    /// A key that is needed is missing.
    Missing,
    /// A word that is not one of the choices.
    UnknownVariant,
    /// A value of another type.
    WrongType,
    /// A value of the right type that can't be meant.
    BadValue,
    /// A name, prefix or value that two entries have.
    Duplicate,
    /// A name that nothing has.
    UnknownName,
    /// A URL that is refused.
    BadUrl,
    /// A file that is named can't be used.
    BadFile,
    /// A secret that others may read, or guess.
    WeakSecret,
    /// Something that should stay on this machine, or be encrypted, and is not.
    Exposed,
    /// Something that can be said, and that nothing holds anybody to.
    NotEnforced,
}

impl Code {
    /// Its text form.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "P0100",
            Self::Syntax => "P0101",
            Self::UnknownKey => "P0102",
            Self::Missing => "P0103",
            Self::UnknownVariant => "P0104",
            Self::WrongType => "P0105",
            Self::BadValue => "P0106",
            Self::Duplicate => "P0107",
            Self::UnknownName => "P0108",
            Self::BadUrl => "P0109",
            Self::BadFile => "P0110",
            Self::WeakSecret => "P0111",
            Self::Exposed => "P0112",
            Self::NotEnforced => "P0113",
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What kind.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the file; `None` when it is about no place in it.
    pub span: Option<Range<usize>>,
    /// Said at the place.
    pub label: String,
    /// A second place that belongs to it, and what is said there.
    pub other: Option<(Range<usize>, String)>,
    /// The way out.
    pub help: Option<String>,
}

impl Problem {
    /// An error at a place.
    #[must_use]
    pub(crate) fn error(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span: Some(span),
            label: String::new(),
            other: None,
            help: None,
        }
    }

    /// A warning at a place.
    #[must_use]
    pub(crate) fn warning(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Says this at the place.
    #[must_use]
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Names a second place.
    #[must_use]
    pub(crate) fn other(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.other = Some((span, label.into()));
        self
    }

    /// Names the way out.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All problems of one file, with its text.
#[derive(Clone, Debug)]
pub(crate) struct Problems {
    path: PathBuf,
    text: String,
    hidden: Vec<Range<usize>>,
    found: Vec<Problem>,
}

impl Problems {
    /// None so far.
    #[must_use]
    pub(crate) fn new(path: &Path, text: String) -> Self {
        Self { path: path.to_owned(), text, hidden: Vec::new(), found: Vec::new() }
    }

    /// The file itself can't be read.
    #[must_use]
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let mut problems = Self::new(path, String::new());
        let help = match error.kind() {
            io::ErrorKind::NotFound => Some(format!("`portcullis init {}` writes one to start from", path.display())),
            _ => None,
        };
        let message = format!("can't read the configuration `{}`: {error}", path.display());
        problems.push(Problem { span: None, help, ..Problem::error(Code::Unreadable, 0..0, message) });
        problems
    }

    /// The file is not UTF-8; `good`: what stands before the first wrong byte.
    #[must_use]
    pub(super) fn not_text(path: &Path, good: &[u8]) -> Self {
        let text = String::from_utf8_lossy(good).into_owned();
        let end = text.len()..text.len();
        let mut problems = Self::new(path, text);
        let problem = Problem::error(Code::Unreadable, end, "the configuration is not text in UTF-8");
        problems.push(problem.label("the first byte that is none comes here"));
        problems
    }

    /// Adds one.
    pub(crate) fn push(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// Drops those from the `mark`th on that `keep` does not want.
    pub(super) fn retain_after(&mut self, mark: usize, keep: impl Fn(&Problem) -> bool) {
        let later = self.found.split_off(mark);
        self.found.extend(later.into_iter().filter(keep));
    }

    /// Drops those that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Problem) -> bool) {
        self.found.retain(keep);
    }

    /// The file's text.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Keeps a part of the text (a password) out of the lines that are shown.
    pub(super) fn hide(&mut self, span: Range<usize>) {
        self.hidden.push(span);
    }

    /// The text as it may be shown; every place is where it was.
    fn shown_text(&self) -> String {
        let mut bytes = self.text.clone().into_bytes();
        self.hidden.iter().cloned().for_each(|span| bytes[span].fill(b'*'));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the file is no TOML.
    #[must_use]
    pub(super) fn has_syntax_errors(&self) -> bool {
        self.found.iter().any(|problem| problem.code == Code::Syntax)
    }

    /// Whether the configuration can't be used.
    #[must_use]
    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub(crate) fn sorted(&self) -> Vec<&Problem> {
        let mut all: Vec<&Problem> = self.found.iter().collect();
        all.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        all
    }

    /// Line and column of a problem, from 1, as editors count.
    #[must_use]
    pub(crate) fn position(&self, problem: &Problem) -> Option<(usize, usize)> {
        let start = problem.span.as_ref()?.start.min(self.text.len());
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// Where a problem is, as editors open it: file, line and column; none where it is about no place in it.
    #[must_use]
    pub(crate) fn place(&self, problem: &Problem) -> Option<String> {
        let (line, column) = self.position(problem)?;
        Some(format!("{}:{line}:{column}", self.path.display()))
    }

    /// What people read, with colours where `colour` says so.
    #[must_use]
    pub(crate) fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let text = self.shown_text();
        let each = self.sorted().into_iter().map(|problem| self.render_one(&renderer, &text, problem));
        each.collect::<Vec<String>>().join("\n\n")
    }

    fn render_one(&self, renderer: &Renderer, text: &str, problem: &Problem) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(problem.message.as_str()).id(problem.code.as_str());
        let path = self.path.display().to_string();
        let mut group = match &problem.span {
            None => title.elements(std::iter::empty::<Snippet<'_, annotate_snippets::Annotation<'_>>>()),
            Some(span) => {
                let mut snippet = Snippet::source(text)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(span.clone()).label(problem.label.as_str()));
                if let Some((span, label)) = &problem.other {
                    snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label.as_str()));
                }
                title.element(snippet)
            }
        };
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}
