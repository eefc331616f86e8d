//! Memory that a model needs during inference.

/// Upper estimate of bytes, for any images and questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Weights, and the temporaries of encoding one image.
    pub fixed_bytes: u64,
    /// Bytes that each question of a batch keeps until all are answered.
    pub per_question_bytes: u64,
}

impl MemoryNeed {
    /// The need of `fixed` and `per_question` f32 values.
    pub(super) fn from_f32_values(fixed: usize, per_question: usize) -> Self {
        Self {
            fixed_bytes: 4 * fixed as u64,
            per_question_bytes: 4 * per_question as u64,
        }
    }

    /// The sum of both needs.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            fixed_bytes: self.fixed_bytes + other.fixed_bytes,
            per_question_bytes: self.per_question_bytes + other.per_question_bytes,
        }
    }

    /// Bytes of a batch of `questions`.
    pub fn batch_bytes(self, questions: usize) -> u64 {
        self.fixed_bytes
            .saturating_add(self.per_question_bytes.saturating_mul(questions as u64))
    }

    /// The largest batch that fits into `bytes`; 0 if a single question does not fit.
    pub fn max_questions(self, bytes: u64) -> usize {
        let left = bytes.saturating_sub(self.fixed_bytes);
        usize::try_from(left / self.per_question_bytes.max(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryNeed;

    #[test]
    fn a_batch_within_bytes_is_the_largest_that_fits() {
        let need = MemoryNeed {
            fixed_bytes: 100,
            per_question_bytes: 7,
        };
        for bytes in 0..200 {
            let questions = need.max_questions(bytes);
            assert!(
                questions == 0 || need.batch_bytes(questions) <= bytes,
                "{bytes}"
            );
            assert!(need.batch_bytes(questions + 1) > bytes, "{bytes}");
        }
        assert_eq!(
            MemoryNeed {
                fixed_bytes: 1,
                per_question_bytes: 0
            }
            .max_questions(11),
            10
        );
    }
}
