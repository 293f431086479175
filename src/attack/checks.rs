//! The ranges of parameters, and what an attack needs of a threat.

use crate::corruption::{Canvas, ParameterSet};
use crate::error::{Error, Result};
use crate::model::ModelInfo;
use crate::threat::{Bounds, Region};

pub(super) fn at_least_one(field: &str, count: usize) -> Result<()> {
    if count > 0 { Ok(()) } else { Err(Error::parameter(field, count, "expected 1 or more")) }
}

pub(super) fn positive(field: &str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::parameter(field, value, "expected a finite number > 0"))
}

pub(super) fn not_negative(field: &str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::parameter(field, value, "expected a finite number >= 0"))
}

pub(super) fn share(field: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::parameter(field, value, "expected a number from 0 to 1"))
}

pub(super) fn bounded(region: &Region<'_>) -> Result<()> {
    if region.is_bounded() {
        return Ok(());
    }
    let expected =
        "the attack moves towards the bounds: expected finite ones for all free features";
    Err(Error::parameter("bounds", "infinite", expected))
}

pub(super) fn degrees(field: &str, value: f64) -> Result<()> {
    if (0.0..=180.0).contains(&value) {
        return Ok(());
    }
    Err(Error::parameter(field, value, "expected degrees from 0 to 180"))
}

/// That a model takes images.
pub(super) fn images(model: &ModelInfo) -> Result<()> {
    Canvas::new(&model.shape, &Bounds::default(), ParameterSet::Auto).map(|_| ())
}
