//! The command line: one file per command, its `…Args` is its help text.
//!
//! What must hold: standard output has what was asked for and nothing else; errors go to standard error with their
//! cause and, where there is one, the way out; what was recorded is never written to a terminal unescaped (`show.rs`).

mod access;
mod alerts;
mod approvals;
mod caller;
mod check;
mod demo;
mod draw;
mod found;
mod gate;
mod host;
mod init;
mod kept;
mod login;
mod logout;
mod policy;
mod revoke;
mod serve;
mod sessions;
mod show;
mod token;
mod wanted;
mod whoami;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::{config::Problems, shipped::MASK};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    it failed, or what was checked is wrong
  2    the command line is wrong
  130  a host was ended by a second signal, without waiting

Environment:
  PORTCULLIS_CONFIG, PORTCULLIS_CONTROL, PORTCULLIS_TOKEN_FILE
       stand for --config, --control, --token-file
  PORTCULLIS_URL, PORTCULLIS_CA, PORTCULLIS_CERT, PORTCULLIS_KEY
       for --url, --ca, --cert, --key of those who call
  PORTCULLIS_LOG
       what a running host tells (info, debug, info,exchange=trace)";

/// A gate in front of inference: every request and response passes through sandboxed WebAssembly policies, and is
/// recorded.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Check(check::CheckArgs),
    Init(init::InitArgs),
    Policy(policy::PolicyArgs),
    Sessions(sessions::SessionsArgs),
    Approvals(approvals::ApprovalsArgs),
    Alerts(alerts::AlertsArgs),
    Revoke(revoke::RevokeArgs),
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    Whoami(whoami::WhoamiArgs),
    Access(access::AccessArgs),
    Token(token::TokenArgs),
    /// Compiles a policy: WebAssembly on standard input, machine code on standard output. For the host's own use.
    #[command(hide = true)]
    CompilePolicy,
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before there is any thread: the compiler limits its own process.
    if matches!(cli.command, Command::CompilePolicy) {
        return engine::load::compile_child_main(MASK);
    }
    if let Err(error) = crate::process::keep_memory_to_itself() {
        return complain(&anyhow::Error::new(error).context("core files can't be switched off"));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&anyhow::Error::new(error).context("the runtime can't be started")),
    };
    match runtime.block_on(Box::pin(run(cli.command))) {
        Ok(code) => code,
        Err(error) => complain(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::cmd_demo(args).await,
        Command::Serve(args) => serve::cmd_serve(args).await,
        Command::Check(args) => check::cmd_check(args).await,
        Command::Init(args) => init::cmd_init(&args),
        Command::Policy(args) => policy::cmd_policy(args).await,
        Command::Sessions(args) => sessions::cmd_sessions(args).await,
        Command::Alerts(args) => alerts::cmd_alerts(args).await,
        Command::Approvals(args) => approvals::cmd_approvals(args).await,
        Command::Revoke(args) => revoke::cmd_revoke(args).await,
        Command::Login(args) => login::cmd_login(args).await,
        Command::Logout(args) => logout::cmd_logout(args).await,
        Command::Whoami(args) => whoami::cmd_whoami(args).await,
        Command::Access(args) => access::cmd_access(args).await,
        Command::Token(args) => token::cmd_token(args).await,
        Command::CompilePolicy => Ok(engine::load::compile_child_main(MASK)),
    }
}

/// Whoever read standard output went away, as `head` does.
#[derive(Debug, Error)]
#[error("nobody reads standard output any more")]
struct ReaderGone;

/// The one place that tells people of a failure.
fn complain(error: &anyhow::Error) -> ExitCode {
    // That is not a failure to tell of.
    if error.is::<ReaderGone>() {
        return ExitCode::SUCCESS;
    }
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr(), "{}", text_of(error));
    ExitCode::FAILURE
}

/// A failure as people are told of it.
fn text_of(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.render(io::stderr().is_terminal()),
        None => format!("error: {}", show::line_of(&format!("{error:#}"))),
    }
}

/// Writes to standard output, and says so when it can't; [`ReaderGone`] when nobody reads it.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(anyhow::Error::new(error).context("writing to standard output")),
    }
}

/// Tells a verdict, and ends with it also where nobody reads what is told.
fn verdict(text: &str, good: bool) -> anyhow::Result<ExitCode> {
    match print_line(text) {
        Err(error) if !error.is::<ReaderGone>() => Err(error),
        Ok(()) | Err(_) => Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    }
}

/// As [`print`], with a line end.
fn print_line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_agrees_with_itself() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} says nothing of itself");
            assert!(command.get_after_help().is_some(), "{name} has no example");
        }
    }

    /// Asserts that what a command says of itself is wrapped by the terminal's width and by nothing else: prose is one line
    /// for each paragraph, and what stands indented fits into 80 columns.
    fn is_even(command: &clap::Command) {
        let name = command.get_name();
        let texts = [command.get_long_about(), command.get_after_help()];
        for text in texts.into_iter().flatten().map(ToString::to_string) {
            let lines: Vec<&str> = text.lines().collect();
            for line in lines.iter().filter(|line| line.starts_with(' ')) {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
            for pair in lines.windows(2) {
                let prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
                assert!(!prose(pair[0]) || !prose(pair[1]), "{name}: {pair:?}");
            }
        }
        command.get_subcommands().for_each(is_even);
    }

    #[test]
    fn help_fits_the_width_of_a_terminal() {
        is_even(&Cli::command());
        let mut command = Cli::command().term_width(80);
        for command in command.get_subcommands_mut() {
            let help = command.clone().term_width(80).render_long_help().to_string();
            let wide = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{}", command.get_name());
        }
    }

    #[test]
    fn a_host_is_named_alike_for_every_command() {
        for line in [
            "portcullis approvals list --config x --json",
            "portcullis approvals deny 01 --reason no --config x",
            "portcullis sessions list --since 7d --config x --json",
            "portcullis sessions replay 01 --speed 0 --control http://127.0.0.1:1 --token-file t",
            "portcullis sessions events --limit 5 --before 7 --config x --json",
            "portcullis sessions verify --config x --store copy --json",
            "portcullis revoke --caller ann --reason INC-1 --dry-run --config x --json",
            "portcullis token list --config x --json",
            "portcullis token issue --subject-env JWT --url https://g --ca c --model m* --lifetime 5m --json",
            "portcullis login --url https://g --grant night --reason r --print-token",
            "portcullis logout --forget --json",
            "portcullis whoami --json",
            "portcullis access request --reason r --connection c --subject-file - --json",
            "portcullis access list --all --config x --json",
            "portcullis access approve 01 --by lea --reason r --config x --json",
            "portcullis alerts list --since 7d --config x --json",
            "portcullis alerts ack 01 --reason known --config x",
            "portcullis policy list --config x",
            "portcullis policy inspect p.wasm --config x --json",
            "portcullis check --config x --json",
            "portcullis serve --config x --log-format json",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
