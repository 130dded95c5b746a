//! The command line.

mod average;
mod calibrate;
mod convert;
mod eval;
mod info;
mod pictures;
mod prompt;
mod segment;
mod shift_alarm;
#[cfg(feature = "train")]
mod student;
#[cfg(feature = "train")]
mod train;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Uncertainty-aware medical image segmentation. Research software, not a medical device.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Convert a LiteMedSAM checkpoint (.pth) to umedsam weights (.safetensors)
    Convert(convert::Arguments),
    /// Say what a weight file holds
    Info(info::Arguments),
    /// Segment objects of an image by boxes, points, scribbles and earlier masks
    Segment(segment::Arguments),
    /// Measure masks and uncertainty on a folder of challenge cases
    Eval(eval::Arguments),
    /// Learn probabilities that hold, guarantees and expected DSC from a folder of challenge cases
    Calibrate(calibrate::Arguments),
    /// Teach calibrated weights what images are familiar, so that nothing is promised of others
    ShiftAlarm(shift_alarm::Arguments),
    /// Make the mean of weight files of one network
    Average(average::Arguments),
    /// Begin a light image encoder, to be trained with a teacher
    #[cfg(feature = "train")]
    Student(student::Arguments),
    /// Train on a folder of challenge cases
    #[cfg(feature = "train")]
    Train(train::Arguments),
}

/// Keeps freed memory for the next tensor: by default glibc gives every large one back to the system and asks for it again, which takes a
/// quarter of an encode.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the options are documented for this function, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
    }
}

/// Ends the program quietly where nobody reads its output any more, as in `umedsam info | head -1`.
fn end_with_the_pipe() {
    #[cfg(unix)]
    // SAFETY: the default handling replaces Rust's, which ignores the signal; no other thread runs yet.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

fn main() -> ExitCode {
    keep_freed_memory();
    end_with_the_pipe();
    let result = match Cli::parse().command {
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::Segment(arguments) => segment::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::ShiftAlarm(arguments) => shift_alarm::run(&arguments),
        Command::Average(arguments) => average::run(&arguments),
        #[cfg(feature = "train")]
        Command::Student(arguments) => student::run(&arguments),
        #[cfg(feature = "train")]
        Command::Train(arguments) => train::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error [{}]: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}
