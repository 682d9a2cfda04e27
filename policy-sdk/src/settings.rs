//! Typed settings: JSON in, a type or a list of problems out, each problem with the JSON Pointer (RFC 6901) of its
//! place.

mod json;

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};

use crate::{Direction, Problem};

use json::Json;

/// For policies that have nothing to set; anything but an empty object is a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What settings say by name, in the order in which they say it: a JSON object. As a list, since it is short, and a tree's
/// code is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByName<T>(Vec<(String, T)>);

impl<T> ByName<T> {
    /// What is said of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        // Of two, the last one counts, as in a tree.
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, said)| said)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = ByName<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByName<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(ByName(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

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
        limits: ByName<u32>,
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
    fn what_is_said_by_name_is_found_by_it() {
        let limits = settings::<Sample>(r#"{"limits": {"b": 2, "a": 1}}"#).expect("fits").limits;
        assert_eq!(limits.names().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!((limits.get("a"), limits.get("b"), limits.get("c")), (Some(&1), Some(&2), None));
        assert_eq!(problem(r#"{"limits": {"a": "one"}}"#).path, "/limits/a");
        assert_eq!(problem(r#"{"limits": [1]}"#).message, "invalid type: array, expected an object");
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
