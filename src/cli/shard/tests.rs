use super::*;

/// What `--shard TEXT` takes in an environment: the shard and where it is from, or the error.
fn resolve(text: &str, variables: &[(&str, &str)]) -> Result<String, String> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let resolved = text.parse::<ShardArg>()?.resolve(&lookup);
    let (shard, origin) = resolved.map_err(|error| format!("{error:#}"))?;
    Ok(origin.unwrap_or_else(|| format!("shard {shard}")))
}

#[track_caller]
fn assert_resolves(text: &str, variables: &[(&str, &str)], expected: &str) {
    assert_eq!(resolve(text, variables).as_deref(), Ok(expected));
}

/// The error holds the expected part, and says what to write.
#[track_caller]
fn assert_refused(text: &str, variables: &[(&str, &str)], expected: &str) {
    let error = resolve(text, variables).unwrap_err();
    assert!(
        error.starts_with("--shard auto: ") && error.contains(expected),
        "{error}"
    );
}

fn array<'a>(
    id: &'a str,
    min: &'a str,
    max: &'a str,
    step: &'a str,
    count: &'a str,
) -> Vec<(&'static str, &'a str)> {
    vec![
        ("SLURM_ARRAY_TASK_ID", id),
        ("SLURM_ARRAY_TASK_MIN", min),
        ("SLURM_ARRAY_TASK_MAX", max),
        ("SLURM_ARRAY_TASK_STEP", step),
        ("SLURM_ARRAY_TASK_COUNT", count),
    ]
}

#[test]
fn a_flag_names_the_shard() {
    assert_resolves("3/8", &[("JOB_COMPLETION_INDEX", "5")], "shard 3/8");
    for text in ["", "3", "auto/", "auto/x", "auto/-1", "auto 8", "a/b"] {
        let error = resolve(text, &[]).unwrap_err();
        assert!(error.starts_with("write K/N"), "{text}: {error}");
    }
    for text in ["9/8", "0/8", "auto/0", "auto/10001"] {
        let error = resolve(text, &[]).unwrap_err();
        assert!(error.starts_with("K is from 1 to N"), "{text}: {error}");
    }
}

#[test]
fn slurm_arrays_may_begin_anywhere() {
    let ids = "SLURM_ARRAY_TASK_ID (ids";
    assert_resolves(
        "auto",
        &array("7", "5", "12", "1", "8"),
        &format!("shard 3/8, from {ids} 5 to 12)"),
    );
    assert_resolves(
        "auto",
        &array("40", "0", "70", "10", "8"),
        &format!("shard 5/8, from {ids} 0 to 70 by 10)"),
    );
    assert_resolves(
        "auto/8",
        &array("7", "5", "12", "1", "8"),
        &format!("shard 3/8, from {ids} 5 to 12)"),
    );
    assert_refused("auto", &array("5", "1", "9", "1", "3"), "not evenly spaced");
    assert_refused("auto/9", &array("5", "1", "8", "1", "8"), "of 8, not of 9");
    assert_refused(
        "auto",
        &array("6", "1", "9", "2", "5"),
        "is none of the ids",
    );
    assert_refused(
        "auto",
        &array("6", "1", "9", "0", "5"),
        "is none of the ids",
    );
    assert_refused(
        "auto",
        &array("x", "1", "9", "1", "9"),
        "is `x`, not a number",
    );
    assert_refused(
        "auto",
        &array("1", "1", "20000", "1", "20000"),
        "10000 shards are the most",
    );
    assert_refused(
        "auto",
        &[("SLURM_ARRAY_TASK_ID", "3")],
        "SLURM_ARRAY_TASK_MIN is not",
    );
    // The batch script of a job of one task has a number, too.
    let step = [("SLURM_NTASKS", "1"), ("SLURM_PROCID", "0")];
    let one = [&array("7", "5", "12", "1", "8")[..], &step].concat();
    assert_resolves("auto", &one, &format!("shard 3/8, from {ids} 5 to 12)"));
    let step = [("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")];
    let many = [&array("7", "5", "12", "1", "8")[..], &step].concat();
    assert_refused("auto", &many, "has 4 tasks (SLURM_NTASKS)");
}

#[test]
fn tasks_of_other_schedulers_are_known_by_their_variables() {
    for (variables, expected) in [
        (
            vec![("SLURM_PROCID", "2"), ("SLURM_NTASKS", "8")],
            "shard 3/8, from SLURM_PROCID=2",
        ),
        (
            vec![
                ("SGE_TASK_ID", "5"),
                ("SGE_TASK_FIRST", "1"),
                ("SGE_TASK_LAST", "16"),
                ("SGE_TASK_STEPSIZE", "2"),
            ],
            "shard 3/8, from SGE_TASK_ID (ids 1 to 16 by 2)",
        ),
        (
            vec![
                ("AWS_BATCH_JOB_ARRAY_INDEX", "2"),
                ("AWS_BATCH_JOB_ARRAY_SIZE", "8"),
            ],
            "shard 3/8, from AWS_BATCH_JOB_ARRAY_INDEX=2",
        ),
        (
            vec![("CI_NODE_INDEX", "3"), ("CI_NODE_TOTAL", "8")],
            "shard 3/8, from CI_NODE_INDEX=3",
        ),
        (
            vec![("CIRCLE_NODE_INDEX", "2"), ("CIRCLE_NODE_TOTAL", "8")],
            "shard 3/8, from CIRCLE_NODE_INDEX=2",
        ),
        (
            vec![
                ("BUILDKITE_PARALLEL_JOB", "2"),
                ("BUILDKITE_PARALLEL_JOB_COUNT", "8"),
            ],
            "shard 3/8, from BUILDKITE_PARALLEL_JOB=2",
        ),
        (
            vec![
                ("SYSTEM_JOBPOSITIONINPHASE", "3"),
                ("SYSTEM_TOTALJOBSINPHASE", "8"),
            ],
            "shard 3/8, from SYSTEM_JOBPOSITIONINPHASE=3",
        ),
        (
            vec![("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "8")],
            "shard 3/8, from OMPI_COMM_WORLD_RANK=2",
        ),
        (
            vec![("PMI_RANK", "2"), ("PMI_SIZE", "8")],
            "shard 3/8, from PMI_RANK=2",
        ),
    ] {
        assert_resolves("auto", &variables, expected);
        assert_resolves("auto/8", &variables, expected);
        assert_refused("auto/9", &variables, "of 8, not of 9");
    }
    for (index, value) in [
        ("PBS_ARRAY_INDEX", "3"),
        ("LSB_JOBINDEX", "3"),
        ("JOB_COMPLETION_INDEX", "2"),
        ("AWS_BATCH_JOB_ARRAY_INDEX", "2"),
        ("CI_NODE_INDEX", "3"),
    ] {
        let variables = [(index, value)];
        let expected = format!("shard 3/8, from {index}={value}");
        assert_resolves("auto/8", &variables, &expected);
        assert_refused("auto", &variables, "write --shard auto/N");
        assert_refused("auto/2", &variables, "makes this task 3 of 2");
        let broken = [(index, "many")];
        assert_refused(
            "auto/8",
            &broken,
            &format!("{index} is `many`, not a number"),
        );
    }
}

#[test]
fn what_is_not_a_task_is_passed_over() {
    let nothing = "no variable of a cluster or CI";
    for variables in [
        &[][..],
        &[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")],
        &[("SLURM_PROCID", "0")],
        &[("SGE_TASK_ID", "undefined")],
        &[("LSB_JOBINDEX", "0")],
        &[("CI_NODE_INDEX", ""), ("CI_NODE_TOTAL", "1")],
    ] {
        assert_refused("auto", variables, nothing);
        assert_refused("auto/8", variables, nothing);
    }
    assert_refused("auto/8", &[("PBS_ARRAY_INDEX", "0")], "numbered from 1");
    // The scheduler's own number comes before that of a program that it started.
    let both = [
        ("PMI_RANK", "0"),
        ("PMI_SIZE", "2"),
        ("JOB_COMPLETION_INDEX", "2"),
    ];
    assert_resolves("auto/8", &both, "shard 3/8, from JOB_COMPLETION_INDEX=2");
}
