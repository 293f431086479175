//! The backward pass of writing by index.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::tract_num_traits::Float;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::ScatterReduction;

use super::indexing::Indexing;

/// Which input of a scatter a cotangent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScatterInput {
    Data,
    Updates,
}

/// (data, indices, updates, cotangent of the output) -> cotangent of the data or of the updates.
///
/// Where updates replace, the last one written counts. Of equal minima or maxima the data counts, then the first
/// update: later ones replace only what they beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScatterGrad {
    pub indexing: Indexing,
    pub reduction: ScatterReduction,
    pub input: ScatterInput,
}

impl Op for ScatterGrad {
    fn name(&self) -> StaticName {
        "ScatterGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for ScatterGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (data, indices, updates, cotangent) = args_4!(inputs);
        let (places, block) = self.indexing.places(&indices, data.shape())?;
        ensure!(
            places.len() * block == updates.len(),
            "updates of shape {:?} for {} blocks of {block}",
            updates.shape(),
            places.len()
        );
        let places: Vec<usize> = places.iter().flat_map(|&place| place..place + block).collect();
        let output = dispatch_floatlike!(gradient(data.datum_type())(
            self,
            &places,
            [&data, &updates, &cotangent]
        ))?;
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for ScatterGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![match self.input {
            ScatterInput::Data => inputs[0].without_value(),
            ScatterInput::Updates => inputs[2].without_value(),
        }])
    }

    as_op!();
}

/// `places` holds the position in the data of each update.
fn gradient<T: Datum + Float>(
    op: &ScatterGrad,
    places: &[usize],
    [data, updates, cotangent]: [&Tensor; 3],
) -> TractResult<Tensor> {
    let shape = match op.input {
        ScatterInput::Data => data.shape(),
        ScatterInput::Updates => updates.shape(),
    };
    let (data, updates) = (data.try_as_plain_ram()?, updates.try_as_plain_ram()?);
    let (data, updates) = (data.as_slice::<T>()?, updates.as_slice::<T>()?);
    let cotangent = cotangent.try_as_plain_ram()?;
    let cotangent = cotangent.as_slice::<T>()?;
    let (to_data, to_updates) = match op.reduction {
        ScatterReduction::None => selected(places, cotangent, last(places, data.len())),
        ScatterReduction::Add => {
            (cotangent.to_vec(), places.iter().map(|&place| cotangent[place]).collect())
        }
        ScatterReduction::Mul => product(places, data, updates, cotangent),
        ScatterReduction::Min => {
            selected(places, cotangent, best(places, data, updates, |new, old| new < old))
        }
        ScatterReduction::Max => {
            selected(places, cotangent, best(places, data, updates, |new, old| new > old))
        }
    };
    Tensor::from_shape(
        shape,
        match op.input {
            ScatterInput::Data => &to_data,
            ScatterInput::Updates => &to_updates,
        },
    )
}

/// For each place, the last update written to it.
fn last(places: &[usize], len: usize) -> Vec<Option<usize>> {
    let mut winners = vec![None; len];
    for (update, &place) in places.iter().enumerate() {
        winners[place] = Some(update);
    }
    winners
}

/// For each place, the update that beat the data and all before it.
fn best<T: Float>(
    places: &[usize],
    data: &[T],
    updates: &[T],
    beats: impl Fn(T, T) -> bool,
) -> Vec<Option<usize>> {
    let mut values = data.to_vec();
    let mut winners = vec![None; data.len()];
    for (update, (&place, &value)) in places.iter().zip(updates).enumerate() {
        if beats(value, values[place]) {
            values[place] = value;
            winners[place] = Some(update);
        }
    }
    winners
}

/// Each place's cotangent goes to its winner, to the data where there is none.
fn selected<T: Float>(
    places: &[usize],
    cotangent: &[T],
    winners: Vec<Option<usize>>,
) -> (Vec<T>, Vec<T>) {
    let mut to_data = cotangent.to_vec();
    let mut to_updates = vec![T::zero(); places.len()];
    for (place, winner) in winners.into_iter().enumerate() {
        if let Some(update) = winner {
            to_data[place] = T::zero();
            to_updates[update] = cotangent[place];
        }
    }
    (to_data, to_updates)
}

/// Without a division, so that zero factors are no exception.
fn product<T: Float>(
    places: &[usize],
    data: &[T],
    updates: &[T],
    cotangent: &[T],
) -> (Vec<T>, Vec<T>) {
    let mut before = data.to_vec();
    let mut to_updates: Vec<T> = places
        .iter()
        .zip(updates)
        .map(|(&place, &factor)| {
            let product = before[place];
            before[place] = product * factor;
            product
        })
        .collect();
    let mut after = cotangent.to_vec();
    for (update, &place) in places.iter().enumerate().rev() {
        to_updates[update] = to_updates[update] * after[place];
        after[place] = after[place] * updates[update];
    }
    (after, to_updates)
}
