//! A test in a mount namespace of its own, so that it can have a file system of a fixed size without being root: it runs
//! itself again, and everything that it mounts is gone with it (user_namespaces(7), mount_namespaces(7)).

use std::{
    path::Path,
    process::{Command, Stdio},
};

const INSIDE: &str = "PORTCULLIS_TEST_ALONE";

/// Whether this is the inner run. In the outer one the test named `name` has been run inside, and has passed.
///
/// # Panics
/// When it did not pass there, or this machine gives nobody a namespace.
#[must_use]
pub fn alone(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("a test knows its own path");
    // A user namespace first, which needs no rights where the system allows them; then what an administrator may.
    let user: &[&str] = &["unshare", "--user", "--map-root-user", "--mount", "--"];
    let ways: [&[&str]; 3] = [user, &["unshare", "--mount", "--"], &["sudo", "-nE", "unshare", "--mount", "--"]];
    let works = |way: &&[&str]| {
        let tried = Command::new(way[0]).args(&way[1..]).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let way =
        ways.into_iter().find(works).expect("no mount namespace can be had: user namespaces, or root, are needed");
    let ran = Command::new(way[0])
        .args(&way[1..])
        .arg(program)
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare can be started");
    assert!(ran.success(), "{name} did not pass in its namespace");
    false
}

/// Mounts an empty file system of at most `size` bytes at a folder. Only where [`alone`] said yes.
///
/// # Panics
/// When it can't.
pub(super) fn mount_small(folder: &Path, size: u64) {
    assert!(std::env::var_os(INSIDE).is_some(), "this would be mounted for everybody");
    std::fs::create_dir_all(folder).expect("a fresh folder can be written");
    let options = format!("size={size},mode=0700");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder).status();
    assert!(mounted.is_ok_and(|status| status.success()), "tmpfs can't be mounted at {}", folder.display());
}
