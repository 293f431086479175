//! The numbers of a report: small pure functions, each with its definition.

mod area;
mod calibration;
mod confusion;
mod corruption;
mod distance;
mod groups;
mod interval;
mod paired;
mod quantile;
mod reverse_weibull;
mod survival;
mod tally;

pub use area::area_under_curve;
pub use calibration::expected_calibration_error;
pub use confusion::{Confusion, confusion};
pub use corruption::{corruption_error, mean_corruption_error, relative_corruption_error};
pub use distance::{Spread, spread};
pub use groups::{Disparity, Group, disparity};
pub use interval::{clopper_pearson, clopper_pearson_lower, wilson95};
pub use paired::Paired;
pub use quantile::quantile;
pub use reverse_weibull::ReverseWeibull;
pub use survival::{Observed, Step, Survival};
pub use tally::{Tally, worst_case};

pub use crate::norm::Sizes;
pub use crate::ssim::ssim;
