//! `umedsam train`: what it says, what it refuses, and what is left when it is stopped.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;
use umedsam::train::config::TrainConfig;
use umedsam::train::{BEST, CHECKPOINT, LOG};

use super::runs::{data, log, tiny_weights};

fn umedsam(arguments: &[&str]) -> Output {
    Command::cargo_bin("umedsam").unwrap().args(arguments).output().unwrap()
}

#[test]
fn the_command_line_trains_and_refuses() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let (weights, config, out) =
        (folder.path().join("tiny.safetensors"), folder.path().join("config.toml"), folder.path().join("run"));
    std::fs::write(&weights, tiny_weights()).unwrap();
    std::fs::write(&config, "steps = 2\n").unwrap();
    let arguments = [
        "train",
        "--config",
        &text(&config),
        "--weights",
        &text(&weights),
        "--data",
        &text(&data),
        "--out",
        &text(&out),
    ]
    .map(String::from);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = umedsam(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("images to train on") && said.contains("done after 2 steps"), "{said}");
    let info = umedsam(&["info", &text(&out.join(BEST))]);
    assert!(String::from_utf8_lossy(&info.stdout).contains("trained"));

    let defaults = umedsam(&["train", "--print-config"]);
    let printed = String::from_utf8_lossy(&defaults.stdout).into_owned();
    assert_eq!(TrainConfig::from_toml(&printed).unwrap(), TrainConfig::default());

    std::fs::write(&config, "learning_rate = 3\n").unwrap();
    let output = umedsam(&arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("learning_rate"), "{message}");
}

/// A disk that is full, played by a limit on the size of files: the checkpoint of the small network is larger.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_leaves_no_half_file() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let (weights, out) = (folder.path().join("tiny.safetensors"), folder.path().join("run"));
    std::fs::write(&weights, tiny_weights()).unwrap();
    let program = assert_cmd::cargo::cargo_bin("umedsam");
    let script = format!(
        "trap '' XFSZ; ulimit -f 80; exec '{}' train --weights '{}' --data '{}' --out '{}'",
        program.display(),
        weights.display(),
        data.display(),
        out.display()
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("error [file]"), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    assert!(!out.join(CHECKPOINT).exists() && !out.join("checkpoint.safetensors.partial").exists());
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_the_same_command_goes_on() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let (weights, config, out) =
        (folder.path().join("tiny.safetensors"), folder.path().join("config.toml"), folder.path().join("run"));
    std::fs::write(&weights, tiny_weights()).unwrap();
    std::fs::write(&config, "steps = 1000000\ncheckpoint_every = 1000000\n").unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("umedsam"));
    command.arg("train").arg("--config").arg(&config).arg("--weights").arg(&weights);
    command.arg("--data").arg(&data).arg("--out").arg(&out).stdout(std::process::Stdio::piped());
    let interrupted = |command: &mut std::process::Command, lines: usize| {
        let mut child = command.spawn().unwrap();
        let steps = || std::fs::read_to_string(out.join(LOG)).map_or(0, |log| log.lines().count());
        while steps() < lines {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        // SAFETY: it sends a signal to a process of our own that has not been waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let said = interrupted(&mut command, 4);
    assert!(said.contains("stopped after") && out.join(CHECKPOINT).exists(), "{said}");
    let done = log(&out).len();
    let said = interrupted(&mut command, done + 2);
    assert!(said.contains("going on after step") && log(&out).len() > done, "{said}");
}
