//! Which values of a tensor are reduced together.

use tract_onnx::prelude::*;

/// The value `index` of group `group` is at `first[group] + offsets[index]` of the flat tensor; groups and offsets
/// are in index order.
#[derive(Debug)]
pub(super) struct Groups {
    pub first: Vec<usize>,
    pub offsets: Vec<usize>,
}

impl Groups {
    /// The groups of a tensor of shape `shape` that is reduced over `axes`.
    pub(super) fn new(shape: &[usize], axes: &[usize]) -> Self {
        let strides = Tensor::natural_strides(shape);
        let offsets = |reduced: bool| {
            let axes = (0..shape.len()).filter(|axis| axes.contains(axis) == reduced);
            axes.fold(vec![0], |outer, axis| {
                let stride = strides[axis] as usize;
                let inner = (0..shape[axis]).map(|at| at * stride);
                outer.iter().flat_map(|from| inner.clone().map(move |at| from + at)).collect()
            })
        };
        Self { first: offsets(false), offsets: offsets(true) }
    }

    /// Whether each group is one run of the flat tensor, in order.
    pub(super) fn are_rows(&self) -> bool {
        self.offsets.last().is_none_or(|&last| last + 1 == self.offsets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_axes_make_rows() {
        let groups = Groups::new(&[2, 3, 2], &[1, 2]);
        assert_eq!(groups.first, [0, 6]);
        assert_eq!(groups.offsets, [0, 1, 2, 3, 4, 5]);
        assert!(groups.are_rows());
    }

    #[test]
    fn leading_axes_stride() {
        let groups = Groups::new(&[2, 3, 2], &[0, 2]);
        assert_eq!(groups.first, [0, 2, 4]);
        assert_eq!(groups.offsets, [0, 1, 6, 7]);
        assert!(!groups.are_rows());
    }
}
