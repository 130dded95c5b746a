//! The package as bundlers build it: `cargo xtask package` builds, this opens each.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use umedsam_webdriver::Page;
use xtask::server::Server;

/// What `webdriver/builds/next/next.config.mjs` has as its assets' address.
const NEXT_ASSETS: &str = "http://assets.invalid:9";

/// Replaces a text in all text files of a folder.
fn replace_in_all(folder: &std::path::Path, from: &str, to: &str) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            replace_in_all(&path, from, to)?;
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && text.contains(from)
        {
            std::fs::write(&path, text.replace(from, to))?;
        }
    }
    Ok(())
}

const IS_DONE: &str = "return document.getElementById('report')?.textContent !== 'running'";

fn builds() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var("UMEDSAM_BUILDS").context("UMEDSAM_BUILDS is set by cargo xtask package")?))
}

fn is_disc(text: &str) -> bool {
    let disc = std::f64::consts::PI * 20.0 * 20.0;
    text.parse::<f64>().is_ok_and(|area| (area / disc - 1.0).abs() < 0.1)
}

/// A development server, until it is dropped.
struct DevelopmentServer(std::process::Child);

impl Drop for DevelopmentServer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What a page of Vite's development server says.
async fn developed(arguments: &[&str]) -> Result<String> {
    let folder = builds()?;
    let folder = folder.parent().context("a folder")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let server = std::process::Command::new("node")
        .args(["node_modules/vite/bin/vite.js", "--host", "127.0.0.1", "--strictPort", "--force", "--port"])
        .arg(port.to_string())
        .args(arguments)
        .current_dir(folder)
        .spawn()?;
    let _server = DevelopmentServer(server);
    let page = Page::open_at(Server::start(folder, 0)?, "package.json", 600, 400).await?;
    let mut opened = false;
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            page.driver.goto(format!("http://127.0.0.1:{port}/")).await?;
            opened = true;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    ensure!(opened, "Vite's development server does not answer");
    let done = page.wait_for("the report", IS_DONE, 60).await;
    let text = page.script("return document.getElementById('report')?.textContent").await?;
    page.close().await?;
    done?;
    Ok(text.as_str().unwrap_or_default().to_string())
}

#[tokio::test]
#[ignore = "needs the builds that cargo xtask package makes"]
async fn vites_development_server_segments_or_says_what_to_add() -> Result<()> {
    let plain = developed(&[]).await?;
    println!("Vite's development server: {plain}");
    ensure!(is_disc(&plain) || plain.contains(r#"optimizeDeps: { exclude: ["umedsam"] }"#), "{plain}");
    let excluded = developed(&["--config", "excluded.config.js"]).await?;
    println!("Vite's development server with the package excluded: {excluded}");
    ensure!(is_disc(&excluded), "{excluded}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the builds that cargo xtask package makes"]
async fn every_bundlers_page_segments() -> Result<()> {
    let folder = builds()?;
    let mut names: Vec<String> =
        std::fs::read_dir(&folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    ensure!(!names.is_empty(), "there are no builds");
    let mut failures = Vec::new();
    for name in names {
        let site = folder.join(&name);
        // Next's assets are on another origin, whose address is known only now.
        let assets = if name == "next" { Some(Server::start_open(&site, 0)?) } else { None };
        if let Some(assets) = &assets {
            replace_in_all(&site, NEXT_ASSETS, &format!("http://{}", assets.address()))?;
        }
        // Parcel and Next write scripts into the page.
        let server =
            if name == "parcel" || name == "next" { Server::start_open(&site, 0)? } else { Server::start(&site, 0)? };
        let page = Page::open_at(server, "", 600, 400).await?;
        let done = page.wait_for("the report", IS_DONE, 60).await;
        let text = page.script("return document.getElementById('report').textContent").await?;
        let log = page.log("browser").await;
        page.close().await?;
        let text = text.as_str().unwrap_or_default();
        println!("{name}: {text}");
        if done.is_err() || !is_disc(text) {
            failures.push(format!("{name}: {text}; browser log: {log:?}"));
        }
    }
    ensure!(failures.is_empty(), "{failures:#?}");
    Ok(())
}
