//! Against the authors' code (`tests/data/make_corruptions_reference.py`), closed forms, and what holds of every kind.

use rand::RngExt;
use rayon::prelude::*;
use serde::Deserialize;

use super::elastic::Affine;
use super::image::{Edge, Image, Plane};
use super::level::Level;
use super::{Canvas, Kind, ParameterSet, Severity, motion};
use crate::rng::stream;
use crate::threat::Bounds;

const REFERENCE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/corruptions_reference.json");

#[derive(Deserialize)]
struct Reference {
    angle: f64,
    exact: Vec<Exact>,
    random: Vec<Random>,
}

#[derive(Deserialize)]
struct Exact {
    set: ParameterSet,
    kind: Kind,
    severity: Severity,
    places: Vec<usize>,
    values: Vec<f64>,
}

/// Each a mean over draws and its standard error.
#[derive(Deserialize)]
struct Random {
    set: ParameterSet,
    kind: Kind,
    severity: Severity,
    draws: usize,
    mean: (f64, f64),
    square: (f64, f64),
    beside: (f64, f64),
}

fn reference() -> Reference {
    serde_json::from_str(&std::fs::read_to_string(REFERENCE).unwrap()).unwrap()
}

fn side(set: ParameterSet) -> usize {
    if set == ParameterSet::Cifar { 32 } else { 224 }
}

/// The image that the script makes: rows, columns, channels.
fn picture(side: usize) -> Vec<f32> {
    let mut values = vec![];
    for row in 0..side {
        for column in 0..side {
            for channel in 0..3 {
                let shade = 20 + 100 * row / side + 40 * column / side;
                let squares = 60 * ((row / 8 + column / 8) % 2);
                let grain =
                    (7 * row * row + 13 * column * column + 5 * row * column + 11 * channel) % 37;
                let byte = (shade + squares + grain).saturating_sub(25 * channel).min(255);
                values.push(byte as f32 / 255.0);
            }
        }
    }
    values
}

fn corrupted(set: ParameterSet, kind: Kind, severity: Severity, draw: usize) -> Vec<f32> {
    let side = side(set);
    let bounds = Bounds::default();
    let canvas = Canvas::new(&[side, side, 3], &bounds, ParameterSet::Auto).unwrap();
    canvas.corrupt(&picture(side), kind, severity, &mut stream(0, kind.name(), draw, 0))
}

#[test]
fn fixed_kinds_are_the_authors() {
    let reference = reference();
    assert_eq!(reference.exact.len(), 2 * 5 * 7);
    for row in reference.exact {
        let (set, kind, severity) = (row.set, row.kind, row.severity);
        let found = if kind == Kind::MotionBlur {
            let side = side(set);
            let bounds = Bounds::default();
            let canvas = Canvas::new(&[side, side, 3], &bounds, set).unwrap();
            let mut image = canvas.image(&picture(side));
            let level = Level { severity, small: set == ParameterSet::Cifar };
            let (reach, sigma) = motion::MOTION.at(level);
            image.map_planes(|plane| motion::smeared(plane, reach, sigma, reference.angle));
            canvas.sample(&image, &picture(side))
        } else {
            corrupted(set, kind, severity, 0)
        };
        // Where the authors round to 8 bits, they do so once or twice; JPEG's transforms are of whole numbers there.
        let byte = 1.0 / 255.0;
        let (most, mean) = match kind {
            Kind::JpegCompression => (4.01 * byte, 0.7 * byte),
            Kind::Pixelate => (1.01 * byte, 0.7 * byte),
            Kind::MotionBlur => (0.51 * byte, 0.3 * byte),
            _ => (2e-5, 1e-5),
        };
        let away: Vec<f64> = row
            .places
            .iter()
            .zip(&row.values)
            .map(|(place, value)| (f64::from(found[*place]) - value).abs())
            .collect();
        let at = format!("{set:?} {} {severity:?}", kind.name());
        let worst = away.iter().copied().fold(0.0, f64::max);
        assert!(worst <= most, "{at}: {worst} away");
        let average = away.iter().sum::<f64>() / away.len() as f64;
        assert!(average <= mean, "{at}: {average} away on average");
    }
}

/// Of a change: the mean, the mean square, and the product with the change beside it as a share of that.
fn statistics(set: ParameterSet, kind: Kind, severity: Severity, draw: usize) -> [f64; 3] {
    let (side, clean) = (side(set), picture(side(set)));
    let new = corrupted(set, kind, severity, draw);
    let change: Vec<f64> =
        new.iter().zip(&clean).map(|(x, c)| f64::from(*x) - f64::from(*c)).collect();
    let count = change.len() as f64;
    let square = change.iter().map(|d| d * d).sum::<f64>() / count;
    let rows = change.chunks_exact(3 * side);
    let beside: f64 = rows.flat_map(|row| row.iter().zip(&row[3..])).map(|(a, b)| a * b).sum();
    let pairs = (side * (side - 1) * 3) as f64;
    [change.iter().sum::<f64>() / count, square, beside / pairs / square.max(1e-12)]
}

#[test]
fn random_kinds_have_the_statistics_of_the_authors() {
    let reference = reference();
    assert_eq!(reference.random.len(), 2 * 5 * 9);
    let faults: Vec<String> = reference.random.par_iter().flat_map_iter(disagreements).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn disagreements(row: &Random) -> Vec<String> {
    let draws = if row.set == ParameterSet::Cifar { 60 } else { 2 };
    let mut sums = [0.0; 3];
    for draw in 0..draws {
        let one = statistics(row.set, row.kind, row.severity, draw);
        sums.iter_mut().zip(one).for_each(|(sum, x)| *sum += x / draws as f64);
    }
    let spread = (1.0 + row.draws as f64 / draws as f64).sqrt();
    let known = [("mean", row.mean), ("square", row.square), ("beside", row.beside)];
    let judged = known.into_iter().zip(sums);
    judged
        .filter_map(|((name, (value, error)), found)| {
            // The authors round down to 8 bits in between, which darkens by half a step.
            let rounding = row.kind == Kind::GlassBlur && name == "mean";
            let slack = if rounding { 0.5 / 255.0 + 1e-4 } else { 0.0 };
            let away = (found - value).abs();
            (away > 5.0 * spread * error + slack).then(|| {
                format!(
                    "{:?} {} {:?} {name}: {found}, theirs {value} +- {error}",
                    row.set,
                    row.kind.name(),
                    row.severity
                )
            })
        })
        .collect()
}

#[test]
fn severities_rise_where_the_parameters_do() {
    let risen = |kind| {
        let size = |severity| -> f64 {
            (0..10).map(|draw| statistics(ParameterSet::Cifar, kind, severity, draw)[1]).sum()
        };
        Severity::ALL.map(size).is_sorted_by(|a, b| a < b)
    };
    // More of one thing trades with less of another in the other kinds.
    for kind in [
        Kind::Brightness,
        Kind::Contrast,
        Kind::DefocusBlur,
        Kind::Fog,
        Kind::GaussianNoise,
        Kind::ImpulseNoise,
        Kind::ShotNoise,
        Kind::Snow,
        Kind::ZoomBlur,
    ] {
        assert!(risen(kind), "{}", kind.name());
    }
}

#[test]
fn every_kind_keeps_to_shape_bounds_and_stream() {
    let shapes: [&[usize]; 8] = [
        &[28, 20],
        &[1, 8, 8],
        &[3, 32, 24],
        &[9, 7, 3],
        &[5, 3, 6, 6],
        &[2, 2],
        &[2, 50],
        &[4, 5, 5],
    ];
    for (shape, set) in shapes
        .into_iter()
        .flat_map(|shape| [ParameterSet::Cifar, ParameterSet::ImageNet].map(|set| (shape, set)))
    {
        let features: usize = shape.iter().product();
        let pair = |i: usize| if i == 1 { (0.25, 0.25) } else { (-1.0 - i as f32, 2.0) };
        let bounds = Bounds::PerFeature((0..features).map(pair).collect());
        let mut draw = stream(1, "sample", features, 0);
        let sample: Vec<f32> = (0..features)
            .map(|i| bounds.at(i))
            .map(|(lower, upper)| lower + (upper - lower) * draw.random_range(0.0..=1.0f32))
            .collect();
        let canvas = Canvas::new(shape, &bounds, set).unwrap();
        for &kind in Kind::ALL {
            for severity in Severity::ALL {
                let run =
                    |draw| canvas.corrupt(&sample, kind, severity, &mut stream(0, "", draw, 0));
                let once = run(0);
                let at = format!("{} {severity:?} {shape:?} {set:?}", kind.name());
                assert_eq!(once.len(), features, "{at}");
                for (i, x) in once.iter().enumerate() {
                    let (lower, upper) = bounds.at(i);
                    assert!(lower <= *x && *x <= upper, "{at}: {x} at {i}");
                }
                assert_eq!(once, run(0), "{at}: the stream decides");
            }
        }
    }
}

#[test]
fn layout_and_units_do_not_matter() {
    let (rows, columns) = (12, 10);
    let unit = Bounds::default();
    let bytes = Bounds::Uniform(-128.0, 128.0);
    let last = Canvas::new(&[rows, columns, 3], &unit, ParameterSet::Auto).unwrap();
    let first = Canvas::new(&[3, rows, columns], &bytes, ParameterSet::Auto).unwrap();
    let pixels = &picture(32)[..rows * columns * 3];
    let moved = |x: &[f32], scale: f32, offset: f32| -> Vec<f32> {
        let places = (0..3).flat_map(|k| (0..rows * columns).map(move |p| 3 * p + k));
        places.map(|place| scale * x[place] + offset).collect()
    };
    let other = moved(pixels, 256.0, -128.0);
    for &kind in Kind::ALL {
        let severity = Severity::ALL[2];
        let one = last.corrupt(pixels, kind, severity, &mut stream(0, "", 0, 0));
        let two = first.corrupt(&other, kind, severity, &mut stream(0, "", 0, 0));
        for (a, b) in moved(&one, 256.0, -128.0).iter().zip(two) {
            assert!((a - b).abs() < 1e-3, "{}: {a} {b}", kind.name());
        }
    }
}

#[test]
fn random_kinds_differ_from_draw_to_draw_and_others_do_not() {
    let fixed = [
        Kind::Brightness,
        Kind::Contrast,
        Kind::DefocusBlur,
        Kind::JpegCompression,
        Kind::Pixelate,
        Kind::ZoomBlur,
    ];
    for &kind in Kind::ALL {
        let [one, two] =
            [0, 1].map(|draw| corrupted(ParameterSet::Cifar, kind, Severity::ALL[4], draw));
        assert_eq!(one == two, fixed.contains(&kind), "{}", kind.name());
        assert_ne!(one, picture(32), "{}", kind.name());
    }
}

#[test]
fn blurs_leave_an_even_image_alone_and_noise_has_its_moments() {
    let bounds = Bounds::default();
    let canvas = Canvas::new(&[64, 64], &bounds, ParameterSet::ImageNet).unwrap();
    let even = vec![0.5; 64 * 64];
    for severity in Severity::ALL {
        for kind in
            [Kind::DefocusBlur, Kind::GlassBlur, Kind::MotionBlur, Kind::ZoomBlur, Kind::Pixelate]
        {
            let blurred = canvas.corrupt(&even, kind, severity, &mut stream(0, "", 0, 0));
            // A disk that touches the border of its square weighs up to 1.3 % more than one.
            let most = if kind == Kind::DefocusBlur { 7e-3 } else { 1e-6 };
            assert!(blurred.iter().all(|x| (x - 0.5).abs() < most), "{} {severity:?}", kind.name());
        }
    }
    let severity = Severity::ALL[0];
    let spread = |kind| {
        let noisy = canvas.corrupt(&even, kind, severity, &mut stream(0, "moments", 0, 0));
        noisy.iter().map(|x| f64::from(x - 0.5).powi(2)).sum::<f64>() / noisy.len() as f64
    };
    // 4096 values: the relative standard error of a variance is 2.2 %, of a share of 3 % it is 9 %.
    assert!((spread(Kind::GaussianNoise) / 0.08_f64.powi(2) - 1.0).abs() < 0.1);
    assert!((spread(Kind::ShotNoise) / (0.5 / 60.0) - 1.0).abs() < 0.1);
    assert!((spread(Kind::ImpulseNoise) / (0.03 * 0.25) - 1.0).abs() < 0.3);
}

#[test]
fn what_is_no_image_is_refused() {
    let refused = |shape: &[usize], bounds: &Bounds| {
        Canvas::new(shape, bounds, ParameterSet::Auto).unwrap_err().to_string()
    };
    let unit = Bounds::default();
    assert!(refused(&[784], &unit).starts_with("`shape` is [784]: it takes images"));
    assert!(refused(&[1, 1, 784], &unit).contains("two axes or more"));
    assert!(
        refused(&[8, 8], &Bounds::NONE).starts_with("`bounds` is (-inf, inf): black and white")
    );
    let short = Bounds::PerFeature(vec![(0.0, 1.0); 3]);
    assert!(refused(&[2, 2], &short).contains("one pair per feature, that is 4"));
    assert!(Severity::new(0).is_err() && Severity::new(6).is_err());
    assert!(
        serde_json::from_str::<Severity>("6").unwrap_err().to_string().contains("expected 1 to 5")
    );
}

#[test]
fn the_size_chooses_the_parameters() {
    let deviation = |side: usize, set| {
        let bounds = Bounds::default();
        let canvas = Canvas::new(&[side, side], &bounds, set).unwrap();
        let grey = vec![0.5; side * side];
        let lighter =
            canvas.corrupt(&grey, Kind::Brightness, Severity::ALL[0], &mut stream(0, "", 0, 0));
        (f64::from(lighter[0]) * 100.0).round() as usize
    };
    for (side, set, expected) in [
        (32, ParameterSet::Auto, 55),
        (64, ParameterSet::Auto, 55),
        (65, ParameterSet::Auto, 60),
        (224, ParameterSet::Auto, 60),
        (32, ParameterSet::ImageNet, 60),
        (224, ParameterSet::Cifar, 55),
    ] {
        assert_eq!(deviation(side, set), expected, "{side} {set:?}");
    }
}

#[test]
fn axes_go_on_beyond_their_ends() {
    let around = |edge: Edge| (-4..7).map(|at| edge.index(at, 3)).collect::<Vec<_>>();
    assert_eq!(around(Edge::Clamp), [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]);
    assert_eq!(around(Edge::Mirror), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
    assert_eq!(around(Edge::Reflect), [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
    for edge in [Edge::Clamp, Edge::Mirror, Edge::Reflect] {
        assert!((-4..7).all(|at| edge.index(at, 1) == 0), "{edge:?}");
    }
}

#[test]
fn three_points_make_an_affine_map() {
    let from = [[1.0, 2.0], [4.0, 1.0], [0.5, 7.0]];
    let to = [[3.0, 3.0], [-1.0, 2.0], [5.0, 0.0]];
    let map = Affine::between(from, to);
    for ([row, column], [y, x]) in from.into_iter().zip(to) {
        let (row, column) = map.at(row, column);
        assert!((row - y).abs() < 1e-12 && (column - x).abs() < 1e-12);
    }
    let line = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]];
    assert_eq!(Affine::between(line, to).at(3.0, 4.0), (3.0, 4.0));
}

#[test]
fn grey_images_and_single_planes_agree() {
    let mut image =
        Image { planes: vec![Plane::from_fn(16, 16, |r, c| (r * 16 + c) as f64 / 255.0)] };
    let level = Level { severity: Severity::ALL[0], small: true };
    super::tone::brightness(&mut image, level, &mut stream(0, "", 0, 0));
    assert!((image.planes[0].at(3, 4) - (52.0 / 255.0 + 0.05)).abs() < 1e-12);
}
