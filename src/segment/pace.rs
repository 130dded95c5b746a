//! What happens between the steps of long work.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::error::Result;

/// What happens between the steps of long work: progress is told, others may do something, and the work may be ended.
pub trait Pace {
    /// Called after a step with the share of the work that is done, 0–1.
    ///
    /// # Errors
    /// [`Error::Aborted`](crate::Error::Aborted) if the work is to end.
    fn after(&mut self, done: f64) -> impl Future<Output = Result<()>>;
}

/// Tells progress and goes on at once.
pub struct Unpaced<F>(pub F);

impl<F: FnMut(f64)> Pace for Unpaced<F> {
    async fn after(&mut self, done: f64) -> Result<()> {
        (self.0)(done);
        Ok(())
    }
}

/// A pace of work that is part of other work: its shares lie between two of the whole.
pub(super) struct Part<'a, P> {
    pub whole: &'a mut P,
    pub from: f64,
    pub to: f64,
}

impl<P: Pace> Pace for Part<'_, P> {
    async fn after(&mut self, done: f64) -> Result<()> {
        self.whole.after(self.from + (self.to - self.from) * done).await
    }
}

/// The result of work that waits for nothing.
///
/// # Panics
/// If it does.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("work that was to wait for nothing waits"),
    }
}
