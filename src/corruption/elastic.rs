//! Stretched as if on rubber.

use rand::RngExt;

use super::image::{Edge, Image, Plane};
use super::level::{Level, Levels};
use crate::rng::Stream;

/// In shares of the image's shorter side.
#[derive(Clone, Copy, Debug)]
struct Rubber {
    /// The weight of the field of displacements.
    displacement: f64,
    /// The standard deviation of the blur that makes the field smooth.
    smoothness: f64,
    /// How far each corner of the affine map moves.
    affine: f64,
}

const fn rubber(displacement: f64, smoothness: f64, affine: f64) -> Rubber {
    Rubber { displacement, smoothness, affine }
}

/// The published parameters for ImageNet are in units of 244 pixels on images of 224.
const UNIT: f64 = 244.0 / 224.0;

const RUBBER: Levels<Rubber> = Levels {
    cifar: [
        rubber(0.0, 0.0, 0.08),
        rubber(0.05, 0.2, 0.07),
        rubber(0.08, 0.06, 0.06),
        rubber(0.1, 0.04, 0.05),
        rubber(0.1, 0.03, 0.03),
    ],
    imagenet: [
        rubber(2.0 * UNIT, 0.7 * UNIT, 0.1 * UNIT),
        rubber(2.0 * UNIT, 0.08 * UNIT, 0.2 * UNIT),
        rubber(0.05 * UNIT, 0.01 * UNIT, 0.02 * UNIT),
        rubber(0.07 * UNIT, 0.01 * UNIT, 0.02 * UNIT),
        rubber(0.12 * UNIT, 0.01 * UNIT, 0.02 * UNIT),
    ],
};

pub(super) fn transform(image: &mut Image, level: Level, stream: &mut Stream) {
    let (rows, columns) = image.size();
    let rubber = RUBBER.at(level);
    let side = rows.min(columns) as f64;
    let back = Affine::random(rows, columns, rubber.affine * side, stream);
    image.map_planes(|plane| {
        Plane::from_fn(rows, columns, |row, column| {
            let (row, column) = back.at(row as f64, column as f64);
            plane.between(row, column, Edge::Mirror)
        })
    });
    let mut field = || {
        let noise = Plane::from_fn(rows, columns, |_, _| stream.random_range(-1.0..1.0));
        let mut field = noise.smoothed(rubber.smoothness * side, 3.0, Edge::Reflect);
        field.values.iter_mut().for_each(|x| *x *= rubber.displacement * side);
        field
    };
    let (along, down) = (field(), field());
    image.map_planes(|plane| {
        Plane::from_fn(rows, columns, |row, column| {
            let (y, x) = (down.at(row, column), along.at(row, column));
            plane.between(row as f64 + y, column as f64 + x, Edge::Reflect)
        })
    });
}

/// From a pixel of the new image to its origin in the old one: rows, then columns, each an offset and the shares of row
/// and column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine([[f64; 3]; 2]);

impl Affine {
    const IDENTITY: Self = Self([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);

    /// The inverse of the map that moves three corners of the middle, in both directions by at most `far`.
    fn random(rows: usize, columns: usize, far: f64, stream: &mut Stream) -> Self {
        let centre = [rows / 2, columns / 2].map(|middle| middle as f64);
        let half = (rows.min(columns) / 3) as f64;
        let corner = |down: f64, along: f64| [centre[0] + down * half, centre[1] + along * half];
        let old = [corner(1.0, 1.0), corner(-1.0, 1.0), corner(-1.0, -1.0)];
        let new = old.map(|corner| corner.map(|at| at + far * stream.random_range(-1.0..=1.0)));
        Self::between(new, old)
    }

    /// The map that sends three points to three others; the identity where there is none.
    pub(super) fn between(from: [[f64; 2]; 3], to: [[f64; 2]; 3]) -> Self {
        let edge = |points: [[f64; 2]; 3], end: usize| {
            [points[end][0] - points[0][0], points[end][1] - points[0][1]]
        };
        let (u, v) = (edge(from, 1), edge(from, 2));
        let area = u[0] * v[1] - u[1] * v[0];
        if area == 0.0 {
            return Self::IDENTITY;
        }
        let (p, q) = (edge(to, 1), edge(to, 2));
        Self([0, 1].map(|axis| {
            let down = (p[axis] * v[1] - q[axis] * u[1]) / area;
            let along = (q[axis] * u[0] - p[axis] * v[0]) / area;
            [to[0][axis] - down * from[0][0] - along * from[0][1], down, along]
        }))
    }

    pub(super) fn at(self, row: f64, column: f64) -> (f64, f64) {
        let [down, along] = self.0.map(|[offset, y, x]| offset + y * row + x * column);
        (down, along)
    }
}
