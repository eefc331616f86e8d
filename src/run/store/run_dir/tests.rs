use super::*;
use crate::run::store::logs::PREDICTIONS;
use crate::run::store::{BenchmarkEntry, FORMAT_VERSION, StoredRun};

fn manifest() -> Manifest {
    let benchmark = BenchmarkEntry {
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
    };
    Manifest {
        format: FORMAT_VERSION,
        name: "r".to_owned(),
        program: "0".to_owned(),
        order: Vec::new(),
        left_out: Vec::new(),
        partial: false,
        benchmark,
        adapters: vec![],
    }
}

fn entry() -> AdapterEntry {
    let identity = chartbench_core::answer::Identity {
        id: "a".to_owned(),
        settings: Vec::new(),
    };
    AdapterEntry::new(&identity, &[])
}

#[test]
fn a_run_killed_before_its_first_answer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join(".writing-x"), "form").unwrap();
    RunDir::open(&path, manifest())
        .unwrap()
        .add_adapter(entry(), false)
        .unwrap();
    assert!(!path.join(".writing-x").exists());
    std::fs::remove_dir_all(path.join("a")).unwrap();
    assert_eq!(
        StoredRun::read(&path).unwrap().predictions,
        [("a".to_owned(), Vec::new())]
    );
    RunDir::open(&path, manifest())
        .unwrap()
        .add_adapter(entry(), false)
        .unwrap();
}

fn entry_with(setting: &str) -> AdapterEntry {
    let settings = vec![("patches".to_owned(), setting.to_owned())];
    AdapterEntry::new(
        &chartbench_core::answer::Identity {
            id: "a".to_owned(),
            settings,
        },
        &[],
    )
}

/// A run in which the adapter `a` has answers, made with the setting 256.
fn answered(dir: &Path) -> PathBuf {
    let path = dir.join("r");
    RunDir::open(&path, manifest())
        .unwrap()
        .add_adapter(entry_with("256"), false)
        .unwrap();
    std::fs::write(
        path.join("a").join(PREDICTIONS),
        concat!(
            "{\"id\":\"q\",\"chart\":\"c\",\"question\":\"?\",\"gold\":\"1\",\"prediction\":\"1\",",
            "\"error\":null,\"latency_ms\":1.0}\n"
        ),
    )
    .unwrap();
    path
}

fn add(path: &Path, setting: &str) -> Result<()> {
    RunDir::open(path, manifest())?
        .add_adapter(entry_with(setting), false)
        .map(drop)
}

#[test]
fn adapters_added_by_several_at_once_all_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r");
    let ids: Vec<String> = (0..8).map(|id| format!("a{id}")).collect();
    // All have read the manifest, or found none, before the first writes it.
    let runs: Vec<RunDir> = ids
        .iter()
        .map(|_| RunDir::open(&path, manifest()).unwrap())
        .collect();
    std::thread::scope(|scope| {
        for (mut run, id) in runs.into_iter().zip(&ids) {
            scope.spawn(move || {
                let identity = chartbench_core::answer::Identity {
                    id: id.clone(),
                    settings: Vec::new(),
                };
                run.add_adapter(AdapterEntry::new(&identity, &[]), false)
                    .unwrap();
            });
        }
    });
    let mut stored: Vec<String> = StoredRun::read(&path)
        .unwrap()
        .manifest
        .adapters
        .into_iter()
        .map(|entry| entry.id)
        .collect();
    stored.sort();
    assert_eq!(stored, ids);
    let left: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 9, "{left:?}");
}

#[test]
fn answers_are_never_taken_for_those_of_other_settings() {
    let dir = tempfile::tempdir().unwrap();
    let path = answered(dir.path());
    let error = add(&path, "64").unwrap_err().to_string();
    assert!(
        error.contains("holds predictions of another a") && error.contains("patches was"),
        "{error}"
    );
    // Their entry is lost, and then replaced by another one.
    manifest().write(&path.join(MANIFEST)).unwrap();
    let error = add(&path, "64").unwrap_err().to_string();
    assert!(
        error.contains("holds predictions of another a (fingerprint"),
        "{error}"
    );
    assert_eq!(Manifest::read(&path.join(MANIFEST)).unwrap(), manifest());
    let wrong = Manifest {
        adapters: vec![entry_with("64")],
        ..manifest()
    };
    wrong.write(&path.join(MANIFEST)).unwrap();
    assert!(add(&path, "64").is_err());
    let error = StoredRun::read(&path).err().unwrap().to_string();
    assert!(
        error.contains("not of the settings they were made with"),
        "{error}"
    );
    manifest().write(&path.join(MANIFEST)).unwrap();
    add(&path, "256").unwrap();
    assert_eq!(StoredRun::read(&path).unwrap().predictions[0].1.len(), 1);
}

#[test]
fn answers_without_a_fingerprint_need_their_entry() {
    let dir = tempfile::tempdir().unwrap();
    let path = answered(dir.path());
    let fingerprint = path.join("a").join(FINGERPRINT);
    std::fs::remove_file(&fingerprint).unwrap();
    // As an earlier version left it.
    add(&path, "256").unwrap();
    assert_eq!(
        std::fs::read_to_string(&fingerprint).unwrap().trim(),
        entry_with("256").fingerprint
    );
    std::fs::remove_file(&fingerprint).unwrap();
    manifest().write(&path.join(MANIFEST)).unwrap();
    for setting in ["64", "256"] {
        let error = add(&path, setting).unwrap_err().to_string();
        assert!(
            error.contains("nothing shows with which settings"),
            "{error}"
        );
    }
    // No answers, nothing to adopt.
    std::fs::write(path.join("a").join(PREDICTIONS), "").unwrap();
    add(&path, "64").unwrap();
}

#[test]
fn a_second_run_of_one_adapter_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r");
    let _log = RunDir::open(&path, manifest())
        .unwrap()
        .add_adapter(entry_with("256"), false)
        .unwrap();
    let before = std::fs::read(path.join(MANIFEST)).unwrap();
    let error = add(&path, "256").unwrap_err().to_string();
    assert!(
        error.contains("is in use by another chartbench run"),
        "{error}"
    );
    assert_eq!(std::fs::read(path.join(MANIFEST)).unwrap(), before);
}

#[test]
fn a_directory_with_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let error = RunDir::open(dir.path(), manifest()).err().unwrap();
    assert!(
        error.to_string().contains("is not a run directory"),
        "{error:#}"
    );
}
