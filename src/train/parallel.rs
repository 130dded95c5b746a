//! Several things at the same time, in threads of their own: burn's operations use rayon's, which must not wait for each other.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What a function makes of each item, in the items' order, on at most `jobs` threads.
pub fn map<I: Sync, T: Send>(items: &[I], jobs: usize, work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return done };
            done.push((place, work(item)));
        }
    };
    let mut results: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(items.len())).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("workers do not panic")).collect()
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_in_order() {
        let items: Vec<usize> = (0..50).collect();
        for jobs in [1, 3, 100] {
            assert_eq!(super::map(&items, jobs, |item| item * 2), (0..100).step_by(2).collect::<Vec<_>>());
        }
        assert!(super::map(&[0usize; 0], 2, |item| *item).is_empty());
    }
}
