//! Everything there is to know of a policy's file, for `portcullis policy inspect`, `policy list` and `check`.
//!
//! It goes the same way as a file that is loaded, but on past the first problem as far as that makes sense, and puts
//! nothing in force.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use exchange::ports::Problem;
use model::{Digest, Hooks, Plan};
use wasmtime::component::Component;

use super::{
    Compiler, Refused, Settings, SettingsError,
    digest::of_bytes,
    folder::{self, Read, SETTINGS_BYTES},
    imports::{self, Import},
    loader::{MAX_POLICIES, too_many},
    prepare::Candidate,
    shape::{self, Form, Shape},
    sight::{digest_of, read_settings, settings_file, text_of, wasm_file},
    stage,
};
use crate::runtime::{Description, Runtime};

/// What is known of a file.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The file.
    pub file: PathBuf,
    /// The id that it has in a policy folder: its stem.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub wasm_digest: Digest,
    /// SHA-256 over it and its settings, as records name it.
    pub digest: Digest,
    /// Component or core module.
    pub form: Option<Form>,
    /// What it wants from the host, and whether it is granted.
    pub imports: Vec<Import>,
    /// What it exports: `portcullis:policy/text@0.1.0`.
    pub exports: Vec<String>,
    /// What made it.
    pub producers: Vec<String>,
    /// The settings beside it, or the defaults.
    pub settings: Settings,
    /// What is wrong with the settings, for drawing; it is among `problems` too.
    pub settings_error: Option<SettingsError>,
    /// What it says of itself.
    pub description: Option<Description>,
    /// What it wants to see, with these settings. Its hooks are those that the host would call.
    pub plan: Option<Plan>,
    /// How long compiling took.
    pub compiled_in: Option<Duration>,
    /// Everything that is wrong; empty: it would be taken.
    pub problems: Vec<Problem>,
}

impl Inspection {
    fn new(path: &Path) -> Self {
        let id = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            file: path.to_owned(),
            size: 0,
            wasm_digest: Digest::default(),
            digest: Digest::default(),
            form: None,
            imports: Vec::new(),
            exports: Vec::new(),
            producers: Vec::new(),
            settings: Settings::of_name(&id),
            settings_error: None,
            description: None,
            plan: None,
            compiled_in: None,
            problems: Vec::new(),
            id,
        }
    }

    /// What is not wrong, and guards less than one may think.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let idle = self.plan.as_ref().is_some_and(|plan| plan.hooks == Hooks::default());
        idle.then(|| {
            format!("policy `{}`: with these settings none of its hooks is called, so it judges nothing", self.id)
        })
    }

    fn refuse(&mut self, refused: &Refused) {
        self.problems.push(refused.problem(wasm_file(&self.id)));
        if let Some(error) = &refused.settings {
            self.settings_error.get_or_insert_with(|| SettingsError::clone(error));
        }
    }

    fn outline(&mut self, shape: &Shape) {
        self.form = Some(shape.form);
        self.imports = imports::list(shape, self.settings.grants);
        self.exports.clone_from(&shape.exports);
        self.producers.clone_from(&shape.producers);
    }
}

/// Inspects one file, with the `.toml` beside it. `connections`: those that there are, where that is known.
pub async fn inspect(
    runtime: &Arc<Runtime>,
    compiler: &Arc<Compiler>,
    path: &Path,
    connections: Option<&[String]>,
) -> Inspection {
    let (path, bound) = (path.to_owned(), compiler.config().wasm_bytes);
    let connections = connections.map(<[String]>::to_vec);
    let opened = tokio::task::spawn_blocking(move || open(&path, bound, connections.as_deref())).await;
    let (mut inspection, Worth { wasm, settings_text }) = match opened {
        Ok((inspection, Some(worth))) => (inspection, worth),
        Ok((inspection, None)) => return inspection,
        Err(error) => {
            let mut inspection = Inspection::new(Path::new(""));
            inspection.refuse(&Refused::new(stage::READ, format!("the host failed while reading it: {error}")));
            return inspection;
        }
    };
    let candidate = Candidate {
        id: inspection.id.clone(),
        wasm: Arc::clone(&wasm),
        wasm_digest: inspection.wasm_digest,
        digest: inspection.digest,
        settings: inspection.settings.clone(),
        settings_text,
    };
    match compiler.compile(wasm, inspection.wasm_digest).await {
        Ok(compiled) => {
            inspection.compiled_in = Some(compiled.took);
            try_out(runtime, compiled.component, &candidate, &mut inspection).await;
        }
        Err(refused) => inspection.refuse(&refused),
    }
    inspection
}

/// Inspects every policy of a folder, in the order of the chain; the problems are about files that are none.
///
/// # Errors
/// [`Refused`] when the folder can't be listed.
pub async fn inspect_folder(
    runtime: &Arc<Runtime>,
    compiler: &Arc<Compiler>,
    folder: &Path,
    connections: Option<&[String]>,
) -> Result<(Vec<Inspection>, Vec<Problem>), Refused> {
    let owned = folder.to_owned();
    let listing = tokio::task::spawn_blocking(move || folder::list(&owned)).await.unwrap_or_else(|error| {
        Err(Refused::passing(stage::READ, format!("the host failed while reading it: {error}")))
    })?;
    let mut problems: Vec<Problem> = listing.mistakes.iter().map(|(name, refused)| refused.problem(name)).collect();
    let beyond = listing.policies.len().saturating_sub(MAX_POLICIES);
    if beyond > 0 {
        problems.push(too_many(beyond).problem(folder.display().to_string()));
    }
    let mut inspections = Vec::new();
    for (id, names) in &listing.policies {
        match (&names.refused, &names.wasm) {
            (Some(refused), _) => problems.push(refused.problem(wasm_file(id))),
            (None, Some(wasm)) => inspections.push(inspect(runtime, compiler, wasm, connections).await),
            (None, None) => problems.push(Problem {
                file: settings_file(id),
                stage: stage::SETTINGS,
                message: format!("no {} stands beside it, so it applies to nothing", wasm_file(id)),
            }),
        }
    }
    inspections.sort_by(|a, b| (a.settings.order, &a.id).cmp(&(b.settings.order, &b.id)));
    Ok((inspections, problems))
}

/// What is worth compiling.
struct Worth {
    wasm: Arc<[u8]>,
    settings_text: Option<Arc<str>>,
}

/// All that the bytes tell without running them; the bytes only when they are worth compiling.
fn open(path: &Path, bound: u64, connections: Option<&[String]>) -> (Inspection, Option<Worth>) {
    let mut inspection = Inspection::new(path);
    if !folder::usable(&inspection.id) {
        inspection.refuse(&folder::unusable());
    }
    let wasm = match folder::read(path, bound) {
        Ok(Read::Bytes(bytes, _)) => bytes,
        Ok(Read::Gone) => {
            inspection.refuse(&Refused::new(stage::READ, "there is no such file"));
            return (inspection, None);
        }
        Ok(Read::Changing) => {
            inspection.refuse(&Refused::passing(stage::READ, "it is being written to"));
            return (inspection, None);
        }
        Err(refused) => {
            inspection.refuse(&refused);
            return (inspection, None);
        }
    };
    inspection.size = wasm.len() as u64;
    inspection.wasm_digest = of_bytes(&wasm);
    let text = settings_beside(path, connections, &mut inspection);
    inspection.digest = digest_of(inspection.wasm_digest, text.as_deref());
    match shape::look(&wasm) {
        Ok(shape) => {
            inspection.outline(&shape);
            match imports::check(&shape, inspection.settings.grants) {
                Ok(()) => {
                    let settings_text = text.as_deref().and_then(text_of);
                    (inspection, Some(Worth { wasm: wasm.into(), settings_text }))
                }
                Err(refused) => {
                    inspection.refuse(&refused);
                    (inspection, None)
                }
            }
        }
        Err(refused) => {
            inspection.refuse(&refused);
            (inspection, None)
        }
    }
}

/// The text of the settings file, if there is one; what it says goes into the inspection.
fn settings_beside(path: &Path, connections: Option<&[String]>, inspection: &mut Inspection) -> Option<Vec<u8>> {
    let file = settings_file(&inspection.id);
    let text = match folder::read(&path.with_extension("toml"), SETTINGS_BYTES) {
        Ok(Read::Bytes(bytes, _)) => bytes,
        Ok(Read::Gone) => return None,
        Ok(Read::Changing) => {
            inspection.problems.push(Refused::passing(stage::READ, "it is being written to").problem(file));
            return None;
        }
        Err(refused) => {
            inspection.problems.push(refused.problem(file));
            return None;
        }
    };
    match read_settings(&inspection.id, Some(&text), connections) {
        Ok(settings) => inspection.settings = settings,
        Err(error) => inspection.refuse(&Refused::from(&error)),
    }
    Some(text)
}

async fn try_out(runtime: &Arc<Runtime>, component: Component, candidate: &Candidate, inspection: &mut Inspection) {
    match runtime.describe(&component, &candidate.spec()).await {
        Ok(description) => inspection.description = Some(description),
        // What keeps it from saying who it is keeps it from being prepared, for the same reason.
        Err(error) => return inspection.refuse(&candidate.refused(error)),
    }
    match runtime.prepare(component, candidate.spec()).await {
        Ok(proven) => inspection.plan = Some(proven.policy.plan().clone()),
        Err(error) => inspection.refuse(&candidate.refused(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_which_no_hook_is_called_is_noted() {
        let mut inspection = Inspection::new(Path::new("10-idle.wasm"));
        assert_eq!(inspection.note(), None, "nothing is known yet");
        let plan = inspection.plan.insert(Plan::default());
        plan.hooks.open = true;
        assert_eq!(inspection.note(), None);
        inspection.plan = Some(Plan::default());
        assert!(inspection.note().is_some_and(|note| note.contains("10-idle") && note.contains("judges nothing")));
    }
}
