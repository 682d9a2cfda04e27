//! What to do about one policy, given what is known of it and what the folder shows. No I/O, no clock.

use std::time::{Duration, Instant};

use model::Digest;

/// What is known of one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Whether something stands in the set for it.
    pub(super) standing: bool,
    /// Whether it must stay when its file goes.
    pub(super) required: bool,
    /// Content that was taken up last: in force, failed, or being prepared.
    pub(super) taken: Option<Digest>,
    /// Whether that content deserves another try.
    pub(super) again: bool,
    /// Whether that content had a settings file.
    pub(super) had_settings: bool,
    /// Since when its `.wasm` is gone.
    pub(super) gone: Option<Instant>,
    /// Since when its `.toml` is gone, its `.wasm` being there.
    pub(super) settings_gone: Option<Instant>,
}

/// What the folder shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// No `.wasm`.
    Gone,
    /// Files that were read before, with the same stamps.
    Same,
    /// Files that can't be read.
    Unreadable,
    /// Files that were read anew.
    Content {
        /// Over both files.
        digest: Digest,
        /// Whether there is a settings file.
        settings: bool,
    },
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Leave everything as it is.
    Keep,
    /// Take this content up: prepare it, and put it in force if it is good.
    Take,
    /// Leave it in force, and say that it can't be read.
    KeepUnreadable,
    /// Its `.wasm` is gone: leave it in force until then. Editors and copies remove a file before they write it.
    KeepGone(Instant),
    /// Its `.toml` is gone: likewise, for the defaults may protect less.
    KeepSettingsGone(Instant),
    /// Its `.toml` was deleted, and had said that it is required: leave it in force with these settings, and say so.
    KeepSettingsRequired,
    /// Its file was deleted but it is required: leave it in force, and say so.
    KeepRequired,
    /// Its file was deleted: take it out of the set.
    Unbind,
    /// It was never in force, and its file is gone.
    Forget,
}

/// Decides.
pub(super) fn decide(known: &Known, sight: Sight, now: Instant, grace: Duration) -> Step {
    match sight {
        Sight::Gone if !known.standing => Step::Forget,
        Sight::Gone => match known.gone.unwrap_or(now) + grace {
            end if now < end => Step::KeepGone(end),
            _ if known.required => Step::KeepRequired,
            _ => Step::Unbind,
        },
        Sight::Unreadable => Step::KeepUnreadable,
        Sight::Same => Step::Keep,
        Sight::Content { digest, .. } if known.taken == Some(digest) => {
            if known.again {
                Step::Take
            } else {
                Step::Keep
            }
        }
        Sight::Content { settings: false, .. } if known.had_settings && known.standing => {
            let end = known.settings_gone.unwrap_or(now) + grace;
            if now < end {
                Step::KeepSettingsGone(end)
            } else if known.required {
                // Else whoever removes both files, this one first, would be rid of it.
                Step::KeepSettingsRequired
            } else {
                Step::Take
            }
        }
        Sight::Content { .. } => Step::Take,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(2);
    const ONE: Digest = Digest([1; 32]);
    const TWO: Digest = Digest([2; 32]);

    fn in_force() -> Known {
        Known { standing: true, taken: Some(ONE), ..Known::default() }
    }

    fn content(digest: Digest) -> Sight {
        Sight::Content { digest, settings: true }
    }

    #[test]
    fn new_content_is_taken_once() {
        let now = Instant::now();
        assert_eq!(decide(&Known::default(), content(ONE), now, GRACE), Step::Take);
        assert_eq!(decide(&in_force(), content(ONE), now, GRACE), Step::Keep);
        assert_eq!(decide(&in_force(), Sight::Same, now, GRACE), Step::Keep);
        assert_eq!(decide(&in_force(), content(TWO), now, GRACE), Step::Take);
    }

    #[test]
    fn content_that_failed_is_tried_again_only_when_it_was_not_to_blame() {
        let now = Instant::now();
        let failed = Known { taken: Some(TWO), ..in_force() };
        assert_eq!(decide(&failed, content(TWO), now, GRACE), Step::Keep);
        assert_eq!(decide(&Known { again: true, ..failed }, content(TWO), now, GRACE), Step::Take);
        assert_eq!(decide(&failed, content(ONE), now, GRACE), Step::Take, "the good version is put back");
    }

    #[test]
    fn a_deleted_policy_stays_for_the_grace_and_a_required_one_for_ever() {
        let now = Instant::now();
        let gone = Known { gone: Some(now), ..in_force() };
        assert_eq!(decide(&in_force(), Sight::Gone, now, GRACE), Step::KeepGone(now + GRACE));
        assert_eq!(decide(&gone, Sight::Gone, now + GRACE / 2, GRACE), Step::KeepGone(now + GRACE));
        assert_eq!(decide(&gone, Sight::Gone, now + GRACE, GRACE), Step::Unbind);
        let required = Known { required: true, ..gone };
        assert_eq!(decide(&required, Sight::Gone, now + GRACE, GRACE), Step::KeepRequired);
        assert_eq!(decide(&Known::default(), Sight::Gone, now, GRACE), Step::Forget);
    }

    #[test]
    fn deleted_settings_count_only_after_the_grace() {
        let now = Instant::now();
        let bare = Sight::Content { digest: TWO, settings: false };
        let known = Known { had_settings: true, ..in_force() };
        assert_eq!(decide(&known, bare, now, GRACE), Step::KeepSettingsGone(now + GRACE));
        let later = Known { settings_gone: Some(now), ..known };
        assert_eq!(decide(&later, bare, now + GRACE, GRACE), Step::Take);
        assert_eq!(decide(&in_force(), bare, now, GRACE), Step::Take, "it never had any");
        let required = Known { required: true, ..later };
        assert_eq!(decide(&required, bare, now + GRACE, GRACE), Step::KeepSettingsRequired);
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        assert_eq!(decide(&in_force(), Sight::Unreadable, Instant::now(), GRACE), Step::KeepUnreadable);
    }
}
