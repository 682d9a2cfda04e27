//! What the model says: the last message, repeated word by word. Pure; the same request gets the same answer.

use super::ask::{Ask, Last};

/// Longest token, in characters. Real tokenisers cut numbers and rare words, so a number such as an SSN arrives in
/// several events of a stream: the demo shows what masking must cope with.
const TOKEN_CHARS: usize = 4;

/// An answer, ready to be spoken. All its choices are alike: the model is as sure of itself as can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Tokens of the reasoning; empty when the model does not show any.
    pub(super) reasoning: Vec<String>,
    /// What it says or does.
    pub(super) act: Act,
    /// `stop`, `length` or `tool_calls`.
    pub(super) finish: &'static str,
    /// Tokens of the conversation.
    pub(super) prompt_tokens: usize,
}

/// What an answer does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It says this: tokens.
    Say(Vec<String>),
    /// It calls a tool.
    Call {
        /// The tool.
        name: String,
        /// Tokens of the arguments, together one JSON object.
        arguments: Vec<String>,
    },
}

impl Answer {
    /// The answer to a request.
    pub(super) fn to(ask: &Ask) -> Self {
        let prompt_tokens = tokens(&ask.conversation).len();
        let said = match &ask.last {
            Last::User(said) | Last::Tool(said) => said.as_str(),
        };
        let reasoning = if ask.thinking { tokens(&format!("They say: {said} I repeat it.")) } else { Vec::new() };
        if let Some(name) = &ask.tool {
            let arguments = tokens(&serde_json::json!({ "text": said }).to_string());
            let act = Act::Call { name: name.clone(), arguments };
            return Self { reasoning, act, finish: "tool_calls", prompt_tokens };
        }
        let mut words = tokens(&match &ask.last {
            Last::User(said) => format!("You said: {said}"),
            Last::Tool(said) => format!("The tool said: {said}"),
        });
        let cut = ask.max_tokens.is_some_and(|most| most < words.len());
        words.truncate(ask.max_tokens.unwrap_or(usize::MAX));
        Self { reasoning, act: Act::Say(words), finish: if cut { "length" } else { "stop" }, prompt_tokens }
    }

    /// Tokens of one choice.
    pub(super) fn tokens(&self) -> usize {
        let (Act::Say(act) | Act::Call { arguments: act, .. }) = &self.act;
        self.reasoning.len() + act.len()
    }
}

/// Cuts text into tokens that give it back when joined: white space begins a token, and none is longer than
/// [`TOKEN_CHARS`] beyond its white space.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut letters = 0;
    for character in text.chars() {
        let ends = if character.is_whitespace() { letters > 0 } else { letters == TOKEN_CHARS };
        if ends {
            tokens.push(std::mem::take(&mut token));
            letters = 0;
        }
        letters += usize::from(!character.is_whitespace());
        token.push(character);
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: &str) -> Ask {
        Ask::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn tokens_give_the_text_back() {
        for text in ["", " ", "my ssn is 078-05-1120", "  zwei  Wörter\n", "日本語のテキスト", "\t\t"] {
            assert_eq!(tokens(text).concat(), text);
        }
        assert_eq!(tokens("ssn 078-05-1120"), ["ssn", " 078-", "05-1", "120"]);
    }

    #[test]
    fn it_repeats_the_user_and_stops_at_the_limit() {
        let whole = Answer::to(&ask(r#"{"model":"echo-1","messages":[{"role":"user","content":"hi"}]}"#));
        assert_eq!(whole.act, Act::Say(tokens("You said: hi")));
        assert_eq!((whole.finish, whole.reasoning.len()), ("stop", 0));
        let body = r#"{"model":"echo-1","messages":[{"role":"user","content":"hi"}],"max_tokens":2}"#;
        let short = Answer::to(&ask(body));
        assert_eq!((short.finish, short.tokens()), ("length", 2));
    }

    #[test]
    fn a_tool_call_holds_the_text_as_json() {
        let body = r#"{"model":"echo-1-thinking","messages":[{"role":"user","content":"tool \"x\""}],
            "tools":[{"type":"function","function":{"name":"f"}}]}"#;
        let answer = Answer::to(&ask(body));
        let Act::Call { name, arguments } = answer.act else { panic!("a call") };
        assert_eq!(name, "f");
        assert_eq!(arguments.concat(), r#"{"text":"tool \"x\""}"#);
        assert!(answer.reasoning.concat().contains("tool \"x\""));
    }
}
