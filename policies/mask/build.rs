//! Turns `recognisers.toml` into the table that `src/recognisers.rs` includes, so that the policy carries the list and no
//! parser for it. A mistake in the file is a failed build.

use std::{collections::BTreeMap, env, error::Error, fmt::Write as _, fs, path::Path};

use serde::Deserialize;

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    parts: BTreeMap<String, String>,
    recogniser: Vec<Recogniser>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Recogniser {
    name: String,
    kind: String,
    label: String,
    max_length: u32,
    regex: Regex,
    #[serde(default)]
    host_check: String,
    #[serde(default = "none")]
    check: String,
    #[serde(default = "bare")]
    value: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Regex {
    One(String),
    Joined(Vec<String>),
}

fn none() -> String {
    "none".to_owned()
}

fn bare() -> String {
    "bare".to_owned()
}

fn main() -> Result<(), Box<dyn Error>> {
    const SOURCE: &str = "recognisers.toml";
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let file: File = toml::from_str(&fs::read_to_string(SOURCE)?)?;
    let mut table = "&[\n".to_owned();
    for each in &file.recogniser {
        let regex = match &each.regex {
            Regex::One(regex) => regex.clone(),
            Regex::Joined(pieces) => pieces.concat(),
        };
        let regex = filled(&regex, &file.parts).map_err(|error| format!("{SOURCE}: {}: {error}", each.name))?;
        writeln!(
            table,
            "Recogniser {{ name: {:?}, kind: {:?}, label: {:?}, regex: {regex:?}, host_check: {:?}, check: Check::{}, \
             value: Value::{}, max_length: {} }},",
            each.name,
            each.kind,
            each.label,
            each.host_check,
            variant(&each.check),
            variant(&each.value),
            each.max_length
        )?;
    }
    table.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("recognisers.rs"), table)?;
    Ok(())
}

/// Puts the parts in the place of their names; parts may be made of parts.
fn filled(regex: &str, parts: &BTreeMap<String, String>) -> Result<String, String> {
    let Some((before, rest)) = regex.split_once("{{") else {
        return Ok(regex.to_owned());
    };
    let (name, after) = rest.split_once("}}").ok_or("`{{` without `}}`")?;
    let part = parts.get(name).ok_or_else(|| format!("no part has the name `{name}`"))?;
    Ok([before, &filled(part, parts)?, &filled(after, parts)?].concat())
}

/// The name of a variant: `ipv4` is `Ipv4`.
fn variant(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
