//! The names of class labels: Hugging Face's libraries store such a column as whole numbers, and
//! the names in the file's metadata.

use std::collections::HashMap;

use serde_json::Value as Json;

/// The key of the metadata.
pub(super) const KEY: &str = "huggingface";

/// The names of each column of class labels, by the number.
pub(super) fn class_names(metadata: &str) -> HashMap<String, Vec<String>> {
    let parsed: Json = serde_json::from_str(metadata).unwrap_or(Json::Null);
    let features = parsed.pointer("/info/features").and_then(Json::as_object);
    features
        .into_iter()
        .flatten()
        .filter_map(|(column, feature)| Some((column.clone(), names(feature)?)))
        .collect()
}

/// The names of a feature, or of the items of a list.
fn names(feature: &Json) -> Option<Vec<String>> {
    if feature.get("_type").and_then(Json::as_str) != Some("ClassLabel") {
        return feature.get("feature").and_then(|item| {
            (item.get("_type").and_then(Json::as_str) == Some("ClassLabel"))
                .then(|| names(item))
                .flatten()
        });
    }
    let names = feature.get("names")?.as_array()?;
    names
        .iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_features() {
        let metadata = r#"{"info": {"features": {
            "who": {"names": ["human", "machine"], "_type": "ClassLabel"},
            "all": {"feature": {"names": ["a"], "_type": "ClassLabel"}, "_type": "List"},
            "query": {"dtype": "string", "_type": "Value"}}}}"#;
        let names = class_names(metadata);
        assert_eq!(names.len(), 2);
        assert_eq!(names["who"], ["human", "machine"]);
        assert_eq!(names["all"], ["a"]);
        assert!(class_names("{").is_empty() && class_names("[]").is_empty());
    }
}
