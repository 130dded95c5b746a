/** What is open: a model, an image and its objects, and the order in which the network is asked. */

import { type ReadImage, readImage, windowedImage } from "../umedsam/image.js";
import { type Box, type Correction, type DeviceRequest, type EncodedImage, type Model, type PointLabel, type Progress, UmedsamError, load } from "../umedsam/index.js";
import { checkCanvas, milliseconds } from "./dom.js";
import { chosenWindow, resetWindow } from "./intensities.js";
import { objectItem } from "./object-item.js";
import { SegmentedObject } from "./objects.js";
import { savePng } from "./overlay.js";
import { page } from "./page.js";
import { pictures, resultsOf, saveHeat, saveMask, showValues } from "./painting.js";
import { showRequests, stopWatching, watchRequests } from "./requests.js";
import type { Sample } from "./samples.js";
import { hideError, showError, showGuarantee, showModel, showProgress, showSuggestion } from "./status.js";
import { Viewer } from "./viewer.js";

/** Other weights than the package's, to compare them: `?weights=URL`. */
const WEIGHTS = new URLSearchParams(location.search).get("weights");
/** Keyboard steps are gathered for this long before the network runs. */
const SETTLE_MS = 150;
const OTHER_IMAGE = "image";

export class App {
  readonly viewer = new Viewer({
    drawn: (box) => this.addBox(box),
    changed: (id, box, done) => this.#moved(id, box, done),
    putBack: (id) => this.#putBack(id),
    clicked: ({ x, y }, label) => this.correct({ points: [{ x, y, label }] }),
    stroked: (points, label) => this.correct({ scribbles: [{ points, label }] }),
    selected: (id) => this.#select(id),
    removed: (id) => this.#remove(id),
    pointed: (pixel) => showValues(this.#objects, this.viewer.width, pixel),
  });
  #model: Promise<Model> | undefined;
  #image: EncodedImage | undefined;
  /** The image as it was read. */
  #input: ReadImage | undefined;
  /** What the network sees of it, at its own size. */
  #picture: ImageData | undefined;
  /** Counts opened images, windows and changes of the device, so that what is slower and earlier does not replace what is later. */
  #generation = 0;
  /** Counts files that were begun to be opened: the last one stays. */
  #opened = 0;
  /** Ends what the network does for an earlier one. */
  #stop = new AbortController();
  #name = OTHER_IMAGE;
  #objects: SegmentedObject[] = [];
  #selected: number | undefined;
  #nextId = 1;

  /** What is under way is not wanted any more. */
  #begin(): number {
    this.#stop.abort();
    this.#stop = new AbortController();
    for (const object of this.#objects) object.stop();
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
    // What is open goes on until the file is known to be an image.
    const opening = ++this.#opened;
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
    if (opening !== this.#opened) return;
    this.#begin();
    this.#image?.dispose();
    this.#image = undefined;
    this.#name = name;
    this.#input = input;
    resetWindow(input);
    this.#show(picture, true);
    page.credit.textContent = `${credit} · ${picture.width}×${picture.height} px`;
    for (const object of this.#objects) object.close();
    this.#objects = [];
    this.#nextId = 1;
    this.#selected = undefined;
    for (const box of boxes) this.#newObject().say({ box });
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

  /** Encodes the shown image and segments its objects. */
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
      for (const object of this.#objects) object.continueOn(image);
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
    await this.#segment(this.#objects);
  }

  /** Asks the network what was said of objects: first single passes, to show masks at once, then ensembles. */
  async #segment(objects: readonly SegmentedObject[]): Promise<void> {
    const image = this.#image;
    const { signal } = this.#stop;
    if (image === undefined || objects.length === 0) return;
    const options = { alpha: Number(page.alpha.value), zoom: page.zoomOn.checked ? "auto" : "off" } as const;
    const errors: unknown[] = [];
    try {
      // A copy, for objects come and go meanwhile.
      for (const [done, object] of [...objects].entries()) {
        if (!this.#objects.includes(object)) continue;
        // One object is done before a bar could be read.
        if (objects.length > 1) showProgress({ stage: "segment", fraction: done / objects.length });
        await this.#answer(object, image, options).catch((error: unknown) => errors.push(error));
        if (signal.aborted || image !== this.#image) return;
      }
    } finally {
      if (!signal.aborted) page.progress.hidden = true;
    }
    showGuarantee(resultsOf(this.#objects));
    if (errors.length > 0) throw errors[0];
    const model = await this.#model;
    if (model === undefined || image !== this.#image) return;
    await showRequests(model);
    page.memory.textContent = `${((await model.memoryBytes()) / 2 ** 20).toFixed(0)} MiB of WebAssembly, at most`;
  }

  async #answer(object: SegmentedObject, image: EncodedImage, options: { alpha: number; zoom: "auto" | "off" }): Promise<void> {
    const shown = () => {
      if (!this.#objects.includes(object)) return;
      const { result, isFinal } = object;
      if (result !== undefined) (isFinal ? page.uncertaintyTime : page.segmentTime).textContent = milliseconds(result.timings.segmentMs);
      this.render();
    };
    try {
      await object.answer(image, options, shown);
    } catch (error) {
      // More was said, the image was closed, or another opened meanwhile.
      if (error instanceof UmedsamError && (error.code === "disposed" || error.code === "aborted")) return;
      throw error;
    } finally {
      this.#renderObjects();
    }
  }

  #newObject(): SegmentedObject {
    const object = new SegmentedObject(this.#nextId++);
    this.#objects.push(object);
    this.#selected = object.id;
    return object;
  }

  addBox(box: Box): void {
    const object = this.#newObject();
    object.say({ box });
    this.render();
    this.guard(() => this.#segment([object]));
  }

  /** Corrects the selected object, or begins one. */
  correct(correction: Correction): void {
    const object = this.#objects.find(({ id }) => id === this.#selected) ?? this.#newObject();
    object.say(correction);
    this.render();
    this.guard(() => this.#segment([object]));
  }

  #moved(id: number, box: Box, done: boolean): void {
    const object = this.#objects.find((object) => object.id === id);
    if (object === undefined) return;
    object.move(box);
    if (!done) return;
    object.settleAfter(SETTLE_MS, () => {
      this.render();
      this.guard(() => this.#segment([object]));
    });
  }

  #putBack(id: number): void {
    this.#objects.find((object) => object.id === id)?.putBack();
    this.#renderObjects();
  }

  /** Takes the selected object's last step back, or takes it again. */
  step(direction: "undo" | "redo"): void {
    const object = this.#objects.find(({ id }) => id === this.#selected);
    if (object === undefined || !object[direction]()) return;
    this.render();
    this.guard(() => this.#segment([object]));
  }

  /** Answers whether the marked spot is inside of the selected object, or leaves it open. */
  answer(label: PointLabel | undefined): void {
    const object = this.#objects.find(({ id }) => id === this.#selected);
    const suggestion = object?.suggestion;
    if (object === undefined || suggestion == null) return;
    if (label !== undefined) this.correct({ points: [{ x: suggestion.x, y: suggestion.y, label }] });
    else {
      object.skip();
      this.#renderObjects();
    }
  }

  /** The next point or stroke begins an object. */
  selectNone(): void {
    this.#select(undefined);
  }

  #select(id: number | undefined): void {
    this.#selected = id;
    this.#renderObjects();
  }

  #remove(id: number): void {
    this.#objects.find((object) => object.id === id)?.close();
    this.#objects = this.#objects.filter((object) => object.id !== id);
    if (this.#selected === id) this.#selected = this.#objects.at(-1)?.id;
    this.render();
  }

  /** Segments all objects anew, as after a change of an option. */
  async segmentAll(): Promise<void> {
    for (const object of this.#objects) object.forget();
    await this.#segment(this.#objects);
  }

  async saveImage(): Promise<void> {
    if (this.#picture !== undefined) await savePng(this.#picture, `${this.#name}.png`);
  }

  async saveMask(): Promise<void> {
    if (this.#picture !== undefined) await saveMask(this.#objects, this.#picture, this.#name);
  }

  async saveHeat(): Promise<void> {
    if (this.#picture !== undefined) await saveHeat(this.#objects, this.#picture, this.#name);
  }

  render(): void {
    this.#renderObjects();
    this.paint();
  }

  #renderObjects(): void {
    const ready = this.#image !== undefined;
    this.viewer.setObjects(this.#objects, this.#selected, ready);
    page.addBox.disabled = !ready;
    const selected = this.#objects.find(({ id }) => id === this.#selected);
    showSuggestion(selected);
    page.undo.disabled = !(ready && selected?.canUndo === true);
    page.redo.disabled = !(ready && selected?.canRedo === true);
    page.saveMask.disabled = page.saveHeat.disabled = resultsOf(this.#objects).length === 0;
    const item = (object: SegmentedObject) =>
      objectItem(object, {
        isSelected: object.id === this.#selected,
        select: () => {
          this.#select(object.id);
          page.viewer.focus();
        },
        rename: (name) => {
          object.name = name;
          this.#renderObjects();
        },
        remove: () => this.#remove(object.id),
      });
    // A name that is being typed stays.
    if (page.objects.querySelector("input") === null) page.objects.replaceChildren(...this.#objects.map(item));
  }

  paint(): void {
    this.viewer.setMaps(pictures(this.#objects));
  }
}
