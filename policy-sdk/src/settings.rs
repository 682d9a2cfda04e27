//! Typed settings: JSON in, a type or a list of problems out, each problem with the JSON Pointer (RFC 6901) of its
//! place.

mod json;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::{Direction, Problem};

use json::Json;

/// For policies that have nothing to set; anything but an empty object is a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads settings. Blank text and `null` (no settings file) count as `{}`.
///
/// # Errors
/// One problem: serde stops at the first.
pub fn settings<T: DeserializeOwned>(json: &str) -> Result<T, Vec<Problem>> {
    let json = match json.trim() {
        "" | "null" => "{}",
        given => given,
    };
    let value: Json = serde_json::from_str(json).map_err(|error| vec![Problem::new("", error.to_string())])?;
    T::deserialize(&value).map_err(|wrong| vec![wrong.into()])
}

/// `"request"` or `"response"`, as in the contract.
impl<'de> Deserialize<'de> for Direction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Word {
            Request,
            Response,
        }
        Ok(match Word::deserialize(deserializer)? {
            Word::Request => Self::Request,
            Word::Response => Self::Response,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Sample {
        words: Vec<Word>,
        ways: Vec<Direction>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Word {
        text: String,
        max_length: u32,
    }

    fn problem(json: &str) -> Problem {
        settings::<Sample>(json).expect_err("must not fit").remove(0)
    }

    #[test]
    fn no_settings_are_the_defaults() {
        for json in ["", "  \n", "null", "{}"] {
            assert_eq!(settings::<Sample>(json), Ok(Sample::default()));
        }
    }

    #[test]
    fn a_problem_points_at_its_place() {
        let wrong = problem(r#"{"words": [{"text": "a"}, {"text": "b", "max-length": "long"}]}"#);
        assert_eq!(wrong.path, "/words/1/max-length");
        assert_eq!(wrong.message, "invalid type: string \"long\", expected u32");
    }

    #[test]
    fn an_unknown_name_is_a_problem() {
        let wrong = problem(r#"{"words": [{"tixt": "a"}]}"#);
        assert_eq!(wrong.path, "/words/0/tixt");
        assert_eq!(wrong.message, "unknown field `tixt`, expected `text` or `max-length`");
    }

    #[test]
    fn names_are_escaped_as_rfc_6901_says() {
        assert_eq!(problem(r#"{"a/b~c": 1}"#).path, "/a~1b~0c");
    }

    #[test]
    fn a_word_out_of_the_closed_set_is_a_problem() {
        assert_eq!(problem(r#"{"ways": ["request", "sideways"]}"#).path, "/ways/1");
    }

    #[test]
    fn broken_json_and_trailing_text_are_problems() {
        assert!(settings::<Sample>("{").is_err());
        assert!(settings::<Sample>("{} {}").is_err());
    }
}
