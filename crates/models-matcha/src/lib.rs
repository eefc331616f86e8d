//! The embedded tiny MatCha checkpoints, trained on synthetic charts.

/// A file of a checkpoint: its name and its bytes.
pub type File = (&'static str, &'static [u8]);

macro_rules! checkpoint {
    ($name:literal) => {
        checkpoint!(
            $name: "README.md", "config.json", "finetune.json", "generation_config.json",
            "model.safetensors", "preprocessor_config.json", "tokenizer.json",
            "tokenizer_config.json"
        )
    };
    ($name:literal: $($file:literal),+) => {
        &[$(($file, include_bytes!(concat!("../", $name, "/", $file)) as &[u8])),+]
    };
}

static TINY: &[File] = checkpoint!("matcha-tiny");
static TINY_MINI: &[File] = checkpoint!("matcha-tiny-mini");

/// The files of a checkpoint by its name, `None` for one that is not embedded.
pub fn files(name: &str) -> Option<&'static [File]> {
    match name {
        "matcha-tiny" => Some(TINY),
        "matcha-tiny-mini" => Some(TINY_MINI),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::files;

    #[test]
    fn every_file_of_the_folders_is_embedded() {
        for name in ["matcha-tiny", "matcha-tiny-mini"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            let on_disk: BTreeMap<String, Vec<u8>> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| {
                    let entry = entry.unwrap();
                    let bytes = std::fs::read(entry.path()).unwrap();
                    (entry.file_name().into_string().unwrap(), bytes)
                })
                .collect();
            let embedded = files(name).unwrap().iter();
            let embedded: BTreeMap<String, Vec<u8>> = embedded
                .map(|&(name, bytes)| (name.to_owned(), bytes.to_owned()))
                .collect();
            assert_eq!(embedded.len(), 8);
            assert!(embedded == on_disk, "{name}");
        }
        assert!(files("matcha").is_none());
    }
}
