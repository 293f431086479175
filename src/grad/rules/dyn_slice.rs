//! Slices whose bounds are computed.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::DynSlice;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math::add;

use super::{Cotangents, Step};
use crate::grad::ops::ScatterAdd;
use crate::grad::tape::Tape;

/// The cotangent between zeros, as for a slice with known bounds. The bounds, integers, take nothing.
pub(super) fn dyn_slice(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    if !step.wants[0] {
        return Ok(tvec![None]);
    }
    let axis = step.op::<DynSlice>()?.axis;
    let len = tape.shape(step.input(0))?[axis];
    let count = tape.shape(step.output())?[axis];
    let start = tape.emit(cast(i64::datum_type()), &[step.input(1)])?;
    let start = match tape.fact(start)?.rank() {
        0 => tape.emit(AxisOp::Add(0), &[start])?,
        _ => start,
    };
    let offsets = tape.constant(tensor1(&(0..count as i64).collect::<Vec<i64>>()))?;
    let places = tape.emit(add(), &[start, offsets])?;
    let scatter = ScatterAdd { axis, len };
    Ok(tvec![Some(tape.emit(scatter, &[step.cotangent()?, places])?)])
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_core::ops::array::Slice;

    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    #[test]
    fn known_bounds_become_a_slice() {
        for axis in 0..2 {
            let op = DynSlice { axis, len: 2.to_dim() };
            let bounds = [tensor0(1_i64), tensor0(3_i64)];
            let build = |dt| one_node(op.clone(), dt, &[&[4, 3]], &bounds);
            let model = build(f32::datum_type()).unwrap().into_decluttered().unwrap();
            assert!(model.nodes().iter().any(|node| node.op_is::<Slice>()));
            check(build, &[values(&[4, 3], -1.0, 1.0)], EXACT);
        }
    }

    /// The bounds are the integer part of x's first value, and two more.
    #[test]
    fn computed_bounds() {
        for (axis, first) in [(0, 0.4), (0, 1.4), (0, 2.4), (1, 0.4), (1, 1.4)] {
            let build = |dt: DatumType| {
                let mut model = TypedModel::default();
                let x = model.add_source("x", dt.fact([4, 3]))?;
                let row = model.wire_node("row", Slice::new(0, 0, 1), &[x])?;
                let row = model.wire_node("rm row", AxisOp::Rm(0), &row)?;
                let start = model.wire_node("value", Slice::new(0, 0, 1), &row)?;
                let start = model.wire_node("rm value", AxisOp::Rm(0), &start)?;
                let start = model.wire_node("start", cast(i64::datum_type()), &start)?[0];
                let two = model.add_const("two", tensor0(2_i64))?;
                let end = model.wire_node("end", add(), &[start, two])?[0];
                let op = DynSlice { axis, len: 2.to_dim() };
                let y = model.wire_node("y", op, &[x, start, end])?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            let mut x = values(&[4, 3], -1.0, 1.0);
            x.try_as_plain_ram_mut().unwrap().as_slice_mut::<f64>().unwrap()[0] = first;
            check(build, &[x], EXACT);
        }
    }
}
