//! Sums of products over named axes: matrix products, 1x1 convolutions, attention.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::mul;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::{Cotangents, Step};
use crate::grad::ops::Broadcast;
use crate::grad::tape::Tape;

/// The cotangent of an input is the product of the output's cotangent and the other inputs, summed over all the
/// axes that the input lacks. Linear in each input, so exact.
pub(super) fn einsum(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<EinSum>()?;
    ensure!(op.q_params.is_none() && op.operating_dt.is_float(), "it is quantised");
    let cotangent = step.cotangent()?;
    (0..step.node.inputs.len())
        .map(|slot| step.wants[slot].then(|| to_input(tape, step, op, slot, cotangent)).transpose())
        .collect()
}

fn to_input(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    op: &EinSum,
    slot: usize,
    cotangent: OutletId,
) -> TractResult<OutletId> {
    let parent = Operand::new(tape, op, InOut::In(slot), step.input(slot))?;
    let mut factors: Vec<Operand> = (0..step.node.inputs.len())
        .map(|other| {
            if other == slot {
                Operand::new(tape, op, InOut::Out(0), cotangent)
            } else {
                Operand::new(tape, op, InOut::In(other), step.input(other))
            }
        })
        .collect::<TractResult<_>>()?;
    let roles = factors.clone();
    for (index, factor) in factors.iter_mut().enumerate() {
        let others = |label| {
            let rest = roles.iter().enumerate().filter(|&(other, _)| other != index);
            rest.filter_map(|(_, operand)| operand.dim(label)).max()
        };
        factor.keep(tape, |label, dim| match (parent.dim(label), others(label)) {
            // Broadcast against another factor, or against the parent: an axis of one says nothing.
            (_, Some(other)) if dim == 1 && other > 1 => Axis1::Drop,
            (Some(wanted), _) if dim == 1 && wanted > 1 => Axis1::Drop,
            // Nobody else knows the axis: summing it before the product is cheaper.
            (None | Some(1), None) if dim > 1 => Axis1::Sum,
            (None, None) => Axis1::Drop,
            (Some(1), Some(1)) if dim > 1 => Axis1::Sum,
            (None, Some(1)) if dim > 1 => Axis1::Sum,
            _ => Axis1::Keep,
        })?;
    }
    let labels: Vec<char> = parent
        .labels
        .iter()
        .copied()
        .filter(|&label| {
            factors.iter().filter_map(|factor| factor.dim(label)).max() == parent.dim(label)
        })
        .collect();
    let product = contract(tape, &factors, &labels, op.operating_dt)?;
    parent.restore(tape, product, &labels)
}

/// What happens to an axis of a factor before the product.
enum Axis1 {
    Keep,
    /// Its size is one.
    Drop,
    Sum,
}

/// A tensor with a label per axis.
#[derive(Clone, Debug)]
struct Operand {
    outlet: OutletId,
    labels: Vec<char>,
    dims: Vec<usize>,
}

impl Operand {
    fn new(tape: &Tape<'_>, op: &EinSum, slot: InOut, outlet: OutletId) -> TractResult<Self> {
        let labels: Vec<char> = op.axes.axes(slot).map(|axis| axis.repr).collect();
        let unique = labels.iter().collect::<std::collections::BTreeSet<_>>().len();
        ensure!(unique == labels.len(), "it takes a diagonal ({})", op.axes);
        let dims = tape.shape(outlet)?.to_vec();
        Ok(Self { outlet, labels, dims })
    }

    fn dim(&self, label: char) -> Option<usize> {
        self.labels.iter().position(|&l| l == label).map(|axis| self.dims[axis])
    }

    /// Sums and drops axes by `fate`, which sees the label and the size.
    fn keep(
        &mut self,
        tape: &mut Tape<'_>,
        fate: impl Fn(char, usize) -> Axis1,
    ) -> TractResult<()> {
        let fates: Vec<Axis1> =
            self.labels.iter().zip(&self.dims).map(|(&label, &dim)| fate(label, dim)).collect();
        let axes: TVec<usize> =
            (0..fates.len()).filter(|&axis| matches!(fates[axis], Axis1::Sum)).collect();
        if !axes.is_empty() {
            self.outlet = tape.emit(Reduce { axes, reducer: Reducer::Sum }, &[self.outlet])?;
        }
        for axis in (0..fates.len()).rev().filter(|&axis| !matches!(fates[axis], Axis1::Keep)) {
            self.outlet = tape.emit(AxisOp::Rm(axis), &[self.outlet])?;
            self.labels.remove(axis);
            self.dims.remove(axis);
        }
        Ok(())
    }

    /// Brings a tensor whose axes are `labels`, a subset of this operand's in the same order, to this operand's
    /// shape and type: an axis that is missing was summed away, so its cotangent is the same all along it.
    fn restore(
        &self,
        tape: &mut Tape<'_>,
        outlet: OutletId,
        labels: &[char],
    ) -> TractResult<OutletId> {
        let mut outlet = outlet;
        for (axis, label) in self.labels.iter().enumerate() {
            if !labels.contains(label) {
                outlet = tape.emit(AxisOp::Add(axis), &[outlet])?;
            }
        }
        if tape.shape(outlet)?[..] != self.dims[..] {
            let shape = self.dims.iter().copied().collect();
            outlet = tape.emit(Broadcast { shape }, &[outlet])?;
        }
        let dt = tape.fact(self.outlet)?.datum_type;
        if tape.fact(outlet)?.datum_type != dt {
            outlet = tape.emit(cast(dt), &[outlet])?;
        }
        Ok(outlet)
    }
}

/// The product of `factors`, summed over the axes that are not in `labels`.
fn contract(
    tape: &mut Tape<'_>,
    factors: &[Operand],
    labels: &[char],
    dt: DatumType,
) -> TractResult<OutletId> {
    let inputs: Vec<String> = factors.iter().map(|factor| factor.labels.iter().collect()).collect();
    let axes = AxesMapping::from_strs(&inputs, &[labels.iter().collect::<String>()])?;
    if let [factor] = factors {
        let mut outlet = factor.outlet;
        for op in axes.translate_to_axis_ops()? {
            outlet = tape.emit(op, &[outlet])?;
        }
        return Ok(outlet);
    }
    if let ([left, right], []) = (factors, labels) {
        return dot(tape, left, right, dt);
    }
    let outlets: Vec<OutletId> = factors.iter().map(|factor| factor.outlet).collect();
    tape.emit(EinSum::new(axes, dt), &outlets)
}

/// The inner product of two tensors with the same axes, as a product and a sum: tract cannot optimise an einsum whose
/// result is a scalar.
fn dot(
    tape: &mut Tape<'_>,
    left: &Operand,
    right: &Operand,
    dt: DatumType,
) -> TractResult<OutletId> {
    let [from, to] = [right, left].map(|factor| factor.labels.iter().collect::<String>());
    let mut right = right.outlet;
    for op in AxesMapping::from_strs(&[from], &[to])?.translate_to_axis_ops()? {
        right = tape.emit(op, &[right])?;
    }
    let mut product = tape.emit(mul(), &[left.outlet, right])?;
    if tape.fact(product)?.datum_type != dt {
        product = tape.emit(cast(dt), &[product])?;
    }
    let axes: TVec<usize> = (0..left.labels.len()).collect();
    let sum = tape.emit(Reduce { axes: axes.clone(), reducer: Reducer::Sum }, &[product])?;
    axes.iter().rev().try_fold(sum, |sum, &axis| tape.emit(AxisOp::Rm(axis), &[sum]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    fn op(dt: DatumType, expression: &str) -> EinSum {
        EinSum::new(expression.parse().unwrap(), dt)
    }

    /// Both sides of `expression`, the other one constant, then both depending on the input.
    fn both_sides(expression: &str, left: &[usize], right: &[usize]) {
        let (x, y) = (values(left, -1.0, 1.0), values(right, -1.5, 0.5));
        check(
            |dt| one_node(op(dt, expression), dt, &[left], std::slice::from_ref(&y)),
            std::slice::from_ref(&x),
            EXACT,
        );
        check(
            |dt| one_node(op(dt, expression), dt, &[left, right], &[]),
            &[x.clone(), y.clone()],
            EXACT,
        );
        let swapped = |dt: DatumType| {
            let mut model = TypedModel::default();
            let right = model.add_source("right", dt.fact(right))?;
            let left = model.add_const("left", x.cast_to_dt(dt)?.into_owned())?;
            let y = model.wire_node("y", op(dt, expression), &[left, right])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        check(swapped, std::slice::from_ref(&y), EXACT);
    }

    #[test]
    fn matrix_products() {
        both_sides("mk,kn->mn", &[3, 4], &[4, 2]);
        both_sides("mk,nk->nm", &[3, 4], &[2, 4]);
        both_sides("bmk,bkn->bmn", &[2, 3, 4], &[2, 4, 2]);
        both_sides("bhmk,bhnk->bhmn", &[2, 3, 2, 4], &[2, 3, 5, 4]);
    }

    #[test]
    fn vectors_and_scalars() {
        both_sides("k,nk->n", &[4], &[3, 4]);
        both_sides("k,k->", &[4], &[4]);
        both_sides("m,n->mn", &[4], &[3]);
        both_sides("b,b->b", &[4], &[4]);
        both_sides(",a->a", &[], &[4]);
        both_sides(",abc->ca", &[], &[2, 1, 3]);
        both_sides("mk,kn->nm", &[1, 1], &[1, 3]);
    }

    #[test]
    fn pointwise_convolutions() {
        both_sides("NIHW,OI->NOHW", &[2, 3, 4, 5], &[2, 3]);
        both_sides("NIHW,OI->NOHW", &[1, 3, 4, 5], &[2, 3]);
        both_sides("IHW,OI->OHW", &[3, 4, 5], &[2, 3]);
        both_sides("NIHW,OI->OHW", &[1, 3, 2, 2], &[2, 3]);
    }

    #[test]
    fn unit_axes_appear_and_disappear() {
        both_sides("mbak,nbak->n", &[1, 1, 2, 3], &[4, 1, 2, 3]);
        both_sides("mbak,nbak->zn", &[1, 2, 1, 3], &[4, 2, 1, 3]);
        both_sides("ak,kb->azbc", &[2, 3], &[3, 2]);
    }

    #[test]
    fn axes_of_one_input_are_summed() {
        both_sides("mjk,kn->mn", &[2, 3, 4], &[4, 2]);
        both_sides("mk,jkn->mn", &[2, 4], &[3, 4, 2]);
    }

    #[test]
    fn unit_axes_broadcast() {
        both_sides("bmk,bkn->bmn", &[1, 3, 4], &[2, 4, 2]);
        both_sides("bmk,bkn->bmn", &[2, 3, 4], &[1, 4, 2]);
        both_sides("bhgmk,bhgnk->bhgmn", &[1, 2, 3, 2, 4], &[1, 2, 1, 3, 4]);
    }

    #[test]
    fn one_input_is_permuted_or_summed() {
        for (expression, shape) in
            [("abc->cab", vec![2, 3, 4]), ("abc->b", vec![2, 3, 4]), ("ab->bza", vec![2, 3])]
        {
            let x = values(&shape, -1.0, 1.0);
            check(|dt| one_node(op(dt, expression), dt, &[&shape], &[]), &[x], EXACT);
        }
    }

    #[test]
    fn three_inputs() {
        let shapes: [&[usize]; 3] = [&[2, 3], &[3, 4], &[2, 4]];
        let xs: Vec<Tensor> = shapes.iter().map(|shape| values(shape, -1.0, 1.0)).collect();
        check(|dt| one_node(op(dt, "ab,bc,ac->ca"), dt, &shapes, &[]), &xs, EXACT);
    }

    #[test]
    fn a_tensor_multiplied_with_itself() {
        let square = |dt: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact([3, 4]))?;
            let y = model.wire_node("y", op(dt, "mk,nk->mn"), &[x, x])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        check(square, &[values(&[3, 4], -1.0, 1.0)], EXACT);
    }

    #[test]
    fn a_diagonal_is_refused() {
        let mut model =
            one_node(op(f32::datum_type(), "ii->i"), f32::datum_type(), &[&[3, 3]], &[]).unwrap();
        let (x, y) = (model.input_outlets().unwrap()[0], model.output_outlets().unwrap()[0]);
        let error = crate::grad::backward(&mut model, y, y, x, &Default::default()).unwrap_err();
        assert!(format!("{error:?}").contains("diagonal"), "{error:?}");
    }

    /// Per axis: its size, whether each side has it, whether one of them has it at size one, whether it is summed.
    fn axis() -> impl Strategy<Value = (usize, usize, usize, bool)> {
        (1..4_usize, 0..3_usize, 0..4_usize, any::<bool>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_axes(
            axes in prop::collection::vec(axis(), 1..6),
            orders in prop::array::uniform3(any::<prop::sample::Index>()),
        ) {
            let mut sides: [Vec<(char, usize)>; 3] = Default::default();
            for (label, (dim, holders, unit, kept)) in ('a'..).zip(axes) {
                let both = holders == 2;
                for (side, labels) in sides[..2].iter_mut().enumerate() {
                    if both || holders == side {
                        // A summed axis of unequal sizes is no einsum.
                        let broadcast = both && kept && unit == side;
                        labels.push((label, if broadcast { 1 } else { dim }));
                    }
                }
                if kept {
                    sides[2].push((label, dim));
                }
            }
            for (side, order) in sides.iter_mut().zip(orders) {
                if !side.is_empty() {
                    let by = order.index(side.len());
                    side.rotate_left(by);
                }
            }
            let [left, right, out] = sides.each_ref().map(|side| {
                side.iter().map(|(label, _)| *label).collect::<String>()
            });
            let [left_shape, right_shape, _] = sides.each_ref().map(|side| {
                side.iter().map(|(_, dim)| *dim).collect::<Vec<_>>()
            });
            both_sides(&format!("{left},{right}->{out}"), &left_shape, &right_shape);
        }
    }
}
