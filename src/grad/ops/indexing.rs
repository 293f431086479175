//! Which places of a tensor a tensor of indices names.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// How indices name the places of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indexing {
    /// An index replaces the coordinate along `axis`, as in `GatherElements`. Negative ones count from the end.
    Elements { axis: usize },
    /// The indices' last axis holds coordinates of the data's axes from `batch` on, as in `GatherNd`; the axes before
    /// are shared.
    Tuples { batch: usize },
}

impl Indexing {
    /// Where the block that each index names begins in a flat tensor of shape `data`, and the length of a block.
    pub(super) fn places(
        self,
        indices: &Tensor,
        data: &[usize],
    ) -> TractResult<(Vec<usize>, usize)> {
        let flat = indices.cast_to::<i64>()?;
        let flat = flat.try_as_plain_ram()?.as_slice::<i64>()?;
        match self {
            Self::Elements { axis } => Ok((elements(flat, indices.shape(), data, axis)?, 1)),
            Self::Tuples { batch } => tuples(flat, indices.shape(), data, batch),
        }
    }
}

fn elements(
    indices: &[i64],
    shape: &[usize],
    data: &[usize],
    axis: usize,
) -> TractResult<Vec<usize>> {
    ensure!(shape.len() == data.len(), "indices of shape {shape:?} into shape {data:?}");
    let strides = Tensor::natural_strides(data);
    let place = |(position, &index): (usize, &i64)| {
        let mut rest = position;
        let mut place = 0;
        for at in (0..shape.len()).rev() {
            let mut coordinate = rest % shape[at];
            rest /= shape[at];
            if at == axis {
                let len = data[axis] as i64;
                ensure!((-len..len).contains(&index), "index {index} of {len} values");
                coordinate = index.rem_euclid(len) as usize;
            }
            place += coordinate * strides[at] as usize;
        }
        Ok(place)
    };
    indices.iter().enumerate().map(place).collect()
}

fn tuples(
    indices: &[i64],
    shape: &[usize],
    data: &[usize],
    batch: usize,
) -> TractResult<(Vec<usize>, usize)> {
    let width = shape.last().copied().context("indices without a last axis")?;
    ensure!(batch + width <= data.len(), "indices of shape {shape:?} into shape {data:?}");
    let sample: usize = data[batch..].iter().product();
    let block = data[batch + width..].iter().product();
    let count: usize = shape[..shape.len() - 1].iter().product();
    let per_sample = count / data[..batch].iter().product::<usize>().max(1);
    let mut places = vec![];
    for position in 0..count {
        let mut place = position / per_sample * sample;
        let mut stride = sample;
        for (&index, &len) in indices[position * width..][..width].iter().zip(&data[batch..]) {
            // Tract, unlike ONNX, takes no negative index here.
            ensure!((0..len as i64).contains(&index), "index {index} of {len} values");
            stride /= len;
            place += index as usize * stride;
        }
        places.push(place);
    }
    Ok((places, block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_replaces_a_coordinate() {
        let indices = tensor2(&[[2_i64, -1, 0], [-3, 1, 1]]);
        let found = Indexing::Elements { axis: 0 }.places(&indices, &[3, 4]).unwrap();
        assert_eq!(found, (vec![8, 9, 2, 0, 5, 6], 1));
        let found = Indexing::Elements { axis: 1 }.places(&indices, &[2, 3]).unwrap();
        assert_eq!(found, (vec![2, 2, 0, 3, 4, 4], 1));
    }

    #[test]
    fn tuples_are_leading_coordinates() {
        let indices = tensor2(&[[1_i64, 2], [0, 1]]);
        let found = Indexing::Tuples { batch: 0 }.places(&indices, &[2, 3, 4]).unwrap();
        assert_eq!(found, (vec![20, 4], 4));
        let indices = tensor2(&[[1_i64], [2]]);
        let found = Indexing::Tuples { batch: 1 }.places(&indices, &[2, 3, 4]).unwrap();
        assert_eq!(found, (vec![4, 20], 4));
    }

    #[test]
    fn an_index_out_of_range_is_an_error() {
        let places = |indexing: Indexing| indexing.places(&tensor2(&[[3_i64]]), &[3, 3]);
        for indexing in [Indexing::Elements { axis: 1 }, Indexing::Tuples { batch: 0 }] {
            let error = places(indexing).unwrap_err();
            assert_eq!(error.to_string(), "index 3 of 3 values");
        }
        let error = Indexing::Tuples { batch: 0 }.places(&tensor2(&[[-1_i64]]), &[3]).unwrap_err();
        assert_eq!(error.to_string(), "index -1 of 3 values");
    }
}
