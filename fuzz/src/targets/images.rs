//! Pictures of charts.

use super::check_error;
use crate::fixtures;

/// A picture has the pixels that its size says, or is refused.
pub fn decode(input: &[u8]) {
    match chartbench_pixels::decode(input, "fuzzed") {
        Ok(image) => {
            let pixels = image.width() as usize * image.height() as usize;
            assert!(pixels > 0);
            assert_eq!(image.as_raw().len(), 3 * pixels);
        }
        Err(error) => check_error(&error),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    fixtures::read_all("fixtures/preprocess/images")
}
