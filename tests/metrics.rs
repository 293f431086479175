//! The statistics against those of scipy, numpy and scikit-image. `tests/data/statistics.py` writes theirs.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use approx::assert_relative_eq;
use ironbound::metrics::{
    Group, Observed, Paired, ReverseWeibull, Survival, clopper_pearson, clopper_pearson_lower,
    disparity, quantile, ssim,
};
use serde_json::Value;

fn rows(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("data/statistics.json")).unwrap();
    let rows = all[name].as_array().unwrap().clone();
    assert!(!rows.is_empty());
    rows
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

#[test]
fn exact_intervals() {
    for row in rows("clopper_pearson") {
        let confidence = row["confidence"].as_f64().unwrap();
        let found = clopper_pearson(count(&row["k"]), count(&row["n"]), confidence);
        for (found, expected) in found.into_iter().zip(numbers(&row["interval"])) {
            assert!((found - expected).abs() < 1e-9, "{row}: {found}");
        }
    }
    for row in rows("clopper_pearson_lower") {
        let alpha = row["alpha"].as_f64().unwrap();
        let found = clopper_pearson_lower(count(&row["k"]), count(&row["n"]), alpha);
        assert!((found - row["lower"].as_f64().unwrap()).abs() < 1e-9, "{row}: {found}");
    }
}

#[test]
fn paired_outcomes() {
    for row in rows("mcnemar") {
        let [gained, lost] = ["gained", "lost"].map(|field| count(&row[field]));
        let paired = Paired { gained, lost, both: 20, neither: 3 };
        assert_relative_eq!(paired.mcnemar(), row["p"].as_f64().unwrap(), max_relative = 1e-9);
    }
}

#[test]
fn groups() {
    for row in rows("homogeneity") {
        let groups = row["table"].as_array().unwrap().iter().map(|group| {
            let [hits, misses] = [0, 1].map(|i| count(&group[i]));
            Group { hits, samples: hits + misses }
        });
        let found = disparity(&groups.collect::<Vec<_>>()).unwrap();
        let [statistic, p] = ["statistic", "p"].map(|field| row[field].as_f64().unwrap());
        assert_relative_eq!(found.statistic, statistic, max_relative = 1e-9, epsilon = 1e-12);
        assert_relative_eq!(found.p, p, max_relative = 1e-9);
    }
}

#[test]
fn censored_distances() {
    for row in rows("survival") {
        let broken = row["broken"].as_array().unwrap().iter().map(|b| b.as_bool().unwrap());
        let samples: Vec<_> = numbers(&row["distance"])
            .into_iter()
            .zip(broken)
            .map(|(distance, broken)| Observed { distance, broken })
            .collect();
        let steps = Survival::of(&samples).steps;
        let expected = ["at", "survival", "lower", "upper"].map(|field| numbers(&row[field]));
        assert_eq!(steps.len(), expected[0].len());
        for (i, step) in steps.iter().enumerate() {
            let found = [step.distance, step.share, step.interval[0], step.interval[1]];
            for (found, expected) in found.into_iter().zip(&expected) {
                assert_relative_eq!(found, expected[i], max_relative = 1e-9);
            }
        }
    }
}

#[test]
fn quantiles() {
    for row in rows("quantiles") {
        let found = quantile(&numbers(&row["values"]), row["q"].as_f64().unwrap());
        assert_eq!(found, row["quantile"].as_f64(), "{row}");
    }
}

#[test]
fn structural_similarity() {
    for row in rows("similarity") {
        let shape: Vec<usize> = row["shape"].as_array().unwrap().iter().map(count).collect();
        let [range, noise] = ["range", "noise"].map(|field| row[field].as_f64().unwrap());
        let pixels = || (0..shape.iter().product::<usize>()).map(|i| i as f64);
        let first: Vec<f32> =
            pixels().map(|i| (range * (0.5 + 0.5 * (0.37 * i).sin())) as f32).collect();
        let second: Vec<f32> = pixels()
            .zip(&first)
            .map(|(i, x)| (f64::from(*x) + noise * (1.7 * i * i).cos()).clamp(0.0, range) as f32)
            .collect();
        let found = ssim(&first, &second, &shape, range).unwrap();
        assert_relative_eq!(found, row["ssim"].as_f64().unwrap(), max_relative = 1e-6);
        assert_eq!(ssim(&second, &first, &shape, range), Some(found));
    }
    let flat = [0.5; 121];
    assert_eq!(ssim(&flat, &flat, &[11, 11], 1.0), Some(1.0));
    for (shape, range) in [(&[121][..], 1.0), (&[10, 12], 1.0), (&[11, 11], 0.0), (&[11, 12], 1.0)]
    {
        assert_eq!(ssim(&flat[..120.min(shape.iter().product())], &flat, shape, range), None);
    }
    assert_eq!(ssim(&flat, &flat, &[11, 11], f64::INFINITY), None);
}

#[test]
fn largest_of_many() {
    for row in rows("reverse_weibull") {
        let values = numbers(&row["values"]);
        let found = ReverseWeibull::fit(&values).unwrap();
        let [location, scale, shape, distance] =
            ["location", "scale", "shape", "distance"].map(|field| row[field].as_f64().unwrap());
        assert_relative_eq!(found.location, location, max_relative = 1e-5);
        assert_relative_eq!(found.scale, scale, max_relative = 1e-4);
        assert_relative_eq!(found.shape, shape, max_relative = 1e-4);
        assert_relative_eq!(found.distance(&values), distance, max_relative = 1e-3);
        assert_relative_eq!(found.share(found.quantile(0.3)), 0.3, max_relative = 1e-12);
    }
    // An exponential tail has no largest value, alike values no distribution.
    let exponential: Vec<f64> = (1..200).map(|i| -(1.0 - f64::from(i) / 200.0_f64).ln()).collect();
    assert_eq!(ReverseWeibull::fit(&exponential), None);
    assert_eq!(ReverseWeibull::fit(&[1.0, 2.0]), None);
    assert_eq!(ReverseWeibull::fit(&[3.0; 50]), None);
}
