//! Names of image files.

/// Extensions an image may have, the preferred ones first; what a file really is, its content tells.
pub const IMAGE_EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp"];

/// `name` without its extension when that is an image's or `json`; other dots belong to the name.
pub fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => {
            let known = IMAGE_EXTENSIONS.iter().chain(&["json"]).any(|known| extension.eq_ignore_ascii_case(known));
            if known { stem } else { name }
        }
        _ => name,
    }
}
