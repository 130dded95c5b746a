//! umedsam beside onnxruntime-web: `cargo xtask bench` makes the page, this opens it in turn and sums up.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use umedsam_webdriver::Page;

/// Seconds that a page may take; an emulated GPU needs minutes for an encode.
const LIMIT: u64 = 3000;
/// What a first visit measures, in ms and bytes.
const FRESH: [&str; 5] = ["load", "encode_first", "first_mask", "visit_to_mask", "peak_memory"];
const ENCODERS: [&str; 2] = ["litemedsam", "student"];
const WARM: [&str; 5] = ["encode", "decode_1", "correct_1", "decode_16", "uncertainty_8"];

/// Where the networks run.
#[derive(Clone, Copy, PartialEq)]
enum Device {
    Cpu,
    WebGpu,
}

impl Device {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::WebGpu => "webgpu",
        }
    }
}

async fn report(query: &str) -> Result<Value> {
    let page = Page::open(query, 800, 600).await?;
    let result = async {
        page.wait_for("the report", "return document.getElementById('report').textContent !== 'running'", LIMIT)
            .await?;
        let text = page.script("return document.getElementById('report').textContent").await?;
        let mut report: Value = serde_json::from_str(text.as_str().context("a text")?)?;
        if let (Some(report), Some(bytes)) = (report.as_object_mut(), page.renderer_peak_bytes()) {
            report.insert("process_memory".into(), bytes.into());
        }
        Ok(report)
    }
    .await;
    page.close().await?;
    result
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// NaN, which JSON has as null, where nothing was measured.
fn median(values: &[f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

fn spread(values: &[f64]) -> String {
    if values.is_empty() {
        return String::new();
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{least:.0}–{most:.0}")
}

#[tokio::test]
#[ignore = "needs the page that cargo xtask bench makes"]
async fn beside_onnxruntime_web() -> Result<()> {
    let rounds: usize = std::env::var("UMEDSAM_BENCH_ROUNDS").map_or(5, |text| text.parse().expect("a number"));
    let device = std::env::var("UMEDSAM_BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    let mut answer = match device.as_str() {
        "cpu" => on_cpu(rounds).await?,
        "gpu" => on_gpu(rounds, true).await?,
        "emulated" => on_gpu(rounds, false).await?,
        other => bail!("UMEDSAM_BENCH_DEVICE is {other}; use cpu, gpu or emulated"),
    };
    answer["umedsam_threads"] = json!(1);
    if let Ok(path) = std::env::var("UMEDSAM_BENCH_JSON") {
        std::fs::write(path, format!("{answer:#}\n"))?;
    }
    Ok(())
}

async fn on_cpu(rounds: usize) -> Result<Value> {
    heading();
    let mut rows = first_visits(Device::Cpu, rounds, "").await?;
    for encoder in ENCODERS {
        for threads in [1, 2] {
            rows.extend(warm(Device::Cpu, rounds, threads, encoder, "").await?);
        }
    }
    println!("umedsam's module without relaxed SIMD:");
    let mut fixed_width_rows = Vec::new();
    for encoder in ENCODERS {
        fixed_width_rows.extend(warm(Device::Cpu, rounds, 1, encoder, "&module=umedsam_bg.wasm").await?);
    }
    Ok(json!({ "rows": rows, "fixed_width_rows": fixed_width_rows }))
}

async fn on_gpu(rounds: usize, real: bool) -> Result<Value> {
    let adapter = report("?mode=adapter").await?;
    ensure!(!adapter.is_null(), "the browser has no WebGPU adapter");
    ensure!(!real || adapter["real"] == true, "no real GPU here, but {}; --emulated times that", adapter["name"]);
    println!("WebGPU on {}", adapter["name"]);
    heading();
    let extra = if real { "" } else { "&brief" };
    let mut rows = first_visits(Device::WebGpu, rounds, extra).await?;
    for encoder in ENCODERS {
        rows.extend(warm(Device::WebGpu, rounds, 1, encoder, extra).await?);
    }
    Ok(json!({ "rows": rows, "adapter": adapter }))
}

fn heading() {
    println!(
        "{:<12}{:<15}{:>8}{:>12}{:>16}{:>12}{:>16}{:>8}{:>18}",
        "encoder", "measure", "threads", "umedsam", "", "ort", "", "ratio", "to ort's LiteMedSAM"
    );
}

/// A new browser each time, the engines and networks in turn. Returns the rows, the most memory that the pages' processes held among them, where the system tells.
async fn first_visits(device: Device, rounds: usize, extra: &str) -> Result<Vec<Value>> {
    let mut times: BTreeMap<(&str, &str, &str), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for encoder in ENCODERS {
            for engine in ["umedsam", "ort"] {
                let query = format!("?mode=fresh&engine={engine}&encoder={encoder}&device={}{extra}", device.name());
                let visit = report(&query).await?;
                for measure in FRESH {
                    let value = visit[measure].as_f64().with_context(|| format!("{measure} in {visit}"))?;
                    times.entry((encoder, measure, engine)).or_default().push(value);
                }
                if let Some(bytes) = visit["process_memory"].as_f64() {
                    times.entry((encoder, "process_memory", engine)).or_default().push(bytes);
                }
            }
        }
    }
    let of = |encoder, measure, engine| times.get(&(encoder, measure, engine)).map_or(&[][..], Vec::as_slice);
    let measures = || FRESH.into_iter().chain(["process_memory"]);
    let rows = ENCODERS.into_iter().flat_map(|encoder| measures().map(move |measure| (encoder, measure)));
    let rows = rows.filter(|&(encoder, measure)| {
        ["umedsam", "ort"].into_iter().all(|engine| !of(encoder, measure, engine).is_empty())
    });
    Ok(rows
        .map(|(encoder, measure)| {
            let litemedsam = (encoder != "litemedsam").then(|| of("litemedsam", measure, "ort"));
            let [umedsam, ort] = ["umedsam", "ort"].map(|engine| of(encoder, measure, engine));
            Row { device, encoder, measure, threads: 1, umedsam, ort, ort_litemedsam: litemedsam }.print()
        })
        .collect())
}

/// Both engines in one page, in turn; their masks must agree.
async fn warm(device: Device, rounds: usize, threads: usize, encoder: &str, extra: &str) -> Result<Vec<Value>> {
    let query =
        format!("?mode=warm&rounds={rounds}&threads={threads}&encoder={encoder}&device={}{extra}", device.name());
    let warm = report(&query).await?;
    let measured = WARM.into_iter().filter(|measure| warm["times"][measure].is_object());
    let rows = measured.map(|measure| {
        let of = |engine: &str| numbers(&warm["times"][measure][engine]);
        let litemedsam = of("ort_litemedsam");
        let ort_litemedsam = (!litemedsam.is_empty()).then_some(&litemedsam[..]);
        Row { device, encoder, measure, threads, umedsam: &of("umedsam"), ort: &of("ort"), ort_litemedsam }.print()
    });
    let rows: Vec<Value> = rows.collect();
    let agreement = &warm["agreement"];
    println!("masks agree with a DSC of {} or more, predicted IoU within {}", agreement["dsc"], agreement["iou"]);
    ensure!(agreement["dsc"].as_f64().is_some_and(|dsc| dsc > 0.99), "the engines' masks differ: {agreement}");
    ensure!(agreement["iou"].as_f64().is_some_and(|iou| iou < 0.02), "the engines' IoU differ: {agreement}");
    Ok(rows)
}

/// A row of the table. The threads are onnxruntime-web's; umedsam has one always.
struct Row<'a> {
    device: Device,
    encoder: &'a str,
    measure: &'a str,
    threads: usize,
    umedsam: &'a [f64],
    ort: &'a [f64],
    /// onnxruntime-web with LiteMedSAM, where the network is another.
    ort_litemedsam: Option<&'a [f64]>,
}

impl Row<'_> {
    /// Prints it and returns it as JSON.
    fn print(&self) -> Value {
        let Self { device, encoder, measure, threads, umedsam, ort, .. } = *self;
        let scale = if measure.ends_with("memory") { f64::from(1 << 20) } else { 1.0 };
        let scaled = |values: &[f64]| values.iter().map(|value| value / scale).collect::<Vec<_>>();
        let ratio = median(umedsam) / median(ort);
        let to_litemedsam = self.ort_litemedsam.map(|times| median(umedsam) / median(times));
        println!(
            "{encoder:<12}{measure:<15}{threads:>8}{:>12.1}{:>16}{:>12.1}{:>16}{ratio:>8.2}{:>18}",
            median(umedsam) / scale,
            spread(&scaled(umedsam)),
            median(ort) / scale,
            spread(&scaled(ort)),
            to_litemedsam.map_or_else(String::new, |ratio| format!("{ratio:.3}")),
        );
        json!({
            "measure": measure, "encoder": encoder, "device": device.name(), "threads": threads,
            "umedsam": median(umedsam), "ort": median(ort), "ratio": ratio,
            "ort_litemedsam": self.ort_litemedsam.map(median), "ratio_to_ort_litemedsam": to_litemedsam,
        })
    }
}
