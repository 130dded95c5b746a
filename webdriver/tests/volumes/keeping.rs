//! What is kept of an object on many slices, by hand-made answers.

use anyhow::{Context, Result, ensure};

use super::steps::with_page;

/// An object on 300 slices of 512×512 pixels; an answer to a prompt takes the place of one of them, and goes again.
const ANSWERS: &str = "
    const done = arguments[arguments.length - 1];
    const [side, slices, pixels] = [512, 300, 512 * 512];
    const geometry = { size: [side, side, slices], affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1] };
    const place = (index) => ({ axis: 2, frame: 0, index });
    const answer = (probability, expectedDsc) => ({
      width: side, height: side, area: probability > 0.5 ? pixels : 0, expectedDsc, needsReview: expectedDsc < 0.8, calibration: 'nearest',
      mask: new Uint8Array(pixels).fill(Number(probability > 0.5)), probability: new Float32Array(pixels).fill(probability),
    });
    import(new URL('app/volume/found.js', location.href).href).then(({ Found }) => {
      const found = new Found({ size: [side, side, slices], origin: { kind: 'nifti', file: { volume: { geometry } } } }, place(150), { width: side, height: side });
      const start = performance.now();
      for (let slice = 0; slice < slices; slice++) found.put(slice, answer(0.6, 1 - Math.abs(slice - 150) / 200), null);
      const begin = performance.now();
      const putMs = (begin - start) / slices;
      const { ml } = found.estimate();
      const seconds = (performance.now() - begin) / 1000;
      let unpacked = 0;
      for (const { result } of found.all) unpacked += result.probability[7] + result.uncertainty.total[7];
      const before = found.at(place(20)).probability;
      const prompted = { place: place(20), result: answer(0.2, 0.9) };
      found.take([prompted]);
      const corrected = [found.at(place(20)).mask[0], found.estimate().ml];
      found.clear([0, 99]);
      const cleared = found.indices.length;
      found.take([]);
      found.put(299, answer(0, 0), 'empty');
      done({
        ml, seconds, putMs, unpacked, corrected, cleared,
        worst: found.toReview()[0].slice,
        restored: found.at(place(20)).probability.every((value, index) => value === before[index]),
        indices: found.indices.length, ends: found.ends, isEnd: found.isEnd(place(299)),
        other: found.at({ axis: 1, frame: 0, index: 20 }) === undefined,
      });
    }).catch((error) => done({ error: String(error) }))";

#[tokio::test]
async fn three_hundred_slices_take_two_bytes_a_pixel_and_corrections_are_taken_back() -> Result<()> {
    with_page(1280, "keeping", async |page| {
        let before = page.renderer_peak_bytes();
        let made = page.driver.execute_async(ANSWERS, Vec::new()).await?.json().clone();
        let grown = page.renderer_peak_bytes().zip(before).map(|(after, before)| (after - before) >> 20);
        eprintln!("{made}; the renderer grew by {grown:?} MiB at most");
        let ml = 512.0 * 512.0 * 2.0 / 1000.0;
        let is_about = |value: &serde_json::Value, expected: f64| {
            value.as_f64().is_some_and(|value| (value - expected).abs() < 0.5)
        };
        ensure!(is_about(&made["ml"], 300.0 * ml), "{made}");
        ensure!(made["corrected"][0] == 0 && is_about(&made["corrected"][1], 299.0 * ml), "{made}");
        // 0.6 and its entropy of 0.971 bits.
        ensure!(is_about(&made["unpacked"], 300.0 * 1.571), "{made}");
        // Of slices 0 to 99 the prompted one stays, with what was there before it.
        ensure!(made["cleared"] == 201 && made["restored"] == true && made["indices"] == 200, "{made}");
        ensure!(made["ends"] == serde_json::json!([[299, "empty"]]) && made["isEnd"] == true, "{made}");
        ensure!(made["other"] == true && made["worst"] == 298, "{made}");
        // 150 MiB, and what is not collected yet; as floats they would be more than 2 GiB.
        let grown = grown.context("the renderer's memory")?;
        ensure!(grown < 1400, "300 slices take {grown} MiB");
        Ok(())
    })
    .await
}
