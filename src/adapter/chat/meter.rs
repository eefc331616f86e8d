//! Reserves what requests may cost, and learns from the replies how many tokens a prompt has.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::image;
use super::pool::{AbortSignal, Failure};
use crate::adapter::budget::{Estimate, NotReserved, Reservation, picodollars};
use crate::adapter::{Budget, Usage};
use crate::config::Price;

/// Pixels of a token, and bytes of a text's token, before a reply has said better. Only their
/// proportion matters from then on.
const PIXELS_A_TOKEN: u64 = 750;
const BYTES_A_TOKEN: u64 = 4;
/// Tokens of a prompt besides text and picture.
const TOKENS_AROUND: u64 = 16;

/// The budget of an endpoint's requests.
pub(super) struct Meter {
    budget: Budget,
    /// Picodollars of a token.
    prompt: u64,
    completion: u64,
    /// The largest proportion of a prompt's tokens to what was guessed, over all replies; `None`
    /// before the first.
    proportion: Mutex<Option<Proportion>>,
}

#[derive(Clone, Copy)]
struct Proportion {
    tokens: u64,
    guessed: u64,
}

/// Money for one request.
pub(super) struct Metered {
    reservation: Reservation,
    guessed: u64,
}

/// The tokens that the messages may have: a guess that is good for comparisons.
pub(super) fn guess_tokens(messages: &[Value]) -> u64 {
    let texts = messages.iter().map(|message| match message.get("content") {
        Some(Value::String(text)) => count(text.len()) / BYTES_A_TOKEN,
        Some(Value::Array(parts)) => parts.iter().map(guess_part).sum(),
        _ => 0,
    });
    texts.fold(TOKENS_AROUND, u64::saturating_add)
}

/// The tokens that a part of a message may have.
fn guess_part(part: &Value) -> u64 {
    let text = part.get("text").and_then(Value::as_str);
    let url = part.pointer("/image_url/url").and_then(Value::as_str);
    let pixels = url.and_then(image::pixels).unwrap_or_default();
    count(text.map_or(0, str::len)) / BYTES_A_TOKEN + pixels / PIXELS_A_TOKEN
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Meter {
    pub(super) fn new(budget: &Budget, price: Price) -> Self {
        // Prices are those of a million tokens.
        let of_token = |price: f64| picodollars(price / 1e6);
        Self {
            budget: budget.clone(),
            prompt: of_token(price.prompt),
            completion: of_token(price.completion),
            proportion: Mutex::default(),
        }
    }

    /// Reserves what a request may cost whose prompt was guessed to have so many tokens and whose
    /// reply has at most `completion`. Before the first reply requests go out one by one.
    ///
    /// # Errors
    /// Returns the failure of the adapter where that is more than is left; nothing more is sent
    /// then.
    pub(super) fn reserve(
        &self,
        guessed: u64,
        completion: u64,
        endpoint: &dyn std::fmt::Display,
        abort: &AbortSignal,
    ) -> Result<Metered, Failure> {
        let longest = self.budget.longest_prompt();
        let estimate = || {
            let proportion = *self.lock();
            let tokens = match proportion {
                None => guessed.max(longest),
                Some(proportion) => proportion.scale(guessed),
            };
            Estimate {
                cost: self.cost(tokens, completion),
                alone: proportion.is_none(),
            }
        };
        let reserved = self.budget.reserve(estimate, || abort.check());
        match reserved {
            Ok(reservation) => Ok(Metered {
                reservation,
                guessed,
            }),
            Err(NotReserved::GivenUp(failure)) => Err(failure),
            Err(NotReserved::Spent(reason)) => Err(abort.raise(format!(
                "{endpoint}: {reason}: a greater --max-cost goes on"
            ))),
        }
    }

    /// Spends what a reply cost; all that was reserved where it does not say.
    pub(super) fn settle(&self, metered: Metered, usage: Option<Usage>) {
        let Metered {
            reservation,
            guessed,
        } = metered;
        // The cost is absent where one of the counts is.
        let Some(usage) = usage.filter(|usage| usage.cost_usd.is_some()) else {
            self.learn(guessed, guessed);
            return reservation.settle(None);
        };
        self.learn(usage.prompt_tokens, guessed);
        reservation.settle(Some(
            self.cost(usage.prompt_tokens, usage.completion_tokens),
        ));
    }

    /// Spends all that was reserved, for a request without a reply that may be paid all the same.
    pub(super) fn charge(&self, metered: Metered) {
        metered.reservation.settle(None);
    }

    fn learn(&self, tokens: u64, guessed: u64) {
        let mut largest = self.lock();
        let is_larger = |known: Proportion| {
            u128::from(tokens) * u128::from(known.guessed)
                > u128::from(known.tokens) * u128::from(guessed)
        };
        if largest.is_none_or(is_larger) {
            *largest = Some(Proportion { tokens, guessed });
        }
    }

    fn cost(&self, prompt: u64, completion: u64) -> u64 {
        let prompt = prompt.saturating_mul(self.prompt);
        prompt.saturating_add(completion.saturating_mul(self.completion))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Proportion>> {
        self.proportion
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proportion {
    /// The tokens of a prompt that is guessed to have so many.
    fn scale(self, guessed: u64) -> u64 {
        let scaled = u128::from(guessed) * u128::from(self.tokens);
        u64::try_from(scaled.div_ceil(u128::from(self.guessed.max(1)))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage(prompt_tokens: u64, completion_tokens: u64) -> Option<Usage> {
        Some(Usage {
            prompt_tokens,
            completion_tokens,
            cost_usd: Some(0.0),
        })
    }

    #[test]
    fn estimates_follow_the_largest_reply_and_the_sum_is_met_exactly() {
        let price = Price {
            prompt: 0.4,
            completion: 1.6,
            batch: None,
        };
        // Ten times 1000 and 10 tokens.
        let meter = Meter::new(&Budget::new(0.00416), price);
        let abort = AbortSignal::default();
        let reserve = |guessed| meter.reserve(guessed, 10, &"URL", &abort);
        for _ in 0..10 {
            meter.settle(reserve(100).unwrap(), usage(1000, 10));
        }
        let Err(Failure::Adapter(error)) = reserve(100) else {
            panic!("more than there is");
        };
        assert_eq!(
            error.to_string(),
            "URL: the run has cost $0.00416 of the $0.00416 of --max-cost, and the next request may cost $0.000416: a \
             greater --max-cost goes on"
        );
        let known = Proportion {
            tokens: 1000,
            guessed: 99,
        };
        assert_eq!(known.scale(100), 1011);
    }

    #[test]
    fn texts_and_pixels_are_guessed() {
        let png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAAEUlEQVR4nGNgZGLGihgGUgIAVJYBIUMYD1gAAAAASUVORK5CYII=";
        assert_eq!(image::pixels(png), Some(48));
        let messages = [
            json!({"role": "system", "content": "12345678"}),
            json!({"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": png}},
                {"type": "text", "text": "1234"},
            ]}),
        ];
        assert_eq!(guess_tokens(&messages), 16 + 2 + 1);
        assert_eq!(guess_tokens(&[json!({}), json!(null)]), 16);
    }
}
