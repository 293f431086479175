
mod dataset;
mod labels;
mod load;
mod npy;
mod npz;
mod shape;
#[cfg(test)]
mod tests;
mod validate;

pub use dataset::Dataset;
pub use shape::Layout;
