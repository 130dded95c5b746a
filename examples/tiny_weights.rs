//! Writes a weight file of a small network that knows nothing, for tests that need speed instead of answers: `tiny_weights PATH`.

#[path = "../tests/support/tiny.rs"]
mod tiny;

use umedsam::model::Config;
use umedsam::weights::Precision;

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).expect("the path of the file to write");
    let config = Config { corrections: true, ..Config::tiny_student() };
    std::fs::write(path, tiny::weights(config, Precision::I8, Some(tiny::calibration()), 3))
}
