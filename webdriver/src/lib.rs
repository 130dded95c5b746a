//! A browser on the page, and what a person would do with it.

pub mod dicom;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use thirtyfour::common::command::{Command as DriverCommand, ExtensionCommand};
use thirtyfour::prelude::*;
use xtask::server::Server;

/// Chromium with the page open, and everything to take down afterwards.
pub struct Page {
    /// The browser.
    pub driver: WebDriver,
    /// The page's server.
    pub server: Server,
    downloads: PathBuf,
    screenshots: PathBuf,
    chromedriver: Child,
}

impl Page {
    /// Opens the page of `UMEDSAM_SITE` with a query such as `?device=cpu`.
    pub async fn open(query: &str, width: u32, height: u32) -> Result<Self> {
        let site = PathBuf::from(std::env::var("UMEDSAM_SITE").context("UMEDSAM_SITE is set by cargo xtask test")?);
        let server = match std::env::var_os("UMEDSAM_ISOLATED") {
            Some(_) => Server::start_isolated(&site, 0)?,
            None => Server::start(&site, 0)?,
        };
        Self::open_at(server, query, width, height).await
    }

    /// Opens a page of another server.
    pub async fn open_at(server: Server, query: &str, width: u32, height: u32) -> Result<Self> {
        let screenshots = PathBuf::from(std::env::var("UMEDSAM_SCREENSHOTS").unwrap_or_else(|_| "screenshots".into()));
        std::fs::create_dir_all(&screenshots)?;
        let downloads = std::env::temp_dir().join(format!("umedsam-downloads-{}", std::process::id()));
        std::fs::create_dir_all(&downloads)?;

        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".into());
        let chromedriver = Command::new(program)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver could not be started")?;
        let driver = connect(port, &downloads).await?;
        driver.set_window_rect(0, 0, width, height).await?;
        driver.goto(format!("http://{}/{query}", server.address())).await?;
        Ok(Self { driver, server, downloads, screenshots, chromedriver })
    }

    /// Runs JavaScript, whose `return` value comes back.
    pub async fn script(&self, script: &str) -> Result<Value> {
        Ok(self.driver.execute(script, Vec::new()).await?.json().clone())
    }

    /// The text of an element, or an empty string while it is hidden.
    pub async fn text(&self, id: &str) -> Result<String> {
        // A hidden element's innerText is its whole text.
        let script =
            format!("const found = document.getElementById('{id}'); return found.hidden ? '' : found.innerText");
        let value = self.script(&script).await?;
        Ok(value.as_str().unwrap_or_default().to_string())
    }

    /// Waits until a script returns true; an error on the page ends the wait early unless the script waits for it.
    pub async fn wait_for(&self, what: &str, script: &str, seconds: u64) -> Result<()> {
        let start = Instant::now();
        while self.script(script).await? != Value::Bool(true) {
            let error = self.text("error").await?;
            ensure!(error.is_empty() || script.contains("'error'"), "waiting for {what}: the page says {error:?}");
            if start.elapsed().as_secs() > seconds {
                self.screenshot("timeout").await?;
                bail!("waited {seconds} s for {what}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until every box has its result.
    pub async fn wait_for_results(&self, boxes: usize, seconds: u64) -> Result<()> {
        let script = format!(
            "const items = [...document.querySelectorAll('#objects small')];
             return items.length === {boxes} && items.every((item) => item.textContent.includes('unsure (over'))"
        );
        self.wait_for(&format!("{boxes} results"), &script, seconds).await
    }

    /// Waits until the image is encoded.
    pub async fn wait_until_encoded(&self, seconds: u64) -> Result<()> {
        let script = "return / m?s$/.test(document.getElementById('encode-time').textContent)
            && document.getElementById('progress').hidden";
        self.wait_for("the encoded image", script, seconds).await
    }

    /// Gives a file to the page's file button.
    pub async fn open_file(&self, path: &Path) -> Result<()> {
        self.driver.find(By::Id("file")).await?.send_keys(path.to_string_lossy()).await?;
        Ok(())
    }

    /// Opens a sample by its button and waits until it is shown, whatever was open before; says whether the site has it.
    pub async fn open_sample(&self, name: &str) -> Result<bool> {
        let script = format!(
            "const sample = [...document.querySelectorAll('#samples button')].find((button) => button.textContent === {name:?});
             if (sample !== undefined) document.getElementById('credit').textContent = '';
             sample?.click();
             return sample !== undefined"
        );
        if self.script(&script).await? != true {
            return Ok(false);
        }
        self.wait_for(name, "return document.getElementById('credit').textContent !== ''", 60).await?;
        Ok(true)
    }

    /// Where a pixel of the image is in the window.
    pub async fn window_position(&self, x: f64, y: f64) -> Result<(i64, i64)> {
        let script = format!(
            "const viewer = document.getElementById('viewer');
             const image = document.getElementById('image-layer');
             viewer.scrollIntoView({{ block: 'nearest' }});
             const frame = viewer.getBoundingClientRect();
             const scale = Math.min(viewer.clientWidth / image.width, viewer.clientHeight / image.height);
             return [
               frame.left + viewer.clientLeft + (viewer.clientWidth - image.width * scale) / 2 + {x} * scale,
               frame.top + viewer.clientTop + (viewer.clientHeight - image.height * scale) / 2 + {y} * scale,
             ]"
        );
        let position = self.script(&script).await?;
        let coordinate =
            |index: usize| position[index].as_f64().context("a position").map(|value| value.round() as i64);
        Ok((coordinate(0)?, coordinate(1)?))
    }

    /// Presses the mouse on one pixel of the image and lets go on another.
    pub async fn drag(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let from = self.window_position(from.0, from.1).await?;
        let to = self.window_position(to.0, to.1).await?;
        let middle = ((from.0 + to.0) / 2, (from.1 + to.1) / 2);
        self.driver
            .action_chain()
            .move_to(from.0, from.1)
            .click_and_hold()
            .move_to(middle.0, middle.1)
            .move_to(to.0, to.1)
            .release()
            .perform()
            .await?;
        Ok(())
    }

    /// Drags a finger between two places of the image.
    pub async fn touch_drag(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let from = self.window_position(from.0, from.1).await?;
        let to = self.window_position(to.0, to.1).await?;
        let middle = ((from.0 + to.0) / 2, (from.1 + to.1) / 2);
        self.touch("touchStart", &[from]).await?;
        self.touch("touchMove", &[middle]).await?;
        self.touch("touchMove", &[to]).await?;
        self.touch("touchEnd", &[]).await
    }

    /// Puts a finger on a place of the image, moves it a little, puts a second one beside it, and moves both apart.
    pub async fn pinch(&self, place: (f64, f64)) -> Result<()> {
        let (x, y) = self.window_position(place.0, place.1).await?;
        self.touch("touchStart", &[(x, y)]).await?;
        self.touch("touchMove", &[(x + 20, y + 20)]).await?;
        self.touch("touchStart", &[(x + 20, y + 20), (x + 60, y + 20)]).await?;
        for step in 1..5 {
            self.touch("touchMove", &[(x + 20 - 10 * step, y + 20), (x + 60 + 10 * step, y + 20)]).await?;
        }
        self.touch("touchEnd", &[(x - 20, y + 20)]).await?;
        self.touch("touchMove", &[(x - 60, y + 60)]).await?;
        self.touch("touchEnd", &[]).await
    }

    /// Tells of fingers at places of the window; `kind` is that of the browser's developer tools.
    pub async fn touch(&self, kind: &str, points: &[(i64, i64)]) -> Result<()> {
        let points: Vec<Value> =
            points.iter().enumerate().map(|(id, (x, y))| json!({ "x": x, "y": y, "id": id })).collect();
        self.dev_tools("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points })).await.map(drop)
    }

    /// Gives a command of the browser's developer tools, and returns their answer.
    pub async fn dev_tools(&self, command: &'static str, parameters: Value) -> Result<Value> {
        let command = DevTools { command, parameters };
        let answer = self.driver.handle().cmd(DriverCommand::ExtensionCommand(Box::new(command))).await?;
        Ok(answer.value_json()?)
    }

    /// Clicks an element.
    pub async fn click(&self, id: &str) -> Result<()> {
        let element = self.driver.find(By::Id(id)).await?;
        element.scroll_into_view().await?;
        element.click().await?;
        Ok(())
    }

    /// Chooses an option of a list.
    pub async fn choose(&self, id: &str, value: &str) -> Result<()> {
        let script = format!(
            "const list = document.getElementById({id:?}); list.value = {value:?}; list.dispatchEvent(new Event('change'))"
        );
        self.script(&script).await.map(drop)
    }

    /// Clicks a save button and returns the file it gives.
    pub async fn download(&self, button: &str, name: &str) -> Result<PathBuf> {
        std::fs::remove_file(self.downloads.join(name)).ok();
        self.click(button).await?;
        self.downloaded(name).await
    }

    /// Waits for a file that the page gives.
    pub async fn downloaded(&self, name: &str) -> Result<PathBuf> {
        let path = self.downloads.join(name);
        let start = Instant::now();
        while !path.exists() {
            ensure!(start.elapsed().as_secs() < 20, "{name} was not downloaded");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(path)
    }

    /// Keeps a picture of the window.
    pub async fn screenshot(&self, name: &str) -> Result<()> {
        self.driver.screenshot(&self.screenshots.join(format!("{name}.png"))).await?;
        Ok(())
    }

    /// The most memory that a page's process has held so far, in bytes, as Linux tells; the browser's spare process stays below.
    pub fn renderer_peak_bytes(&self) -> Option<u64> {
        let processes = std::fs::read_dir("/proc").ok()?.flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_ours = |id: u32| {
            let command = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            command.contains("--type=renderer")
                && std::iter::successors(Some(id), |&id| parent(id)).any(|id| id == self.chromedriver.id())
        };
        let peak = |id: u32| {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        ids.filter(|&id| is_ours(id)).filter_map(peak).max()
    }

    /// Messages of the browser's log of a kind (`browser` or `performance`) since the last call.
    pub async fn log(&self, kind: &str) -> Result<Vec<Value>> {
        let answer =
            self.driver.handle().cmd(DriverCommand::ExtensionCommand(Box::new(ReadLog(kind.to_string())))).await?;
        Ok(answer.value_json()?.as_array().cloned().unwrap_or_default())
    }

    /// Ends the browser.
    pub async fn close(mut self) -> Result<()> {
        self.driver.clone().quit().await?;
        self.chromedriver.kill()?;
        self.chromedriver.wait()?;
        std::fs::remove_dir_all(&self.downloads).ok();
        Ok(())
    }
}

/// The process that started another, on Linux.
fn parent(id: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok().filter(|&parent| parent > 1)
}

/// ChromeDriver's command for its logs.
#[derive(Debug)]
struct ReadLog(String);

impl ExtensionCommand for ReadLog {
    fn parameters_json(&self) -> Option<Value> {
        Some(json!({ "type": self.0 }))
    }

    fn method(&self) -> Method {
        Method::POST
    }

    fn endpoint(&self) -> Arc<str> {
        "/se/log".into()
    }
}

/// A command of the browser's developer tools.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl ExtensionCommand for DevTools {
    fn parameters_json(&self) -> Option<Value> {
        Some(json!({ "cmd": self.command, "params": self.parameters }))
    }

    fn method(&self) -> Method {
        Method::POST
    }

    fn endpoint(&self) -> Arc<str> {
        "/goog/cdp/execute".into()
    }
}

/// Emulated WebGL.
const WEBGL: [&str; 4] =
    ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"];

async fn connect(port: u16, downloads: &Path) -> Result<WebDriver> {
    let mut settings: Value = serde_json::from_str(include_str!("../webdriver.json"))?;
    settings["goog:chromeOptions"]["prefs"] = json!({
        "download.default_directory": downloads,
        "download.prompt_for_download": false,
    });
    settings["goog:loggingPrefs"] = json!({ "browser": "ALL", "performance": "ALL" });
    settings["browserName"] = json!("chrome");
    if std::env::var("UMEDSAM_BENCH_DEVICE").is_ok_and(|device| device == "gpu") {
        let arguments = settings["goog:chromeOptions"]["args"].as_array_mut().context("arguments")?;
        arguments.retain(|argument| argument != "--use-webgpu-adapter=swiftshader");
        // Headless Chromium on Linux looks for a GPU by Vulkan alone.
        arguments.push(json!("--enable-features=Vulkan"));
    }
    if std::env::var_os("UMEDSAM_WEBGL").is_some() {
        let arguments = settings["goog:chromeOptions"]["args"].as_array_mut().context("arguments")?;
        // Viewers draw with WebGL, which headless Chromium without a GPU emulates only if it is told to.
        arguments.extend(WEBGL.map(Value::from));
    }
    let settings = settings.as_object().context("webdriver.json is an object")?;
    let mut capabilities = Capabilities::new();
    for (key, value) in settings {
        capabilities.set(key.clone(), value.clone())?;
    }
    let url = format!("http://127.0.0.1:{port}");
    let start = Instant::now();
    loop {
        match WebDriver::new(&url, capabilities.clone()).await {
            Ok(driver) => return Ok(driver),
            Err(error) if start.elapsed().as_secs() > 30 => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
