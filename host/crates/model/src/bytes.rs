//! Byte strings as they are serialized: one run of bytes, or in a format for people, as JSON is, the text that they are;
//! where they are no UTF-8, `{"base64": "…"}`.
//!
//! What must hold: what was written is read back, byte for byte, in every format.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Bytes that are no UTF-8.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    base64: String,
}

/// For `#[serde(with = "model::bytes")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return serializer.serialize_bytes(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => serializer.collect_map([("base64", STANDARD.encode(bytes))]),
    }
}

/// For `#[serde(with = "model::bytes")]`.
///
/// # Errors
/// Those of the deserializer; when there is anything but what [`serialize`] writes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(Told)
    } else {
        deserializer.deserialize_byte_buf(Run)
    }
}

/// One run of bytes.
struct Run;

impl Visitor<'_> for Run {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

/// A text, or bytes in Base64.
struct Told;

impl<'de> Visitor<'de> for Told {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or bytes as {\"base64\": \"…\"}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Vec<u8>, E> {
        Ok(text.into_bytes())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<u8>, A::Error> {
        let Encoded { base64 } = Encoded::deserialize(MapAccessDeserializer::new(map))?;
        STANDARD.decode(base64).map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::record::Chunk;

    #[test]
    fn bytes_that_are_no_text_come_back_from_json() {
        for (data, told) in [
            (&b"price: \xe2\x82\xac 5"[..], "\"price: € 5\""),
            (b"", "\"\""),
            (b"price: \xe2", r#"{"base64":"cHJpY2U6IOI="}"#),
            (b"\xff\xff\xff", r#"{"base64":"////"}"#),
            (b"{\"base64\":\"////\"}", r#""{\"base64\":\"////\"}""#),
        ] {
            let chunk = Chunk { at: 7, data: data.to_vec() };
            let json = serde_json::to_string(&chunk).unwrap();
            assert_eq!(json, format!("{{\"at\":7,\"data\":{told}}}"));
            assert_eq!(serde_json::from_str::<Chunk>(&json).unwrap(), chunk);
            let value = serde_json::to_value(&chunk).unwrap();
            assert_eq!(serde_json::from_value::<Chunk>(value).unwrap(), chunk);
        }
        for wrong in ["7", "[7]", "null", "{}", r#"{"base64":"!"}"#, r#"{"base64":"////","more":1}"#] {
            let json = format!("{{\"at\":7,\"data\":{wrong}}}");
            assert!(serde_json::from_str::<Chunk>(&json).is_err(), "{wrong}");
        }
    }
}
