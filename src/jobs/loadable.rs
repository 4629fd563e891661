//! A value that a job brings: asked for, on its way, here, or failed.

use std::time::Instant;

use super::JobError;

/// What is known of a value that a job brings. The previous value stays usable while a newer one loads.
#[derive(Debug, Clone, Default)]
pub enum Loadable<T> {
    /// Nobody asked for it, or it was cancelled.
    #[default]
    NotRequested,
    /// A job is at it.
    Pending {
        /// When it was asked for; views wait a moment before they show a spinner.
        since: Instant,
        /// What was there before.
        previous: Option<T>,
    },
    /// Here.
    Ready(T),
    /// It could not be had.
    Failed {
        /// Why.
        error: JobError,
        /// What was there before.
        previous: Option<T>,
    },
}

impl<T> Loadable<T> {
    /// The newest value there is, also while another loads.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Ready(value)
            | Self::Pending { previous: Some(value), .. }
            | Self::Failed { previous: Some(value), .. } => Some(value),
            _ => None,
        }
    }

    /// The newest value, taken out.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Ready(value) => Some(value),
            Self::Pending { previous, .. } | Self::Failed { previous, .. } => previous,
            Self::NotRequested => None,
        }
    }

    /// Marks it as asked for, keeping the value there is.
    pub fn begin(&mut self) {
        let previous = std::mem::take(self).into_value();
        *self = Self::Pending { since: Instant::now(), previous };
    }

    /// Marks it as failed, keeping the value there is.
    pub fn fail(&mut self, error: JobError) {
        let previous = std::mem::take(self).into_value();
        *self = Self::Failed { error, previous };
    }

    /// Marks it as cancelled: back to the value there was, or to nothing.
    pub fn cancel(&mut self) {
        *self = std::mem::take(self).into_value().map_or(Self::NotRequested, Self::Ready);
    }

    /// Whether a job is at it.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_value_stays_while_the_next_loads_or_fails() {
        let mut value = Loadable::Ready(1);
        value.begin();
        assert!(value.is_pending());
        assert_eq!(value.value(), Some(&1));
        value.fail(JobError::new("no", None));
        assert_eq!(value.value(), Some(&1));
        value.cancel();
        assert!(matches!(value, Loadable::Ready(1)));
    }

    #[test]
    fn a_cancelled_first_load_is_as_if_never_asked_for() {
        let mut value = Loadable::<u8>::NotRequested;
        value.begin();
        value.cancel();
        assert!(matches!(value, Loadable::NotRequested));
    }
}
