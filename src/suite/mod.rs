//! Suites: one TOML file that lists models, data sets, threats, attacks and gates.

mod file;
mod load;
mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Reference, Suite, SuiteBounds, SuiteData, SuiteModel};
