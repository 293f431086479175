//! The record as a page that holds everything: no network, no scripts.

mod agreement;
mod attacks;
mod chart;
mod classes;
mod curves;
mod findings;
mod gallery;
mod headline;
mod meter;
mod page;
mod repeat;
