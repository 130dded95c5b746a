//! Our own weights: trained, calibrated, measured, and described in their model cards.

use anyhow::Result;

mod litemedsam;
mod student;

/// The image encoder of the weights.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoder {
    /// LiteMedSAM's, frozen.
    Litemedsam,
    /// The light one, which learns from LiteMedSAM's: the default of page, package and command line.
    Student,
}

/// Begins and ends what is generated in the model cards.
const MARKS: [&str; 2] =
    ["<!-- made by cargo xtask own-weights -->\n", "<!-- end of what cargo xtask own-weights makes -->\n"];

/// Makes the weights and fills in their model card.
pub fn own_weights(encoder: Encoder) -> Result<()> {
    match encoder {
        Encoder::Litemedsam => litemedsam::own_weights(),
        Encoder::Student => student::own_weights(),
    }
}

/// Measures the weights that are there, and fills in their model card.
pub fn measure(encoder: Encoder) -> Result<()> {
    match encoder {
        Encoder::Litemedsam => litemedsam::measure(),
        Encoder::Student => student::measure(),
    }
}
