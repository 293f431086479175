//! The exponential, for loops that are to become vectors.

/// e^x to within two units of the last place, without branches or calls: 2^n times a polynomial in what is left of x, at most half
/// of ln 2. The constants are those of Cephes' `expf` (Moshier 1992, <https://www.netlib.org/cephes/>).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding this rounds to a whole number.
    const WHOLE: f32 = 12_582_912.0;
    // ln 2 in two parts, of which the first has few digits.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let x = x.clamp(-104.0, 89.0);
    let shifted = x * std::f32::consts::LOG2_E + WHOLE;
    let n = shifted - WHOLE;
    let rest = (x - n * LN_2.0) - n * LN_2.1;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = sum * rest + coefficient;
    }
    let value = sum * rest * rest + rest + 1.0;
    // The last bits of that sum: a cast would saturate, one value at a time.
    let n = shifted.to_bits().wrapping_sub(WHOLE.to_bits()) as i32;
    // In two factors: neither leaves the range of exponents before the result does.
    let half = n >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    value * power(half) * power(n - half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_exponential() {
        for at in -1_040_000..=887_000 {
            let x = at as f32 * 1e-4;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            // Below the normal numbers there are fewer digits.
            let unit = f64::from(f32::EPSILON) * expected.max(f64::from(f32::MIN_POSITIVE));
            assert!((found - expected).abs() <= 2.0 * unit, "e^{x}: {found} not {expected}");
        }
        assert_eq!((exp(0.0), exp(-1e9), exp(1e9)), (1.0, 0.0, f32::INFINITY));
        assert!(exp(f32::NAN).is_nan());
    }
}
