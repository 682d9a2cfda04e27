//! `portcullis policy`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use engine::{
    Runtime, RuntimeConfig,
    load::{
        CompileConfig, Compiler,
        imports::{Import, PACKAGE},
        inspect::{Inspection, inspect},
        shape::Form,
    },
};
use serde_json::{Value, json};

use super::{
    draw,
    host::HostArgs,
    print_line,
    show::{self, json_of, line_of, lines_of, short, size_of},
    verdict,
};
use crate::config;

/// Look at policies.
///
/// A policy is a file `NAME.wasm` in the policy folder, with an optional `NAME.toml` beside it. A running host takes what
/// is put there, changed or removed within a moment.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis policy list                      what is in force, in order
  portcullis policy inspect ssn_guard.wasm    whether it would be taken
  cp ssn_guard.wasm policies/40-ssn.wasm      put it in force")]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// List the policies in force on a running host, in the order in which they judge.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Inspect a file: what it is, what it imports, and whether a host would take it. Needs no running host.
    Inspect {
        /// The policy, with its settings in a file of the same name ending in `.toml`.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// A host's configuration file: the connections that the settings name must be among its own.
        #[arg(long, short, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

pub(super) async fn cmd_policy(args: PolicyArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        PolicyCommand::List { json, host } => list(&host, json).await,
        PolicyCommand::Inspect { file, json, config } => {
            let connections = config.as_deref().map(connections_of).transpose()?;
            inspect_file(&file, connections.as_deref(), json).await
        }
    }
}

async fn list(host: &HostArgs, json: bool) -> anyhow::Result<ExitCode> {
    let set: Value = host.place()?.get("/v1/policies").await?;
    if json {
        print_line(&json_of(&set)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Value| line_of(value.as_str().unwrap_or_default());
    let mut table = show::table(&["ORDER", "POLICY", "MODE", "ON FAILURE", "CONNECTIONS", "DIGEST", "WHAT IT DOES"]);
    let policies = set["policies"].as_array().map_or(&[][..], Vec::as_slice);
    for policy in policies {
        let connections: Vec<String> = policy["connections"].as_array().into_iter().flatten().map(text).collect();
        table.add_row([
            policy["order"].to_string(),
            text(&policy["id"]),
            text(&policy["mode"]),
            text(&policy["on_failure"]),
            if connections.is_empty() { "all".to_owned() } else { short(&connections.join(", "), 32) },
            text(&policy["digest"]).chars().take(8).collect(),
            short(&text(&policy["summary"]), 60),
        ]);
    }
    print_line(&format!("policy set {} ({})", set["generation"], short(&text(&set["digest"]), 64)))?;
    print_line(&if policies.is_empty() { "no policies: nothing is judged".to_owned() } else { lines_of(&table) })?;
    let problems = set["problems"].as_array().map_or(&[][..], Vec::as_slice);
    for problem in problems {
        print_line(&format!(
            "DEGRADED  {}: {}: {}",
            text(&problem["file"]),
            text(&problem["stage"]),
            text(&problem["message"])
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The connections of a configuration, which may have errors elsewhere.
fn connections_of(file: &Path) -> anyhow::Result<Vec<String>> {
    let (_, names) =
        config::policies(file).with_context(|| format!("can't read the configuration `{}`", file.display()))?;
    names.with_context(|| format!("the configuration `{}` is not valid TOML", file.display()))
}

async fn inspect_file(file: &Path, connections: Option<&[String]>, json: bool) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let compiler = Arc::new(Compiler::new(CompileConfig::default(), &runtime, None));
    let inspection = inspect(&runtime, &compiler, file, connections).await;
    let text = if json { json_of(&inspection_json(&inspection))? } else { inspection_text(&inspection) };
    verdict(&text, inspection.problems.is_empty())
}

/// What is known of a policy, for programs.
pub(super) fn inspection_json(found: &Inspection) -> Value {
    let imports: Vec<Value> =
        found.imports.iter().map(|import| json!({ "name": import.name, "granted": import.granted })).collect();
    let problems: Vec<Value> = found
        .problems
        .iter()
        .map(|problem| json!({ "file": problem.file, "stage": problem.stage, "message": problem.message }))
        .collect();
    let description = found.description.as_ref().map(|about| {
        // A schema that is no JSON is a problem already; here it is shown as the text that it is.
        let schema =
            serde_json::from_str::<Value>(&about.settings_schema).unwrap_or_else(|_| json!(about.settings_schema));
        json!({ "name": about.name, "version": about.version, "summary": about.summary, "settings_schema": schema })
    });
    json!({
        "file": found.file,
        "id": found.id,
        "size": found.size,
        "digest": found.digest,
        "wasm_digest": found.wasm_digest,
        "form": found.form.map(form_word),
        "imports": imports,
        "exports": found.exports,
        "producers": found.producers,
        "order": found.settings.order,
        "mode": found.settings.mode,
        "on_failure": found.settings.on_failure,
        "connections": found.settings.connections,
        "description": description,
        "plan": found.plan,
        "compiled_in_ms": found.compiled_in.map(|took| took.as_millis() as u64),
        "taken": found.problems.is_empty(),
        "note": found.note(),
        "problems": problems,
    })
}

fn form_word(form: Form) -> &'static str {
    match form {
        Form::Component => "component",
        Form::CoreModule => "core module",
    }
}

/// The contract's interfaces that it exports, each once: `text`, `tools`.
fn hooks(found: &Inspection) -> Vec<&str> {
    let ours = found.exports.iter().filter_map(|export| export.strip_prefix(PACKAGE)?.strip_prefix('/'));
    let mut hooks: Vec<&str> = ours.map(|export| export.split(['@', '#']).next().unwrap_or(export)).collect();
    hooks.sort_unstable();
    hooks.dedup();
    hooks
}

fn inspection_text(found: &Inspection) -> String {
    let mut rows =
        vec![("file", found.file.display().to_string()), ("id", found.id.clone()), ("size", size_of(found.size))];
    rows.push(("sha-256", found.wasm_digest.to_string()));
    if let Some(form) = found.form {
        rows.push(("form", form_word(form).to_owned()));
    }
    rows.push(("made by", found.producers.join(", ")));
    if let Some(about) = &found.description {
        rows.push(("policy", format!("{} {}", about.name, about.version)));
        rows.push(("does", about.summary.clone()));
    }
    rows.push(("order", found.settings.order.to_string()));
    let import = |import: &Import| format!("{}{}", import.name, if import.granted { "" } else { " (NOT GRANTED)" });
    rows.push(("imports", found.imports.iter().map(import).collect::<Vec<_>>().join(", ")));
    rows.push(("hooks", hooks(found).join(", ")));
    if let Some(plan) = &found.plan {
        rows.push(("patterns", plan.patterns.join(", ")));
    }
    if let Some(took) = found.compiled_in {
        rows.push(("compiled in", format!("{} ms", took.as_millis())));
    }
    let known = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let mut text: Vec<String> = known.map(|(name, value)| format!("{name:<12} {}", line_of(&value))).collect();
    text.push(match found.problems.len() {
        0 => "\na host would take it".to_owned(),
        _ => format!("\na host would NOT take it:\n{}", draw::problems_of(found)),
    });
    text.extend(found.note().map(|note| format!("note: {}", line_of(&note))));
    text.join("\n")
}
