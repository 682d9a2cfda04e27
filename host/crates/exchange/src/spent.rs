//! What an answer costs its caller, in tokens of usage: what the provider counts, and where it does not tell that, what the
//! text suggests. Else whoever asks for no count, or hangs up before it comes, would spend nothing.
//!
//! What must hold: what the provider told at the end of a whole answer is what counts; no exchange with a model is free.

use model::Usage;

use crate::ports::Account;

/// Bytes of text to a token, where nobody has counted: what tokenisers of today make of English prose.
const TOKEN_BYTES: u64 = 4;

/// The costs of one answer, told to the account as they come, and in the end.
pub(crate) struct Spent<'x> {
    account: &'x dyn Account,
    /// What the account was told.
    told: Usage,
    /// Bytes of text of the request, and of the answer so far. None where no model was asked.
    heard: Option<(u64, u64)>,
    refused: bool,
    whole: bool,
}

impl<'x> Spent<'x> {
    /// Nothing yet. `refused`: the provider answers with an error, which costs what it says and no more.
    pub(crate) fn new(account: &'x dyn Account, refused: bool) -> Self {
        Self { account, told: Usage::default(), heard: None, refused, whole: false }
    }

    /// Takes what the provider has counted so far, and the text that has come.
    pub(crate) fn tell(&mut self, counted: Usage, heard: Option<(u64, u64)>) {
        self.heard = heard;
        self.spend(counted);
    }

    /// The answer is whole: what the provider has not told it will not tell.
    pub(crate) fn is_whole(&mut self) {
        self.whole = true;
    }

    fn spend(&mut self, usage: Usage) {
        let since = Usage {
            input_tokens: usage.input_tokens.saturating_sub(self.told.input_tokens),
            output_tokens: usage.output_tokens.saturating_sub(self.told.output_tokens),
        };
        if since != Usage::default() {
            self.told = Usage {
                input_tokens: self.told.input_tokens.max(usage.input_tokens),
                output_tokens: self.told.output_tokens.max(usage.output_tokens),
            };
            self.account.spend(since);
        }
    }
}

impl Drop for Spent<'_> {
    fn drop(&mut self) {
        let counted = self.refused || (self.whole && self.told != Usage::default());
        let Some((asked, answered)) = self.heard.filter(|_| !counted) else { return };
        let tokens = |bytes: u64| u32::try_from(bytes.div_ceil(TOKEN_BYTES)).unwrap_or(u32::MAX);
        self.spend(Usage { input_tokens: tokens(asked), output_tokens: tokens(answered) });
    }
}
