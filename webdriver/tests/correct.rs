//! Corrections on the real page, as a person makes them: points, strokes, undo, names, another device.

use anyhow::{Result, ensure};
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;

/// Seconds an encode may take with everything else that a slow machine does.
const ENCODE_LIMIT: u64 = 180;

/// Text of an object in the list.
async fn details(page: &Page, index: usize) -> Result<String> {
    let script = format!("return document.querySelectorAll('#objects small')[{index}]?.textContent ?? ''");
    Ok(page.script(&script).await?.as_str().unwrap_or_default().to_string())
}

/// Waits until an object's final answer is another one than before.
async fn changed(page: &Page, index: usize, before: &str) -> Result<String> {
    let script = format!(
        "const text = document.querySelectorAll('#objects small')[{index}]?.textContent ?? '';
         return text !== {before:?} && text.includes('unsure (over')"
    );
    page.wait_for("another answer", &script, 60).await?;
    details(page, index).await
}

async fn keys(page: &Page, keys: impl Into<TypingData>) -> Result<()> {
    Ok(page.driver.find(By::Id("viewer")).await?.send_keys(keys).await?)
}

async fn is_disabled(page: &Page, id: &str) -> Result<bool> {
    Ok(page.script(&format!("return document.getElementById('{id}').disabled")).await? == true)
}

async fn correct(page: &Page) -> Result<()> {
    page.wait_for_results(1, ENCODE_LIMIT).await?;
    let boxed = details(page, 0).await?;
    ensure!(boxed.starts_with("expected DSC"), "{boxed}");
    let size =
        page.script("const { width, height } = document.getElementById('image-layer'); return [width, height]").await?;
    let [width, height] = [0, 1].map(|index| size[index].as_f64().unwrap_or_default());
    let at = |x: f64, y: f64| (x * width, y * height);

    // A point outside of the object, by its button; then one inside by keys: P chooses, Enter sets it where the cross is.
    ensure!(page.text("tool-note").await?.is_empty(), "boxes are learned");
    let is_asked = page.script("return !document.getElementById('suggestion').hidden").await?;
    ensure!(is_asked == true, "the weights have learned points, and the page asks for none");
    page.click("tool-remove").await?;
    ensure!(page.text("tool-note").await?.is_empty(), "the shipped weights have learned points");
    page.drag(at(0.42, 0.42), at(0.42, 0.42)).await?;
    let pointed = changed(page, 0, &boxed).await?;
    page.screenshot("7-point").await?;
    keys(page, "p").await?;
    ensure!(
        page.script("return document.getElementById('tool-add').ariaPressed").await? == "true",
        "P chooses no tool"
    );
    keys(page, Key::Right + Key::Enter).await?;
    let crossed = changed(page, 0, &pointed).await?;

    // Strokes with mouse and finger.
    page.click("tool-brush").await?;
    page.drag(at(0.5, 0.5), at(0.55, 0.55)).await?;
    let brushed = changed(page, 0, &crossed).await?;
    page.click("tool-eraser").await?;
    page.touch_drag(at(0.3, 0.3), at(0.35, 0.4)).await?;
    changed(page, 0, &brushed).await?;
    page.screenshot("8-strokes").await?;

    // Back to the box, one step at a time, and forth again.
    for expected in [&brushed, &crossed, &pointed, &boxed] {
        keys(page, Key::Control + "z").await?;
        let now = changed(page, 0, "").await?;
        ensure!(now == **expected, "undo gives {now:?} instead of {expected:?}");
    }
    ensure!(!is_disabled(page, "undo").await? && !is_disabled(page, "redo").await?);
    page.click("redo").await?;
    ensure!(changed(page, 0, &boxed).await? == pointed, "redo gives another answer");
    keys(page, Key::Control + "z").await?;
    ensure!(changed(page, 0, &pointed).await? == boxed);
    page.driver
        .action_chain()
        .key_down(Key::Control)
        .key_down(Key::Shift)
        .send_keys("z")
        .key_up(Key::Shift)
        .key_up(Key::Control)
        .perform()
        .await?;
    ensure!(changed(page, 0, &boxed).await? == pointed, "Ctrl + Shift + Z does not redo");

    // The page asks about a spot: the answers are points there, skipped ones are not.
    ensure!(page.text("suggestion").await?.contains("Is the marked spot inside of Object 1?"));
    page.screenshot("10-suggestion").await?;
    let asked = details(page, 0).await?;
    page.click("suggestion-no").await?;
    let answered = changed(page, 0, &asked).await?;
    keys(page, "i").await?;
    changed(page, 0, &answered).await?;
    let before = page.text("suggestion").await?;
    for _ in 0..3 {
        keys(page, "k").await?;
    }
    page.wait_for("no more suggestions", "return document.getElementById('suggestion').hidden", 10).await?;
    ensure!(before.contains("Is the marked"), "{before}");
    for _ in 0..2 {
        keys(page, Key::Control + "z").await?;
    }

    // Another object by a point alone, with a name of its own.
    page.click("new-object").await?;
    page.click("tool-add").await?;
    page.drag(at(0.7, 0.5), at(0.7, 0.5)).await?;
    page.wait_for_results(2, 60).await?;
    page.driver.find(By::Css("#objects li:nth-child(2) button[aria-label^=Rename]")).await?.click().await?;
    let field = page.driver.find(By::Css("#objects input")).await?;
    field.send_keys("left lung" + Key::Enter).await?;
    let names = page.text("objects").await?;
    ensure!(names.contains("left lung") && names.contains("Object 1"), "{names}");
    // Letters in the name are no tools.
    ensure!(
        page.script("return document.getElementById('tool-add').ariaPressed").await? == "true",
        "a name chose a tool"
    );
    page.screenshot("9-two-objects").await?;

    // Objects survive another window of the same image, which is encoded anew.
    let before = page.text("objects").await?;
    page.click("invert").await?;
    page.wait_for("other answers", &format!("return document.getElementById('objects').innerText !== {before:?}"), 60)
        .await?;
    page.wait_for_results(2, ENCODE_LIMIT).await?;
    ensure!(page.text("objects").await?.contains("left lung"));
    page.choose("device-choice", "cpu").await?;
    page.wait_until_encoded(ENCODE_LIMIT).await?;
    page.wait_for_results(2, ENCODE_LIMIT).await?;

    // Undone to nothing, an object waits for a first word; Delete removes it.
    keys(page, Key::Control + "z").await?;
    page.wait_for(
        "nothing",
        "return document.querySelectorAll('#objects small')[1].textContent.includes('nothing')",
        20,
    )
    .await?;
    keys(page, Key::Delete + "").await?;
    page.wait_for_results(1, 60).await
}

#[tokio::test]
async fn a_mask_is_corrected_and_taken_back() -> Result<()> {
    let page = Page::open("?device=cpu", 1280, 1000).await?;
    let result = correct(&page).await;
    if result.is_err() {
        page.screenshot("failed-correction").await.ok();
        eprintln!("browser log: {:#?}", page.log("browser").await);
    }
    page.close().await?;
    result
}
