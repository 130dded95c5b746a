//! What people and pages do that nobody meant.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use thirtyfour::prelude::*;

use super::steps::*;
use super::{COUNT_ENCODES, FROM, PREVIEW, TO};

#[tokio::test]
async fn nothing_breaks_it() -> Result<()> {
    with_page(1280, "breaking", async |page| {
        // Out of the image it is clipped; without a size it is refused, or nothing.
        segment(page, (0.45, 0.4), (0.99, 0.98)).await?;
        is_same(page, (0.45, 0.4), (0.99, 0.98), PREVIEW).await?;
        drag(page, (0.01, 0.01), (0.05, 0.05)).await?;
        page.wait_for("words", "return probe.last('error') !== undefined", 30).await?;
        let before = counts(page).await?;
        ensure!(before["255"].as_u64() > Some(10), "a box outside of the image takes the preview away: {before}");
        drag(page, (0.5, 0.5), (0.5, 0.5)).await?;
        drag(page, (0.5, 0.5), (0.5, 0.5)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        page.script("for (const { annotationUID, metadata } of tools.annotation.state.getAllAnnotations()) if (metadata.toolName === 'UmedsamBox') throw new Error(`${annotationUID} stays`)").await?;
        press(page, Key::Escape).await?;

        // Two drags at once: the second one is answered, and stands alone.
        page.script("document.getElementById('error').hidden = true; document.getElementById('error').textContent = ''; probe.events.length = 0").await?;
        drag(page, (0.5, 0.2), (0.7, 0.5)).await?;
        drag(page, FROM, TO).await?;
        final_answer(page).await?;
        is_same(page, FROM, TO, PREVIEW).await?;
        press(page, Key::Escape).await?;

        // Fast on to other slices while the network works: the mask is on the slice that was drawn on.
        page.script("probe.events.length = 0; const { viewport } = core.getEnabledElementByViewportId('viewport'); viewport.setImageIdIndex(12).then(() => viewport.render())").await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        drag(page, FROM, TO).await?;
        page.script("const { viewport } = core.getEnabledElementByViewportId('viewport'); for (const index of [13, 15, 18]) viewport.setImageIdIndex(index)").await?;
        final_answer(page).await?;
        let slices = page.script("return probe.labels().flatMap((slice, index) => (slice?.includes(255) ? [index] : []))").await?;
        ensure!(slices == json!([12]), "drawn on slice 12, labels on {slices}");
        press(page, Key::Escape).await?;

        // Another viewport's annotation is none of ours.
        page.script("core.eventTarget.dispatchEvent(new CustomEvent('CORNERSTONE_TOOLS_ANNOTATION_COMPLETED', { detail: { annotation: { annotationUID: 'other', metadata: { toolName: 'UmedsamBox' }, data: { handles: { points: [[0, 0, 0], [1, 1, 1]] } } } } }))").await?;

        // Cancelled drags prompt nothing.
        page.script("probe.events.length = 0").await?;
        let (from, to) = (place(page, FROM).await?, place(page, TO).await?);
        page.driver.action_chain().move_to(from.0, from.1).click_and_hold().move_to(to.0, to.1).perform().await?;
        page.script("tools.cancelActiveManipulations(document.getElementById('viewport'))").await?;
        page.driver.action_chain().release().perform().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        ensure!(page.script("return probe.events.length").await? == 0, "a cancelled drag prompts");

        // Disposed of during an encode, nothing is left; connected again, it works.
        page.script("connection.dispose()").await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        page.script("globalThis.clean = probe.remains()").await?;
        page.script(&connect("{}")).await?;
        drag(page, FROM, TO).await?;
        page.script("connection.dispose()").await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let remains = page.script("return [globalThis.clean, probe.remains()]").await?;
        ensure!(remains[0] == remains[1], "{remains}");
        page.script(&connect("{ preview: false, overlay: 'none', segmentIndex: 7, preEncode: false }")).await?;
        page.script(COUNT_ENCODES).await?;
        tokio::time::sleep(Duration::from_millis(600)).await;
        ensure!(page.script("return globalThis.encodes").await? == 0, "slices are encoded beforehand that are not to be");
        segment(page, FROM, TO).await?;
        ensure!(page.script("return globalThis.encodes").await? == 1, "a box is not one encoding");
        is_same(page, FROM, TO, 7).await?;
        ensure!(page.script("return probe.last('settled')").await? == true, "without a preview nothing is accepted");
        ensure!(page.script("return probe.counts(true)").await? == json!({}), "an overlay that is off is shown");
        // Followed while somebody looks elsewhere, until the viewport is closed.
        page.script("probe.start(() => connection.propagate())").await?;
        page.wait_for("a slice", "return probe.last('progress')?.done >= 2", ANSWER_LIMIT).await?;
        page.script("const { viewport } = core.getEnabledElementByViewportId('viewport'); viewport.setImageIdIndex(2)").await?;
        page.script("core.getRenderingEngine('engine').disableElement('viewport')").await?;
        page.wait_for("the end", "return probe.failure.includes('aborted')", 30).await?;
        ensure!(counts(page).await?["7"].as_u64() > Some(10), "what was accepted has gone with the connection");

        page.choose("view", "axial").await?;
        page.wait_for("the viewport", "return core.getEnabledElementByViewportId('viewport')?.viewport.getImageData() !== undefined", 30).await?;
        page.script("connection.dispose()").await?;
        // Locked segments, wrong options, and a model that has gone, in words.
        for (options, words) in [
            ("'none', {}", "no viewport none"),
            ("'viewport', { toolGroupId: 'none' }", "no tool group none"),
            ("'viewport', { segmentIndex: 255 }", "segmentIndex is 255"),
            ("'viewport', { overlay: 'all' }", r#"overlay is "all"; use "none", "total", "epistemic""#),
            ("'viewport', { keep: 0 }", "keep is 0"),
            ("'viewport', { preview: 'no' }", "preview is"),
            ("'viewport', { preencode: false }", "preencode is not known"),
        ] {
            let script = format!("try {{ connect({{ core, tools, model }}, {options}); return '' }} catch (error) {{ return error.message }}");
            let message = page.script(&script).await?;
            ensure!(message.as_str().unwrap_or_default().contains(words), "{options}: {message}");
        }
        page.script(&connect("{}")).await?;
        page.script("model.dispose()").await?;
        drag(page, FROM, TO).await?;
        page.wait_for("words", "return probe.last('error')?.code === 'disposed'", 30).await
    })
    .await
}
