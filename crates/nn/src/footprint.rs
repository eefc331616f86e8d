//! What a model takes of memory while it answers.

/// Bytes, at most and roughly, whatever the images and questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Weights, and what is there for a moment while one image is encoded.
    pub fixed: u64,
    /// What each question of a batch keeps until all are answered.
    pub each: u64,
}

impl Footprint {
    /// Bytes of so many f32 values.
    pub(super) fn of_f32(fixed: usize, each: usize) -> Self {
        Self { fixed: 4 * fixed as u64, each: 4 * each as u64 }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { fixed: self.fixed + other.fixed, each: self.each + other.each }
    }

    /// Bytes of a batch of so many questions.
    pub fn of(self, questions: usize) -> u64 {
        self.fixed.saturating_add(self.each.saturating_mul(questions as u64))
    }

    /// The most questions a batch can have within `bytes`; 0 where one is too many.
    pub fn questions(self, bytes: u64) -> usize {
        let left = bytes.saturating_sub(self.fixed);
        usize::try_from(left / self.each.max(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Footprint;

    #[test]
    fn a_batch_within_bytes_is_the_largest_that_fits() {
        let footprint = Footprint { fixed: 100, each: 7 };
        for bytes in 0..200 {
            let questions = footprint.questions(bytes);
            assert!(questions == 0 || footprint.of(questions) <= bytes, "{bytes}");
            assert!(footprint.of(questions + 1) > bytes, "{bytes}");
        }
        assert_eq!(Footprint { fixed: 1, each: 0 }.questions(11), 10);
    }
}
