//! Text inside an exchange: which run of it, which way it goes, whose words it is.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Each of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word that the contract uses.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Which way.
    Direction {
        /// From the caller to the model.
        Request = "request",
        /// From the model to the caller.
        Response = "response",
    }
}

words! {
    /// What kind of text a part is.
    Channel {
        /// What is said.
        Content = "content",
        /// What the model thinks aloud.
        Reasoning = "reasoning",
        /// The model's own refusal.
        Refusal = "refusal",
        /// One string inside the arguments of a tool call.
        ToolInput = "tool-input",
        /// What a tool answered.
        ToolResult = "tool-result",
        /// Descriptions and schemas of tools.
        ToolDefinition = "tool-definition",
        /// Tokens told beside the content that are not the content's own.
        Logprobs = "logprobs",
        /// An error message.
        Error = "error",
        /// Any other string of the message: ids, names, fields that no dialect knows.
        Field = "field",
    }
}

words! {
    /// Whose words a part is.
    Speaker {
        /// The operator of the application.
        System = "system",
        /// The developer of the application.
        Developer = "developer",
        /// The person.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// A tool.
        Tool = "tool",
        /// The protocol itself.
        Provider = "provider",
    }
}

/// Whether a reader or a terminal could be deceived by this character: control characters, those that reorder text, those
/// that can't be seen. Whoever shows words of others to a person spells it out.
#[must_use]
pub fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// A run of text within one direction of an exchange, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartId(pub u32);

/// One run of text: independent of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub id: PartId,
    /// What kind of text.
    pub channel: Channel,
    /// Whose words.
    pub speaker: Speaker,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_or_turns_text_round_deceives() {
        // One by one, and not by the ranges above: a range that is cut short must not pass.
        for c in [
            '\0',
            '\n',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{17b5}',
            '\u{180b}',
            '\u{180e}',
            '\u{200b}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{206a}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{13430}',
            '\u{1343f}',
            '\u{1bca0}',
            '\u{1bca3}',
            '\u{1d173}',
            '\u{1d17a}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            assert!(deceives(c), "{c:?}");
        }
        for c in [' ', 'a', '~', 'é', 'ש', 'م', '中', '\u{301}', '…', '\u{fffd}', '🙂'] {
            assert!(!deceives(c), "{c:?}");
        }
    }
}
