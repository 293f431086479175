//! Invariants of balls, boxes and masks.

use ironbound::{
    Bounds, Budget, Domain, Monotone, Norm, Region, StepSize, Stream, Threat, Violation, stream,
};
use proptest::prelude::*;
use rand::RngExt;

pub(crate) const NORMS: [Norm; 4] = [Norm::L0, Norm::L1, Norm::L2, Norm::Linf];

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) clean: Vec<f32>,
    pub(crate) point: Vec<f32>,
    pub(crate) threat: Threat,
}

impl Case {
    pub(crate) fn region(&self) -> Region<'_> {
        self.threat.region(0, &self.clean)
    }
}

pub(crate) fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => (0_u8..=255).prop_map(|level| f32::from(level) / 255.0),
        4 => -2.0_f32..2.0,
        1 => prop::num::f32::SUBNORMAL,
        1 => prop::num::f32::NORMAL,
        1 => Just(0.0),
        1 => Just(-0.0),
    ]
}

pub(crate) fn wild() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => value(),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
    ]
}

pub(crate) fn eps() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => (1_u8..=255).prop_map(|level| f64::from(level) / 255.0),
        2 => 0.0..8.0_f64,
        1 => (-330.0..300.0_f64).prop_map(|exponent| 10_f64.powf(exponent)),
        1 => Just(f64::MAX),
        1 => Just(0.0),
    ]
}

pub(crate) fn monotone() -> impl Strategy<Value = Monotone> {
    prop_oneof![Just(Monotone::Free), Just(Monotone::Increase), Just(Monotone::Decrease)]
}

fn case() -> impl Strategy<Value = Case> {
    let feature = (value(), wild(), 0.0_f32..1.0, 0.0_f32..1.0, any::<bool>(), eps(), monotone());
    let features = prop::collection::vec(feature, 1..40);
    let limits = (any::<bool>(), any::<bool>(), any::<bool>());
    (features, 0..NORMS.len(), eps(), 0..3_usize, limits).prop_map(
        |(features, norm, eps, bounds, (masked, per_feature, one_way))| {
            let clean: Vec<f32> = features.iter().map(|f| f.0).collect();
            let bounds = match bounds {
                0 => Bounds::NONE,
                1 => Bounds::Uniform(
                    clean.iter().copied().fold(f32::INFINITY, f32::min),
                    clean.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                ),
                _ => Bounds::PerFeature(features.iter().map(|f| (f.0 - f.2, f.0 + f.3)).collect()),
            };
            let mut threat = Threat::new(NORMS[norm], eps).with_bounds(bounds);
            if masked {
                threat = threat.with_mask(features.iter().map(|f| f.4).collect());
            }
            if per_feature && NORMS[norm] == Norm::Linf {
                threat.budget = Budget::PerFeature(features.iter().map(|f| f.5).collect());
            }
            if one_way {
                let monotone = Some(features.iter().map(|f| f.6).collect());
                threat = threat.with_domain(Domain { monotone, ..Domain::ANY });
            }
            Case { point: features.iter().map(|f| f.1).collect(), clean, threat }
        },
    )
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn projected_points_pass_the_check_and_stay_put(case in case()) {
        let region = case.region();
        let mut point = case.point.clone();
        region.project(&mut point);
        prop_assert!(region.check(&point).is_ok(), "{:?}: {point:?}", region.check(&point));
        let once = point.clone();
        region.project(&mut point);
        prop_assert_eq!(point, once);
    }

    #[test]
    fn feasible_points_stay_put(case in case()) {
        if case.region().check(&case.point).is_ok() {
            let mut point = case.point.clone();
            case.region().project(&mut point);
            prop_assert_eq!(point, case.point);
        }
    }

    #[test]
    fn random_points_pass_the_check(case in case(), seed: u64) {
        let mut point = case.point.clone();
        case.region().random_point(&mut stream(seed, "random", 0, 0), &mut point);
        prop_assert!(case.region().check(&point).is_ok(), "{:?}", case.region().check(&point));
    }

    #[test]
    fn steps_end_in_the_region(case in case(), size in eps(), relative: bool) {
        let region = case.region();
        let mut point = case.clean.clone();
        let mut gradient = case.point.clone();
        region.restrict(&mut gradient);
        prop_assert!(gradient.iter().all(|g| g.is_finite()));
        let size = if relative { StepSize::Relative(size) } else { StepSize::Absolute(size) };
        for _ in 0..3 {
            region.step(&mut point, &gradient, size);
            prop_assert!(point.iter().all(|x| !x.is_nan()), "{point:?}");
            region.project(&mut point);
            prop_assert!(region.check(&point).is_ok());
        }
    }

    #[test]
    fn no_budget_changes_nothing(case in case(), seed: u64) {
        let threat = Threat { budget: Budget::Scalar(0.0), ..case.threat.clone() };
        let region = threat.region(0, &case.clean);
        let mut point = case.point.clone();
        region.project(&mut point);
        prop_assert_eq!(bits(&point), bits(&case.clean));
        region.random_point(&mut stream(seed, "random", 0, 0), &mut point);
        prop_assert_eq!(bits(&point), bits(&case.clean));
        prop_assert_eq!(region.check(&point), Ok(0.0));
    }

    /// Against a bisection for the threshold, the scaled change, and the clamp.
    #[test]
    fn projections_are_the_nearest_points(
        values in prop::collection::vec((-1.0_f32..1.0, -3.0_f32..3.0), 1..60),
        eps in 1e-6..4.0_f64,
    ) {
        let (clean, point): (Vec<f32>, Vec<f32>) = values.into_iter().unzip();
        let change: Vec<f64> =
            clean.iter().zip(&point).map(|(&c, &x)| f64::from(x) - f64::from(c)).collect();
        for norm in [Norm::L1, Norm::L2, Norm::Linf] {
            let expected = slow_projection(norm, &change, eps);
            let threat = Threat::new(norm, eps).with_bounds(Bounds::NONE);
            let mut found = point.clone();
            threat.region(0, &clean).project(&mut found);
            for (i, x) in found.iter().enumerate() {
                let expected = f64::from(clean[i]) + expected[i];
                prop_assert!((f64::from(*x) - expected).abs() < 3e-7, "{norm} {i}: {x} {expected}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Against a bisection for the multiplier of the ball, each coordinate clamped to its box.
    #[test]
    fn l1_projections_are_the_nearest_points_of_ball_and_box(
        values in prop::collection::vec(
            (-1.0_f32..1.0, -3.0_f32..3.0, 0.0_f32..1.0, 0.0_f32..1.0),
            1..60,
        ),
        eps in 1e-6..4.0_f64,
        cut: bool,
    ) {
        let clean: Vec<f32> = values.iter().map(|v| v.0).collect();
        let point: Vec<f32> = values.iter().map(|v| v.0 + v.1).collect();
        // Ends without room now and then.
        let end = |room: f32| if room < 0.2 { 0.0 } else { room };
        let pairs = values.iter().map(|v| (v.0 - end(v.2), v.0 + end(v.3))).collect();
        let bounds = if cut { Bounds::Uniform(-1.0, 1.0) } else { Bounds::PerFeature(pairs) };
        let clamped = |i: usize, multiplier: f64| {
            let d = f64::from(point[i]) - f64::from(clean[i]);
            let moved = (d.abs() - multiplier).max(0.0).copysign(d);
            let (lower, upper) = bounds.at(i);
            moved.clamp(f64::from(lower) - f64::from(clean[i]), f64::from(upper) - f64::from(clean[i]))
        };
        let size = |multiplier| (0..clean.len()).map(|i| clamped(i, multiplier).abs()).sum::<f64>();
        let (mut low, mut high) = (0.0, 8.0);
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if size(middle) > eps { low = middle } else { high = middle }
        }
        let multiplier = if size(0.0) <= eps { 0.0 } else { high };
        let threat = Threat::new(Norm::L1, eps).with_bounds(bounds.clone());
        let mut found = point.clone();
        threat.region(0, &clean).project(&mut found);
        for (i, x) in found.iter().enumerate() {
            let expected = f64::from(clean[i]) + clamped(i, multiplier);
            prop_assert!((f64::from(*x) - expected).abs() < 4e-7, "{i}: {x} {expected}");
        }
    }
}

fn slow_projection(norm: Norm, change: &[f64], eps: f64) -> Vec<f64> {
    let l1: f64 = change.iter().map(|d| d.abs()).sum();
    let l2 = change.iter().map(|d| d * d).sum::<f64>().sqrt();
    match norm {
        Norm::Linf => change.iter().map(|d| d.clamp(-eps, eps)).collect(),
        Norm::L2 => change.iter().map(|d| d * (eps / l2).min(1.0)).collect(),
        _ => {
            let soft = |t: f64| change.iter().map(move |d| (d.abs() - t).max(0.0) * d.signum());
            let (mut low, mut high) = (0.0, l1);
            for _ in 0..200 {
                let middle = f64::midpoint(low, high);
                let size: f64 = soft(middle).map(f64::abs).sum();
                if size > eps { low = middle } else { high = middle }
            }
            soft(if l1 <= eps { 0.0 } else { high }).collect()
        }
    }
}

/// Every ball of radius r holds r^d of the unit ball, so size^d of a uniform point is uniform.
#[test]
fn random_points_fill_the_ball_evenly() {
    const DRAWS: usize = 20_000;
    for norm in [Norm::L1, Norm::L2, Norm::Linf] {
        for features in [1, 2, 5, 30] {
            let clean = vec![0.0; features];
            let threat = Threat::new(norm, 2.0).with_bounds(Bounds::NONE);
            let region = threat.region(0, &clean);
            let mut draw = stream(5, "ball", features, 0);
            let mut point = clean.clone();
            let (mut shares, mut positive) = (vec![], 0);
            for _ in 0..DRAWS {
                region.random_point(&mut draw, &mut point);
                shares.push((region.distance(&point) / 2.0).powi(features as i32));
                positive += usize::from(point[features - 1] > 0.0);
            }
            assert_uniform(&mut shares, &format!("{norm} {features}"));
            assert!(positive.abs_diff(DRAWS / 2) < 300, "{norm} {features}: {positive} positive");
        }
    }
}

/// `P(|x_1| > t) = (1 - t)^d` in the L1 ball; the angle is uniform in the L2 disc.
#[test]
fn random_points_favour_no_direction() {
    const DRAWS: usize = 20_000;
    let mut draw = stream(6, "direction", 0, 0);
    let clean = [0.0; 4];
    let (l1, l2) = (Threat::new(Norm::L1, 1.0), Threat::new(Norm::L2, 1.0));
    let (l1, l2) = (l1.with_bounds(Bounds::NONE), l2.with_bounds(Bounds::NONE));
    let mut point = clean;
    for feature in [0, 3] {
        let mut shares: Vec<f64> = (0..DRAWS)
            .map(|_| {
                l1.region(0, &clean).random_point(&mut draw, &mut point);
                (1.0 - f64::from(point[feature].abs())).powi(4)
            })
            .collect();
        assert_uniform(&mut shares, "l1 marginal");
    }
    let mut angles: Vec<f64> = (0..DRAWS)
        .map(|_| {
            l2.region(0, &clean[..2]).random_point(&mut draw, &mut point[..2]);
            0.5 + f64::from(point[1].atan2(point[0])) / std::f64::consts::TAU
        })
        .collect();
    assert_uniform(&mut angles, "l2 angle");
}

/// Kolmogorov and Smirnov's test at the level 0.0005.
fn assert_uniform(shares: &mut [f64], what: &str) {
    shares.sort_by(f64::total_cmp);
    let count = shares.len() as f64;
    let gaps = shares.iter().enumerate().map(|(i, share)| (share - i as f64 / count).abs());
    let largest = gaps.fold(0.0, f64::max);
    assert!(largest < 2.0 / count.sqrt(), "{what}: off by {largest}");
}

#[test]
fn masked_features_take_no_part() {
    let clean = [0.5_f32; 3];
    let threat = Threat::new(Norm::L2, 0.25).with_mask(vec![true, false, true]);
    let region = threat.region(0, &clean);
    let mut gradient = [3.0, 100.0, -4.0];
    assert!(region.restrict(&mut gradient));
    let mut point = clean;
    region.step(&mut point, &gradient, StepSize::Relative(1.0));
    assert_eq!(point, [0.65, 0.5, 0.3]);
    assert!(!region.restrict(&mut [0.0, 1.0, f32::NAN]), "nothing is left");
    let mut direction = [9.0; 3];
    region.random_direction(&mut stream(0, "mask", 0, 0), &mut direction);
    assert!(direction[0] != 0.0 && direction[1] == 0.0 && direction[2] != 0.0);
    assert_eq!(region.check(&[0.5, 0.51, 0.5]), Err(Violation::Masked(1)));
}

#[test]
fn monotone_features_move_one_way() {
    use Monotone::{Decrease, Free, Increase};
    let clean = [0.5_f32; 3];
    let way = |norm| {
        let monotone = Some(vec![Increase, Decrease, Free]);
        Threat::new(norm, 0.25).with_domain(Domain { monotone, ..Domain::ANY })
    };
    for norm in NORMS {
        let threat = way(norm);
        let region = threat.region(0, &clean);
        assert_eq!(region.check(&[0.4, 0.5, 0.5]), Err(Violation::Monotone(0)), "{norm}");
        assert_eq!(region.check(&[0.5, 0.6, 0.5]), Err(Violation::Monotone(1)), "{norm}");
        assert_eq!(region.check(&[0.5, 1.5, 0.5]), Err(Violation::OutOfBounds(1)), "{norm}");
        let mut draw = stream(3, "monotone", 0, 0);
        for _ in 0..100 {
            let mut point = clean;
            region.random_point(&mut draw, &mut point);
            assert!(point[0] >= 0.5 && point[1] <= 0.5, "{norm}: {point:?}");
        }
    }
    assert_eq!(way(Norm::L2).region(0, &clean).check(&[0.7, 0.4, 0.6]).map(|_| ()), Ok(()));
    assert_eq!(way(Norm::L2).region(0, &clean).bounds_at(1), (0.0, 0.5));
    // What they must not spend goes to the next steepest.
    let threat = way(Norm::L1);
    let mut point = clean;
    threat.region(0, &clean).step(&mut point, &[-3.0, 2.0, 1.0], StepSize::Relative(1.0));
    assert_eq!(point, [0.5, 0.5, 0.75]);
    // The projection is onto ball and box at once.
    let mut point = [0.0, 1.0, 1.0];
    threat.region(0, &clean).project(&mut point);
    assert_eq!(point, [0.5, 0.5, 0.75]);
}

#[test]
fn features_with_budgets_of_their_own_move_in_proportion() {
    let clean = [0.5_f32; 3];
    let mut threat = Threat::new(Norm::Linf, 0.0);
    threat.budget = Budget::PerFeature(vec![0.25, 0.125, 0.0]);
    let region = threat.region(0, &clean);
    for size in [StepSize::Relative(0.5), StepSize::Absolute(0.125)] {
        let mut point = clean;
        region.step(&mut point, &[1.0, -1.0, 1.0], size);
        assert_eq!(point, [0.625, 0.4375, 0.5]);
    }
    assert_eq!(region.check(&[0.75, 0.375, 0.5]), Ok(0.25));
    let beyond = region.check(&[0.5, 0.75, 0.5]);
    assert_eq!(beyond, Err(Violation::TooLarge { size: 0.25, eps: 0.125 }));
}

#[test]
fn check_names_what_is_wrong() {
    let clean = [0.5_f32, 0.5];
    let threat = Threat::new(Norm::L2, 0.5);
    let region = threat.region(0, &clean);
    assert_eq!(region.check(&[0.5]), Err(Violation::Length { found: 1, expected: 2 }));
    assert_eq!(region.check(&[0.5, f32::NAN]), Err(Violation::NotFinite(1)));
    assert_eq!(region.check(&[f32::INFINITY, 0.5]), Err(Violation::NotFinite(0)));
    assert_eq!(region.check(&[0.5, 1.0_f32.next_up()]), Err(Violation::OutOfBounds(1)));
    assert_eq!(region.check(&[0.5, 1.0]), Ok(0.5));
    assert!(matches!(region.check(&[1.0, 1.0]), Err(Violation::TooLarge { .. })));
}

/// sign(0) = 0, and the first of equally steep coordinates.
#[test]
fn steps_on_zeros_and_ties() {
    let clean = [0.5_f32; 3];
    let step = |norm, gradient: [f32; 3]| {
        let threat = Threat::new(norm, 0.25);
        let mut point = clean;
        threat.region(0, &clean).step(&mut point, &gradient, StepSize::Relative(1.0));
        point
    };
    assert_eq!(step(Norm::Linf, [0.0, -0.0, 1e-45]), [0.5, 0.5, 0.75]);
    assert_eq!(step(Norm::L1, [1.0, -2.0, 2.0]), [0.5, 0.25, 0.5]);
    for norm in NORMS {
        assert_eq!(step(norm, [0.0; 3]), clean);
    }
    for size in [1e-45, f32::MAX] {
        assert_eq!(step(Norm::L2, [size, 0.0, 0.0]), [0.75, 0.5, 0.5], "{size}");
    }
    assert_eq!(step(Norm::L0, [1.0, 3.0, -2.0]), [0.5, 1.0, 0.5], "one, to its bound");
}

#[test]
fn l1_steps_spill_over_in_the_order_of_steepness() {
    let clean = [0.875_f32, 0.5, 0.25, 0.5];
    let threat = Threat::new(Norm::L1, 10.0);
    let mut point = clean;
    threat.region(0, &clean).step(&mut point, &[4.0, 1.0, -3.0, 2.0], StepSize::Absolute(0.5));
    assert_eq!(point, [1.0, 0.5, 0.0, 0.625]);
}

#[test]
fn l0_keeps_the_first_of_equal_changes() {
    let clean = [0.0_f32; 4];
    let threat = Threat::new(Norm::L0, 2.0).with_bounds(Bounds::NONE);
    let mut point = [1.0, -2.0, 1.0, 0.0];
    threat.region(0, &clean).project(&mut point);
    assert_eq!(point, [1.0, -2.0, 0.0, 0.0]);
}

#[test]
fn a_small_budget_is_not_lost_beside_a_large_change() {
    let clean = [0.0_f32; 2];
    for norm in [Norm::L1, Norm::L2, Norm::Linf] {
        let threat = Threat::new(norm, 1e-3).with_bounds(Bounds::NONE);
        let region = threat.region(0, &clean);
        for large in [1.0, 1e30, f32::MAX, f32::INFINITY] {
            let mut point = [-large, 1e-5];
            region.project(&mut point);
            let size = region.check(&point).unwrap();
            assert!(size > 0.999_999e-3 && point[0] < -0.999_9e-3, "{norm} {large}: {point:?}");
        }
    }
}

/// Imagenet-sized input, all features far away: the threshold is found in few passes, with a box and without.
#[test]
fn l1_projection_of_a_large_sample() {
    for (bounds, eps) in [(Bounds::NONE, 12.0), (Bounds::default(), 12.0), (Bounds::default(), 3e4)]
    {
        let mut draw: Stream = stream(0, "large", 0, 0);
        let clean: Vec<f32> = (0..150_528).map(|_| draw.random_range(0.0..1.0)).collect();
        let mut point: Vec<f32> = clean.iter().map(|x| x + draw.random_range(-1.0..1.0)).collect();
        let threat = Threat::new(Norm::L1, eps).with_bounds(bounds);
        let region = threat.region(0, &clean);
        let started = std::time::Instant::now();
        region.project(&mut point);
        assert!(started.elapsed().as_secs() < 2);
        let size = region.check(&point).unwrap();
        assert!((eps * 0.999..=eps).contains(&size), "{size}");
    }
}
