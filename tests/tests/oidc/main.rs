//! Who asks, as callers, people at browsers and operators meet it: the real binary, a real `OpenID` provider (npm
//! `oidc-provider`, which `tests/setup` installs), and an upstream that says what the test says.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod access;
mod canaries;
mod certificates;
mod exchange;
mod keys;
mod login;
mod rig;
mod sdk;
mod signals;
mod user;
