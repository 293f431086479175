//! Which nodes a straight-through gradient passes.

use std::collections::{HashMap, HashSet};

use super::rules::Surrogate;

/// The nodes that round, and whose cotangents the reverse walk passes on as if they did not.
///
/// tract splits, renames and merges the nodes of a file. Its names are made of the file's, so a node belongs to the
/// node of the file whose name begins its own; one that belongs to none is selected by what it does.
#[derive(Clone, Debug, Default)]
pub(crate) struct StraightThrough {
    all: bool,
    kinds: HashSet<String>,
    origins: HashMap<String, Origin>,
}

/// What is known of a node of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// Its operator in ONNX.
    pub kind: String,
    /// Whether it is selected.
    pub selected: bool,
    /// Whether it lies between a `DequantizeLinear` and a selected `QuantizeLinear`: tract makes one table of such a
    /// chain, named after its beginning.
    pub before_selected: bool,
}

impl StraightThrough {
    /// Every node that has a surrogate, of a file with these nodes.
    pub(crate) fn all(origins: HashMap<String, Origin>) -> Self {
        Self { all: true, kinds: HashSet::new(), origins }
    }

    /// The selected nodes of a file, by name, and what stands for nodes without an origin in it: ONNX operators.
    pub(crate) fn new(
        origins: HashMap<String, Origin>,
        kinds: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { all: false, kinds: kinds.into_iter().collect(), origins }
    }

    /// Whether no node is selected: gradients are exact.
    pub(crate) fn is_none(&self) -> bool {
        !self.all
            && self.kinds.is_empty()
            && !self.origins.values().any(|origin| origin.selected || origin.before_selected)
    }

    /// Whether a node of this name, with this surrogate, is passed. `table`: whether it is a table of a whole chain.
    pub(super) fn passes(&self, name: &str, surrogate: &Surrogate, table: bool) -> bool {
        self.all
            || match self.origin(name) {
                Some((_, origin)) if table => origin.before_selected,
                Some((_, origin)) => origin.selected,
                None => self.kinds.contains(surrogate.kind),
            }
    }

    /// The node of the file that a node of this name belongs to.
    pub(crate) fn origin<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a Origin)> {
        let ends = std::iter::once(name.len()).chain(name.rmatch_indices('.').map(|(at, _)| at));
        ends.map(|end| &name[..end])
            .find_map(|name| self.origins.get(name).map(|origin| (name, origin)))
    }
}
