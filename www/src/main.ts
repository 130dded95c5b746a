/** Wires the page together. */

import { type ReadImage, readImage, windowedImage } from "../umedsam/image.js";
import {
  type Box,
  type DeviceRequest,
  type EncodedImage,
  type Model,
  type Progress,
  type Segmentation,
  type UncertaintyMap,
  UmedsamError,
  load,
} from "../umedsam/index.js";
import { type Entry, boxItem } from "./boxes.js";
import { milliseconds } from "./dom.js";
import { droppedFile } from "./drop.js";
import { chosenWindow, resetWindow } from "./intensities.js";
import { contourPicture, heatPicture, maskPicture, over, savePng, unionPicture } from "./overlay.js";
import { page } from "./page.js";
import { type Sample, fetchSample, loadSamples } from "./samples.js";
import { showRequests, stopWatching, watchRequests } from "./requests.js";
import { drawLegend, hideError, showError, showGuarantee, showModel, showProgress, shownMap } from "./status.js";
import { Viewer, ZOOM_STEP } from "./viewer.js";

/** Okabe and Ito's colours, told apart by colour-blind people too. */
const COLORS = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00"];
/** Other weights than the package's, to compare them: `?weights=URL`. */
const WEIGHTS = new URLSearchParams(location.search).get("weights");
/** Keyboard steps are gathered for this long before the network runs. */
const SETTLE_MS = 150;
const OTHER_IMAGE = "image";
/** Colours of the contours, as in the style sheet. */
const OUTER_COLOR = "#ffffff";
const INNER_COLOR = "#7dff9b";

class App {
  readonly #viewer = new Viewer({
    drawn: (box) => this.#addBox(box),
    changed: (box, done) => this.#edited(box as Entry, done),
    selected: (id) => this.#select(id),
    removed: (id) => this.#remove(id),
    pointed: (pixel) => this.#showValues(pixel),
  });
  #model: Promise<Model> | undefined;
  #image: EncodedImage | undefined;
  /** The image as it was read. */
  #input: ReadImage | undefined;
  /** What the network sees of it, at its own size. */
  #picture: ImageData | undefined;
  /** Counts opened images, windows and changes of the device, so that what is slower and earlier does not replace what is later. */
  #generation = 0;
  #name = OTHER_IMAGE;
  #entries: Entry[] = [];
  #selected: number | undefined;
  #nextId = 1;

  /** Everything the page fetches it fetches here, before the first segmentation. */
  async start(): Promise<void> {
    drawLegend();
    this.#listen();
    const samples = await loadSamples();
    const blobs = new Map(await Promise.all(samples.map(async (sample) => [sample, await fetchSample(sample)] as const)));
    for (const [sample, blob] of blobs) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = sample.name;
      button.addEventListener("click", () => this.#guard(() => this.#openSample(sample, blob)));
      page.samples.append(button);
    }
    const parameters = new URLSearchParams(location.search);
    const device = parameters.get("device");
    if (device === "cpu" || device === "webgpu") page.deviceChoice.value = device;
    const [first] = blobs;
    if (first !== undefined) await this.#openSample(...first);
  }

  #listen(): void {
    page.file.addEventListener("change", () => {
      const file = page.file.files?.[0];
      page.file.value = "";
      if (file !== undefined) this.#guard(() => this.#openFile(file));
    });
    // Anywhere: a file that the page does not take would replace the page.
    window.addEventListener("dragover", (event) => {
      event.preventDefault();
      page.dropHint.hidden = false;
    });
    window.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) page.dropHint.hidden = true;
    });
    window.addEventListener("drop", (event) => {
      event.preventDefault();
      page.dropHint.hidden = true;
      this.#guard(() => this.#openFile(droppedFile(event.dataTransfer)));
    });
    page.zoomButtons.addEventListener("pointerdown", (event) => event.stopPropagation());
    page.zoomIn.addEventListener("click", () => this.#viewer.enlarge(ZOOM_STEP));
    page.zoomOut.addEventListener("click", () => this.#viewer.enlarge(1 / ZOOM_STEP));
    page.zoomFit.addEventListener("click", () => this.#viewer.fit());
    for (const input of [page.windowKind, page.windowCenter, page.windowWidth, page.invert]) {
      input.addEventListener("change", () => this.#guard(() => this.#changeWindow()));
    }
    page.addBox.addEventListener("click", () => this.#addBox(this.#viewer.centredBox()));
    for (const input of [page.maskOn, page.maskOpacity, page.heatOn, page.heatOpacity, page.outerOn, page.innerOn]) {
      input.addEventListener("input", () => this.#paint());
    }
    page.map.addEventListener("change", () => {
      drawLegend();
      this.#render();
    });
    page.zoomOn.addEventListener("change", () => this.#guard(() => this.#segment(this.#entries)));
    page.alpha.addEventListener("change", () => this.#guard(() => this.#segment(this.#entries)));
    page.deviceChoice.addEventListener("change", () => this.#guard(() => this.#changeDevice()));
    page.saveImage.addEventListener("click", () =>
      this.#guard(async () => {
        if (this.#picture !== undefined) await savePng(this.#picture, `${this.#name}.png`);
      }),
    );
    page.saveMask.addEventListener("click", () =>
      this.#guard(() => {
        const picture = unionPicture(this.#results(), this.#viewer.width, this.#viewer.height);
        return savePng(picture, `${this.#name}-mask.png`);
      }),
    );
    page.saveHeat.addEventListener("click", () =>
      this.#guard(async () => {
        const picture = heatPicture(this.#results(), shownMap(), page.heatOpacity.valueAsNumber);
        if (picture === undefined || this.#picture === undefined) return;
        await savePng(over(picture, this.#picture), `${this.#name}-${shownMap()}-uncertainty.png`);
      }),
    );
  }

  /** Shows what goes wrong instead of losing it, unless something later was begun meanwhile. */
  #guard(action: () => Promise<void>): void {
    hideError();
    const result = Promise.resolve().then(action);
    // Actions count themselves before they wait for anything.
    queueMicrotask(() => {
      const generation = this.#generation;
      result.catch((error: unknown) => {
        if (generation === this.#generation) showError(error);
      });
    });
  }

  #loadModel(): Promise<Model> {
    if (this.#model !== undefined) return this.#model;
    const start = performance.now();
    // What a change of device fetches again is not the image being sent.
    stopWatching();
    const loading = load({
      ...(WEIGHTS === null ? {} : { weights: new URL(WEIGHTS, location.href) }),
      device: page.deviceChoice.value as DeviceRequest,
      onProgress: (progress) => {
        if (this.#model === loading) showProgress(progress);
      },
    });
    this.#model = loading;
    loading.then(
      async (model) => {
        if (this.#model !== loading) return;
        page.loadTime.textContent = milliseconds(performance.now() - start);
        showModel(model);
        await watchRequests(model);
      },
      () => {
        if (this.#model === loading) this.#model = undefined;
      },
    );
    return loading;
  }

  /** The last choice wins: what was begun for another device is disposed of when it is there. */
  async #changeDevice(): Promise<void> {
    this.#generation++;
    const previous = this.#model;
    this.#model = undefined;
    this.#image = undefined;
    previous?.then(
      (model) => model.dispose(),
      () => {},
    );
    await this.#encode();
  }

  async #openSample(sample: Sample, blob: Blob): Promise<void> {
    await this.#open(blob, sample.file.replace(/\.\w+$/, ""), [sample.box], sample.credit);
  }

  async #openFile(file: File): Promise<void> {
    await this.#open(file, file.name.replace(/\.\w+$/, ""), [], `${file.name}, opened from this machine`);
  }

  async #open(blob: Blob, name: string, boxes: readonly Box[], credit: string): Promise<void> {
    const generation = ++this.#generation;
    let input: ReadImage;
    let picture: ImageData;
    try {
      input = await readImage(blob);
      picture = await windowedImage(input);
    } catch (error) {
      const file = blob instanceof File ? blob.name : name;
      throw error instanceof UmedsamError ? new UmedsamError(error.code, `${file}: ${error.message}`) : error;
    }
    if (generation !== this.#generation) return;
    this.#image?.dispose();
    this.#image = undefined;
    this.#name = name;
    this.#input = input;
    resetWindow(input);
    this.#show(picture, true);
    page.credit.textContent = `${credit} · ${picture.width}×${picture.height} px`;
    this.#entries = [];
    this.#selected = undefined;
    for (const box of boxes) this.#newEntry(box);
    this.#render();
    await this.#encode();
  }

  #show(picture: ImageData, isOther: boolean): void {
    this.#picture = picture;
    this.#viewer.setImage(picture, isOther);
  }

  /** Shows and encodes the same image through another window. */
  async #changeWindow(): Promise<void> {
    const input = this.#input;
    page.windowLevel.hidden = page.windowKind.value !== "level";
    const intensities = chosenWindow();
    if (input === undefined || intensities === undefined) return;
    const generation = ++this.#generation;
    const picture = await windowedImage({ ...input, ...intensities });
    if (generation !== this.#generation) return;
    this.#image?.dispose();
    this.#image = undefined;
    this.#show(picture, false);
    await this.#encode();
  }

  /** Encodes the shown image and segments its boxes. */
  async #encode(): Promise<void> {
    const input = this.#input;
    const intensities = chosenWindow();
    if (input === undefined || intensities === undefined) return;
    const generation = this.#generation;
    const isCurrent = () => generation === this.#generation;
    page.encodeTime.textContent = "…";
    try {
      const model = await this.#loadModel();
      if (!isCurrent()) return;
      showProgress({ stage: "encode", fraction: 0 });
      const onProgress = (progress: Progress) => {
        if (isCurrent()) showProgress(progress);
      };
      const image = await model.encode({ ...input, ...intensities }, { onProgress });
      if (!isCurrent()) {
        image.dispose();
        return;
      }
      this.#image = image;
      const { preprocessMs, encodeMs } = image.timings;
      page.encodeTime.textContent = milliseconds(preprocessMs + encodeMs);
      showModel(model);
    } catch (error) {
      if (isCurrent()) throw error;
      return;
    } finally {
      if (isCurrent()) page.progress.hidden = true;
    }
    this.#render();
    await this.#segment(this.#entries);
  }

  /** First a single pass, to show the mask at once, then the ensemble. */
  async #segment(entries: readonly Entry[]): Promise<void> {
    const image = this.#image;
    if (image === undefined || entries.length === 0) return;
    const edits = new Map(entries.map((entry) => [entry, entry.edit]));
    const current = () => entries.filter((entry) => entry.edit === edits.get(entry) && this.#entries.includes(entry));
    for (const samples of [0, undefined]) {
      const asked = current();
      if (asked.length === 0 || image !== this.#image) return;
      let results: Segmentation[];
      try {
        results = await image.segment(
          asked.map(({ box }) => ({ box })),
          {
            alpha: Number(page.alpha.value),
            zoom: page.zoomOn.checked ? "auto" : "off",
            uncertainty: samples === undefined ? {} : { samples },
          },
        );
      } catch (error) {
        // The image was closed meanwhile.
        if (error instanceof UmedsamError && error.code === "disposed") return;
        throw error;
      }
      const kept = new Set(current());
      for (const [index, entry] of asked.entries()) {
        const result = results[index];
        if (result === undefined || !kept.has(entry)) continue;
        entry.result = result;
        entry.crop = result.zoom;
        entry.isFinal = samples === undefined;
        this.#showTime(result, entry.isFinal);
      }
      this.#render();
    }
    showGuarantee(this.#results());
    const model = await this.#model;
    if (model === undefined || image !== this.#image) return;
    await showRequests(model);
    page.memory.textContent = `${((await model.memoryBytes()) / 2 ** 20).toFixed(0)} MiB of WebAssembly, at most`;
  }

  #showTime({ timings }: Segmentation, isFinal: boolean): void {
    if (isFinal) page.uncertaintyTime.textContent = milliseconds(timings.segmentMs);
    else page.segmentTime.textContent = milliseconds(timings.segmentMs);
  }

  #newEntry(box: Box): Entry {
    const id = this.#nextId++;
    const color = COLORS[(id - 1) % COLORS.length] ?? "#ffffff";
    const entry: Entry = { id, box, color, edit: 0 };
    this.#entries.push(entry);
    this.#selected = id;
    return entry;
  }

  #addBox(box: Box): void {
    const entry = this.#newEntry(box);
    this.#render();
    this.#guard(() => this.#segment([entry]));
  }

  #edited(entry: Entry, done: boolean): void {
    entry.edit++;
    if (!done) return;
    this.#renderBoxes();
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => this.#guard(() => this.#segment([entry])), SETTLE_MS);
  }

  #select(id: number | undefined): void {
    this.#selected = id;
    this.#renderBoxes();
  }

  #remove(id: number): void {
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
    if (this.#selected === id) this.#selected = this.#entries.at(-1)?.id;
    this.#render();
  }

  #results(): Segmentation[] {
    return this.#entries.flatMap(({ result }) => result ?? []);
  }

  #render(): void {
    this.#renderBoxes();
    this.#paint();
  }

  #renderBoxes(): void {
    const ready = this.#image !== undefined;
    this.#viewer.setBoxes(this.#entries, this.#selected, ready);
    page.addBox.disabled = !ready;
    page.saveMask.disabled = page.saveHeat.disabled = this.#results().length === 0;
    const item = (entry: Entry, index: number) =>
      boxItem(entry, index, {
        isSelected: entry.id === this.#selected,
        select: () => {
          this.#select(entry.id);
          page.viewer.focus();
        },
        remove: () => this.#remove(entry.id),
      });
    page.boxes.replaceChildren(...this.#entries.map(item));
  }

  #paint(): void {
    const pictures: ImageData[] = [];
    if (page.maskOn.checked) {
      for (const { result, color } of this.#entries) {
        if (result !== undefined) pictures.push(maskPicture(result, color, page.maskOpacity.valueAsNumber));
      }
    }
    const heat = page.heatOn.checked ? heatPicture(this.#results(), shownMap(), page.heatOpacity.valueAsNumber) : undefined;
    if (heat !== undefined) pictures.push(heat);
    for (const { outer, inner, width, height } of this.#results()) {
      if (page.outerOn.checked && outer !== null) pictures.push(contourPicture(outer, width, height, OUTER_COLOR));
      if (page.innerOn.checked && inner !== null) pictures.push(contourPicture(inner, width, height, INNER_COLOR));
    }
    this.#viewer.setMaps(pictures);
  }

  #showValues(pixel: { x: number; y: number } | undefined): void {
    const results = this.#results();
    if (pixel === undefined || results.length === 0) {
      page.pointer.textContent = "Point at the image to read values.";
      return;
    }
    const index = pixel.y * this.#viewer.width + pixel.x;
    const probability = Math.max(...results.map((result) => result.probability[index] ?? 0));
    const largest = (map: UncertaintyMap) => Math.max(...results.map(({ uncertainty }) => uncertainty[map]?.[index] ?? 0));
    const [total, aleatoric, epistemic] = (["total", "aleatoric", "epistemic"] as const).map((map) => largest(map).toFixed(3));
    page.pointer.textContent = `x ${pixel.x}, y ${pixel.y}: probability ${probability.toFixed(3)}, uncertainty ${total} bit (aleatoric ${aleatoric}, epistemic ${epistemic})`;
  }
}

new App().start().catch(showError);
