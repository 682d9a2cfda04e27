//! One look at the policy folder: for each policy, what is new since the last.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use exchange::ports::Problem;
use model::{Digest, Mode};

use super::{
    Refused, Settings, SettingsError,
    digest::{of_bytes, of_fields},
    folder::{self, FolderId, Names, Read, SETTINGS_BYTES, Stamp},
    settings::says_nothing,
    stage,
};

/// Bytes that one look reads before it leaves the rest to the next.
const LOOK_BYTES: usize = 256 << 20;

/// What the folder shows.
pub(super) struct Look {
    pub(super) folder: FolderId,
    /// By policy id. What is known and not here is gone.
    pub(super) seen: BTreeMap<String, Seen>,
    /// Policies of which only settings are there, which say that it need not stay.
    pub(super) released: BTreeSet<String>,
    /// Files that are no policy and stand in the folder by mistake.
    pub(super) mistakes: Vec<Problem>,
    /// Whether some files were left to the next look.
    pub(super) more: bool,
}

/// What it shows of one policy that is there.
pub(super) enum Seen {
    /// What was read before.
    Same,
    /// It can't be read; what its settings say, where they can be.
    Unreadable(Problem, Option<Box<Settings>>),
    /// Only its settings are there, and say that it must not be missing.
    Alone(Problem, Box<Settings>),
    /// It is being written.
    Changing,
    /// Left to the next look.
    Later,
    /// It was read.
    Content(Box<Content>),
}

/// A policy's files, read once.
pub(super) struct Content {
    pub(super) wasm: Arc<[u8]>,
    pub(super) wasm_digest: Digest,
    /// Over both files.
    pub(super) digest: Digest,
    pub(super) settings: Result<Settings, SettingsError>,
    /// The text of the settings file, where there is one.
    pub(super) settings_text: Option<Arc<str>>,
    /// Whether there is a settings file that says anything. One that does not is as good as none: an editor cuts a file
    /// before it writes it anew.
    pub(super) has_settings: bool,
    pub(super) stamps: Stamps,
}

/// Under which stamps a policy's files were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps {
    wasm: Stamp,
    settings: Option<Stamp>,
}

impl Stamps {
    /// Whether nothing has changed between these and others, as far as the files' sizes and times tell.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.wasm.same_file(&other.wasm)
            && match (&self.settings, &other.settings) {
                (None, None) => true,
                (Some(one), Some(other)) => one.same_file(other),
                (None, Some(_)) | (Some(_), None) => false,
            }
    }

    fn still(&self, wasm: &Path, settings: Option<&PathBuf>) -> bool {
        self.wasm.still(wasm)
            && match (self.settings, settings) {
                (None, None) => true,
                (Some(stamp), Some(path)) => stamp.still(path),
                (None, Some(_)) | (Some(_), None) => false,
            }
    }
}

/// What a look goes by.
pub(super) struct Going<'a> {
    /// What was read before.
    pub(super) known: &'a BTreeMap<String, Stamps>,
    /// Bytes of a policy's file.
    pub(super) wasm_bytes: u64,
    /// Connections that there are, where that is known.
    pub(super) connections: Option<&'a [String]>,
}

/// Looks at the folder. Reads files, so it may take a while: not for an asynchronous thread.
///
/// # Errors
/// [`Refused`] when the folder can't be listed.
pub(super) fn look(path: &Path, going: &Going<'_>) -> Result<Look, Refused> {
    let listing = folder::list(path)?;
    let mistakes = listing.mistakes.iter().map(|(name, refused)| refused.problem(name)).collect();
    let (seen, released) = (BTreeMap::new(), BTreeSet::new());
    let mut look = Look { folder: listing.folder, seen, released, mistakes, more: false };
    let mut read = 0;
    for (id, names) in &listing.policies {
        let Some(wasm) = &names.wasm else {
            match alone(id, names) {
                Alone::Required(problem, settings) => {
                    look.seen.insert(id.clone(), Seen::Alone(problem, settings));
                }
                Alone::Mistake(problem, releases) => {
                    look.mistakes.push(problem);
                    look.released.extend(releases.then(|| id.clone()));
                }
                Alone::Gone => {}
            }
            continue;
        };
        if let Some(seen) = look_at(id, wasm, names, going, &mut read) {
            look.more |= matches!(seen, Seen::Later);
            look.seen.insert(id.clone(), seen);
        }
    }
    Ok(look)
}

/// None: it went away meanwhile.
fn look_at(id: &str, wasm: &Path, names: &Names, going: &Going<'_>, read: &mut usize) -> Option<Seen> {
    if let Some(refused) = &names.refused {
        let settings = names.settings.as_deref().map(|path| folder::read(path, SETTINGS_BYTES));
        let Some(Ok(Read::Bytes(bytes, _))) = settings else { return Some(unreadable(id, refused, None, going)) };
        return Some(unreadable(id, refused, Some(&bytes), going));
    }
    if going.known.get(id).is_some_and(|stamps| stamps.still(wasm, names.settings.as_ref())) {
        return Some(Seen::Same);
    }
    if *read > LOOK_BYTES {
        return Some(Seen::Later);
    }
    let settings = match names.settings.as_deref().map(|path| folder::read(path, SETTINGS_BYTES)) {
        None | Some(Ok(Read::Gone)) => None,
        Some(Ok(Read::Changing)) => return Some(Seen::Changing),
        Some(Ok(Read::Bytes(bytes, stamp))) => Some((bytes, stamp)),
        Some(Err(refused)) => return Some(Seen::Unreadable(refused.problem(settings_file(id)), None)),
    };
    let (bytes, stamp) = match folder::read(wasm, going.wasm_bytes) {
        Ok(Read::Gone) => return None,
        Ok(Read::Changing) => return Some(Seen::Changing),
        Ok(Read::Bytes(bytes, stamp)) => (bytes, stamp),
        Err(refused) => {
            return Some(unreadable(id, &refused, settings.as_ref().map(|(bytes, _)| bytes.as_slice()), going));
        }
    };
    *read += bytes.len();
    // Settings and code belong together: if the one was replaced while the other was read, both are read again.
    if let (Some((_, stamp)), Some(path)) = (&settings, &names.settings)
        && !stamp.holds(path)
    {
        return Some(Seen::Changing);
    }
    Some(Seen::Content(Box::new(content(id, (&bytes, stamp), settings, going.connections))))
}

/// Code that can't be read: how little that stops is for its settings to say, if these can be read.
fn unreadable(id: &str, refused: &Refused, settings: Option<&[u8]>, going: &Going<'_>) -> Seen {
    let settings = settings.filter(|bytes| !says_nothing(bytes));
    let settings = settings.and_then(|bytes| read_settings(id, Some(bytes), going.connections).ok()).map(Box::new);
    Seen::Unreadable(refused.problem(wasm_file(id)), settings)
}

fn content(
    id: &str,
    (wasm, stamp): (&[u8], Stamp),
    settings: Option<(Vec<u8>, Stamp)>,
    connections: Option<&[String]>,
) -> Content {
    let wasm_digest = of_bytes(wasm);
    let (text, settings_stamp) = settings.map_or((None, None), |(bytes, stamp)| (Some(bytes), Some(stamp)));
    let digest = digest_of(wasm_digest, text.as_deref());
    let settings = read_settings(id, text.as_deref(), connections);
    Content {
        wasm: wasm.into(),
        settings_text: text.as_deref().and_then(text_of),
        wasm_digest,
        digest,
        has_settings: text.as_deref().is_some_and(|text| settings.is_err() || !says_nothing(text)),
        settings,
        stamps: Stamps { wasm: stamp, settings: settings_stamp },
    }
}

/// What decides how a policy behaves: its code and its settings.
pub(super) fn digest_of(wasm: Digest, settings: Option<&[u8]>) -> Digest {
    let presence: &[u8] = if settings.is_some() { b"settings" } else { b"none" };
    of_fields([&b"portcullis policy"[..], &wasm.0, presence, settings.unwrap_or_default()])
}

/// Reads settings that may not be there, or not be text.
pub(super) fn read_settings(
    id: &str,
    bytes: Option<&[u8]>,
    connections: Option<&[String]>,
) -> Result<Settings, SettingsError> {
    let Some(bytes) = bytes else {
        return Ok(Settings::of_name(id));
    };
    let file = settings_file(id);
    match std::str::from_utf8(bytes) {
        Ok(text) => Settings::parse(id, file, text, connections),
        Err(error) => Err(SettingsError::not_text(file, &bytes[..error.valid_up_to()])),
    }
}

/// Settings as text, where they are that.
pub(super) fn text_of(settings: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(settings).ok().map(Arc::from)
}

pub(super) fn wasm_file(id: &str) -> String {
    format!("{id}.wasm")
}

pub(super) fn settings_file(id: &str) -> String {
    format!("{id}.toml")
}

/// What settings mean that stand alone.
enum Alone {
    /// The policy must not be missing.
    Required(Problem, Box<Settings>),
    /// They apply to nothing; whether they say that it may go.
    Mistake(Problem, bool),
    /// They went away meanwhile.
    Gone,
}

fn alone(id: &str, names: &Names) -> Alone {
    let problem = |message: String| Problem { file: settings_file(id), stage: stage::SETTINGS, message };
    let wasm = wasm_file(id);
    let nothing = format!("no {wasm} stands beside it, so it applies to nothing: rename or remove it");
    let Some(path) = &names.settings else {
        return Alone::Gone;
    };
    let bytes = match folder::read(path, SETTINGS_BYTES) {
        Ok(Read::Gone) => return Alone::Gone,
        Ok(Read::Changing) => return Alone::Mistake(problem(nothing), false),
        Ok(Read::Bytes(bytes, _)) => bytes,
        Err(refused) => return Alone::Mistake(problem(format!("{nothing} ({})", refused.message)), false),
    };
    match read_settings(id, Some(&bytes), None) {
        Ok(settings) if settings.required && settings.mode != Mode::Off => {
            let why =
                format!("it says `required = true`, but there is no {wasm}: put that back, or remove this file too");
            Alone::Required(problem(why), Box::new(settings))
        }
        Ok(_) => Alone::Mistake(problem(nothing), !says_nothing(&bytes)),
        Err(_) => Alone::Mistake(problem(nothing), false),
    }
}
