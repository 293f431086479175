//! The kernels of transposed convolutions.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::KernelFormat;

use crate::grad::tape::Tape;

/// Swaps the input and output channels of a convolution kernel, within each group, and gives it the format `OIHW`.
pub(super) fn transposed(
    tape: &mut Tape<'_>,
    kernel: OutletId,
    format: KernelFormat,
    group: usize,
) -> TractResult<OutletId> {
    let shape = tape.shape(kernel)?;
    let mut ops = format.kernel_as_group_o_i_h_w_ops(&shape, group);
    ops.push(AxisOp::Move(1, 2));
    let in_channels = format.input_channels(&shape, group).into_owned();
    ops.push(AxisOp::Reshape(
        0,
        tvec!(group.to_dim(), (in_channels / group).to_dim()),
        tvec!(in_channels.to_dim()),
    ));
    rearranged(tape, kernel, ops)
}

/// The matrices, one per group, that turn an output pixel into the patch it was computed from: (G) CK O, or (G) KC O
/// for channels last, where C are the input channels and K the positions in the window.
pub(super) fn patch_matrix(
    tape: &mut Tape<'_>,
    kernel: OutletId,
    format: KernelFormat,
    group: usize,
    channels_last: bool,
) -> TractResult<OutletId> {
    let shape = tape.shape(kernel)?;
    let mut ops = format.kernel_as_group_o_i_h_w_ops(&shape, group);
    ops.push(AxisOp::Move(1, shape.len()));
    let mut dims: TVec<TDim> =
        format.spatial_shape(&shape).iter().map(|dim| dim.to_dim()).collect();
    let channels = (format.input_channels(&shape, group).into_owned() / group).to_dim();
    if channels_last {
        ops.push(AxisOp::Move(1, shape.len() - 1));
        dims.push(channels);
    } else {
        dims.insert(0, channels);
    }
    let patch = dims.iter().product();
    ops.push(AxisOp::Reshape(1, dims, tvec![patch]));
    if group == 1 {
        ops.push(AxisOp::Rm(0));
    }
    rearranged(tape, kernel, ops)
}

/// A constant kernel stays one: the work is done here, not in every run.
fn rearranged(tape: &mut Tape<'_>, kernel: OutletId, ops: TVec<AxisOp>) -> TractResult<OutletId> {
    let fact = tape.fact(kernel)?.clone();
    ensure!(fact.is_plain() && fact.datum_type.is_float(), "its kernel is quantised");
    if let Some(konst) = fact.konst {
        let mut tensor = konst.into_tensor();
        for op in &ops {
            op.change_tensor(&mut tensor, false)?;
        }
        return tape.constant(tensor);
    }
    ops.into_iter().try_fold(kernel, |outlet, op| tape.emit(op, &[outlet]))
}

/// Reverses the spatial axes of a constant kernel of format `OIHW`; `None` when it is not constant.
pub(super) fn flipped(tape: &mut Tape<'_>, kernel: OutletId) -> TractResult<Option<OutletId>> {
    let Some(konst) = tape.fact(kernel)?.konst.clone() else {
        return Ok(None);
    };
    let mut tensor = konst.into_tensor();
    for axis in 2..tensor.rank() {
        let slices: Vec<Tensor> = (0..tensor.shape()[axis])
            .rev()
            .map(|at| tensor.slice(axis, at, at + 1))
            .collect::<TractResult<_>>()?;
        tensor = Tensor::stack_tensors(axis, &slices)?;
    }
    tape.constant(tensor).map(Some)
}
