//! Devices that wait for a person (RFC 8628). Pure: time is an argument (milliseconds since 1970), codes are given.
//!
//! What must hold: a device code is kept as a hash; it opens something once; a person's decision stands; guessing user
//! codes is hopeless: their number, their life, and wrong tries are all bounded.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
};

use model::{Digest, TokenId};

use crate::{grants::Wanted, oidc::Verified};

/// How long a person has.
pub(super) const LIFE_MS: u64 = 600_000;
/// Time between two polls of a device; each that comes sooner adds as much.
pub(super) const INTERVAL_MS: u64 = 5_000;
/// Devices that wait at once.
const WAITING: usize = 1_000;
/// Devices that are known: also those that wait no more, so that they are told why.
const KNOWN: usize = 2 * WAITING;
/// Of those that wait, begun from one address.
const WAITING_PER_ADDRESS: usize = 20;
/// Wrong user codes in [`GUESS_SPAN_MS`] from one address, and from all.
const GUESSES_PER_ADDRESS: usize = 10;
const GUESSES: usize = 300;
const GUESS_SPAN_MS: u64 = 600_000;

/// Letters of user codes: no vowels, so no words; nothing that looks like something else (RFC 8628, 6.1).
pub(super) const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a user code: 20^8 codes.
pub(super) const CODE_LETTERS: usize = 8;

/// What a device asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    /// For approvers, where a person must agree.
    pub(super) reason: String,
    pub(super) address: IpAddr,
    /// The certificate of its connection.
    pub(super) certificate: Option<Digest>,
}

#[derive(Clone, Debug)]
struct Device {
    user_code: String,
    asked: Asked,
    expires_ms: u64,
    interval_ms: u64,
    polled_ms: Option<u64>,
    state: State,
}

impl Device {
    /// Whether it takes a place: a token can still come of it.
    fn waits(&self, now_ms: u64) -> bool {
        now_ms < self.expires_ms && !matches!(self.state, State::Denied)
    }
}

#[derive(Clone, Debug)]
enum State {
    Open,
    Granted(Box<Granted>),
    Denied,
}

/// A device that is about to get its token.
#[derive(Debug)]
pub(super) struct Taken(Device);

/// What a person said yes to.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) who: Verified,
    /// The request for access that an approver must decide, where the grant wants one.
    pub(super) request: Option<TokenId>,
}

/// What a device is told when it polls.
#[derive(Debug)]
pub(super) enum Poll {
    Pending,
    SlowDown,
    Denied,
    Expired,
    Unknown,
    Granted(Asked, Box<Granted>),
}

/// Why a user code opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Code,
    TooMany,
}

/// All devices that wait.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// By the hash of their device code.
    devices: HashMap<Digest, Device>,
    by_user_code: HashMap<String, Digest>,
    /// Wrong tries, oldest first.
    guesses: VecDeque<(u64, IpAddr)>,
}

impl Devices {
    /// A device begins to wait. False: too many do, or the user code is taken.
    pub(super) fn begin(&mut self, code: Digest, user_code: &str, asked: Asked, now_ms: u64) -> bool {
        self.forget(now_ms);
        let address = network(asked.address);
        let waiting = || self.devices.values().filter(|device| device.waits(now_ms));
        let own = waiting().filter(|device| network(device.asked.address) == address).count();
        let full = waiting().count() >= WAITING || own >= WAITING_PER_ADDRESS;
        if full || self.by_user_code.contains_key(user_code) {
            return false;
        }
        if self.devices.len() >= KNOWN {
            self.devices.retain(|_, device| device.waits(now_ms));
        }
        let device = Device {
            user_code: user_code.to_owned(),
            asked,
            expires_ms: now_ms.saturating_add(LIFE_MS),
            interval_ms: INTERVAL_MS,
            polled_ms: None,
            state: State::Open,
        };
        self.by_user_code.insert(device.user_code.clone(), code);
        self.devices.insert(code, device);
        true
    }

    /// The device that a person means; a wrong code counts.
    pub(super) fn find(&mut self, typed: &str, address: IpAddr, now_ms: u64) -> Result<(Digest, &Asked), Wrong> {
        self.forget(now_ms);
        let address = network(address);
        let own = self.guesses.iter().filter(|(_, by)| *by == address).count();
        if own >= GUESSES_PER_ADDRESS || self.guesses.len() >= GUESSES {
            return Err(Wrong::TooMany);
        }
        let found = plain(typed).and_then(|code| self.by_user_code.get(&code)).copied();
        match found.and_then(|code| Some((code, self.devices.get(&code)?))) {
            Some((code, device)) if matches!(device.state, State::Open) => Ok((code, &device.asked)),
            _ => {
                self.guesses.push_back((now_ms, address));
                Err(Wrong::Code)
            }
        }
    }

    /// What a device asked for, as long as nobody decided.
    pub(super) fn open(&self, code: Digest, now_ms: u64) -> Option<(&Asked, &str)> {
        let device = self.devices.get(&code).filter(|device| now_ms < device.expires_ms)?;
        matches!(device.state, State::Open).then_some((&device.asked, device.user_code.as_str()))
    }

    /// A person decides; none: no. False: there is nothing to decide any more.
    pub(super) fn decide(&mut self, code: Digest, granted: Option<Granted>, now_ms: u64) -> bool {
        let Some(device) = self.devices.get_mut(&code).filter(|device| now_ms < device.expires_ms) else {
            return false;
        };
        if !matches!(device.state, State::Open) {
            return false;
        }
        self.by_user_code.remove(&device.user_code);
        device.state = granted.map_or(State::Denied, |granted| State::Granted(Box::new(granted)));
        true
    }

    /// A device polls.
    pub(super) fn poll(&mut self, code: Digest, now_ms: u64) -> Poll {
        let Some(device) = self.devices.get_mut(&code) else { return Poll::Unknown };
        if now_ms >= device.expires_ms {
            return Poll::Expired;
        }
        let last = device.polled_ms.replace(now_ms);
        if last.is_some_and(|last| now_ms < last.saturating_add(device.interval_ms)) {
            device.interval_ms = device.interval_ms.saturating_add(INTERVAL_MS);
            return Poll::SlowDown;
        }
        match &device.state {
            State::Open => Poll::Pending,
            State::Denied => Poll::Denied,
            State::Granted(granted) => Poll::Granted(device.asked.clone(), granted.clone()),
        }
    }

    /// Takes a device away to give it its token: only the first who does has it.
    pub(super) fn take(&mut self, code: Digest) -> Option<Taken> {
        let device = self.devices.remove(&code)?;
        self.by_user_code.remove(&device.user_code);
        Some(Taken(device))
    }

    /// There was no token to be had just now.
    pub(super) fn put_back(&mut self, code: Digest, taken: Taken) {
        self.devices.insert(code, taken.0);
    }

    fn forget(&mut self, now_ms: u64) {
        self.devices.retain(|_, device| now_ms < device.expires_ms.saturating_add(LIFE_MS));
        let devices = &self.devices;
        self.by_user_code.retain(|_, code| devices.get(code).is_some_and(|device| now_ms < device.expires_ms));
        while self.guesses.front().is_some_and(|(at, _)| at.saturating_add(GUESS_SPAN_MS) <= now_ms) {
            self.guesses.pop_front();
        }
    }
}

/// A user code as it is kept: people may write it in small letters, with or without what stands between its halves.
fn plain(typed: &str) -> Option<String> {
    const TYPED_BYTES: usize = 32;
    if typed.len() > TYPED_BYTES {
        return None;
    }
    let letters: String =
        typed.chars().filter(|char| !matches!(char, '-' | ' ')).map(|char| char.to_ascii_uppercase()).collect();
    let sound = letters.len() == CODE_LETTERS && letters.bytes().all(|byte| LETTERS.contains(&byte));
    sound.then_some(letters)
}

/// Who counts as one: an address, or the network that one customer gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests;
