//! Nodes that tract runs without a word, and wrongly: refused by name when a model is loaded.

mod nodes;
mod table;
mod typed;

pub(super) use nodes::{name, refuse};
#[cfg(test)]
pub(super) use table::REFUSALS;
#[cfg(test)]
pub(super) use typed::TYPED;
pub(super) use typed::refuse_typed;
