//! Samples and maps as PNG files.

use std::path::Path;

use ironbound::explain::Explanations;
use ironbound::picture::Picture;
use ironbound::{Bounds, Error, Result};

/// How many pixels the longer side of a picture has at the least.
const SIDE: u32 = 224;

/// Writes `sample-N.png` and `sample-N-map.png` of every explained sample: red is for, blue against the class, full at the
/// map's largest number.
pub(crate) fn save(found: &Explanations, bounds: &Bounds, folder: &Path) -> Result<()> {
    let fault = |source| Error::Io { path: folder.into(), source };
    std::fs::create_dir_all(folder).map_err(fault)?;
    for one in &found.explanations {
        let shape = one.map.shape();
        let map: Vec<f32> = one.map.iter().map(|value| *value as f32).collect();
        let largest = map.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let input: Vec<f32> = one.input.iter().copied().collect();
        let pictures = [
            (String::new(), Picture::of_sample(&input, shape, range(&input, bounds))),
            ("-map".into(), Picture::of_map(&map, shape, largest)),
        ];
        for (suffix, picture) in pictures {
            let Some(picture) = picture else {
                let expected = "samples that are images: write the maps with --npz";
                let value = format!("for samples of shape {shape:?}");
                return Err(crate::loading::fault("png", &value, expected));
            };
            let times = SIDE.div_ceil(picture.width().max(picture.height()));
            let path = folder.join(format!("sample-{}{suffix}.png", one.sample));
            std::fs::write(&path, picture.enlarged(times).to_png())
                .map_err(|source| Error::Io { path, source })?;
        }
    }
    Ok(())
}

/// Black and white: the bounds, or the sample's own least and largest value where there are none.
fn range(input: &[f32], bounds: &Bounds) -> (f32, f32) {
    match bounds {
        Bounds::Uniform(lower, upper) if lower.is_finite() && upper.is_finite() => (*lower, *upper),
        _ => input
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x))),
    }
}
