//! The command line on an image of more than a hundred million pixels. Minutes: `cargo test --test large -- --ignored`.
#![cfg(not(target_family = "wasm"))]

use std::process::{Command, Stdio};
use std::time::Duration;

use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// The most that a process has held so far, in bytes, as Linux tells.
fn peak_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[test]
#[ignore = "takes minutes and 3 GB"]
fn ten_boxes_of_a_huge_image_stay_below_three_gigabytes() {
    let folder = TempDir::new().unwrap();
    let (width, height) = (12_000, 9_000);
    let picture = folder.path().join("huge.png");
    let colour = |x: u32, y: u32| Rgb([(x / 50 % 200) as u8, (y / 40 % 200) as u8, ((x + y) / 90 % 200) as u8]);
    RgbImage::from_fn(width, height, colour).save(&picture).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_umedsam"));
    command.arg("segment").arg("--image").arg(&picture);
    for number in 0..10 {
        let (x, y) = (500 + 1000 * number, 400 + 700 * number);
        command.arg("--box").arg(format!("{x},{y},{},{}", x + 1800, y + 1500));
    }
    command.arg("--out-dir").arg(folder.path().join("out")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_bytes(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
    assert!(folder.path().join("out/mask_9.png").exists());
    println!("{peak} bytes at most");
    assert!(peak < 3_000_000_000, "{peak} bytes");
}
