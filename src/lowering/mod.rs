//! Operators of our own in the place of tract's, where those are slower; applied to a graph before it is optimised.
//!
//! What they compute does not depend on the batch, bit for bit, nor on the machine's vectors: see [`tile`].

mod affine;
mod axis;
mod conv;
mod dense;
mod einsum;
mod ending;
mod filtering;
mod gelu;
mod halving;
mod layer_norm;
mod matrices;
mod pairwise;
mod parts;
mod pass;
mod picks;
mod planes;
mod product;
mod softmax;
#[cfg(test)]
mod tests;
mod thin;
mod tile;
#[cfg(test)]
mod transformer_tests;
mod view;
mod winograd;

pub(crate) use conv::lowers;
pub(crate) use gelu::Gelu;
pub(crate) use layer_norm::LayerNorm;
pub(crate) use pass::{lower, prepare};
