//! The backward passes of the fused cells of LSTM and GRU layers. Both are smooth.

use tract_onnx::prelude::tract_num_traits::Float;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// (pre-activations of the gates i, o, f, c; previous cell state c; cotangents of the new h and c) -> cotangents of
/// the pre-activations and of the previous c.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LstmCellGrad {
    pub hidden: usize,
}

/// (input-side and recurrent sums of the gates z, r, h; previous state; cotangent of the new one) -> cotangents of
/// the three inputs of the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GruCellGrad {
    pub hidden: usize,
}

impl Op for LstmCellGrad {
    fn name(&self) -> StaticName {
        "LstmCellGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for LstmCellGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        dispatch_floatlike!(lstm(inputs[0].datum_type())(self.hidden, &inputs))
    }
}

impl TypedOp for LstmCellGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(inputs[..2].iter().map(|fact| fact.without_value()).collect())
    }

    as_op!();
}

impl Op for GruCellGrad {
    fn name(&self) -> StaticName {
        "GruCellGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for GruCellGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        dispatch_floatlike!(gru(inputs[0].datum_type())(self.hidden, &inputs))
    }
}

impl TypedOp for GruCellGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(inputs[..3].iter().map(|fact| fact.without_value()).collect())
    }

    as_op!();
}

fn plain(inputs: &[TValue]) -> TractResult<Vec<PlainView<'_>>> {
    inputs.iter().map(|input| input.try_as_plain_ram()).collect()
}

fn slices<'a, T: Datum>(views: &'a [PlainView<'_>]) -> TractResult<[&'a [T]; 4]> {
    let [a, b, c, d] = views else { bail!("a cell's gradient has four inputs") };
    Ok([a.as_slice()?, b.as_slice()?, c.as_slice()?, d.as_slice()?])
}

fn sigmoid<T: Float>(x: T) -> T {
    (T::one() + (-x).exp()).recip()
}

/// With c' = f c + i g and h' = o tanh(c').
fn lstm<T: Datum + Float>(hidden: usize, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
    let mut gates = Tensor::zero_dt(T::datum_type(), inputs[0].shape())?;
    let mut cell = Tensor::zero_dt(T::datum_type(), inputs[1].shape())?;
    {
        let views = plain(inputs)?;
        let [sums, before, to_h, to_c] = slices::<T>(&views)?;
        let (mut gates, mut cell) = (gates.try_as_plain_ram_mut()?, cell.try_as_plain_ram_mut()?);
        let rows = sums
            .chunks_exact(4 * hidden)
            .zip(gates.as_slice_mut::<T>()?.chunks_exact_mut(4 * hidden));
        let cell = cell.as_slice_mut::<T>()?;
        for (row, (sums, gates)) in rows.enumerate() {
            for unit in 0..hidden {
                let at = row * hidden + unit;
                let gate = |index: usize| sums[index * hidden + unit];
                let (i, o, f, g) =
                    (sigmoid(gate(0)), sigmoid(gate(1)), sigmoid(gate(2)), gate(3).tanh());
                let squashed = (f * before[at] + i * g).tanh();
                let to_cell = to_c[at] + to_h[at] * o * (T::one() - squashed * squashed);
                let slope = |gate: T| gate * (T::one() - gate);
                gates[unit] = to_cell * g * slope(i);
                gates[hidden + unit] = to_h[at] * squashed * slope(o);
                gates[2 * hidden + unit] = to_cell * before[at] * slope(f);
                gates[3 * hidden + unit] = to_cell * i * (T::one() - g * g);
                cell[at] = to_cell * f;
            }
        }
    }
    Ok(tvec![gates.into_tvalue(), cell.into_tvalue()])
}

/// With n = tanh(x + r s) and h' = n + z (h - n), x and s being the last gate's input-side and recurrent sums.
fn gru<T: Datum + Float>(hidden: usize, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
    let mut to_x = Tensor::zero_dt(T::datum_type(), inputs[0].shape())?;
    let mut to_s = Tensor::zero_dt(T::datum_type(), inputs[1].shape())?;
    let mut to_before = Tensor::zero_dt(T::datum_type(), inputs[2].shape())?;
    {
        let views = plain(inputs)?;
        let [x, s, before, cotangent] = slices::<T>(&views)?;
        let (mut to_x, mut to_s) = (to_x.try_as_plain_ram_mut()?, to_s.try_as_plain_ram_mut()?);
        let mut to_before = to_before.try_as_plain_ram_mut()?;
        let (to_x, to_s) = (to_x.as_slice_mut::<T>()?, to_s.as_slice_mut::<T>()?);
        let to_before = to_before.as_slice_mut::<T>()?;
        for (at, (&before, &w)) in before.iter().zip(cotangent).enumerate() {
            let first = at / hidden * 3 * hidden + at % hidden;
            let [z_at, r_at, n_at] = [first, first + hidden, first + 2 * hidden];
            let (z, r) = (sigmoid(x[z_at] + s[z_at]), sigmoid(x[r_at] + s[r_at]));
            let n = (x[n_at] + r * s[n_at]).tanh();
            let to_n = w * (T::one() - z) * (T::one() - n * n);
            let to_z = w * (before - n) * z * (T::one() - z);
            let to_r = to_n * s[n_at] * r * (T::one() - r);
            for (index, input_side, recurrent) in
                [(z_at, to_z, to_z), (r_at, to_r, to_r), (n_at, to_n, to_n * r)]
            {
                to_x[index] = input_side;
                to_s[index] = recurrent;
            }
            to_before[at] = w * z;
        }
    }
    Ok(tvec![to_x.into_tvalue(), to_s.into_tvalue(), to_before.into_tvalue()])
}
