//! A long random walk through the package's calls: no wrong answer, nothing unsettled, no growth. `cargo xtask soak` walks far, `cargo xtask test` a little.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use umedsam_webdriver::Page;

/// The most that memory may grow between the first rest and the last, in bytes.
const MOST_GROWTH: i64 = 1 << 20;

/// Memory when nothing is under way and no image is open, in bytes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// The page's JavaScript heap after a collection.
    heap: i64,
    /// The wasm instance of a network that lives through the whole walk.
    wasm: i64,
}

impl Memory {
    async fn read(page: &Page, state: &Value) -> Result<Self> {
        for _ in 0..3 {
            page.dev_tools("HeapProfiler.collectGarbage", json!({})).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let usage = page.dev_tools("Runtime.getHeapUsage", json!({})).await?;
        let heap = usage["usedSize"].as_f64().context("the heap's size")? as i64;
        Ok(Self { heap, wasm: state["memory"].as_f64().context("the network's memory")? as i64 })
    }
}

fn setting(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is {text}")),
        Err(_) => Ok(default),
    }
}

#[tokio::test]
#[ignore = "needs the page that cargo xtask soak makes"]
async fn a_long_walk_leaves_nothing_behind() -> Result<()> {
    let seed = setting("UMEDSAM_SOAK_SEED", 1)?;
    let segmentations = setting("UMEDSAM_SOAK_SEGMENTATIONS", 300)?;
    let subjects = setting("UMEDSAM_SOAK_SUBJECTS", 3)?;
    let query = format!("?seed={seed}&segmentations={segmentations}&subjects={subjects}");
    let page = Page::open(&query, 800, 600).await?;
    let result = walk(&page, Duration::from_secs(300 + segmentations)).await;
    let state = page.script("return window.soak?.state() ?? null").await;
    page.close().await?;
    if let (Err(_), Ok(state)) = (&result, state) {
        println!("{segmentations} segmentations from seed {seed}; the last steps:");
        for step in state["last"].as_array().into_iter().flatten() {
            println!("  {}", step.as_str().unwrap_or_default());
        }
    }
    result
}

async fn walk(page: &Page, limit: Duration) -> Result<()> {
    let start = Instant::now();
    let mut memory = Vec::new();
    page.wait_for("the walk", "return window.soak !== undefined", 20).await?;
    loop {
        let next = "const [done] = arguments; window.soak.next(15).then(done)";
        let state = page.driver.execute_async(next, Vec::new()).await?.json().clone();
        let seconds = start.elapsed().as_secs();
        ensure!(start.elapsed() < limit, "no end after {seconds} s: {state}");
        let [answered, known, steps] = ["answered", "known", "steps"].map(|name| state[name].as_u64().unwrap_or(0));
        println!(
            "{seconds} s: {answered} answers compared with {known} fresh ones, {steps} steps; {}",
            state["settled"]
        );
        match state["phase"].as_str() {
            Some("resting") => {
                memory.push(Memory::read(page, &state).await?);
                println!("{seconds} s: at rest {:?}", memory.last().context("a measure")?);
            }
            Some("done") => {
                let failures = state["failures"].as_array().context("failures")?;
                let told: Vec<&str> = failures.iter().filter_map(Value::as_str).collect();
                ensure!(told.is_empty(), "{}", told.join("\n"));
                return check(&memory);
            }
            None => bail!("the page tells {state}"),
            _ => {}
        }
    }
}

fn check(memory: &[Memory]) -> Result<()> {
    let (first, last) = (memory.first().context("a rest")?, memory.last().context("a rest")?);
    for (what, growth) in
        [("JavaScript's heap", last.heap - first.heap), ("the network's memory", last.wasm - first.wasm)]
    {
        println!("{what} grew by {growth} bytes");
        ensure!(growth <= MOST_GROWTH, "{what} grew by {growth} bytes: {memory:?}");
    }
    Ok(())
}
