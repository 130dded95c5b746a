/** Wires the page together. */

import { App } from "./app.js";
import { droppedFile } from "./drop.js";
import { page } from "./page.js";
import { fetchSample, loadSamples } from "./samples.js";
import { drawLegend, showError } from "./status.js";
import { isTyping, listenToTools } from "./tools.js";
import { ZOOM_STEP } from "./viewer.js";

/** Everything the page fetches it fetches here, before the first segmentation. */
async function start(app: App): Promise<void> {
  drawLegend();
  listen(app);
  const samples = await loadSamples();
  const blobs = new Map(await Promise.all(samples.map(async (sample) => [sample, await fetchSample(sample)] as const)));
  for (const [sample, blob] of blobs) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sample.name;
    button.addEventListener("click", () => app.guard(() => app.openSample(sample, blob)));
    page.samples.append(button);
  }
  const device = new URLSearchParams(location.search).get("device");
  if (device === "cpu" || device === "webgpu") page.deviceChoice.value = device;
  const [first] = blobs;
  if (first !== undefined) await app.openSample(...first);
}

function listen(app: App): void {
  listenToTools(() => app.render());
  page.file.addEventListener("change", () => {
    const file = page.file.files?.[0];
    page.file.value = "";
    if (file !== undefined) app.guard(() => app.openFile(file));
  });
  // Anywhere: a file that the page does not take would replace the page.
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    if (event.dataTransfer !== null) event.dataTransfer.dropEffect = "copy";
    page.dropHint.hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) page.dropHint.hidden = true;
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    page.dropHint.hidden = true;
    app.guard(() => app.openFile(droppedFile(event.dataTransfer)));
  });
  page.zoomButtons.addEventListener("pointerdown", (event) => event.stopPropagation());
  page.zoomIn.addEventListener("click", () => app.viewer.enlarge(ZOOM_STEP));
  page.zoomOut.addEventListener("click", () => app.viewer.enlarge(1 / ZOOM_STEP));
  page.zoomFit.addEventListener("click", () => app.viewer.fit());
  for (const input of [page.windowKind, page.windowCenter, page.windowWidth, page.invert]) {
    input.addEventListener("change", () => app.guard(() => app.changeWindow()));
  }
  page.newObject.addEventListener("click", () => app.selectNone());
  const answers = [
    [page.suggestionYes, "i", "foreground"],
    [page.suggestionNo, "o", "background"],
    [page.suggestionSkip, "k", undefined],
  ] as const;
  for (const [button, , label] of answers) button.addEventListener("click", () => app.answer(label));
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event)) return;
    const answer = answers.find(([, key]) => key === event.key.toLowerCase());
    if (answer !== undefined) app.answer(answer[2]);
  });
  page.undo.addEventListener("click", () => app.step("undo"));
  page.redo.addEventListener("click", () => app.step("redo"));
  window.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || isTyping(event)) return;
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    app.step(key === "y" || event.shiftKey ? "redo" : "undo");
  });
  page.addBox.addEventListener("click", () => app.addBox(app.viewer.centredBox()));
  for (const input of [page.maskOn, page.maskOpacity, page.heatOn, page.heatOpacity, page.outerOn, page.innerOn]) {
    input.addEventListener("input", () => app.paint());
  }
  page.map.addEventListener("change", () => {
    drawLegend();
    app.render();
  });
  page.zoomOn.addEventListener("change", () => app.guard(() => app.segmentAll()));
  page.alpha.addEventListener("change", () => app.guard(() => app.segmentAll()));
  page.deviceChoice.addEventListener("change", () => app.guard(() => app.changeDevice()));
  page.saveImage.addEventListener("click", () => app.guard(() => app.saveImage()));
  page.saveMask.addEventListener("click", () => app.guard(() => app.saveMask()));
  page.saveHeat.addEventListener("click", () => app.guard(() => app.saveHeat()));
}

start(new App()).catch(showError);
