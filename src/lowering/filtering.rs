//! Outputs of a filter of three taps in fewer multiplications: minimal filtering, by the values of polynomials at a few points.
//! The forms and their names are those of Lavin & Gray 2015, <https://arxiv.org/abs/1509.09308>, section 4.

use pulp::Simd;

/// F(`M`, 3), from `P = M + 2` values.
pub(super) trait Filtering<const M: usize, const P: usize> {
    /// G of a filter.
    fn filter(taps: [f64; 3]) -> [f64; P];

    /// B' of values beside each other. To be inlined.
    fn values<S: Simd>(simd: S, values: [S::f32s; P]) -> [S::f32s; P];

    /// A' of products. To be inlined.
    fn outputs<S: Simd>(simd: S, products: [S::f32s; P]) -> [S::f32s; M];
}

/// F(2, 3), with the points 0, 1, -1 and infinity. What is the same over a whole patch comes out the same, to the bit.
#[derive(Debug)]
pub(super) struct Two;

/// F(4, 3), with the points 0, 3/4, -3/4, 3/2, -3/2 and infinity: rounding errors are less than twice those of a plain sum; with the
/// usual 0, 1, -1, 2 and -2 they are four times those.
#[derive(Debug)]
pub(super) struct Four;

impl Filtering<2, 4> for Two {
    fn filter([a, b, c]: [f64; 3]) -> [f64; 4] {
        [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
    }

    #[inline(always)]
    fn values<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
    }
}

impl Four {
    /// The points between zero and infinity, both ways. They, and what is made of them, are exact in f32.
    const NEAR: f32 = 0.75;
    const FAR: f32 = 1.5;
    const NEAR_2: f32 = Self::NEAR * Self::NEAR;
    const FAR_2: f32 = Self::FAR * Self::FAR;
}

impl Filtering<4, 6> for Four {
    fn filter([a, b, c]: [f64; 3]) -> [f64; 6] {
        let (near, far) = (f64::from(Self::NEAR), f64::from(Self::FAR));
        let at = |point: f64, other: f64| {
            let scale = 2.0 * point * point * (point * point - other * other);
            (a + point * (b + point * c)) / scale
        };
        [a / (near * far).powi(2), at(near, far), at(-near, far), at(far, near), at(-far, near), c]
    }

    #[inline(always)]
    fn values<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; 6]) -> [S::f32s; 6] {
        let (near_2, far_2) = (simd.splat_f32s(-Self::NEAR_2), simd.splat_f32s(-Self::FAR_2));
        let sum = simd.splat_f32s(-Self::NEAR_2 - Self::FAR_2);
        let product = simd.splat_f32s(Self::NEAR_2 * Self::FAR_2);
        let near = simd.mul_add_f32s(far_2, c, e);
        let far = simd.mul_add_f32s(near_2, c, e);
        let near_odd = simd.mul_add_f32s(far_2, b, d);
        let far_odd = simd.mul_add_f32s(near_2, b, d);
        [
            simd.mul_add_f32s(product, a, simd.mul_add_f32s(sum, c, e)),
            simd.mul_add_f32s(simd.splat_f32s(Self::NEAR), near_odd, near),
            simd.mul_add_f32s(simd.splat_f32s(-Self::NEAR), near_odd, near),
            simd.mul_add_f32s(simd.splat_f32s(Self::FAR), far_odd, far),
            simd.mul_add_f32s(simd.splat_f32s(-Self::FAR), far_odd, far),
            simd.mul_add_f32s(product, b, simd.mul_add_f32s(sum, d, f)),
        ]
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; 6]) -> [S::f32s; 4] {
        let (near, near_odd) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
        let (far, far_odd) = (simd.add_f32s(d, e), simd.sub_f32s(d, e));
        let (near_1, near_2) = (simd.splat_f32s(Self::NEAR), simd.splat_f32s(Self::NEAR_2));
        let (far_1, far_2) = (simd.splat_f32s(Self::FAR), simd.splat_f32s(Self::FAR_2));
        let near_3 = simd.splat_f32s(Self::NEAR * Self::NEAR_2);
        let far_3 = simd.splat_f32s(Self::FAR * Self::FAR_2);
        [
            simd.add_f32s(simd.add_f32s(a, near), far),
            simd.mul_add_f32s(near_1, near_odd, simd.mul_f32s(far_1, far_odd)),
            simd.mul_add_f32s(near_2, near, simd.mul_f32s(far_2, far)),
            simd.mul_add_f32s(near_3, near_odd, simd.mul_add_f32s(far_3, far_odd, f)),
        ]
    }
}
