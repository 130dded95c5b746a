//! The package as bundlers build it: `cargo xtask package` builds, this opens each.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use umedsam_webdriver::Page;
use xtask::server::Server;

#[tokio::test]
#[ignore = "needs the builds that cargo xtask package makes"]
async fn every_bundlers_page_segments() -> Result<()> {
    let folder =
        PathBuf::from(std::env::var("UMEDSAM_BUILDS").context("UMEDSAM_BUILDS is set by cargo xtask package")?);
    let mut names: Vec<String> =
        std::fs::read_dir(&folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    ensure!(!names.is_empty(), "there are no builds");
    let mut failures = Vec::new();
    for name in names {
        let site = folder.join(&name);
        // Parcel writes a script into the page.
        let server = if name == "parcel" { Server::start_open(&site, 0)? } else { Server::start(&site, 0)? };
        let page = Page::open_at(server, "", 600, 400).await?;
        let done =
            page.wait_for("the report", "return document.getElementById('report').textContent !== 'running'", 60).await;
        let text = page.script("return document.getElementById('report').textContent").await?;
        let log = page.log("browser").await;
        page.close().await?;
        let text = text.as_str().unwrap_or_default();
        println!("{name}: {text}");
        let disc = std::f64::consts::PI * 20.0 * 20.0;
        let is_disc = text.parse::<f64>().is_ok_and(|area| (area / disc - 1.0).abs() < 0.1);
        if done.is_err() || !is_disc {
            failures.push(format!("{name}: {text}; browser log: {log:?}"));
        }
    }
    ensure!(failures.is_empty(), "{failures:#?}");
    Ok(())
}
