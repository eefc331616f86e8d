//! The keys and values of a question's tokens in one layer, which beams fork.

use candle_core::{Result, Tensor};
use candle_nn::kv_cache::KvCache;

/// Positions a question's cache grows by.
pub(crate) const CACHE_GROWTH: usize = 32;

/// Keys and values [T, H] each. They are written in place: a clone takes a copy of them before it
/// adds to them, since its buffer is the original's.
#[derive(Debug)]
pub(crate) struct TokenCache {
    cache: KvCache,
    /// Whether another cache may write to the same buffer.
    is_shared: bool,
}

impl TokenCache {
    pub(crate) fn new() -> Self {
        Self {
            cache: KvCache::new(0, CACHE_GROWTH),
            is_shared: false,
        }
    }

    /// Adds keys and values [N, H]; returns all of them.
    ///
    /// # Errors
    /// Returns an error if the shapes do not fit.
    pub(crate) fn append(&mut self, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        if self.is_shared {
            let mut own = KvCache::new(0, CACHE_GROWTH);
            if let (Some(keys), Some(values)) = (self.cache.k()?, self.cache.v()?) {
                own.append(&keys, &values)?;
            }
            (self.cache, self.is_shared) = (own, false);
        }
        self.cache.append(keys, values)
    }
}

impl Clone for TokenCache {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            is_shared: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn row(value: f32) -> Tensor {
        Tensor::new(&[[value, -value]], &Device::Cpu).unwrap()
    }

    fn add(cache: &mut TokenCache, value: f32) -> Vec<f32> {
        let (keys, values) = cache.append(&row(value), &row(10.0 * value)).unwrap();
        let keys: Vec<Vec<f32>> = keys.to_vec2().unwrap();
        let values: Vec<Vec<f32>> = values.to_vec2().unwrap();
        assert!(
            keys.iter()
                .zip(&values)
                .all(|(key, value)| value[0] == 10.0 * key[0])
        );
        keys.into_iter().map(|key| key[0]).collect()
    }

    #[test]
    fn forks_do_not_see_each_other() {
        let mut trunk = TokenCache::new();
        add(&mut trunk, 1.0);
        let (mut left, mut right) = (trunk.clone(), trunk.clone());
        assert_eq!(add(&mut left, 2.0), [1.0, 2.0]);
        assert_eq!(add(&mut right, 3.0), [1.0, 3.0]);
        assert_eq!(add(&mut trunk, 4.0), [1.0, 4.0]);
        let mut leaf = left.clone();
        assert_eq!(add(&mut left, 5.0), [1.0, 2.0, 5.0]);
        assert_eq!(add(&mut leaf, 6.0), [1.0, 2.0, 6.0]);
        assert_eq!(add(&mut TokenCache::new().clone(), 7.0), [7.0]);
    }
}
