//! umedsam beside onnxruntime-web: `cargo xtask bench` makes the page, this opens it in turn and sums up.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use umedsam_webdriver::Page;

/// Seconds that a page may take.
const LIMIT: u64 = 600;
/// What a first visit measures, in ms and bytes.
const FRESH: [&str; 4] = ["load", "encode_first", "first_mask", "peak_memory"];
const WARM: [&str; 4] = ["encode", "decode_1", "decode_16", "uncertainty_8"];

async fn report(query: &str) -> Result<Value> {
    let page = Page::open(query, 800, 600).await?;
    let result = async {
        page.wait_for("the report", "return document.getElementById('report').textContent !== 'running'", LIMIT)
            .await?;
        let text = page.script("return document.getElementById('report').textContent").await?;
        Ok(serde_json::from_str(text.as_str().context("a text")?)?)
    }
    .await;
    page.close().await?;
    result
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{least:.0}–{most:.0}")
}

#[tokio::test]
#[ignore = "needs the page that cargo xtask bench makes"]
async fn beside_onnxruntime_web() -> Result<()> {
    let rounds: usize = std::env::var("UMEDSAM_BENCH_ROUNDS").map_or(5, |text| text.parse().expect("a number"));
    let mut rows = Vec::new();
    let mut times: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for engine in ["umedsam", "ort"] {
            let visit = report(&format!("?mode=fresh&engine={engine}")).await?;
            for measure in FRESH {
                let value = visit[measure].as_f64().with_context(|| format!("{measure} in {visit}"))?;
                times.entry((measure, engine)).or_default().push(value);
            }
        }
    }
    println!("{:<15}{:>8}{:>12}{:>16}{:>12}{:>16}{:>8}", "measure", "threads", "umedsam", "", "ort", "", "ratio");
    for measure in FRESH {
        rows.push(row(measure, 1, &times[&(measure, "umedsam")], &times[&(measure, "ort")]));
    }
    for threads in [1, 2] {
        let warm = report(&format!("?mode=warm&rounds={rounds}&threads={threads}")).await?;
        for measure in WARM {
            let of = |engine: &str| numbers(&warm["times"][measure][engine]);
            rows.push(row(measure, threads, &of("umedsam"), &of("ort")));
        }
        let agreement = &warm["agreement"];
        println!("masks agree with a DSC of {} or more, predicted IoU within {}", agreement["dsc"], agreement["iou"]);
        ensure!(agreement["dsc"].as_f64().is_some_and(|dsc| dsc > 0.99), "the engines' masks differ: {agreement}");
        ensure!(agreement["iou"].as_f64().is_some_and(|iou| iou < 0.02), "the engines' IoU differ: {agreement}");
    }
    if let Ok(path) = std::env::var("UMEDSAM_BENCH_JSON") {
        std::fs::write(path, format!("{:#}\n", json!({ "rows": rows })))?;
    }
    Ok(())
}

/// Prints a row of the table and returns it as JSON. umedsam's times are of one thread always.
fn row(measure: &str, threads: usize, umedsam: &[f64], ort: &[f64]) -> Value {
    let scale = if measure == "peak_memory" { f64::from(1 << 20) } else { 1.0 };
    let scaled = |values: &[f64]| values.iter().map(|value| value / scale).collect::<Vec<_>>();
    let ratio = median(umedsam) / median(ort);
    println!(
        "{measure:<15}{threads:>8}{:>12.1}{:>16}{:>12.1}{:>16}{ratio:>8.2}",
        median(umedsam) / scale,
        spread(&scaled(umedsam)),
        median(ort) / scale,
        spread(&scaled(ort)),
    );
    json!({
        "measure": measure, "device": "cpu", "threads": threads,
        "umedsam": median(umedsam), "ort": median(ort), "ratio": ratio,
    })
}
