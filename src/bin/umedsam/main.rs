//! The command line.

mod convert;
mod info;
mod segment;

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
    /// Segment what is in each box of an image
    Segment(segment::Arguments),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::Segment(arguments) => segment::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error [{}]: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}
