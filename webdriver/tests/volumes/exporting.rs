//! How answers on slices become volumes, by hand-made answers.

use anyhow::{Result, ensure};
use serde_json::json;

use super::steps::with_page;

/// Answers of 2×2 pixels on a grid of 2×2×2 voxels: inside where the probability is above ½, and everywhere as unsure as they are probable.
const ANSWERS: &str = "
    const done = arguments[arguments.length - 1];
    const part = (name, color, axis, index, probability) => ({
      name, color, place: { axis, frame: 0, index },
      result: { mask: Uint8Array.from(probability, (value) => Number(value > 0.5)), probability, uncertainty: { total: probability } },
    });
    const parts = [
      part('liver', '#102030', 2, 0, [0.9, 0.6, 0, 0]),
      part('kidney', '#405060', 2, 0, [0.7, 0.8, 0.4, 0]),
      part('liver', '#ffffff', 2, 1, [0, 0, 0.75, 0]),
      part('vessel', '#000000', 0, 1, [0, 0, 0, 1]),
    ];
    // Pictures are mirrored left to right.
    const mirrored = { turnedBack: (values, into) => values.forEach((value, index) => { into[index ^ 1] = value }) ?? into };
    const plain = { size: [2, 2, 2], turn: () => undefined };
    const turned = { size: [2, 2, 2], turn: (axis) => (axis === 2 ? mirrored : undefined) };
    import(new URL('app/export/exports.js', location.href).href).then((made) => done({
      segments: made.segmentsOf(parts),
      plain: [...made.labelVolume(parts, plain)],
      turned: [...made.labelVolume(parts, turned)],
      probabilities: made.probabilityVolumes(parts, plain).map((volume) => [...volume]),
      map: [...made.mapVolume(parts, plain, 'total-uncertainty')].map((value) => Math.round(100 * value)),
    }), (error) => done({ error: String(error) }))";

#[tokio::test]
async fn the_most_probable_object_is_taken_and_names_join_slices() -> Result<()> {
    with_page(1280, "exporting", async |page| {
        let made = page.driver.execute_async(ANSWERS, Vec::new()).await?.json().clone();
        let expected = json!({
            "segments": [
                { "label": "liver", "color": [16, 32, 48] },
                { "label": "kidney", "color": [64, 80, 96] },
                { "label": "vessel", "color": [0, 0, 0] },
            ],
            // Liver and kidney share two voxels of the first slice; the vessel's slice lies across the columns.
            "plain": [1, 2, 0, 0, 0, 0, 1, 3],
            "turned": [2, 1, 0, 0, 0, 0, 0, 3],
            "probabilities": [[230, 153, 0, 0, 0, 0, 191, 0], [179, 204, 102, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 255]],
            "map": [90, 80, 40, 0, 0, 0, 75, 100],
        });
        ensure!(made == expected, "{made:#}");
        Ok(())
    })
    .await
}
