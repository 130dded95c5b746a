//! How sure a whole mask is.

/// How well the mask agrees with the probabilities and with the ensemble's members: what an expected DSC is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// `2 Σ_mask p / (|mask| + Σ p)`, 0–1: the DSC that the probabilities predict.
    pub soft_dice: f64,
    /// Mean DSC of the other members' masks with the mask, 0–1; 1 without other members.
    pub member_dice: f64,
    /// DSC that belongs to the network's predicted IoU: `2 IoU / (1 + IoU)`, IoU clipped to 0–1.
    pub predicted_dice: f64,
}
