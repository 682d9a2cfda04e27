//! The request of a chat completion, checked once. Everything after it works on an [`Ask`] that can be answered.
//!
//! Source of the shapes: OpenAI's API reference, "Create chat completion".

use serde::Deserialize;
use serde_json::Value;

/// The models on offer.
pub(super) const MODELS: [&str; 2] = [PLAIN, THINKING];
const PLAIN: &str = "echo-1";
const THINKING: &str = "echo-1-thinking";

/// Most choices of one answer.
const CHOICES: u32 = 8;
/// Most alternatives of one token (`top_logprobs`), as in the specification.
const ALTERNATIVES: u32 = 20;

/// A request that can be answered.
#[derive(Debug, PartialEq)]
pub(super) struct Ask {
    /// One of [`MODELS`].
    pub(super) model: &'static str,
    /// Whether the answer comes with its reasoning.
    pub(super) thinking: bool,
    /// All text of the conversation, for counting.
    pub(super) conversation: String,
    /// What the answer repeats.
    pub(super) last: Last,
    /// Whether the answer is streamed.
    pub(super) stream: bool,
    /// Whether a stream closes with its usage.
    pub(super) include_usage: bool,
    /// How many answers; at least 1.
    pub(super) choices: u32,
    /// The tool that the answer calls.
    pub(super) tool: Option<String>,
    /// Whether each token comes with its probability.
    pub(super) logprobs: bool,
    /// Most tokens of an answer.
    pub(super) max_tokens: Option<usize>,
}

/// The message that the answer repeats.
#[derive(Debug, PartialEq)]
pub(super) enum Last {
    /// The user's last one.
    User(String),
    /// A tool's result, when that came after it.
    Tool(String),
}

/// Why a request can't be answered: an error in OpenAI's form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// HTTP status.
    pub(super) status: u16,
    /// One sentence.
    pub(super) message: String,
    /// The member that is wrong.
    pub(super) param: Option<String>,
    /// Stable code.
    pub(super) code: Option<&'static str>,
}

#[derive(Deserialize)]
struct Body {
    model: String,
    messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u32>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    tool_choice: Option<Value>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Piece>),
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Tool {
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
}

impl Ask {
    /// Checks a request's body.
    ///
    /// # Errors
    /// [`Complaint`]: 400 for what is malformed, 404 for a model that is not on offer.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Complaint> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let body: Body = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            // A syntax error has no member to blame.
            let param = error.inner().is_data().then(|| error.path().to_string()).filter(|path| path != ".");
            wrong(param.as_deref(), format!("We could not parse the JSON body of your request: {}", error.inner()))
        })?;
        json.end()
            .map_err(|error| wrong(None, format!("We could not parse the JSON body of your request: {error}")))?;
        Self::check(body)
    }

    fn check(body: Body) -> Result<Self, Complaint> {
        let Some(model) = MODELS.into_iter().find(|known| *known == body.model) else {
            return Err(Complaint {
                status: 404,
                message: format!("The model `{}` does not exist; there is {}.", body.model, MODELS.join(" and ")),
                param: Some("model".to_owned()),
                code: Some("model_not_found"),
            });
        };
        if body.messages.is_empty() {
            return Err(wrong(Some("messages"), "'messages' must hold at least one message".to_owned()));
        }
        let stream = body.stream.unwrap_or(false);
        if body.stream_options.is_some() && !stream {
            let message = "'stream_options' is only allowed when 'stream' is true";
            return Err(wrong(Some("stream_options"), message.to_owned()));
        }
        let choices = body.n.unwrap_or(1);
        if !(1..=CHOICES).contains(&choices) {
            return Err(wrong(Some("n"), format!("'n' must be between 1 and {CHOICES}")));
        }
        let logprobs = body.logprobs.unwrap_or(false);
        if body.top_logprobs.is_some_and(|top| top > ALTERNATIVES || !logprobs) {
            let message = format!("'top_logprobs' must be at most {ALTERNATIVES}, and needs 'logprobs'");
            return Err(wrong(Some("top_logprobs"), message));
        }
        let max_tokens = body.max_completion_tokens.or(body.max_tokens);
        if max_tokens == Some(0) {
            return Err(wrong(Some("max_completion_tokens"), "'max_completion_tokens' must be at least 1".to_owned()));
        }
        let last = last(&body.messages);
        let tool = tool(body.tools.unwrap_or_default(), body.tool_choice.as_ref(), &last)?;
        Ok(Self {
            model,
            thinking: model == THINKING,
            conversation: body.messages.iter().map(text).collect::<Vec<_>>().join("\n"),
            last,
            stream,
            include_usage: body.stream_options.is_some_and(|options| options.include_usage == Some(true)),
            choices,
            tool,
            logprobs,
            max_tokens,
        })
    }
}

/// The tool to call: the one that the request insists on, or the one that the user's words name; any tool is named by
/// the word `tool`.
fn tool(offered: Vec<Tool>, choice: Option<&Value>, last: &Last) -> Result<Option<String>, Complaint> {
    let names: Vec<String> =
        offered.into_iter().filter_map(|tool| tool.function).map(|function| function.name).collect();
    if let Some(name) = choice.and_then(|choice| choice.pointer("/function/name")).and_then(Value::as_str) {
        if !names.iter().any(|offered| offered == name) {
            return Err(wrong(Some("tool_choice"), format!("'tool_choice' names `{name}`, which is not in 'tools'")));
        }
        return Ok(Some(name.to_owned()));
    }
    match choice.and_then(Value::as_str) {
        Some("none") => return Ok(None),
        Some("required") if names.is_empty() => {
            return Err(wrong(Some("tool_choice"), "'tool_choice' is only allowed when 'tools' are given".to_owned()));
        }
        Some("required") => return Ok(names.into_iter().next()),
        _ => {}
    }
    let Last::User(said) = last else { return Ok(None) };
    let said = said.to_lowercase();
    let named = names.iter().find(|name| said.contains(&name.to_lowercase())).cloned();
    Ok(named.or_else(|| said.contains("tool").then(|| names.into_iter().next()).flatten()))
}

fn last(messages: &[Message]) -> Last {
    let (user, tool) = (last_of(messages, "user"), last_of(messages, "tool"));
    match (user, tool) {
        (Some(user), Some(tool)) if tool > user => Last::Tool(text(&messages[tool])),
        (None, Some(tool)) => Last::Tool(text(&messages[tool])),
        (Some(user), _) => Last::User(text(&messages[user])),
        (None, None) => Last::User(messages.last().map(text).unwrap_or_default()),
    }
}

fn last_of(messages: &[Message], role: &str) -> Option<usize> {
    messages.iter().rposition(|message| message.role == role)
}

fn text(message: &Message) -> String {
    match &message.content {
        None => String::new(),
        Some(Content::Text(text)) => text.clone(),
        Some(Content::Parts(pieces)) => pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" "),
    }
}

fn wrong(param: Option<&str>, message: String) -> Complaint {
    Complaint { status: 400, message, param: param.map(str::to_owned), code: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Ask, Complaint> {
        Ask::parse(body.as_bytes())
    }

    #[test]
    fn string_and_part_content_are_read() {
        let ask = parse(
            r#"{"model":"echo-1","messages":[{"role":"system","content":"be kind"},
                {"role":"user","content":[{"type":"text","text":"hello"},{"type":"image_url","image_url":{}}]}]}"#,
        )
        .unwrap();
        assert_eq!(ask.last, Last::User("hello ".to_owned()));
        assert_eq!(ask.choices, 1);
    }

    #[test]
    fn a_tools_result_is_answered_when_it_came_last() {
        let ask = parse(
            r#"{"model":"echo-1","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null},
                {"role":"tool","tool_call_id":"x","content":"42"}]}"#,
        )
        .unwrap();
        assert_eq!(ask.last, Last::Tool("42".to_owned()));
    }

    #[test]
    fn a_tool_is_called_when_the_words_or_the_request_say_so() {
        let with = |said: &str, choice: &str| {
            let body = format!(
                r#"{{"model":"echo-1","messages":[{{"role":"user","content":"{said}"}}],"tool_choice":{choice},
                    "tools":[{{"type":"function","function":{{"name":"look_up"}}}},{{"type":"function","function":{{"name":"store"}}}}]}}"#
            );
            parse(&body).map(|ask| ask.tool)
        };
        assert_eq!(with("hello", "null").unwrap(), None);
        assert_eq!(with("use a tool", "null").unwrap().as_deref(), Some("look_up"));
        assert_eq!(with("please STORE this", "\"auto\"").unwrap().as_deref(), Some("store"));
        assert_eq!(with("use a tool", "\"none\"").unwrap(), None);
        assert_eq!(with("hello", "\"required\"").unwrap().as_deref(), Some("look_up"));
        let named = r#"{"type":"function","function":{"name":"store"}}"#;
        assert_eq!(with("hello", named).unwrap().as_deref(), Some("store"));
        assert!(with("hello", &named.replace("store", "other")).is_err());
    }

    #[test]
    fn a_malformed_request_is_told_what_is_wrong_with_it() {
        let param = |body: &str| parse(body).unwrap_err().param;
        assert_eq!(param("{"), None);
        assert_eq!(param(r#"{"model":"echo-1","messages":[]}"#).as_deref(), Some("messages"));
        assert_eq!(param(r#"{"model":"echo-1","messages":[{"content":"x"}]}"#).as_deref(), Some("messages[0]"));
        assert_eq!(param(r#"{"model":"echo-1","messages":[{"role":"user"}],"n":0}"#).as_deref(), Some("n"));
        let options = r#"{"model":"echo-1","messages":[{"role":"user"}],"stream_options":{}}"#;
        assert_eq!(param(options).as_deref(), Some("stream_options"));
        let model = parse(r#"{"model":"other","messages":[{"role":"user"}]}"#).unwrap_err();
        assert_eq!((model.status, model.code), (404, Some("model_not_found")));
    }
}
