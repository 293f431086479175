//! The record as a page that holds everything: no network, no scripts.

mod agreement;
mod attacks;
mod chart;
mod classes;
mod confusion;
mod curves;
mod findings;
mod gallery;
mod groups;
mod headline;
mod lots;
mod meter;
mod page;
mod perturbations;
mod repeat;
