//! The classifier and the test images that come with the examples: 8x8 digits.

use ironbound::{Dataset, Model, ModelOptions, Result};

const MODEL: &[u8] = include_bytes!("../assets/digits_cnn.onnx");
const DATA: &[u8] = include_bytes!("../assets/digits_test.npz");

pub(crate) fn load(options: &ModelOptions) -> Result<(Model, Dataset)> {
    let model = Model::from_bytes_with(MODEL, "digits_cnn.onnx", options)?;
    Ok((model, Dataset::npz_from_bytes("digits_test.npz", DATA, "x", "y")?))
}
