use super::*;

fn identity(settings: &[(&str, &str)]) -> Identity {
    let settings = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Identity {
        id: "a".to_owned(),
        settings,
    }
}

#[test]
fn every_setting_changes_the_fingerprint() {
    let base = fingerprint(&identity(&[("prompt", "x"), ("weights", "y")]));
    for other in [
        identity(&[("prompt", "xy"), ("weights", "")]),
        identity(&[("prompt", "x"), ("weights", "z")]),
        identity(&[("prompt", "x")]),
        identity(&[("weights", "y"), ("prompt", "x")]),
    ] {
        assert_ne!(base, fingerprint(&other));
    }
}

#[test]
fn a_step_chosen_by_the_questions_of_the_row_is_remarked() {
    let benchmark = |name: &str| BenchmarkEntry {
        name: name.to_owned(),
        title: name.to_owned(),
        split: "test".to_owned(),
        charts: 1,
        questions: 1,
        questions_per_chart: "all".to_owned(),
        seed: 0,
        limit: 0,
        limit_rule: None,
        hash: "00".to_owned(),
    };
    let remarked = |settings: &[(&str, &str)], asked: &str| {
        let adapters = vec![AdapterEntry::new(&identity(settings), &[])];
        let run = Manifest {
            format: FORMAT_VERSION,
            name: "r".to_owned(),
            program: "0".to_owned(),
            order: Vec::new(),
            left_out: Vec::new(),
            partial: false,
            benchmark: benchmark(asked),
            adapters,
        };
        run.remarked("a", "r/a")
    };
    let study = [
        ("finetune.benchmark", "b"),
        ("finetune.validate_on", "test"),
        ("finetune.keep", "exact_match"),
    ];
    assert_eq!(remarked(&study, "b"), "r/a (step chosen on test)");
    assert_eq!(remarked(&study, "another"), "r/a");
    let of_tables: Vec<_> = study
        .iter()
        .map(|(key, value)| (format!("table_{key}"), *value))
        .collect();
    let of_tables: Vec<_> = of_tables
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    assert_eq!(remarked(&of_tables, "b"), "r/a (step chosen on test)");
    assert_eq!(
        remarked(&[study[0], study[1], ("finetune.keep", "last")], "b"),
        "r/a"
    );
    assert_eq!(
        remarked(
            &[study[0], ("finetune.validate_on", "train"), study[2]],
            "b"
        ),
        "r/a"
    );
    assert_eq!(remarked(&[], "b"), "r/a");
}

#[test]
fn a_checkpoint_is_named_by_its_folder_and_hash() {
    let entry = |folder: &str, settings: &[(&str, &str)]| {
        AdapterEntry::new(&identity(settings), &[])
            .with_folder(Some(folder.to_owned()))
            .checkpoint()
            .unwrap()
    };
    let own = ("weights_sha256", "0123456789abcdef");
    assert_eq!(
        entry("/home/me/runs/lr1/step-5/", &[own]),
        "lr1/step-5 01234567"
    );
    assert_eq!(entry("../mine", &[own]), "mine 01234567");
    let tables = ("table_weights_sha256", "fedcba9876543210");
    assert_eq!(entry("mine", &[own, tables]), "mine fedcba98");
    assert_eq!(entry("mine", &[]), "mine");
    assert_eq!(AdapterEntry::new(&identity(&[own]), &[]).checkpoint(), None);
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn from_hub(revision: &str, hash: &str, commit: &str) -> AdapterEntry {
    let weights = format!("google/deplot@{revision}");
    let entry = AdapterEntry::new(
        &identity(&[("weights", &weights), ("weights_sha256", hash)]),
        &[],
    );
    entry.with_sources(vec![HubSource {
        repo: "google/deplot".to_owned(),
        revision: revision.to_owned(),
        commit: commit.to_owned(),
        files: [("config.json".to_owned(), "00".to_owned())].into(),
    }])
}

#[test]
fn a_commit_in_the_place_of_main_goes_on_with_the_same_weights() {
    let stored = from_hub("main", "ff", COMMIT);
    let pinned = from_hub(COMMIT, "ff", COMMIT);
    assert_ne!(stored.fingerprint, pinned.fingerprint);
    let resumed = pinned.clone().resuming(&stored);
    assert_eq!(
        (&resumed.fingerprint, &resumed.settings),
        (&stored.fingerprint, &stored.settings)
    );
    assert_eq!(resumed.sources.len(), 2);
    assert_eq!(resumed.clone().resuming(&resumed), resumed);
    // Other weights stay another adapter, and so does anything without a hash.
    let other = from_hub(COMMIT, "ee", COMMIT);
    assert_eq!(
        other.clone().resuming(&stored).fingerprint,
        other.fingerprint
    );
    let unhashed = |weights: &str| AdapterEntry::new(&identity(&[("weights", weights)]), &[]);
    let now = unhashed("a/b@v2");
    assert_eq!(
        now.clone().resuming(&unhashed("a/b@main")).fingerprint,
        now.fingerprint
    );
}

#[test]
fn weights_that_are_not_pinned_are_marked() {
    let shown = |entry: &AdapterEntry| entry.shown_settings()[0].1.clone();
    assert_eq!(
        shown(&from_hub("main", "ff", COMMIT)),
        "google/deplot@main (not pinned: 01234567)"
    );
    assert_eq!(
        shown(&from_hub("main", "ff", COMMIT).with_sources(Vec::new())),
        "google/deplot@main (not pinned)"
    );
    let pinned = format!("google/deplot@{COMMIT}");
    assert_eq!(shown(&from_hub(COMMIT, "ff", COMMIT)), pinned);
    let own = AdapterEntry::new(&identity(&[("weights", "given by --weights")]), &[]);
    assert_eq!(shown(&own), "given by --weights");
}

#[test]
fn sources_are_stored_and_read_and_may_be_absent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.toml");
    let run = Manifest {
        format: FORMAT_VERSION,
        name: "r".to_owned(),
        program: "0".to_owned(),
        order: Vec::new(),
        left_out: Vec::new(),
        partial: false,
        benchmark: BenchmarkEntry {
            name: "b".to_owned(),
            title: "B".to_owned(),
            split: "test".to_owned(),
            charts: 1,
            questions: 1,
            questions_per_chart: "all".to_owned(),
            seed: 0,
            limit: 0,
            limit_rule: None,
            hash: "00".to_owned(),
        },
        adapters: vec![
            from_hub("main", "ff", COMMIT),
            from_hub("main", "ff", COMMIT).with_sources(Vec::new()),
        ],
    };
    run.write(&path).unwrap();
    assert_eq!(Manifest::read(&path).unwrap(), run);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("sources").count(), 2, "{text}");
    assert!(text.contains(&format!("commit = \"{COMMIT}\"")), "{text}");
}

#[test]
fn another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.toml");
    std::fs::write(&path, "format = 99\n").unwrap();
    let error = Manifest::read(&path).unwrap_err();
    assert!(error.to_string().contains("has format 99"), "{error:#}");
}
