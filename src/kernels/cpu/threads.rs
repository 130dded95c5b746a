//! Work shared between threads, and the memory that the threads share or keep.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;

/// Runs independent tasks, on all of rayon's threads where there are threads.
pub fn for_each_task(count: usize, task: impl Fn(usize) + Sync + Send) {
    #[cfg(not(target_family = "wasm"))]
    {
        use rayon::prelude::*;
        (0..count).into_par_iter().for_each(task);
    }
    #[cfg(target_family = "wasm")]
    (0..count).for_each(task);
}

/// Runs a function on each chunk of `length` values (the last may be shorter), on all threads.
pub(crate) fn for_each_chunk(values: &mut [f32], length: usize, function: impl Fn(usize, &mut [f32]) + Sync + Send) {
    let total = values.len();
    let length = length.max(1);
    let values = SharedSlice::new(values);
    for_each_task(total.div_ceil(length), |index| {
        // SAFETY: the chunks do not overlap.
        function(index, unsafe { values.part(index * length..total.min((index + 1) * length)) });
    });
}

/// Threads that [`for_each_task`] uses.
pub(super) fn thread_count() -> usize {
    #[cfg(not(target_family = "wasm"))]
    return rayon::current_num_threads();
    #[cfg(target_family = "wasm")]
    1
}

/// Values of which several threads change disjoint parts that are not chunks.
pub(crate) struct SharedSlice<'a> {
    start: *mut f32,
    length: usize,
    values: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable slice whose users vouch, by `part`, that no value is reached twice.
unsafe impl Sync for SharedSlice<'_> {}

impl<'a> SharedSlice<'a> {
    /// Shares a slice.
    pub fn new(values: &'a mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), length: values.len(), values: PhantomData }
    }

    /// A part of the values.
    ///
    /// # Safety
    /// No other part that is in use may overlap it.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.length, "{range:?} is not within {}", self.length);
        // SAFETY: the range is within the slice, and the caller vouches that nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// Lends out the thread's scratch memory, which keeps what was last written: callers must write before they read.
pub(crate) fn with_scratch(length: usize, function: impl FnOnce(&mut [f32])) {
    thread_local! {
        static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    }
    let mut scratch = SCRATCH.take();
    if scratch.len() < length {
        scratch = vec![0.0; length];
    }
    function(&mut scratch[..length]);
    SCRATCH.set(scratch);
}
