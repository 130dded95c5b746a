//! In which order items come, and what was read last.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rand::RngExt;
use rand::rngs::StdRng;

use super::set::{Item, read};
use crate::data::ChallengeCase;
use crate::error::Result;
use crate::random::SplitMix64;

/// What was read or computed last.
#[derive(Default)]
pub(super) struct Recent {
    /// Volumes, whose slices would each read the whole file.
    volumes: Mutex<Vec<(std::path::PathBuf, Arc<ChallengeCase>)>>,
    /// Orders of passes.
    orders: Mutex<Vec<(u64, Arc<Vec<usize>>)>>,
}

/// Volumes kept in memory.
const RECENT_VOLUMES: usize = 4;

impl Recent {
    pub fn case(&self, path: &Path) -> Result<Arc<ChallengeCase>> {
        let volumes = || self.volumes.lock().expect("no panics while looking");
        if let Some((_, case)) = volumes().iter().find(|(other, _)| other == path) {
            return Ok(case.clone());
        }
        let case = Arc::new(read(path)?);
        if case.depth > 1 {
            let mut volumes = volumes();
            volumes.truncate(RECENT_VOLUMES - 1);
            volumes.insert(0, (path.to_path_buf(), case.clone()));
        }
        Ok(case)
    }

    pub fn order(&self, epoch: u64, make: impl FnOnce() -> Vec<usize>) -> Arc<Vec<usize>> {
        let mut orders = self.orders.lock().expect("no panics while shuffling");
        if let Some((_, order)) = orders.iter().find(|(other, _)| *other == epoch) {
            return order.clone();
        }
        let order = Arc::new(make());
        orders.truncate(1);
        orders.insert(0, (epoch, order.clone()));
        order
    }
}

/// The items of a pass, as many as there are: an item of a dataset of n images comes in proportion to `n^−balance`, so that at 1 every dataset comes equally often.
pub(super) fn balanced(items: &[Item], balance: f64, random: &mut StdRng) -> Vec<usize> {
    let dataset = |item: &Item| (item.case.modality.clone(), item.case.dataset.clone());
    let mut sizes = HashMap::new();
    items.iter().for_each(|item| *sizes.entry(dataset(item)).or_insert(0usize) += 1);
    let weights: Vec<f64> = items.iter().map(|item| (sizes[&dataset(item)] as f64).powf(-balance)).collect();
    let step = weights.iter().sum::<f64>() / items.len() as f64;
    // At even distances along the weights, so that nothing comes more than once too often or too seldom.
    let (mut next, mut sum) = (random.random_range(0.0..1.0) * step, 0.0);
    let mut order = Vec::with_capacity(items.len());
    for (index, weight) in weights.iter().enumerate() {
        sum += weight;
        while next < sum && order.len() < items.len() {
            order.push(index);
            next += step;
        }
    }
    // Where rounding lost the last.
    order.resize(items.len(), items.len() - 1);
    order
}

/// A seed of its own for every position.
pub(super) fn mixed(seed: u64, position: u64) -> u64 {
    SplitMix64::new(SplitMix64::new(seed).next().wrapping_add(position)).next()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::set::tests::item;
    use super::*;

    #[test]
    fn small_datasets_come_more_often_where_they_are_to() {
        let items: Vec<Item> = [("a", 90), ("b", 10)]
            .into_iter()
            .flat_map(|(dataset, count)| (0..count).map(move |number| item(dataset, number)))
            .collect();
        for (balance, expected) in [(0.0, 10), (0.5, 25), (1.0, 50)] {
            let order = balanced(&items, balance, &mut StdRng::seed_from_u64(5));
            assert_eq!(order.len(), 100);
            let of_b = order.iter().filter(|index| items[**index].case.dataset == "b").count();
            assert!(of_b.abs_diff(expected) <= 1, "{of_b} instead of {expected}");
        }
        let every: Vec<usize> = balanced(&items, 0.0, &mut StdRng::seed_from_u64(6));
        assert_eq!(every, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn positions_have_seeds_of_their_own() {
        let seeds: std::collections::HashSet<u64> =
            (0..4).flat_map(|seed| (0..100).map(move |position| mixed(seed, position))).collect();
        assert_eq!(seeds.len(), 400);
        assert_eq!(mixed(1, 2), mixed(1, 2));
    }
}
