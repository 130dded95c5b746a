//! Every way in which a volume can be stored.

use std::f64::consts::PI;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use umedsam_webdriver::Page;

use crate::steps::{PLANES, Place, answered, drag, resized, run, same_as_the_package, start, with_page};

/// Sizes of the RAS axes.
const SIZE: [f64; 3] = [48.0, 40.0, 32.0];

const LOW: Place = [0.32, 0.18, 0.3];
const HIGH: Place = [0.8, 0.64, 0.82];

/// A box of RAS shares in the picture as radiologists look at it.
fn picture_box(plane: usize) -> [f64; 4] {
    let [across, down] = [[0, 1], [0, 2], [1, 2]][plane];
    let side = |axis: usize, share: f64| (1.0 - share) * SIZE[axis];
    [side(across, HIGH[across]), side(down, HIGH[down]), side(across, LOW[across]), side(down, LOW[down])]
}

/// A box drawn in a plane is the same as in the package, and lies where the person drew it.
async fn drawn_in(page: &Page, plane: usize, what: &str) -> Result<Value> {
    answered(page, async || drag(page, plane, LOW, HIGH).await).await?;
    let found = same_as_the_package(page, what, "").await?;
    ensure!(found["place"]["plane"] == PLANES[plane].1, "{what}: {found}");
    for (index, expected) in picture_box(plane).into_iter().enumerate() {
        let side = found["box"][index].as_f64().context("a box")?;
        ensure!((side - expected).abs() < 0.5, "{what}: side {index} of the box is {side}, {expected} was drawn");
    }
    page.script("connection.reject()").await?;
    Ok(found)
}

/// Without what only takes time.
fn quick() -> Value {
    json!({ "preEncode": false, "overlay": "none", "uncertainty": { "samples": 0 } })
}

#[tokio::test]
async fn labels_are_right_in_all_48_orientations() -> Result<()> {
    with_page(640, "orientations", async |page| {
        resized(page, 240).await?;
        page.script("encodeOnce()").await?;
        let mut areas = [0, 0, 0];
        let mut done = 0;
        for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for flips in 0..8 {
                let flips = [flips & 1, flips >> 1 & 1, flips >> 2 & 1];
                start(page, json!({ "axes": axes, "flips": flips }), quick()).await?;
                for (plane, name) in PLANES {
                    let found = drawn_in(page, plane, &format!("axes {axes:?}, flipped {flips:?}, {name}")).await?;
                    // The same image through other files: the same mask.
                    let area = found["area"].as_u64().context("an area")?;
                    ensure!(
                        areas[plane] == 0 || areas[plane] == area,
                        "{name}: {area} voxels, {} before",
                        areas[plane]
                    );
                    areas[plane] = area;
                    done += 1;
                }
            }
        }
        eprintln!("{done} masks, {areas:?} voxels");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn spacings_scales_frames_and_oblique_grids() -> Result<()> {
    with_page(640, "grids", async |page| {
        resized(page, 480).await?;
        let volumes = [
            json!({ "spacing": [0.7, 2.1, 3.3], "flips": [1, 1, 0] }),
            json!({ "slope": 0.25, "intercept": -300 }),
            json!({ "colors": true, "axes": [0, 2, 1] }),
            json!({ "oblique": PI / 9.0, "axes": [1, 2, 0], "flips": [0, 1, 1] }),
        ];
        for volume in volumes {
            start(page, volume.clone(), quick()).await?;
            for (plane, name) in PLANES {
                drawn_in(page, plane, &format!("{volume} {name}")).await?;
            }
        }

        // The frame in view; a mask of another one is not seen.
        start(page, json!({ "frames": 3, "flips": [1, 0, 0] }), quick()).await?;
        let first = drawn_in(page, 0, "the first frame").await?;
        page.script("nv.setFrame4D(nv.volumes[0].id, 2)").await?;
        answered(page, async || drag(page, 0, LOW, HIGH).await).await?;
        let third = same_as_the_package(page, "the third frame", "").await?;
        ensure!(third["place"]["frame"] == 2 && third["area"] != first["area"], "{first} and {third}");
        page.script("nv.setFrame4D(nv.volumes[0].id, 1); connection.accept()").await?;
        ensure!(page.script("return drawn()").await? == json!({}), "a mask of the third frame is seen on the second");
        page.script("nv.setFrame4D(nv.volumes[0].id, 2)").await?;
        same_as_the_package(page, "the third frame again", "").await?;
        let overlay =
            json!({ "preEncode": false, "overlay": "none", "target": "overlay", "uncertainty": { "samples": 0 } });
        start(page, json!({ "frames": 3, "flips": [1, 0, 0] }), overlay).await?;
        page.script("nv.setFrame4D(nv.volumes[0].id, 1)").await?;
        answered(page, async || drag(page, 0, LOW, HIGH).await).await?;
        same_as_the_package(page, "the second frame, in an overlay", "1").await?;

        // Another volume on the same grid; one on another grid is refused.
        start(page, json!({ "flips": [0, 1, 0] }), quick()).await?;
        let second = "window.file = makeNifti({ flips: [0, 1, 0], slope: 2, intercept: 50 });
             nv.addVolume(await NVImage.loadFromUrl({ url: file.slice(), name: 'second.nii' }));
             connection.dispose();
             connectAgain({ volume: 1, preEncode: false, overlay: 'none', uncertainty: { samples: 0 } });
             window.imageIndex = 1";
        run(page, second).await?;
        drawn_in(page, 2, "the second volume").await?;
        let other = "nv.removeVolume(nv.volumes[1]);
             nv.addVolume(await NVImage.loadFromUrl({ url: makeNifti({ size: [20, 20, 20] }), name: 'other.nii' }));
             window.imageIndex = 0";
        run(page, other).await?;
        answered(page, async || drag(page, 2, LOW, HIGH).await).await?;
        let message = page.script("return told.errors[0].message").await?;
        ensure!(message.as_str().is_some_and(|text| text.starts_with("volume 1 lies on another grid")), "{message}");

        // Another window is another picture.
        start(page, json!({}), quick()).await?;
        let wide = drawn_in(page, 1, "the file's window").await?;
        page.script("Object.assign(nv.volumes[0], { cal_min: 640, cal_max: 660 }); nv.updateGLVolume()").await?;
        let narrow = drawn_in(page, 1, "a window").await?;
        ensure!(wide["area"] != narrow["area"], "the window changes nothing: {wide}");
        Ok(())
    })
    .await
}
