//! `--shard`: which part of the charts a process asks, as a flag says or the environment of a
//! cluster or CI.

use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use chartbench_core::shard::{MAX_SHARDS, Shard, ShardError};
use chartbench_core::terminal::shorten;

/// `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShardArg {
    /// `K/N`.
    Shard(Shard),
    /// `auto` or `auto/N`.
    Auto {
        /// `N`, where the environment does not say it.
        count: Option<usize>,
    },
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto { count: None });
        }
        match text.strip_prefix("auto/") {
            Some(count) => {
                let shard: Shard = format!("1/{count}").parse().map_err(describe)?;
                Ok(Self::Auto {
                    count: Some(shard.count()),
                })
            }
            None => text.parse().map(Self::Shard).map_err(describe),
        }
    }
}

fn describe(error: ShardError) -> String {
    match error {
        ShardError::NotAShard => "write K/N (the K-th of N shards), auto or auto/N".to_owned(),
        ShardError::OutOfRange => error.to_string(),
    }
}

impl ShardArg {
    /// The shard, with where it is from if the flag does not say it; `lookup` gives the value of an
    /// environment variable.
    ///
    /// # Errors
    /// Returns an error if the environment does not say which shard this is, or says it in a way
    /// that cannot be.
    pub(super) fn resolve(
        self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Shard, Option<String>)> {
        match self {
            Self::Shard(shard) => Ok((shard, None)),
            Self::Auto { count } => {
                let task = Task::find(&Environment(lookup)).context("--shard auto")?;
                let shard = task.shard(count).context("--shard auto")?;
                Ok((shard, Some(format!("shard {shard}, from {}", task.origin))))
            }
        }
    }
}

/// The variables of one scheme: a scheduler or CI that numbers the tasks of a job.
struct Scheme {
    /// The variable that holds the task's number.
    index: &'static str,
    /// The number of the first task.
    first: usize,
    /// The variable that holds how many tasks there are.
    count: Option<&'static str>,
    /// A number that means that there are no tasks.
    none: Option<usize>,
}

const fn scheme(index: &'static str, first: usize, count: Option<&'static str>) -> Scheme {
    Scheme {
        index,
        first,
        count,
        none: None,
    }
}

/// Schemes of two variables, in the order in which they are looked for, after those of Slurm and
/// Grid Engine.
const SCHEMES: [Scheme; 10] = [
    scheme("PBS_ARRAY_INDEX", 1, None),
    Scheme {
        none: Some(0),
        ..scheme("LSB_JOBINDEX", 1, None)
    },
    // Kubernetes.
    scheme("JOB_COMPLETION_INDEX", 0, None),
    scheme(
        "AWS_BATCH_JOB_ARRAY_INDEX",
        0,
        Some("AWS_BATCH_JOB_ARRAY_SIZE"),
    ),
    // GitLab.
    scheme("CI_NODE_INDEX", 1, Some("CI_NODE_TOTAL")),
    scheme("CIRCLE_NODE_INDEX", 0, Some("CIRCLE_NODE_TOTAL")),
    scheme(
        "BUILDKITE_PARALLEL_JOB",
        0,
        Some("BUILDKITE_PARALLEL_JOB_COUNT"),
    ),
    // Azure Pipelines.
    scheme(
        "SYSTEM_JOBPOSITIONINPHASE",
        1,
        Some("SYSTEM_TOTALJOBSINPHASE"),
    ),
    scheme("OMPI_COMM_WORLD_RANK", 0, Some("OMPI_COMM_WORLD_SIZE")),
    scheme("PMI_RANK", 0, Some("PMI_SIZE")),
];

/// The place of this process among the tasks of a job.
struct Task {
    /// From 1.
    index: usize,
    count: Option<usize>,
    /// The variable, with what tells how it was read.
    origin: String,
}

impl Task {
    /// The task of the first scheme whose variables are set.
    fn find(environment: &Environment<'_>) -> Result<Self> {
        for find in [slurm_array, slurm_step, grid_engine] {
            if let Some(task) = find(environment)? {
                return Ok(task);
            }
        }
        for scheme in &SCHEMES {
            if let Some(task) = scheme.find(environment)? {
                return Ok(task);
            }
        }
        bail!(
            "no variable of a cluster or CI says which task this is (SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, \
             CI_NODE_INDEX and the like): write --shard K/N"
        )
    }

    /// The task as a shard, of `count` where the environment does not say how many there are.
    fn shard(&self, count: Option<usize>) -> Result<Shard> {
        let Self {
            index,
            count: found,
            origin,
        } = self;
        let count = match (*found, count) {
            (Some(found), Some(count)) => {
                ensure!(
                    found == count,
                    "{origin} is a task of {found}, not of {count}: write --shard auto, or --shard K/N"
                );
                count
            }
            (Some(count), None) | (None, Some(count)) => count,
            (None, None) => bail!(
                "{origin} does not say how many tasks there are: write --shard auto/N, N being their number"
            ),
        };
        ensure!(
            count <= MAX_SHARDS,
            "{origin} is a task of {count}, and {MAX_SHARDS} shards are the most: start fewer tasks"
        );
        Shard::new(*index, count).ok().with_context(|| {
            format!(
                "{origin} makes this task {index} of {count}: write --shard auto/N, N being the number of tasks, or --shard K/N"
            )
        })
    }
}

impl Scheme {
    fn find(&self, environment: &Environment<'_>) -> Result<Option<Task>> {
        let number = environment.number(self.index)?;
        let Some(number) = number.filter(|number| Some(*number) != self.none) else {
            return Ok(None);
        };
        let place = number.checked_sub(self.first).with_context(|| {
            format!(
                "{}={number}: tasks are numbered from {}: number them so, or write --shard K/N",
                self.index, self.first
            )
        })?;
        let count = self.count.map(|count| environment.number(count));
        Ok(Some(Task {
            index: place.saturating_add(1),
            count: count.transpose()?.flatten(),
            origin: format!("{}={number}", self.index),
        }))
    }
}

/// A task of `sbatch --array`, whose ids may begin anywhere.
fn slurm_array(environment: &Environment<'_>) -> Result<Option<Task>> {
    let index = "SLURM_ARRAY_TASK_ID";
    let Some(id) = environment.number(index)? else {
        return Ok(None);
    };
    let [min, max, step, count] = ["MIN", "MAX", "STEP", "COUNT"]
        .map(|name| environment.required(&format!("SLURM_ARRAY_TASK_{name}"), index));
    let ids = Ids {
        index,
        id,
        first: min?,
        last: max?,
        step: step?,
    };
    let (task, count) = (ids.task()?, count?);
    ensure!(
        task.count == Some(count),
        "the {count} ids of the array, {} to {}, are not evenly spaced: number them 1 to N, or write --shard K/N",
        ids.first,
        ids.last
    );
    if let (Some(tasks), Some(_)) = (
        environment
            .number("SLURM_NTASKS")?
            .filter(|tasks| *tasks > 1),
        environment.get("SLURM_PROCID"),
    ) {
        bail!(
            "each job of the array has {tasks} tasks (SLURM_NTASKS), which would all ask the same: give it one, or write \
             --shard K/N"
        );
    }
    Ok(Some(task))
}

/// A task of `srun --ntasks`.
fn slurm_step(environment: &Environment<'_>) -> Result<Option<Task>> {
    let count = environment.number("SLURM_NTASKS")?;
    let Some((place, count)) = environment
        .number("SLURM_PROCID")?
        .zip(count.filter(|tasks| *tasks > 1))
    else {
        return Ok(None);
    };
    Ok(Some(Task {
        index: place.saturating_add(1),
        count: Some(count),
        origin: format!("SLURM_PROCID={place}"),
    }))
}

/// A task of `qsub -t` of Grid Engine, which sets `undefined` in other jobs.
fn grid_engine(environment: &Environment<'_>) -> Result<Option<Task>> {
    let index = "SGE_TASK_ID";
    if environment.get(index).is_none_or(|id| id == "undefined") {
        return Ok(None);
    }
    let [id, first, last, step] = [
        index,
        "SGE_TASK_FIRST",
        "SGE_TASK_LAST",
        "SGE_TASK_STEPSIZE",
    ]
    .map(|name| environment.required(name, index));
    let ids = Ids {
        index,
        id: id?,
        first: first?,
        last: last?,
        step: step?,
    };
    ids.task().map(Some)
}

/// The ids of an array's tasks, and that of this one.
struct Ids {
    index: &'static str,
    id: usize,
    first: usize,
    last: usize,
    step: usize,
}

impl Ids {
    /// # Errors
    /// Returns an error if the id is none of them.
    fn task(&self) -> Result<Task> {
        let Self {
            index,
            id,
            first,
            last,
            step,
        } = *self;
        let place = |id: usize| id.checked_sub(first)?.checked_div(step);
        let is_one = (first..=last).contains(&id)
            && place(id).is_some_and(|place| first + place * step == id);
        let (Some(place), Some(last_place), true) = (place(id), place(last), is_one) else {
            bail!("{index}={id} is none of the ids {first} to {last} by {step}: write --shard K/N");
        };
        let by = if step == 1 {
            String::new()
        } else {
            format!(" by {step}")
        };
        Ok(Task {
            index: place.saturating_add(1),
            count: Some(last_place.saturating_add(1)),
            origin: format!("{index} (ids {first} to {last}{by})"),
        })
    }
}

/// The variables of a process.
struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    /// The value of a variable; an empty one is not set.
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// The number that a variable holds.
    fn number(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.parse().ok().with_context(|| {
            format!(
                "{name} is `{}`, not a number: write --shard K/N",
                shorten(&value)
            )
        })?;
        Ok(Some(number))
    }

    /// The number that a variable beside `index` holds.
    fn required(&self, name: &str, index: &str) -> Result<usize> {
        self.number(name)?
            .with_context(|| format!("{index} is set and {name} is not: write --shard K/N"))
    }
}

#[cfg(test)]
mod tests;
