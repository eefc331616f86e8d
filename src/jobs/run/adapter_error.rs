//! Why an adapter's part of a run ended early.

/// Why an adapter's part of a run ended early.
pub(in crate::jobs) enum AdapterError {
    /// The adapter did not load: the others still answer.
    Loading(anyhow::Error),
    /// The adapter could not go on: its answers stand, and the others still answer.
    Answering(anyhow::Error),
    /// The questions cannot be read, the answers cannot be stored, or a stop is requested: the run
    /// ends.
    Fatal(anyhow::Error),
}

impl AdapterError {
    /// The reason.
    pub(in crate::jobs) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Loading(error) | Self::Answering(error) | Self::Fatal(error) => error,
        }
    }
}
