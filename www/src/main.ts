/** Wires the page together. */

import { App } from "./app.js";
import { Network } from "./device/network.js";
import { listenToFiles, openSamples } from "./open/opening.js";
import { page } from "./page.js";
import { saveHeat, saveImage, saveMask } from "./layers/painting.js";
import { saveFile, showFormatNote } from "./export/saving.js";
import { listenToSlices } from "./view/slice-bar.js";
import { drawLegend, showError } from "./status.js";
import { isTyping, listenToTools } from "./prompt/tools.js";
import { listenToVolume } from "./volume/volume-panel.js";
import { ZOOM_STEP } from "./view/viewer.js";

/** Readers and writers of medical files, so that nothing is fetched later; what fails here is tried again when it is needed. */
async function fetchFormats(): Promise<void> {
  const modules = [import("../umedsam/dicom.js"), import("../umedsam/nifti.js"), import("./open/dicom-stack.js"), import("./open/nifti-stack.js")];
  const writers = import("../umedsam/export.js").then(({ toCocoRle }) => toCocoRle([{ mask: new Uint8Array(1), label: "none" }], 1, 1));
  await Promise.allSettled([...modules, writers]);
}

function listenToView(app: App): void {
  page.zoomButtons.addEventListener("pointerdown", (event) => event.stopPropagation());
  page.zoomIn.addEventListener("click", () => app.viewer.enlarge(ZOOM_STEP));
  page.zoomOut.addEventListener("click", () => app.viewer.enlarge(1 / ZOOM_STEP));
  page.zoomFit.addEventListener("click", () => app.viewer.fit());
  for (const input of [page.windowKind, page.windowCenter, page.windowWidth, page.invert]) {
    input.addEventListener("change", () => app.changeWindow());
  }
  listenToSlices({
    current: () => {
      const [place, stack] = [app.place, app.seen?.stack];
      return place === undefined || stack === undefined ? undefined : { place, stack };
    },
    scroll: (steps) => app.scroll(steps),
    goTo: (place) => app.goTo(place),
  });
}

function listenToPrompts({ prompting, viewer }: App): void {
  page.newObject.addEventListener("click", () => prompting.select(undefined));
  const answers = [
    [page.suggestionYes, "i", "foreground"],
    [page.suggestionNo, "o", "background"],
    [page.suggestionSkip, "k", undefined],
  ] as const;
  for (const [button, , label] of answers) button.addEventListener("click", () => prompting.answer(label));
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event)) return;
    const answer = answers.find(([, key]) => key === event.key.toLowerCase());
    if (answer !== undefined) prompting.answer(answer[2]);
  });
  page.undo.addEventListener("click", () => prompting.step("undo"));
  page.redo.addEventListener("click", () => prompting.step("redo"));
  window.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || isTyping(event)) return;
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    prompting.step(key === "y" || event.shiftKey ? "redo" : "undo");
  });
  page.addBox.addEventListener("click", () => prompting.addBox(viewer.centredBox()));
}

function listenToResults(app: App): void {
  for (const input of [page.maskOn, page.maskOpacity, page.heatOn, page.heatOpacity, page.outerOn, page.innerOn]) {
    input.addEventListener("input", () => app.paint());
  }
  page.map.addEventListener("change", () => {
    drawLegend();
    app.render();
  });
  page.zoomOn.addEventListener("change", () => app.guard(() => app.segmentAll()));
  for (const bound of [page.alpha, page.delta]) bound.addEventListener("change", () => app.guard(() => app.segmentAll()));
  const save = (button: HTMLButtonElement, write: (seen: NonNullable<App["seen"]>) => Promise<void>) => {
    button.addEventListener("click", () =>
      app.guard(async () => {
        if (app.seen !== undefined) await write(app.seen);
      }),
    );
  };
  save(page.saveImage, saveImage);
  save(page.saveMask, (seen) => saveMask(app.prompting.all, seen));
  save(page.saveHeat, (seen) => saveHeat(app.prompting.all, seen));
  save(page.saveFile, (seen) => saveFile(app.prompting.all, seen, app.model));
  page.format.addEventListener("change", showFormatNote);
}

async function start(): Promise<void> {
  const device = new URLSearchParams(location.search).get("device");
  if (device === "cpu" || device === "webgpu") page.deviceChoice.value = device;
  const app = new App(new Network(fetchFormats()));
  drawLegend();
  listenToTools(() => app.render());
  listenToFiles(app);
  listenToView(app);
  listenToPrompts(app);
  listenToResults(app);
  listenToVolume(app);
  page.deviceChoice.addEventListener("change", () => app.guard(() => app.changeDevice()));
  await openSamples(app);
}

start().catch(showError);
