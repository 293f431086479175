//! Points in JSON: the bytes of their 32-bit floats, little endian, in base64.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;

pub(super) fn serialize<S: Serializer>(point: &[f32], to: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = point.iter().flat_map(|value| value.to_le_bytes()).collect();
    to.serialize_str(&STANDARD.encode(bytes))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[f32]>, D::Error> {
    let bytes = STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)?;
    let (values, []) = bytes.as_chunks::<4>() else {
        return Err(D::Error::custom("a point whose bytes are no 32-bit floats"));
    };
    Ok(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
