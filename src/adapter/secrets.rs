//! Keys and passwords that must reach neither a stored answer nor a message, however a server or a
//! program spells them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

/// Shortest secret that is looked for in any text. A shorter one (`EMPTY`, `sk-none`, `123`) may be
/// part of anything: it is looked for as `Bearer SECRET` alone, and only in messages.
const MIN_LENGTH: usize = 16;
/// How often escapes are undone: a JSON text within a JSON text has them twice.
const ROUNDS: usize = 4;
/// Last words of the names of environment variables that hold secrets.
const NAMES: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PAT"];
/// Environment variables that name a proxy.
const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

/// Secrets by name.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<Secret>);

#[derive(Clone)]
struct Secret {
    name: String,
    /// The secret itself, then its base64 at each of the three positions it can have in an encoded
    /// text.
    spellings: Vec<SecretString>,
}

impl Secrets {
    /// Adds a secret; `name` is what messages call it.
    pub(super) fn add(&mut self, name: &str, secret: &str) {
        let mut spellings = vec![SecretString::from(secret)];
        if secret.len() >= MIN_LENGTH {
            spellings.extend(
                (0..3)
                    .flat_map(|offset| base64_within(secret, offset))
                    .map(SecretString::from),
            );
        }
        self.0.push(Secret {
            name: name.to_owned(),
            spellings,
        });
    }

    /// Adds the passwords of the proxies that the environment names.
    pub(super) fn add_proxies(&mut self) {
        for name in PROXIES {
            let url = std::env::var(name)
                .ok()
                .and_then(|url| url::Url::parse(&url).ok());
            let Some(password) = url.as_ref().and_then(|url| url.password()) else {
                continue;
            };
            let decoded = percent_encoding::percent_decode_str(password).decode_utf8_lossy();
            self.add(&format!("the password in {name}"), &decoded);
        }
    }

    /// Adds those of `variables` whose names say that they are secrets (`OPENAI_API_KEY`,
    /// `HF_TOKEN`, `DB_PASSWORD`).
    pub(super) fn add_variables(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in variables {
            let last_word = name
                .rsplit(['_', '-'])
                .next()
                .unwrap_or_default()
                .to_uppercase();
            if NAMES.contains(&last_word.as_str()) && value.trim().len() >= MIN_LENGTH {
                self.add(&name, value.trim());
            }
        }
    }

    /// The name of a secret that `text` holds, as it is or escaped; secrets too short to be
    /// recognised are not looked for.
    pub(super) fn found_in(&self, text: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let mut text = text.to_owned();
        for _ in 0..ROUNDS {
            let found = self
                .0
                .iter()
                .filter(|secret| secret.is_long())
                .find(|secret| secret.is_in(&text));
            let unescaped = unescape(&text);
            if found.is_some() || unescaped == text {
                return found.map(|secret| secret.name.as_str());
            }
            text = unescaped;
        }
        None
    }

    /// `text` with `[the key]` in the place of secrets. An escaped secret is found too; escapes are
    /// then undone in the whole text.
    pub(super) fn blot(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..ROUNDS {
            for secret in &self.0 {
                text = secret.blot(&text);
            }
            if self.found_in(&text).is_none() {
                return text;
            }
            text = unescape(&text);
        }
        "[a text with the key]".to_owned()
    }
}

impl Secret {
    fn is_long(&self) -> bool {
        self.spellings.len() > 1
    }

    fn is_in(&self, text: &str) -> bool {
        self.spellings
            .iter()
            .any(|spelling| text.contains(spelling.expose_secret()))
    }

    fn blot(&self, text: &str) -> String {
        if self.is_long() {
            let replace = |text: String, spelling: &SecretString| {
                text.replace(spelling.expose_secret(), "[the key]")
            };
            return self.spellings.iter().fold(text.to_owned(), replace);
        }
        let header = self
            .spellings
            .first()
            .map(|secret| format!("Bearer {}", secret.expose_secret()));
        let mut parts = header.iter().flat_map(|header| text.split(header.as_str()));
        let mut blotted = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let ends_there = part
                .chars()
                .next()
                .is_none_or(|next| !next.is_alphanumeric());
            blotted.push_str(if ends_there {
                "Bearer [the key]"
            } else {
                header.as_deref().unwrap_or_default()
            });
            blotted.push_str(part);
        }
        blotted
    }
}

/// The characters of base64 that `secret` alone decides where it begins `offset` bytes after a
/// group of three.
fn base64_within(secret: &str, offset: usize) -> [String; 2] {
    let bytes = [vec![0; offset], secret.as_bytes().to_vec()].concat();
    let (first, end) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    [
        STANDARD_NO_PAD.encode(&bytes),
        URL_SAFE_NO_PAD.encode(&bytes),
    ]
    .map(|encoded| encoded.get(first..end).unwrap_or_default().to_owned())
}

/// Undoes the escapes of JSON strings (`\u002B`, `\/`) and of addresses (`%2B`).
fn unescape(text: &str) -> String {
    if !text.contains(['\\', '%']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let hex = |at: usize, length: usize| {
        let digits = text
            .get(at..at + length)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let code = match (byte, bytes.get(at + 1)) {
            (b'\\', Some(b'u')) => hex(at + 2, 4).map(|code| (code, 6)),
            (b'%', _) => hex(at + 1, 2).map(|code| (code, 3)),
            _ => None,
        };
        match code {
            Some((code, length)) => {
                match char::from_u32(code) {
                    // A byte of a character in an address.
                    Some(c) if byte == b'\\' => plain.extend(c.encode_utf8(&mut [0; 4]).bytes()),
                    _ => plain.push(code as u8),
                }
                at += length;
            }
            None => {
                if byte != b'\\' {
                    plain.push(byte);
                } else if let Some(&next) = bytes.get(at + 1) {
                    plain.push(next);
                    at += 1;
                }
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const KEY: &str = "sk-a+b/c=0123456789";

    fn secrets(secret: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("X_KEY", secret);
        secrets
    }

    fn escaped(text: &str) -> String {
        text.chars()
            .map(|c| format!("\\u{:04X}", u32::from(c)))
            .collect()
    }

    #[test]
    fn a_key_is_found_in_every_spelling_and_blotted_out() {
        let spellings = [
            KEY.to_owned(),
            format!("{{\"authorization\": \"Bearer {KEY}\"}}"),
            KEY.replace('/', "\\/").replace('+', "\\u002B"),
            KEY.replace('/', "%2F")
                .replace('+', "%2b")
                .replace('=', "%3D"),
            KEY.replace('/', "%252F"),
            escaped(KEY),
            escaped(KEY).replace('\\', "\\\\"),
            STANDARD.encode(KEY),
            STANDARD.encode(format!("me:{KEY}")),
            STANDARD.encode(format!("me2:{KEY}@x")),
            STANDARD.encode(format!("you2:{KEY}")),
        ];
        let secrets = secrets(KEY);
        for spelling in spellings {
            let text = format!("it is \"{spelling}\", é 100 % sure \\");
            assert_eq!(secrets.found_in(&text), Some("X_KEY"), "{text}");
            let blotted = secrets.blot(&text);
            assert!(
                blotted.starts_with("it is ") && blotted.contains("[the key]"),
                "{blotted}"
            );
            assert_eq!(secrets.found_in(&blotted), None, "{blotted}");
        }
    }

    #[test]
    fn texts_without_the_key_stay_as_they_are() {
        for text in [
            "",
            "sk-a+b/c=012345678",
            "100 % of \\alpha, \\u0041",
            "%zz \\uzzzz \\",
        ] {
            assert_eq!(
                (secrets(KEY).found_in(text), secrets(KEY).blot(text)),
                (None, text.to_owned())
            );
        }
    }

    #[test]
    fn a_short_key_is_looked_for_as_a_header_in_messages_alone() {
        for key in ["e", "123", "EMPTY", "sk-none"] {
            let text =
                format!("the {key} EMPTY error 123: Bearer {key}x, Bearer {key}, Bearer {key}");
            assert_eq!(secrets(key).found_in(&text), None);
            let blotted = format!(
                "the {key} EMPTY error 123: Bearer {key}x, Bearer [the key], Bearer [the key]"
            );
            assert_eq!(secrets(key).blot(&text), blotted);
        }
    }

    #[test]
    fn variables_are_secrets_by_their_names() {
        let long = "0123456789abcdef";
        let mut secrets = Secrets::default();
        let names = [
            "OPENAI_API_KEY",
            "HF_TOKEN",
            "db_password",
            "HF_TOKEN_PATH",
            "KEYBOARD",
            "SHORT_KEY",
        ];
        let value = |name: &str| {
            if name == "SHORT_KEY" {
                "e".to_owned()
            } else {
                format!("{name}-{long}")
            }
        };
        secrets.add_variables(names.map(|name| (name.to_owned(), value(name))));
        let found: Vec<_> = names
            .iter()
            .filter_map(|name| secrets.found_in(&value(name)))
            .collect();
        assert_eq!(found, ["OPENAI_API_KEY", "HF_TOKEN", "db_password"]);
    }
}
