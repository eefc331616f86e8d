//! A file of requests, one JSON object a line, in the form in which it is uploaded.

use super::super::pool::Failure;
use super::log::BatchRequest;
use crate::config::RequestLimits;

/// The path that the requests of a batch are for, as the API names it.
pub(super) const COMPLETIONS: &str = "/v1/chat/completions";

/// The requests that are gathered.
#[derive(Default)]
pub(super) struct InputFile {
    /// The form so far: its head, and a line for each request.
    bytes: Vec<u8>,
    /// Length of the form's head.
    head: usize,
    boundary: String,
    requests: Vec<BatchRequest>,
}

/// A form that uploads a file.
pub(super) struct UploadForm {
    pub content_type: String,
    pub bytes: Vec<u8>,
}

impl InputFile {
    /// Whether one more request with a body of so many bytes keeps the file within the limits.
    pub(super) fn has_room(&self, body: usize, limits: &RequestLimits) -> bool {
        let bytes = self.bytes.len() - self.head + line("r1000000", "").len() + body;
        self.requests.is_empty()
            || (self.requests.len() < limits.batch_requests && bytes < limits.batch_bytes)
    }

    /// Adds a request.
    ///
    /// # Errors
    /// Returns the failure of the question if its request alone is larger than a file may be.
    pub(super) fn push(
        &mut self,
        request: BatchRequest,
        body: &str,
        limits: &RequestLimits,
    ) -> Result<(), Failure> {
        if body.len() > limits.batch_bytes {
            return Err(Failure::Question(anyhow::anyhow!(
                "its request has {} bytes, more than a file of a batch may have (`limits.batch_bytes`)",
                body.len()
            )));
        }
        if self.requests.is_empty() {
            // No line holds it: it is drawn at random.
            self.boundary = format!("{:032x}", rand::random::<u128>());
            self.bytes = format!(
                "--{0}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{0}\r\n\
                 Content-Disposition: form-data; name=\"file\"; filename=\"chartbench.jsonl\"\r\n\
                 Content-Type: application/jsonl\r\n\r\n",
                self.boundary
            )
            .into_bytes();
            self.head = self.bytes.len();
        }
        let line = line(&request.custom_id, body);
        self.bytes.extend(line.as_bytes());
        self.requests.push(request);
        Ok(())
    }

    /// The whole form and its requests; `None` where there is none.
    pub(super) fn finish(mut self) -> Option<(UploadForm, Vec<BatchRequest>)> {
        if self.requests.is_empty() {
            return None;
        }
        let tail = format!("\r\n--{}--\r\n", self.boundary);
        self.bytes.extend(tail.as_bytes());
        let form = UploadForm {
            content_type: format!("multipart/form-data; boundary={}", self.boundary),
            bytes: self.bytes,
        };
        Some((form, self.requests))
    }
}

/// The line of a request; `body` is JSON, and the name needs no escapes.
fn line(custom_id: &str, body: &str) -> String {
    format!(
        "{{\"custom_id\":\"{custom_id}\",\"method\":\"POST\",\"url\":\"{COMPLETIONS}\",\"body\":{body}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AdapterSpec, Family};

    fn limits(requests: usize, bytes: usize) -> RequestLimits {
        let spec = AdapterSpec::find("llama-cpp", None).unwrap();
        let Family::Chat(chat) = spec.family else {
            panic!("another family");
        };
        RequestLimits {
            batch_requests: requests,
            batch_bytes: bytes,
            ..chat.limits
        }
    }

    fn request(number: usize) -> BatchRequest {
        BatchRequest {
            custom_id: format!("r{number}"),
            owner: "q".to_owned(),
            turn: 0,
            body_sha256: String::new(),
        }
    }

    #[test]
    fn a_file_stays_within_both_limits() {
        for (limits, room) in [(limits(3, 10_000), 3), (limits(100, 500), 2)] {
            let (mut file, body) = (InputFile::default(), format!("{:?}", "x".repeat(120)));
            let mut count = 0;
            while file.has_room(body.len(), &limits) {
                count += 1;
                file.push(request(count), &body, &limits).unwrap();
            }
            assert_eq!(count, room);
            let (form, requests) = file.finish().unwrap();
            assert_eq!(requests.len(), room);
            let text = String::from_utf8(form.bytes).unwrap();
            let (_, boundary) = form.content_type.split_once("boundary=").unwrap();
            assert_eq!(text.matches(boundary).count(), 3);
            let lines = text.lines().filter(|line| line.starts_with('{'));
            let bytes: usize = lines.map(|line| line.len() + 1).sum();
            assert!(bytes <= limits.batch_bytes, "{bytes}");
        }
        assert!(InputFile::default().finish().is_none());
    }

    #[test]
    fn a_request_that_is_too_large_fails_alone() {
        let (mut file, limits) = (InputFile::default(), limits(10, 100));
        let pushed = file.push(request(1), &"x".repeat(101), &limits);
        assert!(matches!(pushed, Err(Failure::Question(_))));
        assert!(file.finish().is_none());
    }
}
