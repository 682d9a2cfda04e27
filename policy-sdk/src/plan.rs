//! What a policy wants to see.

use crate::{
    Attribute, Direction, Hooks, OffsetUnit, Pattern,
    bindings::policy::exports::portcullis::policy::policy::Plan as Raw,
};

/// Which hooks the host calls, and with what. Begins narrow in hooks and wide in text: every hook is off but those
/// named, and text of both directions and of all channels and speakers is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    raw: Raw,
}

impl Plan {
    /// A plan that asks for these hooks and no others. `policy.open` always comes before another hook; `Hooks::OPEN`
    /// asks for it in exchanges in which no other hook is due, too.
    #[must_use]
    pub fn new(hooks: Hooks) -> Self {
        Self {
            raw: Raw {
                offsets: OffsetUnit::Utf8,
                directions: Vec::new(),
                channels: Vec::new(),
                speakers: Vec::new(),
                patterns: Vec::new(),
                only_on_hit: false,
                look_behind: 0,
                skip: hooks.complement(),
                extra: Vec::new(),
            },
        }
    }

    /// Only text of these directions; none given: both.
    #[must_use]
    pub fn directions(mut self, directions: impl IntoIterator<Item = Direction>) -> Self {
        self.raw.directions = directions.into_iter().collect();
        self
    }

    /// Only text of these channels (`content`, `reasoning`, `tool-input`, …); none given: all.
    #[must_use]
    pub fn channels(mut self, channels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.raw.channels = channels.into_iter().map(Into::into).collect();
        self
    }

    /// Only text of these speakers (`user`, `assistant`, `tool`, …); none given: all.
    #[must_use]
    pub fn speakers(mut self, speakers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.raw.speakers = speakers.into_iter().map(Into::into).collect();
        self
    }

    /// Patterns that the host looks for natively; their matches come as `window.hits`.
    #[must_use]
    pub fn patterns(mut self, patterns: impl IntoIterator<Item = Pattern>) -> Self {
        self.raw.patterns = patterns.into_iter().collect();
        self
    }

    /// Call [`on_text`](crate::Policy::on_text) only when a pattern has a hit: clean text then costs no call.
    #[must_use]
    pub fn only_on_hit(mut self) -> Self {
        self.raw.only_on_hit = true;
        self
    }

    /// Show this many bytes of released text again, as `window.before`.
    #[must_use]
    pub fn look_behind(mut self, bytes: u32) -> Self {
        self.raw.look_behind = bytes;
        self
    }

    /// An attribute for hosts that know it.
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.raw.extra.push(Attribute { name: name.into(), value: value.into() });
        self
    }

    /// The hooks that are called.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.raw.skip.complement()
    }

    /// As the contract writes it.
    #[must_use]
    pub fn as_raw(&self) -> &Raw {
        &self.raw
    }

    pub(crate) fn into_raw(self) -> Raw {
        self.raw
    }
}
