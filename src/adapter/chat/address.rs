//! Where requests of an endpoint go.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use url::Url;

/// A server's address, with or without the `/v1` that its paths begin with.
pub(super) struct Address {
    base: Url,
    /// Whether `/v1` was found to be missing.
    adds_v1: AtomicBool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

impl Address {
    pub(super) fn new(base: Url) -> Self {
        Self {
            base,
            adds_v1: AtomicBool::new(false),
        }
    }

    /// The address as the file or the environment names it.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Where completions are asked for.
    pub(super) fn completions(&self) -> Url {
        self.path("/chat/completions")
    }

    /// The address of a path of the API.
    pub(super) fn path(&self, path: &str) -> Url {
        let v1 = if self.adds_v1.load(Ordering::Relaxed) {
            "/v1"
        } else {
            ""
        };
        let mut url = self.base.clone();
        let base = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{base}{v1}{path}"));
        url
    }

    /// Whether a path that the server does not know may be one that lacks its `/v1`: it names no
    /// version.
    pub(super) fn may_lack_v1(&self) -> bool {
        let names_version = |segment: &str| {
            let digits = segment.strip_prefix('v');
            digits.is_some_and(|digits| digits.starts_with(|first: char| first.is_ascii_digit()))
        };
        !self.adds_v1.load(Ordering::Relaxed)
            && self.base.query().is_none()
            && !self.base.path().split('/').any(names_version)
    }

    /// Says whether `/v1` is missing.
    pub(super) fn set_adds_v1(&self, adds_v1: bool) {
        self.adds_v1.store(adds_v1, Ordering::Relaxed);
    }

    /// Whether the server is Azure's with its own header for keys: its address has a version as
    /// query.
    pub(super) fn is_azure(&self) -> bool {
        self.base.query().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(base: &str) -> Address {
        Address::new(Url::parse(base).unwrap())
    }

    #[test]
    fn the_path_is_extended_and_the_query_kept() {
        for (base, completions) in [
            ("http://h:1/v1", "http://h:1/v1/chat/completions"),
            ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
            ("http://h:1", "http://h:1/chat/completions"),
            (
                "https://h/openai/deployments/d%20e?api-version=1",
                "https://h/openai/deployments/d%20e/chat/completions?api-version=1",
            ),
        ] {
            assert_eq!(address(base).completions().as_str(), completions);
        }
        let found = address("http://h:1/proxy/");
        found.set_adds_v1(true);
        assert_eq!(
            found.completions().as_str(),
            "http://h:1/proxy/v1/chat/completions"
        );
    }

    #[test]
    fn a_path_with_a_version_lacks_none() {
        for base in ["http://h", "http://h/", "http://h/vision/api"] {
            assert!(address(base).may_lack_v1(), "{base}");
        }
        for base in [
            "http://h/v1",
            "http://h/v1beta/openai/",
            "http://h/api/v3",
            "http://h/x?api-version=1",
        ] {
            assert!(!address(base).may_lack_v1(), "{base}");
        }
    }
}
