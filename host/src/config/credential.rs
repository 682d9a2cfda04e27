//! Credentials of the host's own for its upstreams: where each comes from, and how it stands in a request.

use std::{ops::Range, path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue, header};

use super::{
    Problem, Problems,
    file::CredentialTable,
    problem::Code,
    resolve::{Base, pasted, secret_file},
    secret::{self, Secret},
    upstream,
};

/// A credential of the host's own for an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// The header.
    pub header: HeaderName,
    /// What stands before the secret, unless the secret begins with it.
    pub prefix: String,
    /// Where the secret comes from.
    pub source: Source,
    /// How often it is looked for again.
    pub refresh: Duration,
    /// The header's value as it was when the configuration was read, marked sensitive; `None`: only a command tells it.
    pub value: Option<HeaderValue>,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file with the secret on one line; looked at again.
    File(PathBuf),
    /// A variable of the environment, by its name; it stays what it was when the host started.
    Environment(String),
    /// What a command writes: a secret manager's. Started anew each time, with no shell between.
    Command {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

/// A source as it is written, and the secret where it is there already.
struct Found {
    source: Source,
    span: Range<usize>,
    secret: Option<Secret>,
}

/// The credential that a table means; what is wrong with it becomes a problem.
pub(super) fn credential(table: CredentialTable, base: &Base<'_>, problems: &mut Problems) -> Option<Credential> {
    let found = found(&table, base, problems);
    let written = table.header?;
    let name = written.get_ref().to_lowercase();
    let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
        let message = format!("`{name}` is not a header's name");
        problems.push(Problem::error(Code::BadValue, written.span(), message).help("for example \"authorization\""));
        return None;
    };
    if upstream::is_framing(&header) {
        let message = format!("`{header}` can't carry a credential");
        problems.push(Problem::error(Code::BadValue, written.span(), message).label("belongs to the transport"));
        return None;
    }
    let prefix = match table.prefix {
        Some(prefix) => prefix.into_inner(),
        None if header == header::AUTHORIZATION => "Bearer ".to_owned(),
        None => String::new(),
    };
    let Found { source, span, secret } = found?;
    let value = secret.map(|secret| secret.header(&prefix));
    if let Some(None) = value {
        let message = format!("the secret can't stand in the header `{header}`");
        problems
            .push(Problem::error(Code::BadFile, span, message).label("with its `prefix`, only printable ASCII can"));
        return None;
    }
    Some(Credential { header, prefix, source, refresh: table.refresh, value: value.flatten() })
}

fn found(table: &CredentialTable, base: &Base<'_>, problems: &mut Problems) -> Option<Found> {
    match (&table.file, &table.env, table.command.split_first()) {
        (Some(file), None, None) => {
            let secret = secret_file(file, base, problems)?;
            let source = Source::File(base.join(file.get_ref()));
            Some(Found { source, span: file.span(), secret: Some(secret) })
        }
        (None, Some(name), None) => match secret::from_environment(name.get_ref()) {
            Ok(secret) => {
                let source = Source::Environment(name.get_ref().clone());
                Some(Found { source, span: name.span(), secret: Some(secret) })
            }
            Err(_) if secret::is_pasted(name.get_ref()) => {
                pasted(name.span(), "a variable", problems);
                None
            }
            Err(message) => {
                problems.push(
                    Problem::error(Code::BadFile, name.span(), message)
                        .label("expected the name of a variable that holds the secret"),
                );
                None
            }
        },
        (None, None, Some((program, arguments))) => {
            // A bare name is looked for in PATH, as a shell does; anything else is a file.
            let written = program.get_ref();
            let program_path = if written.contains('/') { base.join(written) } else { PathBuf::from(written) };
            let arguments = arguments.iter().map(|argument| argument.get_ref().clone()).collect();
            let source = Source::Command { program: program_path, arguments };
            Some(Found { source, span: program.span(), secret: None })
        }
        _ => {
            problems.push(
                Problem::error(Code::Missing, table.span.clone(), "a credential comes from one place")
                    .label("needs exactly one of `file`, `env`, `command`")
                    .help("for example: file = \"./secrets/openai\""),
            );
            None
        }
    }
}
