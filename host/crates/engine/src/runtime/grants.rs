//! What a policy may import: `log` always, the rest where the operator grants it.

/// What the operator grants to one policy (`grants = [..]` in its settings file).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The time of day.
    pub clock: bool,
    /// Small values that outlive the instance.
    pub state: bool,
    /// The host's native matcher.
    pub scan: bool,
}

/// The package of the contract, as imports and exports spell it.
const PACKAGE: &str = "portcullis:policy/";
/// The version of the contract that this host speaks; a component made for a compatible one is taken.
const VERSION: (u64, u64) = (0, 1);

impl Grants {
    /// The names that a settings file may use.
    pub const NAMES: [&'static str; 3] = ["clock", "state", "scan"];

    /// Adds the grant of this name; false when there is none.
    #[must_use]
    pub fn add(&mut self, name: &str) -> bool {
        match name {
            "clock" => self.clock = true,
            "state" => self.state = true,
            "scan" => self.scan = true,
            _ => return false,
        }
        true
    }

    /// Whether an import of this full name (`portcullis:policy/state@0.1.0`) is met.
    #[must_use]
    pub fn satisfies(&self, import: &str) -> bool {
        let Some((interface, version)) = import.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) else {
            return false;
        };
        spoken(version)
            && match interface {
                "types" | "log" => true,
                "clock" => self.clock,
                "state" => self.state,
                "scan" => self.scan,
                _ => false,
            }
    }

    /// The first import that is not met.
    pub(super) fn unmet<'a>(&self, mut imports: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        imports.find(|name| !self.satisfies(name))
    }
}

/// Whether the host speaks this version of the contract: before 1.0.0, versions of one minor number are compatible.
fn spoken(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
    let (major, minor, patch) = (numbers.next().flatten(), numbers.next().flatten(), numbers.next().flatten());
    (major, minor) == (Some(VERSION.0), Some(VERSION.1)) && patch.is_some() && numbers.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_log_is_ambient() {
        let none = Grants::default();
        assert!(none.satisfies("portcullis:policy/log@0.1.0"));
        assert!(none.satisfies("portcullis:policy/types@0.1.0"));
        for import in [
            "portcullis:policy/clock@0.1.0",
            "portcullis:policy/state@0.1.0",
            "portcullis:policy/scan@0.1.0",
            "portcullis:policy/log@0.2.0",
            "portcullis:policy/log@1.1.0",
            "portcullis:policy/log",
            "portcullis:policy/log@0.1.x",
            "portcullis:policy/network@0.1.0",
            "wasi:clocks/monotonic-clock@0.2.0",
            "log",
        ] {
            assert!(!none.satisfies(import), "{import}");
        }
    }

    #[test]
    fn every_name_is_a_grant() {
        for name in Grants::NAMES {
            let mut grants = Grants::default();
            assert!(grants.add(name));
            assert_ne!(grants, Grants::default(), "{name}");
        }
        assert!(!Grants::default().add("network"));
    }
}
