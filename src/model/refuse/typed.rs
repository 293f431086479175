//! What shapes alone show: checked once a graph is typed.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::Pad;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::Deconv;
use tract_onnx::tract_core::ops::logic::IfThenElse;
use tract_onnx::tract_core::ops::math::Rem;
use tract_transformers::ops::sdpa::Sdpa;

use crate::error::{Error, Result};
use crate::model::guard::guard;

/// A node that tract gets wrong for some shapes.
#[derive(Debug)]
pub(in crate::model) struct TypedRefusal {
    /// ONNX's operator.
    pub operator: &'static str,
    /// Which nodes, what tract does with them, and what to do.
    pub problem: &'static str,
    is_wrong: fn(&TypedModel, &TypedNode) -> bool,
}

/// By operator.
pub(in crate::model) const TYPED: &[TypedRefusal] = &[
    TypedRefusal {
        operator: "Attention",
        problem: "tract adds a boolean mask as zeros and ones, so its result would be wrong; make it one of floats, 0 \
                  where a key is seen and -inf where not",
        is_wrong: |model, node| {
            let mask = node.inputs.get(3).and_then(|mask| model.outlet_fact(*mask).ok());
            node.op_is::<Sdpa>() && mask.is_some_and(|mask| !mask.datum_type.is_float())
        },
    },
    TypedRefusal {
        operator: "ConvTranspose",
        problem: "tract cannot make an output smaller than kernel and strides give; export the model with pads instead \
                  of `output_shape`",
        is_wrong: |_, node| {
            let op = node.op_as::<Deconv>();
            op.is_some_and(|op| op.adjustments.iter().any(|length| is_negative(*length)))
        },
    },
    TypedRefusal {
        operator: "If",
        problem: "tract takes a constant `then_branch` to be the result whatever the condition, so its result would be \
                  wrong; negate the condition and swap the branches",
        is_wrong: |model, node| {
            let Some(op) = node.op_as::<IfThenElse>() else { return false };
            let constant = |outlet: &OutletId| {
                op.then_body.outlet_fact(*outlet).is_ok_and(|fact| fact.konst.is_some())
            };
            op.then_body.outputs.iter().any(constant) && !is_constant(model, node.inputs[0])
        },
    },
    TypedRefusal {
        operator: "Mod",
        problem: "tract swaps the operands of a remainder whose dividend is broadcast, so its result would be wrong; \
                  expand the dividend to the divisor's shape",
        is_wrong: |model, node| {
            node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Rem>())
                && elements(model, node.inputs[0]) < elements(model, node.inputs[1])
        },
    },
    TypedRefusal {
        operator: "Pad",
        problem: "tract cannot take away by a negative padding; export the model with a Slice",
        is_wrong: |_, node| {
            let op = node.op_as::<Pad>();
            op.is_some_and(|op| op.pads.iter().any(|(a, b)| is_negative(*a) || is_negative(*b)))
        },
    },
];

/// Refuses a typed graph with a node that tract gets wrong.
///
/// # Errors
/// [`Error::Node`] with the node's name.
pub(in crate::model) fn refuse_typed(name: &str, model: &TypedModel) -> Result<()> {
    for node in model.nodes() {
        if let Some(row) = TYPED.iter().find(|row| (row.is_wrong)(model, node)) {
            return Err(Error::Node {
                model: name.into(),
                node: node.name.clone(),
                op: row.operator.into(),
                problem: row.problem.into(),
                source: None,
            });
        }
    }
    Ok(())
}

/// Whether a tensor turns out to be constant.
fn is_constant(model: &TypedModel, outlet: OutletId) -> bool {
    let simplified = || -> TractResult<bool> {
        let mut model = model.clone();
        model.select_output_outlets(&[outlet])?;
        Ok(model.into_decluttered()?.output_fact(0)?.konst.is_some())
    };
    guard(simplified).unwrap_or(false)
}

/// Whether a length is a negative one that wrapped around.
fn is_negative(length: usize) -> bool {
    isize::try_from(length).is_err()
}

fn elements(model: &TypedModel, outlet: OutletId) -> Option<usize> {
    let shape = &model.outlet_fact(outlet).ok()?.shape;
    shape.as_concrete().map(|shape| shape.iter().product())
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_core::internal::*;
    use tract_onnx::tract_core::ops::array::PadMode;

    use super::*;

    #[test]
    fn lengths_that_wrapped_around_are_refused() {
        let minus_one = 0_usize.wrapping_sub(1);
        for (pads, refused) in [((minus_one, 0), true), ((1, 0), false)] {
            let mut model = TypedModel::default();
            let mode = PadMode::Constant(rctensor0(0f32));
            let pad = Pad { pads: vec![pads], mode };
            // tract itself overflows where it checks for that.
            model.add_node("pad", pad, tvec![f32::fact([3])]).unwrap();
            assert_eq!(refuse_typed("m", &model).is_err(), refused, "{pads:?}");
        }
    }
}
