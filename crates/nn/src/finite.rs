//! The check for NaN and infinity, for weights as they are read and scores before they are
//! compared.

/// Bits of infinity without its sign. Every NaN has larger ones.
const INFINITY: u32 = 0x7f80_0000;

/// Whether all values are finite. One pass, without a branch per value.
pub fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(0, |largest: u32, value| {
        largest.max(value.to_bits() & !(1 << 31))
    }) < INFINITY
}

#[cfg(test)]
mod tests {
    use super::all_finite;

    #[test]
    fn one_value_that_is_no_number_is_found_anywhere() {
        assert!(
            all_finite(&[])
                && all_finite(&[0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 2.0])
        );
        for odd in [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::from_bits(0x7f80_0001),
        ] {
            for index in [0, 1, 36] {
                let mut values = vec![1.0; 37];
                values[index] = odd;
                assert!(!all_finite(&values), "{odd} at {index}");
            }
        }
    }
}
