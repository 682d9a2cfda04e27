//! JSON as a value that serde reads types from, with the place of what does not fit.
//!
//! Types could be read from the text directly, and wrappers exist that keep track of the place. Each is compiled once
//! for every type in the settings, though, and messages that may name a fraction bring the printing of floats along: a
//! third of a small policy. Here the text is read once, into this value, and types are read from it: from a reference, and
//! by what they ask for, so that each type brings along no more than its own form. A list is no struct.

use std::fmt::{self, Display};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, Expected, IntoDeserializer as _, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use crate::Problem;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Natural(u64),
    Negative(i64),
    Fraction(f64),
    Text(String),
    List(Vec<Json>),
    /// In the order of the text.
    Object(Vec<(String, Json)>),
}

/// What does not fit, and where; boxed, since it comes with every result.
#[derive(Debug)]
pub(super) struct Wrong(Box<Misfit>);

#[derive(Debug)]
struct Misfit {
    /// JSON Pointer, grown from its end while the error goes up.
    path: String,
    message: String,
}

impl Wrong {
    fn new(message: String) -> Self {
        Self(Box::new(Misfit { path: String::new(), message }))
    }

    /// The same, one level further out.
    fn within(mut self, key: &str) -> Self {
        let key = key.replace('~', "~0").replace('/', "~1");
        self.0.path = ["/", &key, &self.0.path].concat();
        self
    }

    /// The same, one level further out in a list.
    fn at(self, index: usize) -> Self {
        self.within(&index.to_string())
    }
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        Self::new(wrong.0.path, wrong.0.message)
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    // Serde's own messages would print fractions.
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(["invalid type: ", &named(unexpected), ", expected ", &expected.to_string()].concat())
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(["invalid value: ", &named(unexpected), ", expected ", &expected.to_string()].concat())
    }
}

fn named(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => ["boolean ", if value { "true" } else { "false" }].concat(),
        Unexpected::Unsigned(value) => ["number ", &value.to_string()].concat(),
        Unexpected::Signed(value) => ["number ", &value.to_string()].concat(),
        Unexpected::Float(_) => "number with a fraction".to_owned(),
        Unexpected::Str(text) => ["string \"", text, "\""].concat(),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "array".to_owned(),
        Unexpected::Map => "object".to_owned(),
        _ => "value of another form".to_owned(),
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Natural(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Negative(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Fraction(value))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            object.push((key, entries.next_value()?));
        }
        Ok(Json::Object(object))
    }
}

/// A name in an object: always a string.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        match deserializer.deserialize_any(Reading)? {
            Json::Text(name) => Ok(name),
            _ => Ok(String::new()),
        }
    }
}

impl<'de> Deserializer<'de> for &Json {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Json::Null => visitor.visit_unit(),
            Json::Bool(_) => self.deserialize_bool(visitor),
            Json::Natural(_) | Json::Negative(_) | Json::Fraction(_) => self.number(visitor),
            Json::Text(text) => visitor.visit_str(text),
            Json::List(list) => visitor.visit_seq(Items::of(list)),
            Json::Object(object) => visitor.visit_map(Entries::of(object)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Json::Bool(value) => visitor.visit_bool(*value),
            other => Err(other.unfit(&visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Json::Text(text) => visitor.visit_str(text),
            other => Err(other.unfit(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Json::List(list) => visitor.visit_seq(Items::of(list)),
            other => Err(other.unfit(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Json::Object(object) => visitor.visit_map(Entries::of(object)),
            other => Err(other.unfit(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Json::Null => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Json::Text(name) => visitor.visit_enum(Variant { name, value: &Json::Null }),
            Json::Object(object) => match object.as_slice() {
                [(name, value)] => visitor.visit_enum(Variant { name, value }),
                _ => Err(de::Error::invalid_value(Unexpected::Map, &"an object with one name")),
            },
            other => Err(other.unfit(&"a string or an object with one name")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.number(visitor)
    }
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.number(visitor)
    }
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.number(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

impl Json {
    fn number<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Natural(value) => visitor.visit_u64(*value),
            Self::Negative(value) => visitor.visit_i64(*value),
            Self::Fraction(value) => visitor.visit_f64(*value),
            other => Err(other.unfit(&visitor)),
        }
    }

    fn unfit(&self, expected: &dyn Expected) -> Wrong {
        de::Error::invalid_type(
            match self {
                Self::Null => Unexpected::Unit,
                Self::Bool(value) => Unexpected::Bool(*value),
                Self::Natural(value) => Unexpected::Unsigned(*value),
                Self::Negative(value) => Unexpected::Signed(*value),
                Self::Fraction(value) => Unexpected::Float(*value),
                Self::Text(text) => Unexpected::Str(text),
                Self::List(_) => Unexpected::Seq,
                Self::Object(_) => Unexpected::Map,
            },
            expected,
        )
    }
}

/// A list on its way into a type.
struct Items<'a> {
    list: std::slice::Iter<'a, Json>,
    next: usize,
}

impl<'a> Items<'a> {
    fn of(list: &'a [Json]) -> Self {
        Self { list: list.iter(), next: 0 }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some(item) = self.list.next() else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(item).map(Some).map_err(|wrong| wrong.at(index))
    }
}

/// An object on its way into a type.
struct Entries<'a> {
    object: std::slice::Iter<'a, (String, Json)>,
    /// What was read last.
    last: Option<&'a (String, Json)>,
}

impl<'a> Entries<'a> {
    fn of(object: &'a [(String, Json)]) -> Self {
        Self { object: object.iter(), last: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.last = self.object.next();
        let Some((name, _)) = self.last else { return Ok(None) };
        let reader: StrDeserializer<'_, Wrong> = name.as_str().into_deserializer();
        seed.deserialize(reader).map(Some).map_err(|wrong| wrong.within(name))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wrong> {
        match self.last {
            Some((name, value)) => seed.deserialize(value).map_err(|wrong| wrong.within(name)),
            None => Err(de::Error::custom("a value without a name")),
        }
    }
}

/// `"name"` or `{"name": value}`.
#[derive(Clone, Copy)]
struct Variant<'a> {
    name: &'a str,
    value: &'a Json,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Wrong> {
        let reader: StrDeserializer<'_, Wrong> = self.name.into_deserializer();
        Ok((seed.deserialize(reader)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.value {
            Json::Null => Ok(()),
            value => Err(value.unfit(&"no value").within(self.name)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        seed.deserialize(self.value).map_err(|wrong| wrong.within(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.value.deserialize_seq(visitor).map_err(|wrong| wrong.within(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Wrong> {
        self.value.deserialize_map(visitor).map_err(|wrong| wrong.within(self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::settings;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Each {
        Plain,
        With(u8),
        Two(u8, u8),
        Named { x: f64 },
    }

    fn wrong<T: de::DeserializeOwned + fmt::Debug>(json: &str) -> (String, String) {
        let problem = settings::<BTreeMap<String, T>>(json).expect_err("must not fit").remove(0);
        (problem.path, problem.message)
    }

    #[test]
    fn every_form_of_a_type_is_read() {
        let read: BTreeMap<String, Option<Each>> = settings(
            r#"{"a": "plain", "b": {"with": 7}, "c": {"two": [1, 2]}, "d": {"named": {"x": 2}}, "e": null,
                "f": {"named": {"x": -1.5}}}"#,
        )
        .expect("fits");
        let expected = [
            Some(Each::Plain),
            Some(Each::With(7)),
            Some(Each::Two(1, 2)),
            Some(Each::Named { x: 2.0 }),
            None,
            Some(Each::Named { x: -1.5 }),
        ];
        assert_eq!(read.into_values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_does_not_fit_has_its_place_and_name() {
        let of = |path: &str, message: &str| (path.to_owned(), message.to_owned());
        assert_eq!(wrong::<u8>(r#"{"a/b~": 1.5}"#), of("/a~1b~0", "invalid type: number with a fraction, expected u8"));
        assert_eq!(wrong::<u8>(r#"{"a": 256}"#), of("/a", "invalid value: number 256, expected u8"));
        assert_eq!(wrong::<u8>(r#"{"a": -1}"#), of("/a", "invalid value: number -1, expected u8"));
        assert_eq!(wrong::<bool>(r#"{"a": [1]}"#), of("/a", "invalid type: array, expected a boolean"));
        assert_eq!(wrong::<Vec<bool>>(r#"{"a": [true, {}]}"#), of("/a/1", "invalid type: object, expected a boolean"));
        assert_eq!(wrong::<Each>(r#"{"a": {"with": null}}"#), of("/a/with", "invalid type: null, expected u8"));
        assert_eq!(
            wrong::<Each>(r#"{"a": {"plain": 1}}"#),
            of("/a/plain", "invalid type: number 1, expected no value")
        );
        assert_eq!(wrong::<Each>(r#"{"a": {"named": {"x": true}}}"#).0, "/a/named/x");
        assert_eq!(wrong::<Each>(r#"{"a": {"with": 1, "plain": 1}}"#).0, "/a");
        assert_eq!(wrong::<Each>(r#"{"a": "other"}"#).0, "/a");
        assert_eq!(wrong::<Each>(r#"{"a": 3}"#).0, "/a");
        assert_eq!(wrong::<String>(r#"{"a": 3}"#), of("/a", "invalid type: number 3, expected a string"));
        assert_eq!(wrong::<Vec<u8>>(r#"{"a": {}}"#), of("/a", "invalid type: object, expected a sequence"));
    }

    #[test]
    fn a_list_is_no_struct() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "never read: it must not fit")]
        struct Pair {
            x: u8,
            y: u8,
        }
        let (path, message) = wrong::<Pair>(r#"{"a": [1, 2]}"#);
        assert_eq!((path.as_str(), message.as_str()), ("/a", "invalid type: array, expected struct Pair"));
    }
}
