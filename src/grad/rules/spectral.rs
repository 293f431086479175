//! Fourier transforms of complex numbers, which are pairs along the last axis. Linear, so exact.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::fft::{Fft, Stft};
use tract_onnx::tract_core::ops::math::mul;

use super::{Cotangents, Step};
use crate::grad::ops::ScatterAdd;
use crate::grad::tape::Tape;

/// The transposed matrix is the conjugate one: the transform the other way, neither of them normalised.
pub(super) fn fft(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Fft>()?;
    let transposed = Fft { inverse: !op.inverse, ..*op };
    Ok(tvec![Some(tape.emit(transposed, &[step.cotangent()?])?)])
}

/// Each frame back to time and through the window; a moment of several frames takes the sum.
pub(super) fn stft(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let Stft { axis, frame, stride, window } = step.op::<Stft>()?.clone();
    let shape = tape.shape(step.output())?;
    let inverse = Fft { axis: axis + 1, inverse: true };
    let mut frames = tape.emit(inverse, &[step.cotangent()?])?;
    if let Some(window) = window {
        let window = padded(&window, frame, axis + 1, shape.len())?;
        let dt = tape.fact(frames)?.datum_type;
        let window = tape.constant(window.cast_to_dt(dt)?.into_owned())?;
        frames = tape.emit(mul(), &[frames, window])?;
    }
    let moments = |at: i64| at / frame as i64 * stride as i64 + at % frame as i64;
    let moments: Vec<i64> = (0..(shape[axis] * frame) as i64).map(moments).collect();
    let moments = tape.constant(Tensor::from_shape(&[shape[axis], frame], &moments)?)?;
    let scatter = ScatterAdd { axis, len: tape.shape(step.input(0))?[axis] };
    Ok(tvec![Some(tape.emit(scatter, &[frames, moments])?)])
}

/// The window amid zeros, along `axis` of `rank`.
fn padded(window: &Tensor, frame: usize, axis: usize, rank: usize) -> TractResult<Tensor> {
    let window = window.cast_to::<f64>()?;
    let window = window.try_as_plain_ram()?.as_slice::<f64>()?;
    let before = frame.checked_sub(window.len()).context("a window longer than the frame")? / 2;
    let mut values = vec![0.0; frame];
    values[before..before + window.len()].copy_from_slice(window);
    let mut shape = vec![1; rank];
    shape[axis] = frame;
    Tensor::from_shape(&shape, &values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    fn check_fft(axis: usize, shape: &[usize]) {
        for inverse in [false, true] {
            let x = values(shape, -1.0, 1.0);
            check(|dt| one_node(Fft { axis, inverse }, dt, &[shape], &[]), &[x], EXACT);
        }
    }

    fn check_stft(axis: usize, shape: &[usize], frame: usize, stride: usize, window: usize) {
        let x = values(shape, -1.0, 1.0);
        let build = |dt| {
            let window = (window > 0).then(|| values(&[window], 0.1, 1.0));
            let window = window.map(|window| window.cast_to_dt(dt).map(|w| w.into_owned().into()));
            one_node(Stft { axis, frame, stride, window: window.transpose()? }, dt, &[shape], &[])
        };
        check(build, &[x], EXACT);
    }

    #[test]
    fn transforms_both_ways_along_every_axis() {
        check_fft(0, &[5, 2]);
        check_fft(0, &[4, 3, 2]);
        check_fft(1, &[2, 7, 2]);
        check_fft(1, &[2, 6, 3, 2]);
        check_fft(1, &[2, 1, 2]);
    }

    #[test]
    fn frames_with_and_without_a_window() {
        for window in [0, 4, 3, 2] {
            check_stft(1, &[2, 9, 2], 4, 2, window);
            check_stft(1, &[1, 9, 2], 4, 3, window);
            check_stft(0, &[8, 2, 2], 4, 5, window);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_frames(
            frame in 1..6_usize,
            stride in 1..4_usize,
            extra in 0..6_usize,
            batch in 1..3_usize,
            window in any::<prop::sample::Index>(),
        ) {
            let shape = [batch, frame + extra, 2];
            check_stft(1, &shape, frame, stride, window.index(frame + 1));
        }
    }
}
