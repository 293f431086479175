//! The flags that say how data are read.

use std::path::{Path, PathBuf};

use ironbound::{DataOptions, Dataset, Error, Model, Result, StreamedDataset};

#[derive(Debug, clap::Args)]
pub(crate) struct Reading {
    /// How the data's images lie, where their shape does not tell: nchw or nhwc
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,
    /// Of npz data, the arrays that hold samples and classes [default: x,y]
    #[arg(long, value_name = "X,Y")]
    pub(crate) keys: Option<String>,
    /// Of npy and IDX data, the file with the classes [default: for IDX, the one beside it, named as MNIST's are]
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Of a table, the column with the classes, by name or number from 0 [default: that called label, y, target or class, or
    /// the last one]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Of a table, columns that are no features, by name or number; several by commas
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) drop: Vec<String>,
    /// An array of npz data or a column of a table whose values make groups: robust accuracy is told for each; repeat it for
    /// more. A column stays a feature as well, unless it is dropped
    #[arg(long, value_name = "COLUMN")]
    pub(crate) group: Vec<String>,
    /// A text file with the names of the classes, one a line, in the order of the model's outputs. Where the data name their
    /// classes, it numbers them; without it, they are sorted
    #[arg(long, value_name = "FILE")]
    pub(crate) class_names: Option<PathBuf>,
    /// Of a folder of images, what the shorter side is scaled to before the centre is cut out [default: images just cover the
    /// model's input]
    #[arg(long, value_name = "PIXELS")]
    pub(crate) resize: Option<u32>,
    /// IDX and CIFAR pixels keep their values, 0 to 255; without it they are divided by 255
    #[arg(long)]
    pub(crate) raw_pixels: bool,
}

impl Reading {
    pub(crate) fn options(&self) -> Result<DataOptions> {
        let keys = |text: &String| {
            let (x, y) = text.split_once(',').ok_or_else(|| Error::Parameter {
                field: "keys".into(),
                value: text.clone(),
                expected: "expected two names, such as x,y".into(),
            })?;
            Ok((x.to_owned(), y.to_owned()))
        };
        Ok(DataOptions {
            keys: self.keys.as_ref().map(keys).transpose()?,
            labels: self.labels.clone(),
            label: self.label.clone(),
            drop: self.drop.clone(),
            groups: self.group.clone(),
            class_names: self.class_names.clone(),
            raw_pixels: self.raw_pixels,
            resize: self.resize,
            layout: self.layout.as_deref().map(str::parse).transpose()?,
            ..DataOptions::default()
        })
    }
}

/// The samples, and what `model` takes besides the attacked input.
#[allow(dead_code, reason = "for the examples that load a model")]
pub(crate) fn read(path: &Path, options: &DataOptions, model: &Model) -> Result<Dataset> {
    Dataset::open(path, &options.for_model(model))
}

/// The same, read block by block.
#[allow(dead_code, reason = "for the examples with long runs")]
pub(crate) fn stream(path: &Path, options: &DataOptions, model: &Model) -> Result<StreamedDataset> {
    StreamedDataset::open(path, &options.for_model(model))
}
