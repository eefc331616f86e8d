//! Whether values are numbers at all: weights as they are read, scores as they are compared.

/// Bits of the smallest f32 that is no finite number, without its sign: infinity. Every NaN lies above.
const INFINITY: u32 = 0x7f80_0000;

/// Whether none of the values is NaN or infinite. One pass without a branch a value.
pub fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(0, |largest: u32, value| largest.max(value.to_bits() & !(1 << 31))) < INFINITY
}

#[cfg(test)]
mod tests {
    use super::all_finite;

    #[test]
    fn one_value_that_is_no_number_is_found_anywhere() {
        assert!(all_finite(&[]) && all_finite(&[0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 2.0]));
        for odd in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001)] {
            for place in [0, 1, 36] {
                let mut values = vec![1.0; 37];
                values[place] = odd;
                assert!(!all_finite(&values), "{odd} at {place}");
            }
        }
    }
}
