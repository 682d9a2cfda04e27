//! `portcullis demo`: a whole host in one folder, with policies, a model to talk to, and a command to paste.

mod scaffold;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;

use super::{
    found, print_line,
    serve::{ended, proxy_url, warn},
    show::line_of,
};
use crate::{
    app::{self, Ready, Unheard},
    config::{self, Config, Problems},
    demo::Pace,
    shipped::{APPROVE, BLOCK, LOCKDOWN, MASK},
    telemetry::{self, Lines, LogFormat},
};
use scaffold::{File, Layout, lay_out};

/// What the demo's caller presents.
const TOKEN: &str = "demo";
/// The configuration in the demo's folder.
const CONFIG: &str = "portcullis.toml";
/// Where that stands in the demo's folder.
const TOKEN_FILE: &str = "secrets/demo-token";
/// What is blocked in the demo's settings (`demo/20-block.toml`).
const BLOCKED: &str = "project nightingale";

/// Try it: a host with three policies and a built-in model, in one folder. Needs no network and no toolchain.
///
/// Prints a curl command to paste. Files in the folder that you change are never overwritten; delete the folder to begin
/// anew. Ctrl-C stops it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis demo
  portcullis demo --pace 5         a model that speaks slowly
  portcullis demo --upstream https://api.openai.com \\
    --upstream-key-file ~/.openai-key

While it runs, from another terminal in the same folder:
  portcullis policy list
  portcullis sessions list
  portcullis approvals list")]
pub(super) struct DemoArgs {
    /// The folder; made when it is not there.
    #[arg(long, default_value = "portcullis-demo")]
    dir: PathBuf,
    /// Where callers come in; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: SocketAddr,
    /// Where operators come in.
    #[arg(long, default_value = "127.0.0.1:9440", value_name = "ADDR")]
    control: SocketAddr,
    /// A real model in place of the built-in one: the URL before `/v1/…`.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// File with the real model's API key, mode 0600.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    upstream_key_file: Option<PathBuf>,
    /// How fast the built-in model speaks: tokens a second, or `unlimited`.
    #[arg(long, default_value = "40", value_name = "PACE")]
    pace: Pace,
    /// How events on standard error look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

pub(super) async fn cmd_demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let log = telemetry::init(args.log_format, "info")?;
    let served = serve(&args, &log).await;
    ended(served, args.log_format, &log)
}

async fn serve(args: &DemoArgs, log: &Lines) -> anyhow::Result<()> {
    let (layout, config, warnings) = prepare(args)?;
    warn(&warnings, args.log_format, log);
    let (dir, kept) = (args.dir.clone(), layout.kept);
    let upstream = upstream_text(&config);
    let built_in = config.connections.first().is_none_or(|route| route.built_in);
    let announce = move |ready: &Ready| {
        if let Err(error) = print_line(&banner(&dir, ready, &upstream, built_in, &kept)) {
            tracing::warn!(%error, "the banner could not be written");
        }
    };
    Box::pin(app::serve(config, args.pace, log, announce)).await.map_err(with_flag)
}

/// Says by which flag another port is chosen, where one is taken.
fn with_flag(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Unheard>() {
        Some(Unheard { listener, error: cause, .. }) if cause.kind() == io::ErrorKind::AddrInUse => {
            let way_out = format!("a port is taken; --{listener} 127.0.0.1:0 takes any free one");
            error.context(way_out)
        }
        _ => error,
    }
}

/// Lays the folder out, where no other demo runs in it: that one's operator finds it by what stands in the file.
fn prepare(args: &DemoArgs) -> anyhow::Result<(Layout, Config, Problems)> {
    found::is_own(&args.dir, CONFIG)?;
    store::check_free(&args.dir.join("store")).context("another demo runs in this folder")?;
    let layout = lay_out(&args.dir, &files(args)?)?;
    let (config, mut warnings) = configuration(args, &layout)?;
    if !layout.kept.iter().any(|file| [CONFIG, TOKEN_FILE].contains(file)) {
        // The demo's own token is to be guessed: it stands in the banner.
        warnings.retain(|problem| problem.message != config::GUESSABLE);
    }
    Ok((layout, config, warnings))
}

/// Everything that the folder begins with.
fn files(args: &DemoArgs) -> anyhow::Result<Vec<File>> {
    let file = |path, bytes: &[u8]| File { path, bytes: bytes.to_vec(), secret: false };
    Ok(vec![
        file(CONFIG, configuration_text(args)?.as_bytes()),
        // Settings before the policies that they are for.
        file("policies/10-mask.toml", include_bytes!("demo/10-mask.toml")),
        file("policies/20-block.toml", include_bytes!("demo/20-block.toml")),
        file("policies/30-approve.toml", include_bytes!("demo/30-approve.toml")),
        file("policies/10-mask.wasm", MASK),
        file("policies/20-block.wasm", BLOCK),
        file("policies/30-approve.wasm", APPROVE),
        file("spare/lockdown.toml", include_bytes!("demo/lockdown.toml")),
        file("spare/lockdown.wasm", LOCKDOWN),
        File { path: TOKEN_FILE, bytes: format!("{TOKEN}\n").into_bytes(), secret: true },
    ])
}

fn configuration_text(args: &DemoArgs) -> anyhow::Result<String> {
    let upstream = args.upstream.as_deref().unwrap_or("builtin:echo-1");
    let credential = match &args.upstream_key_file {
        None => String::new(),
        Some(file) => {
            let file = std::path::absolute(file).context("the key file's path")?;
            format!("credential = {{ header = \"authorization\", file = {} }}\n", quoted(&file.display().to_string()))
        }
    };
    Ok(format!(
        "# Written by `portcullis demo`. Change it, and it stays as you changed it; every key is explained in\n\
         # host/docs/configuration.md, and `portcullis check --config FILE` says what is wrong with it.\n\n\
         [listen]\naddress = \"{listen}\"\n\n\
         [control]\naddress = \"{control}\"\n\n\
         [store]\npath = \"./store\"\n\n\
         [policies]\nfolder = \"./policies\"\n\n\
         [[connection]]\nname = \"demo\"\npath_prefix = \"/\"\nupstream = {upstream}\ndialect = \"openai\"\n{credential}\n\
         [[token]]\nname = \"demo\"\nvalue_file = \"./secrets/demo-token\"\nconnections = [\"demo\"]\n",
        listen = args.listen,
        control = args.control,
        upstream = quoted(upstream),
    ))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The configuration as it stands in the folder; where the user has changed it, the flags that differ still count.
fn configuration(args: &DemoArgs, layout: &Layout) -> anyhow::Result<(Config, Problems)> {
    let (mut config, warnings) = config::load(&args.dir.join(CONFIG))?;
    if !layout.kept.contains(&CONFIG) {
        return Ok((config, warnings));
    }
    if args.upstream.is_some() {
        bail!("{} is yours: set `upstream` there, or delete it to have a new one", args.dir.join(CONFIG).display());
    }
    let defaults = config::Addresses::default();
    if args.listen != defaults.listen {
        config.listen.address = args.listen;
    }
    if args.control != defaults.control {
        config.control.address = args.control;
    }
    Ok((config, warnings))
}

fn upstream_text(config: &Config) -> String {
    match config.connections.first() {
        Some(route) if !route.built_in => {
            let upstream = &route.connection.upstream;
            let scheme = if upstream.tls { "https" } else { "http" };
            format!("{scheme}://{}{}", upstream.authority, upstream.base_path)
        }
        _ => "built-in model \"echo-1\"  (--upstream https://… for a real one)".to_owned(),
    }
}

fn banner(dir: &Path, ready: &Ready, upstream: &str, built_in: bool, kept: &[&str]) -> String {
    let dir = match dir {
        dir if dir.is_absolute() || dir.starts_with(".") || dir.starts_with("..") => dir.display().to_string(),
        dir => format!("./{}", dir.display()),
    };
    let infos = ready.policies.policies.iter().map(|policy| policy.info());
    let policies: Vec<String> =
        infos.map(|info| format!("{} ({})", line_of(&info.id), format!("{:?}", info.mode).to_lowercase())).collect();
    let policies = if policies.is_empty() { "none".to_owned() } else { policies.join(" · ") };
    let kept = if kept.is_empty() {
        String::new()
    } else {
        format!("\n  yours     left as you have them: {}", kept.join(", "))
    };
    let (proxy, version) = (proxy_url(ready), env!("CARGO_PKG_VERSION"));
    let curl = |flags: &str, body: &str| {
        format!(
            "curl {flags} {proxy}/v1/chat/completions -H 'content-type: application/json' -H 'authorization: Bearer {TOKEN}' \\\n          \
             -d '{body}'"
        )
    };
    let (model, fill_in) = match built_in {
        true => ("echo-1", ""),
        false => ("MODEL", "\n        (put a model of your upstream in the place of MODEL)"),
    };
    let ask = |text: &str, more: &str| {
        format!("{{\"model\":\"{model}\"{more},\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}")
    };
    format!(
        "  portcullis {version}   everything under {dir}, nothing written elsewhere\n  \
         proxy     {proxy}/v1    -> {upstream}\n  \
         control   http://{control}       token in {dir}/store/admin.token\n  \
         policies  {policies}    watching {dir}/policies{kept}\n\n  \
         Try:  {masked}{fill_in}\n\n  \
         A stream, masked in the middle:\n        {streamed}\n\n  \
         Blocked: \"{BLOCKED}\".  Waits for `portcullis approvals approve ID`: \"delete the archive\".\n\n  \
         Drop the gate, also on running streams:  cp {dir}/spare/lockdown.wasm {dir}/policies/00-lockdown.wasm\n  \
         Lift it again:                           rm {dir}/policies/00-lockdown.wasm\n",
        control = ready.control,
        masked = curl("-s", &ask("my ssn is 078-05-1120", "")),
        streamed = curl("-sN", &ask("my ssn is 078-05-1120", ",\"stream\":true")),
    )
}

#[cfg(test)]
mod tests;
