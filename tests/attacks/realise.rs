//! What data can be: levels, groups, and the nearest of them within ball, box and mask.

use ironbound::{Bounds, Budget, Domain, Levels, Monotone, Norm, Spacing, Threat, Violation};
use proptest::prelude::*;

use crate::regions::{Case, NORMS, eps, monotone, value, wild};

/// One feature with levels, or without.
#[derive(Clone, Debug)]
struct Feature {
    clean: f32,
    point: f32,
    room: (f32, f32),
    free: bool,
    eps: f64,
    way: Monotone,
    spacing: Option<Spacing>,
}

fn spacing() -> impl Strategy<Value = Option<Spacing>> {
    const TEXTS: &[&str] = &["1/255", "2/255:-1", "1/16", "1", "0.3:0.05", "1/1000"];
    let step = prop::sample::select(TEXTS).prop_map(|text| text.parse().unwrap());
    prop_oneof![3 => step.prop_map(Some), 1 => Just(None)]
}

fn feature() -> impl Strategy<Value = Feature> {
    let room = (0.0_f32..1.0, 0.0_f32..1.0);
    (value(), wild(), room, any::<bool>(), eps(), monotone(), spacing()).prop_map(
        |(clean, point, room, free, eps, way, spacing)| {
            let clean = spacing.map_or(clean, |spacing| spacing.nearest(clean));
            Feature { clean, point, room, free, eps, way, spacing }
        },
    )
}

/// The features of a group, whose bounds hold 0 and 1.
fn group() -> impl Strategy<Value = Vec<Feature>> {
    let of_group = (wild(), 0.0_f32..1.0, eps());
    let all = (prop::collection::vec(of_group, 2..5), any::<prop::sample::Index>(), any::<bool>());
    all.prop_map(|(all, one, free)| {
        let one = one.index(all.len());
        let feature = |(index, (point, room, eps))| Feature {
            clean: if index == one { 1.0 } else { 0.0 },
            point,
            room: (1.0 + room, 1.0 + room),
            free,
            eps,
            way: Monotone::Free,
            spacing: None,
        };
        all.into_iter().enumerate().map(feature).collect()
    })
}

fn case() -> impl Strategy<Value = Case> {
    let features = prop::collection::vec(feature(), 1..20);
    let groups = prop::collection::vec(group(), 0..4);
    (features, groups, 0..NORMS.len(), eps(), 0..3_usize, any::<[bool; 3]>()).prop_map(
        |(mut features, groups, norm, eps, bounds, [masked, per_feature, one_way])| {
            let mut one_hot = vec![];
            for group in groups {
                one_hot.push((features.len()..features.len() + group.len()).collect());
                features.extend(group);
            }
            let clean: Vec<f32> = features.iter().map(|f| f.clean).collect();
            let least = clean.iter().copied().fold(0.0, f32::min);
            let most = clean.iter().copied().fold(1.0, f32::max);
            let around = |f: &Feature| (f.clean - f.room.0, f.clean + f.room.1);
            let bounds = match bounds {
                0 => Bounds::NONE,
                1 => Bounds::Uniform(least, most),
                _ => Bounds::PerFeature(features.iter().map(around).collect()),
            };
            let grid = Some(Levels::PerFeature(features.iter().map(|f| f.spacing).collect()));
            let monotone = one_way.then(|| features.iter().map(|f| f.way).collect());
            let mut threat = Threat::new(NORMS[norm], eps).with_bounds(bounds);
            threat.domain = Domain { grid, one_hot, monotone };
            if masked {
                threat = threat.with_mask(features.iter().map(|f| f.free).collect());
            }
            if per_feature && NORMS[norm] == Norm::Linf {
                threat.budget = Budget::PerFeature(features.iter().map(|f| f.eps).collect());
            }
            threat.validate(1, features.len(), 2).unwrap();
            Case { point: features.iter().map(|f| f.point).collect(), clean, threat }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn realised_points_of_the_region_pass_the_check_and_stay_put(case in case()) {
        let region = case.region();
        let mut point = case.point.clone();
        region.project(&mut point);
        region.realise(&mut point);
        prop_assert!(region.check(&point).is_ok(), "{:?}: {point:?}", region.check(&point));
        let once = point.clone();
        region.realise(&mut point);
        prop_assert_eq!(&point, &once);
        region.project(&mut point);
        prop_assert_eq!(&point, &once);
    }

    /// The same point passes the check of the threat that has no domain but for the ways that features may go.
    #[test]
    fn realised_points_are_points_of_the_plain_threat(case in case()) {
        let mut point = case.point.clone();
        case.region().project(&mut point);
        case.region().realise(&mut point);
        let plain = Threat { domain: Domain::ANY, ..case.threat.clone() };
        prop_assert!(plain.region(0, &case.clean).check(&point).is_ok());
    }

    #[test]
    fn no_point_ends_further_outside(case in case()) {
        let region = case.region();
        let mut point: Vec<f32> =
            case.point.iter().zip(&case.clean).map(|(x, c)| if x.is_finite() { *x } else { *c }).collect();
        let before = region.distance(&point);
        // What is not of the domain is left alone, but these may be out of bounds.
        region.realise(&mut point);
        let size = region.distance(&point);
        prop_assert!(size <= before.max(region.radius.largest()), "{size} after {before}");
    }

    #[test]
    fn whatever_the_point_it_becomes_one_that_data_can_be(case in case()) {
        let all = Bounds::NONE;
        let boundless = Threat { bounds: all, budget: Budget::Scalar(f64::INFINITY), ..case.threat.clone() };
        let region = boundless.region(0, &case.clean);
        let discrete = |feature: usize| {
            boundless.domain.spacing_at(feature).is_some()
                || boundless.domain.one_hot.iter().any(|group| group.contains(&feature))
        };
        let mut point = case.point.clone();
        for (feature, x) in point.iter_mut().enumerate() {
            if !discrete(feature) {
                *x = case.clean[feature];
            }
        }
        region.realise(&mut point);
        prop_assert!(region.check(&point).is_ok(), "{:?}: {point:?}", region.check(&point));
    }

    #[test]
    fn feasible_points_are_left_alone(case in case(), steps in prop::collection::vec(-3_i8..3, 40)) {
        // A point some levels away.
        let mut point = case.clean.clone();
        for ((feature, x), steps) in point.iter_mut().enumerate().zip(steps) {
            if let Some(spacing) = case.threat.domain.spacing_at(feature) {
                *x = spacing.level(spacing.index(*x) + f64::from(steps));
            }
        }
        if case.region().check(&point).is_ok() {
            let before = point.clone();
            case.region().realise(&mut point);
            prop_assert_eq!(point, before);
        }
    }

    /// In linf, where every feature has its budget to itself, against all levels there are.
    #[test]
    fn in_linf_no_feasible_level_is_nearer(
        levels in prop::collection::vec((0_u8..=16, -0.2_f32..1.2, monotone()), 1..9),
        eps in 0.0..0.7_f64,
    ) {
        let spacing: Spacing = "1/16".parse().unwrap();
        let clean: Vec<f32> = levels.iter().map(|(k, ..)| spacing.level(f64::from(*k))).collect();
        let mut point: Vec<f32> = levels.iter().map(|(_, x, _)| *x).collect();
        let monotone = Some(levels.iter().map(|(.., way)| *way).collect());
        let domain = Domain { grid: Some(Levels::Uniform(spacing)), monotone, ..Domain::ANY };
        let threat = Threat::new(Norm::Linf, eps).with_domain(domain);
        let region = threat.region(0, &clean);
        region.project(&mut point);
        let wanted = point.clone();
        region.realise(&mut point);
        for feature in 0..clean.len() {
            let off = |x: f32| (x - wanted[feature]).abs();
            let nearest = (0..=16).map(|k| spacing.level(f64::from(k))).filter(|&level| {
                let mut other = clean.clone();
                other[feature] = level;
                region.check(&other).is_ok()
            });
            let least = nearest.map(off).fold(f32::INFINITY, f32::min);
            prop_assert_eq!(off(point[feature]), least, "feature {}", feature);
        }
    }
}

fn pixels(text: &str) -> Domain {
    Domain { grid: Some(Levels::Uniform(text.parse().unwrap())), ..Domain::ANY }
}

/// Of the 248 levels of 8 bits that can rise by eight, 36 end further than eps away when f32 adds it; of those that can
/// fall, cutting off what lies beyond a whole level takes 15 to the ninth. A point that is realised goes to the eighth, or,
/// where that is further than eps in f64, to the seventh.
#[test]
fn eight_levels_of_eight_bits() {
    let spacing: Spacing = "1/255".parse().unwrap();
    let (exact, rounded) = (8.0 / 255.0, f64::from(8.0_f32 / 255.0));
    let (mut beyond, mut cut) = (0, 0);
    for k in 0..=255_u8 {
        let clean = [spacing.level(f64::from(k))];
        assert_eq!(clean[0], f32::from(k) / 255.0);
        assert_eq!(spacing.index(clean[0]), f64::from(k));
        assert!(spacing.holds(clean[0]) && !spacing.holds(clean[0].next_up()));
        for (eps, sign) in [(exact, 1.0), (exact, -1.0), (rounded, 1.0), (rounded, -1.0)] {
            let to = f64::from(k) + 8.0 * sign;
            if !(0.0..=255.0).contains(&to) {
                continue;
            }
            let moved = clean[0] + sign as f32 * eps as f32;
            let threat = Threat::new(Norm::Linf, eps).with_domain(pixels("1/255"));
            let region = threat.region(0, &clean);
            let mut point = [moved];
            region.project(&mut point);
            region.realise(&mut point);
            let outside = Norm::Linf.size(&clean, &[spacing.level(to)]) > eps;
            let expected = if outside { to - sign } else { to };
            assert_eq!(spacing.index(point[0]), expected, "{k} {eps} {sign}");
            assert!(region.check(&point).is_ok() && spacing.holds(point[0]));
            if eps == rounded && sign > 0.0 {
                beyond += usize::from(f64::from(moved) - f64::from(clean[0]) > eps);
            }
            if eps == rounded && sign < 0.0 {
                cut += usize::from(f64::from((moved * 255.0) as u8) < to);
            }
        }
    }
    assert_eq!((beyond, cut), (36, 15));
}

#[test]
fn budgets_that_features_share_go_to_those_nearest_to_their_next_level() {
    let clean = [0.5_f32; 4];
    let realised = |norm, eps, change: [f32; 4]| {
        let threat = Threat::new(norm, eps).with_domain(pixels("1/8"));
        let region = threat.region(0, &clean);
        let mut point = [0, 1, 2, 3].map(|i| clean[i] + change[i] / 8.0);
        region.realise(&mut point);
        region.check(&point).unwrap();
        [0, 1, 2, 3].map(|i| (point[i] - clean[i]) * 8.0)
    };
    // To the nearest levels, if the ball holds them.
    assert_eq!(realised(Norm::L1, 0.5, [0.6, -0.7, 1.8, 0.0]), [1.0, -1.0, 2.0, 0.0]);
    // It holds three steps: the one that has gone least of its way stays.
    assert_eq!(realised(Norm::L1, 0.375, [0.6, -0.7, 1.7, 0.0]), [0.0, -1.0, 2.0, 0.0]);
    assert_eq!(realised(Norm::L1, 0.375, [0.8, -0.7, 1.5, 0.0]), [1.0, -1.0, 1.0, 0.0]);
    // Small changes become few whole ones, but no larger perturbation.
    assert_eq!(realised(Norm::L1, 0.5, [0.3, 0.4, -0.45, 0.0]), [0.0, 0.0, -1.0, 0.0]);
    assert_eq!(realised(Norm::L1, 0.5, [0.3, 0.3, -0.3, 0.0]), [0.0; 4]);
    assert_eq!(realised(Norm::L2, 0.25, [0.5, -0.5, 0.5, 0.5]), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(realised(Norm::L0, 2.0, [0.1, 0.0, -0.2, 0.0]), [1.0, 0.0, -1.0, 0.0]);
    // In linf none has to give way, and none gains from it.
    assert_eq!(realised(Norm::Linf, 0.25, [0.4, 0.6, -1.8, -1.4]), [0.0, 1.0, -2.0, -1.0]);
    // Ties stay.
    assert_eq!(realised(Norm::Linf, 0.25, [0.5, 1.5, -0.5, -1.5]), [0.0, 1.0, 0.0, -1.0]);
}

#[test]
fn groups_switch_where_the_budget_affords_it() {
    let clean = [0.0_f32, 1.0, 0.0];
    let realised = |norm, eps, point: [f32; 3]| {
        let domain = Domain { one_hot: vec![vec![0, 1, 2]], ..Domain::ANY };
        let threat = Threat::new(norm, eps).with_domain(domain);
        let region = threat.region(0, &clean);
        let mut point = point;
        region.project(&mut point);
        region.realise(&mut point);
        region.check(&point).unwrap();
        point
    };
    let (kept, first, last) = (clean, [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]);
    // What a switch costs, and just less.
    for (norm, cost) in
        [(Norm::L1, 2.0), (Norm::L2, 2.0_f64.sqrt()), (Norm::L0, 2.0), (Norm::Linf, 1.0)]
    {
        assert_eq!(realised(norm, cost, last), last, "{norm}");
        assert_eq!(realised(norm, cost - 0.01, last), kept, "{norm}");
    }
    let far = |point| realised(Norm::Linf, 1.0, point);
    assert_eq!(far([0.6, 0.5, 0.55]), first);
    assert_eq!(far([0.6, 0.6, 0.6]), kept, "ties stay");
    assert_eq!(far([0.6, 0.2, 0.6]), first, "the first of equals");
    assert_eq!(far([0.1, 0.2, 0.15]), kept);
}

#[test]
fn check_names_what_data_cannot_be() {
    let clean = [0.5_f32, 1.0, 0.0];
    let grid = vec![Some("1/16".parse().unwrap()), None, None];
    let domain =
        Domain { grid: Some(Levels::PerFeature(grid)), one_hot: vec![vec![1, 2]], ..Domain::ANY };
    let threat = Threat::new(Norm::Linf, 1.0).with_domain(domain);
    let region = threat.region(0, &clean);
    assert_eq!(region.check(&clean), Ok(0.0));
    assert_eq!(region.check(&[0.5625, 0.0, 1.0]), Ok(1.0));
    assert_eq!(region.check(&[0.56, 1.0, 0.0]), Err(Violation::OffGrid(0)));
    for group in [[1.0, 1.0], [0.0, 0.0], [0.9, 0.0], [1.0, 0.1]] {
        let point = [0.5, group[0], group[1]];
        assert_eq!(region.check(&point), Err(Violation::NotOneHot { group: 0 }), "{group:?}");
    }
}

#[test]
fn spacings_are_read_and_written() {
    for (text, numerator, denominator, offset) in [
        ("1/255", 1.0, 255.0, 0.0),
        ("0.25", 0.25, 1.0, 0.0),
        ("2/255:-1", 2.0, 255.0, -1.0),
        ("1:0.5", 1.0, 1.0, 0.5),
    ] {
        let spacing: Spacing = text.parse().unwrap();
        assert_eq!(spacing, Spacing { numerator, denominator, offset });
        assert_eq!(spacing.to_string(), text);
    }
    assert_eq!("2 / 255 : -1/2".parse::<Spacing>().unwrap().offset, -0.5);
    for text in ["", "0", "-1/255", "1/0", "nan", "inf", "1/255:", "1/255:x", "1/2/3", "fine"] {
        let message = text.parse::<Spacing>().unwrap_err().to_string();
        assert!(message.contains("expected a step above 0"), "{text}: {message}");
    }
}

/// Data that were computed otherwise than by dividing are off by some units in the last place.
#[test]
fn levels_forgive_rounding_only_when_asked() {
    let pixels: Spacing = "1/255".parse().unwrap();
    let centred: Spacing = "2/255:-1".parse().unwrap();
    let mut off = 0;
    for k in 0..=255_u8 {
        let level = f32::from(k) / 255.0;
        for x in [level, f32::from(k) * (1.0 / 255.0), (f64::from(k) * (1.0 / 255.0)) as f32] {
            off += usize::from(!pixels.holds(x));
            assert_eq!(pixels.snapped(x), Some(level), "{k}");
        }
        let expected = (2.0 * f64::from(k) / 255.0 - 1.0) as f32;
        for x in [level * 2.0 - 1.0, (level - 0.5) / 0.5, f32::from(k) / 127.5 - 1.0] {
            assert_eq!(centred.snapped(x), Some(expected), "{k}: {x}");
        }
        assert_eq!(pixels.snapped(level + 1e-4), None);
    }
    assert!(off > 0, "the two ways differ");
}
