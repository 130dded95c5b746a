//! Memory that is asked for, under watch.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The system's allocator, which counts, and ends the process where something asks for more than a damaged file can be worth: an allocation that fails would end
/// it too, without a word of which file it was.
pub struct Watched;

const ABSURD: usize = 2 << 30;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CASE: AtomicU64 = AtomicU64::new(u64::MAX);

fn taken(size: usize) {
    if size > ABSURD {
        // Without allocations: digits from the last to the first.
        let mut text = *b"case                     asks for more than 2 GB at once\n";
        let mut case = CASE.load(Relaxed);
        for place in (5..25).rev() {
            text[place] = b'0' + (case % 10) as u8;
            case /= 10;
        }
        let _ = std::io::stderr().write_all(&text);
        std::process::abort();
    }
    let live = LIVE.fetch_add(size, Relaxed) + size;
    PEAK.fetch_max(live, Relaxed);
}

unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

/// What some work gives, and the most bytes that were held during it beyond those before.
pub fn watch<T>(case: u64, work: impl FnOnce() -> T) -> (T, usize) {
    CASE.store(case, Relaxed);
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let given = work();
    (given, PEAK.load(Relaxed).saturating_sub(before))
}
