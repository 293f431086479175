//! The flags that say how a model and its data are read.

#[path = "reading.rs"]
mod reading;

use std::path::Path;

use ironbound::{Bounds, DataKind, Dataset, Error, ModelOptions, Preprocessing, Result};

#[allow(unused_imports, reason = "for the examples with long runs")]
pub(crate) use reading::stream;
pub(crate) use reading::{Reading, read};

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
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// The model's input to attack, or an inner tensor such as an embedding [default: the first input of floats]
    #[arg(long, value_name = "NAME")]
    pub(crate) input: Option<String>,
    /// The value of another input, where it is the same for all samples; other inputs take the data's array of their name
    #[arg(long, value_name = "NAME=V[,V...]", allow_hyphen_values = true)]
    pub(crate) constant: Vec<String>,
    /// The model's output with the scores or labels, or an inner tensor [default: the first output]
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// Differentiate rounding as if it were the identity: operators such as Sign or Cast, names of nodes, or all;
    /// several by commas
    #[arg(long, value_name = "KIND_OR_NODE", value_delimiter = ',')]
    pub(crate) straight_through: Vec<String>,
}

impl Loading {
    pub(crate) fn model(&self) -> Result<ModelOptions> {
        Ok(ModelOptions {
            input: self.input.clone(),
            output: self.output.clone(),
            preprocessing: Preprocessing {
                scale: self.scale.unwrap_or(1.0),
                mean: self.mean.clone(),
                std: self.std.clone(),
                reverse_channels: self.reverse_channels,
                channel_axis: self.channel_axis,
            },
            constants: self.constant.iter().map(|text| constant(text)).collect::<Result<_>>()?,
            straight_through: self.straight_through.clone(),
            input_shape: (!self.input_shape.is_empty()).then(|| self.input_shape.clone()),
            ..ModelOptions::default()
        })
    }
}

/// What `--bounds` says.
#[allow(dead_code, reason = "for the examples that take tables")]
pub(crate) enum Limits {
    Given(Bounds),
    /// Feature by feature.
    OfData,
}

#[allow(dead_code, reason = "for the examples that take tables")]
impl Limits {
    /// Those of a text, if there is one; else those of the data, if that is a table, which has no other, or black and white.
    pub(crate) fn or_usual(text: Option<&str>, data: Option<&Path>) -> Result<Self> {
        let is_table = |path| DataKind::of(path).is_ok_and(|kind| kind == DataKind::Table);
        match text {
            Some(text) => Self::read(text),
            None if data.is_some_and(is_table) => Ok(Self::OfData),
            None => Ok(Self::Given(Bounds::default())),
        }
    }

    pub(crate) fn read(text: &str) -> Result<Self> {
        if text == "data" { Ok(Self::OfData) } else { bounds(text).map(Self::Given) }
    }

    /// As bounds, for a model that takes the data in this shape.
    pub(crate) fn of(&self, data: &Dataset, shape: &[usize]) -> Result<Bounds> {
        match self {
            Self::Given(bounds) => Ok(bounds.clone()),
            Self::OfData => data.feature_bounds_for(shape),
        }
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

/// Reads "name=0.5" and "name=1,0,0".
fn constant(text: &str) -> Result<(String, Vec<f64>)> {
    let (name, values) = text.split_once('=').unwrap_or_default();
    let values: Option<Vec<f64>> = values
        .split(',')
        .map(|value| value.trim().parse().ok().filter(|v: &f64| v.is_finite()))
        .collect();
    values.filter(|_| !name.is_empty()).map(|values| (name.into(), values)).ok_or_else(|| {
        fault("constant", text, "expected a name and numbers, such as threshold=0.5")
    })
}
