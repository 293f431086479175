//! The inputs of a graph: their types, and the shape of one sample of each.

use std::collections::HashMap;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::{Factoid, InferenceFact};

use crate::error::{Error, Result};

/// One input of a graph.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub name: String,
    pub dt: DatumType,
    /// Whether its first axis counts the samples.
    pub batched: bool,
    /// Without that axis.
    pub shape: Vec<usize>,
    /// Its value, where that is the same for all samples: one number for all elements, or one for each.
    pub constant: Option<Vec<f64>>,
}

impl Source {
    /// Its shape for `batch` samples.
    pub(super) fn shape(&self, batch: usize) -> TVec<usize> {
        self.batched.then_some(batch).into_iter().chain(self.shape.iter().copied()).collect()
    }

    /// Elements per sample.
    pub(super) fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// What inference is told of it.
    pub(super) fn fact(&self, batch: usize) -> TractResult<InferenceFact> {
        match self.constant(batch)? {
            Some(tensor) => InferenceFact::try_from(tensor.into_arc_tensor()),
            None => Ok(InferenceFact::dt_shape(self.dt, self.shape(batch))),
        }
    }

    /// Its value for `batch` samples, if that is known.
    pub(super) fn constant(&self, batch: usize) -> TractResult<Option<Tensor>> {
        let Some(values) = &self.constant else { return Ok(None) };
        let len = self.shape(batch).iter().product();
        let all: Vec<f64> = values.iter().copied().cycle().take(len).collect();
        self.tensor(batch, &all).map(Some)
    }

    /// The tensor of these values, cast to the input's type.
    pub(super) fn tensor(&self, batch: usize, values: &[f64]) -> TractResult<Tensor> {
        let tensor = Tensor::from_shape(&self.shape(batch), values)?;
        Ok(tensor.cast_to_dt(self.dt)?.into_owned())
    }
}

/// An axis as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Axis {
    Known(usize),
    Named(String),
    Open,
}

/// What a file says of its inputs' axes, and what follows from the shape of the first one.
#[derive(Debug)]
pub(super) struct Axes<'a> {
    model: &'a str,
    batch: Axis,
    /// The lengths of the axes that have a name.
    pub named: HashMap<String, usize>,
}

impl<'a> Axes<'a> {
    /// Takes the graph's main input, whose first axis counts the samples; `given` is the shape of one sample, needed
    /// where the file leaves it open; `known` the axes whose length is known already.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the shape is not known, or `given` does not fit; [`Error::Model`] when there is no batch
    /// axis.
    pub(super) fn of_main(
        model: &'a str,
        input: &str,
        fact: &InferenceFact,
        given: Option<&[usize]>,
        known: &HashMap<String, usize>,
    ) -> Result<(Self, Source)> {
        let dt = fact.datum_type.concretize().unwrap_or(f32::datum_type());
        let misfit = |expected: String| {
            let value = given.map_or("not given".into(), |given| format!("{given:?}"));
            Error::parameter("input_shape", value, format!("expected {expected}"))
        };
        let source = |shape: Vec<usize>| Source {
            name: input.into(),
            dt,
            batched: true,
            shape,
            constant: None,
        };
        if fact.shape.is_open() {
            let shape =
                given.filter(|shape| shape.iter().all(|len| *len > 0)).ok_or_else(|| {
                    misfit(format!("the shape of one sample: {model} declares none for `{input}`"))
                })?;
            let axes = Self { model, batch: Axis::Open, named: known.clone() };
            return Ok((axes, source(shape.to_vec())));
        }
        let declared = declared(fact);
        let Some((batch, declared)) = declared.split_first().filter(|(_, rest)| !rest.is_empty())
        else {
            let problem =
                format!("input `{input}` has rank {}: it lacks a batch axis", declared.len());
            return Err(Error::Model { model: model.into(), problem, source: None });
        };
        if let Axis::Known(batch) = batch
            && *batch != 1
        {
            log::warn!(
                "{model}: input `{input}` is declared with batch {batch}; other sizes are tried"
            );
        }
        let fits = |shape: &[usize]| {
            shape.len() == declared.len()
                && shape.iter().all(|len| *len > 0)
                && declared.iter().zip(shape).all(|(axis, len)| match axis {
                    Axis::Known(known) => known == len,
                    _ => true,
                })
        };
        let fixed = declared.iter().map(|axis| match axis {
            Axis::Known(len) => Some(*len),
            _ => None,
        });
        let shape = given.map(<[usize]>::to_vec).or(fixed.collect()).filter(|shape| fits(shape));
        let shape = shape.ok_or_else(|| {
            misfit(format!(
                "a shape that fits [{}], which {model} declares for `{input}`",
                list(declared)
            ))
        })?;
        let named = declared.iter().zip(&shape).filter_map(|(axis, len)| match axis {
            Axis::Named(name) => Some((name.clone(), *len)),
            _ => None,
        });
        let named = known.iter().map(|(name, len)| (name.clone(), *len)).chain(named).collect();
        let axes = Self { model, batch: batch.clone(), named };
        Ok((axes, source(shape)))
    }

    /// Takes another input. Its first axis counts the samples when it is declared as the main input's is.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an axis whose length is not known, or as many constants as do not fit.
    pub(super) fn further(
        &self,
        input: &str,
        fact: &InferenceFact,
        constant: Option<&Vec<f64>>,
    ) -> Result<Source> {
        let dt = fact.datum_type.concretize().unwrap_or(f32::datum_type());
        let all = declared(fact);
        let same = |axis: &Axis| match (axis, &self.batch) {
            (Axis::Known(len), Axis::Known(batch)) => len == batch,
            (axis, batch) => !matches!(axis, Axis::Known(_)) && !matches!(batch, Axis::Known(_)),
        };
        let batched = all.first().is_some_and(same);
        let length = |axis: &Axis| match axis {
            Axis::Known(len) => Some(*len),
            Axis::Named(name) => self.named.get(name).copied(),
            Axis::Open => None,
        };
        let shape: Option<Vec<usize>> = all.iter().skip(usize::from(batched)).map(length).collect();
        let Some(shape) = shape.filter(|_| !fact.shape.is_open()) else {
            let expected = format!(
                "{} declares input `{input}` as [{}], which the shape of the main input does not settle; export the \
                 model with fixed axes",
                self.model,
                list(&all)
            );
            return Err(Error::parameter("input_shape", "not enough", expected));
        };
        let width = shape.iter().product::<usize>();
        if let Some(values) = constant.filter(|values| values.len() != 1 && values.len() != width) {
            let expected =
                format!("expected 1 or {width} numbers, as `{input}` has shape {shape:?}");
            let value = format!("{} numbers", values.len());
            return Err(Error::parameter(format!("constants.{input}"), value, expected));
        }
        Ok(Source { name: input.into(), dt, batched, shape, constant: constant.cloned() })
    }
}

fn declared(fact: &InferenceFact) -> Vec<Axis> {
    let axis = |dim: TDim| match dim.to_usize() {
        Ok(len) => Axis::Known(len),
        Err(_) => Axis::Named(dim.to_string()),
    };
    fact.shape.dims().map(|dim| dim.concretize().map_or(Axis::Open, axis)).collect()
}

fn list(axes: &[Axis]) -> String {
    let text = |axis: &Axis| match axis {
        Axis::Known(len) => len.to_string(),
        Axis::Named(_) | Axis::Open => "?".into(),
    };
    axes.iter().map(text).collect::<Vec<String>>().join(", ")
}
