//! The flags that say how a model and its data are read.

use std::path::Path;

use ironbound::{Bounds, Dataset, Error, Layout, ModelOptions, Preprocessing, Result};

#[derive(Debug, clap::Args)]
pub(crate) struct Loading {
    /// In front of the model: x * SCALE
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    pub(crate) scale: Option<f32>,
    /// In front of the model, after --scale: (x - MEAN) / STD per channel
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) mean: Vec<f32>,
    /// See --mean
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) std: Vec<f32>,
    /// The axis of one sample that holds the channels, from 0, where --mean and --std leave it open
    #[arg(long, value_name = "AXIS")]
    pub(crate) channel_axis: Option<usize>,
    /// The data have their channels in reverse: RGB data for a BGR model, or the other way round
    #[arg(long)]
    pub(crate) reverse_channels: bool,
    /// The shape of one sample, such as 3,224,224, where the model file leaves sizes open
    #[arg(long, value_name = "C,H,W", value_delimiter = ',')]
    pub(crate) input_shape: Vec<usize>,
    /// How the data's images lie, where their shape does not tell: nchw or nhwc
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,
    /// The arrays of the data file that hold samples and classes
    #[arg(long, value_name = "X,Y", default_value = "x,y")]
    pub(crate) keys: String,
    /// The model's input to attack [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) input: Option<String>,
    /// The model's output with the scores [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
}

/// How the samples of a file are read.
#[derive(Debug)]
pub(crate) struct DataOptions<'a> {
    layout: Option<Layout>,
    /// The arrays with the samples and their classes.
    keys: (&'a str, &'a str),
}

impl Loading {
    pub(crate) fn model(&self) -> ModelOptions {
        ModelOptions {
            input: self.input.clone(),
            output: self.output.clone(),
            preprocessing: Preprocessing {
                scale: self.scale.unwrap_or(1.0),
                mean: self.mean.clone(),
                std: self.std.clone(),
                reverse_channels: self.reverse_channels,
                channel_axis: self.channel_axis,
            },
            input_shape: (!self.input_shape.is_empty()).then(|| self.input_shape.clone()),
            ..ModelOptions::default()
        }
    }

    pub(crate) fn data(&self) -> Result<DataOptions<'_>> {
        let layout = self.layout.as_deref().map(str::parse).transpose()?;
        let keys = self
            .keys
            .split_once(',')
            .ok_or_else(|| fault("keys", &self.keys, "expected two names, such as x,y"))?;
        Ok(DataOptions { layout, keys })
    }
}

impl DataOptions<'_> {
    pub(crate) fn read(&self, path: &Path) -> Result<Dataset> {
        let data = Dataset::npz_with_keys(path, self.keys.0, self.keys.1)?;
        Ok(match self.layout {
            Some(layout) => data.with_layout(layout),
            None => data,
        })
    }
}

pub(crate) fn bounds(text: &str) -> Result<Bounds> {
    if text == "none" {
        return Ok(Bounds::NONE);
    }
    let number = |text: &str| text.trim().parse().ok();
    let pair = text.split_once(',').and_then(|(lower, upper)| number(lower).zip(number(upper)));
    pair.map(|(lower, upper)| Bounds::Uniform(lower, upper))
        .ok_or_else(|| fault("bounds", text, "expected two numbers, such as 0,1, or none"))
}

pub(crate) fn fault(field: &str, value: &str, expected: &str) -> Error {
    Error::Parameter { field: field.into(), value: value.into(), expected: expected.into() }
}
