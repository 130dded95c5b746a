/** What is open: a model, an image and its boxes, and the order in which the network is asked. */

import { type ReadImage, readImage, windowedImage } from "../umedsam/image.js";
import { type Box, type DeviceRequest, type EncodedImage, type Model, type Progress, type Segmentation, UmedsamError, load } from "../umedsam/index.js";
import { type Entry, boxItem } from "./boxes.js";
import { checkCanvas, milliseconds } from "./dom.js";
import { chosenWindow, resetWindow } from "./intensities.js";
import { savePng } from "./overlay.js";
import { page } from "./page.js";
import { pictures, resultsOf, saveHeat, saveMask, showValues } from "./painting.js";
import { showRequests, stopWatching, watchRequests } from "./requests.js";
import type { Sample } from "./samples.js";
import { hideError, showError, showGuarantee, showModel, showProgress } from "./status.js";
import { Viewer } from "./viewer.js";

/** Okabe and Ito's colours, told apart by colour-blind people too. */
const COLORS = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00"];
/** Other weights than the package's, to compare them: `?weights=URL`. */
const WEIGHTS = new URLSearchParams(location.search).get("weights");
/** Keyboard steps are gathered for this long before the network runs. */
const SETTLE_MS = 150;
const OTHER_IMAGE = "image";

export class App {
  readonly viewer = new Viewer({
    drawn: (box) => this.addBox(box),
    changed: (box, done) => this.#edited(box as Entry, done),
    selected: (id) => this.#select(id),
    removed: (id) => this.#remove(id),
    pointed: (pixel) => showValues(this.#entries, this.viewer.width, pixel),
  });
  #model: Promise<Model> | undefined;
  #image: EncodedImage | undefined;
  /** The image as it was read. */
  #input: ReadImage | undefined;
  /** What the network sees of it, at its own size. */
  #picture: ImageData | undefined;
  /** Counts opened images, windows and changes of the device, so that what is slower and earlier does not replace what is later. */
  #generation = 0;
  /** Ends what the network does for an earlier one. */
  #stop = new AbortController();
  #name = OTHER_IMAGE;
  #entries: Entry[] = [];
  #selected: number | undefined;
  #nextId = 1;

  /** What is under way is not wanted any more. */
  #begin(): number {
    this.#stop.abort();
    this.#stop = new AbortController();
    return ++this.#generation;
  }

  /** Shows what goes wrong instead of losing it, unless something later was begun meanwhile. */
  guard(action: () => Promise<void>): void {
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
  async changeDevice(): Promise<void> {
    this.#begin();
    const previous = this.#model;
    this.#model = undefined;
    this.#image = undefined;
    previous?.then(
      (model) => model.dispose(),
      () => {},
    );
    await this.#encode();
  }

  async openSample(sample: Sample, blob: Blob): Promise<void> {
    await this.#open(blob, sample.file.replace(/\.\w+$/, ""), [sample.box], sample.credit);
  }

  async openFile(file: File): Promise<void> {
    await this.#open(file, file.name.replace(/\.\w+$/, ""), [], `${file.name}, opened from this machine`);
  }

  async #open(blob: Blob, name: string, boxes: readonly Box[], credit: string): Promise<void> {
    const generation = this.#begin();
    let input: ReadImage;
    let picture: ImageData;
    try {
      input = await readImage(blob);
      checkCanvas(input.width, input.height);
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
    this.render();
    await this.#encode();
  }

  #show(picture: ImageData, isOther: boolean): void {
    this.#picture = picture;
    this.viewer.setImage(picture, isOther);
  }

  /** Shows and encodes the same image through another window. */
  async changeWindow(): Promise<void> {
    const input = this.#input;
    page.windowLevel.hidden = page.windowKind.value !== "level";
    const intensities = chosenWindow();
    if (input === undefined || intensities === undefined) return;
    const generation = this.#begin();
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
    const { signal } = this.#stop;
    const isCurrent = () => generation === this.#generation;
    page.encodeTime.textContent = "…";
    try {
      const model = await this.#loadModel();
      if (!isCurrent()) return;
      showProgress({ stage: "encode", fraction: 0 });
      const onProgress = (progress: Progress) => {
        if (isCurrent()) showProgress(progress);
      };
      const image = await model.encode({ ...input, ...intensities }, { onProgress, signal });
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
    this.render();
    await this.#segment(this.#entries);
  }

  /** First a single pass, to show the mask at once, then the ensemble. */
  async #segment(entries: readonly Entry[]): Promise<void> {
    const image = this.#image;
    const { signal } = this.#stop;
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
            signal,
            // One box is done before a bar could be read.
            ...(asked.length > 1 ? { onProgress: showProgress } : {}),
          },
        );
      } catch (error) {
        // The image was closed, or another opened meanwhile.
        if (error instanceof UmedsamError && (error.code === "disposed" || error.code === "aborted")) return;
        throw error;
      } finally {
        if (!signal.aborted) page.progress.hidden = true;
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
      this.render();
    }
    showGuarantee(resultsOf(this.#entries));
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

  addBox(box: Box): void {
    const entry = this.#newEntry(box);
    this.render();
    this.guard(() => this.#segment([entry]));
  }

  #edited(entry: Entry, done: boolean): void {
    entry.edit++;
    if (!done) return;
    this.#renderBoxes();
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => this.guard(() => this.#segment([entry])), SETTLE_MS);
  }

  #select(id: number | undefined): void {
    this.#selected = id;
    this.#renderBoxes();
  }

  #remove(id: number): void {
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
    if (this.#selected === id) this.#selected = this.#entries.at(-1)?.id;
    this.render();
  }

  /** Segments all boxes anew, as after a change of an option. */
  async segmentAll(): Promise<void> {
    await this.#segment(this.#entries);
  }

  async saveImage(): Promise<void> {
    if (this.#picture !== undefined) await savePng(this.#picture, `${this.#name}.png`);
  }

  async saveMask(): Promise<void> {
    if (this.#picture !== undefined) await saveMask(this.#entries, this.#picture, this.#name);
  }

  async saveHeat(): Promise<void> {
    if (this.#picture !== undefined) await saveHeat(this.#entries, this.#picture, this.#name);
  }

  render(): void {
    this.#renderBoxes();
    this.paint();
  }

  #renderBoxes(): void {
    const ready = this.#image !== undefined;
    this.viewer.setBoxes(this.#entries, this.#selected, ready);
    page.addBox.disabled = !ready;
    page.saveMask.disabled = page.saveHeat.disabled = resultsOf(this.#entries).length === 0;
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

  paint(): void {
    this.viewer.setMaps(pictures(this.#entries));
  }
}
