/** What is open: a stack, the slice that is seen, its objects, and the order in which the network is asked. */

import { type EncodedImage, type Model, type Progress, UmedsamError } from "../umedsam/index.js";
import type { Network } from "./device/network.js";
import { milliseconds } from "./dom.js";
import { Encodings } from "./device/encodings.js";
import { beginDrag, chosenLook, dragTo, resetWindow } from "./view/intensities.js";
import { objectItem } from "./prompt/object-item.js";
import type { SegmentedObject } from "./prompt/objects.js";
import { page } from "./page.js";
import { pictures, resultsOf, showValues } from "./layers/painting.js";
import { Prompting } from "./prompt/prompting.js";
import { showRequests } from "./device/requests.js";
import { showFormats } from "./export/saving.js";
import { showPlace, showStack } from "./view/slice-bar.js";
import { type Seen, SliceView, look, lookKey } from "./view/slice-view.js";
import { type Begin, type Place, type Stack, countOf, isSame, keyOf } from "./open/slices.js";
import { askedBound, hideError, showError, showGuarantee, showModel, showProgress, showSuggestion } from "./status.js";
import { choose, tool } from "./prompt/tools.js";
import { Viewer } from "./view/viewer.js";
import type { Range } from "./volume/course.js";
import { Propagating } from "./volume/propagating.js";
import { resetRange, showVolume } from "./volume/volume-panel.js";

/** A slice that is still wanted after this long is encoded. */
const REST_MS = 200;

export class App {
  readonly prompting: Prompting;
  readonly viewer: Viewer;
  readonly propagating: Propagating;
  readonly #network: Network;
  readonly #slices = new SliceView((seen) => this.#shown(seen));
  readonly #encodings = new Encodings();
  /** What is seen, as the network knows it. */
  #image: EncodedImage | undefined;
  /** What it was made from: a device, a window. */
  #source = "";
  /** Counts opened images, slices, windows and changes of the device, so that what is slower and earlier does not replace what is later. */
  #generation = 0;
  /** Counts what was begun to be opened: the last one stays. */
  #opened = 0;
  /** Ends what the network does for an earlier one. */
  #stop = new AbortController();
  /** The stack of the slice that was seen last. */
  #last: Stack | undefined;

  constructor(network: Network) {
    this.#network = network;
    const place = () => this.#slices.seen?.place;
    this.prompting = new Prompting({
      get place() {
        return place();
      },
      ask: (objects) => this.guard(() => this.#segment(objects)),
      edited: (object) => this.propagating.end(`Ended, for ${object.name} was changed.`, object),
      removed: (object) => this.propagating.remove(object),
      changed: () => this.render(),
      listed: () => this.#renderObjects(),
    });
    this.propagating = new Propagating({
      load: () => this.#network.load(),
      get zoom() {
        return page.zoomOn.checked ? "auto" : "off";
      },
      advanced: () => {
        this.paint();
        showVolume(this);
      },
      changed: () => this.render(),
    });
    this.viewer = new Viewer({
      drawn: (box) => this.prompting.addBox(box),
      changed: (id, box, done) => this.prompting.move(id, box, done),
      putBack: (id) => this.prompting.putBack(id),
      clicked: ({ x, y }, label) => this.prompting.correct({ points: [{ x, y, label }] }),
      stroked: (points, label) => this.prompting.correct({ scribbles: [{ points, label }] }),
      selected: (id) => this.prompting.select(id),
      removed: (id) => this.prompting.remove(id),
      pointed: (pixel) => showValues(this.prompting.all, this.#slices.seen, pixel),
      scrolled: (steps) => this.scroll(steps),
      windowed: (by) => this.#dragWindow(by),
    });
  }

  /** What is on the screen. */
  get seen(): Seen | undefined {
    return this.#slices.seen;
  }

  /** The network where it was loaded or is loading. */
  get model(): Promise<Model> | undefined {
    return this.#network.model;
  }

  /** The slice that is wanted last, seen already or on its way. */
  get place(): Place | undefined {
    return this.#slices.place;
  }

  /** What is under way is not wanted any more. */
  #begin(): number {
    this.#stop.abort();
    this.#stop = new AbortController();
    for (const part of this.prompting.parts) part.stop();
    page.encodeTime.textContent = "…";
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

  async changeDevice(): Promise<void> {
    this.propagating.end("Ended by the change of the device.");
    const generation = this.#begin();
    this.#network.change();
    this.#encodings.clear();
    this.#image = undefined;
    await this.#encode(generation);
  }

  /** Opens what `reading` gives, unless something else is opened meanwhile. What is open goes on until the new one can be seen. */
  async open(reading: Promise<Stack>, { slice: index, boxes = [] }: Begin = {}): Promise<void> {
    const opening = ++this.#opened;
    const stack = await reading;
    const place = index === undefined ? stack.first : { ...stack.first, index };
    const slice = await stack.slice(place);
    if (opening !== this.#opened) return;
    // A picture that cannot be shown leaves the controls of the one before as they are.
    const first = await look(stack, place, slice, { window: slice.image.window ?? "auto", invert: slice.image.invert === true });
    if (opening !== this.#opened) return;
    const generation = this.#begin();
    this.#encodings.clear();
    this.#image = undefined;
    this.propagating.forget();
    this.prompting.reset();
    resetWindow(slice, stack.modality);
    this.viewer.isStack = countOf(stack, place.axis) > 1 || stack.planes.length > 1;
    this.viewer.hasWindow = !page.window.hidden;
    if (!this.viewer.hasWindow && tool() === "window") choose("box");
    showStack(stack);
    showFormats(stack);
    resetRange(stack);
    this.#slices.open(first);
    const { width, height } = slice.image;
    const spacing = slice.spacing === undefined ? "" : ` · ${slice.spacing.map((length) => Number(length.toPrecision(3))).join("×")} mm per pixel`;
    page.credit.textContent = `${stack.credit} · ${width}×${height} px${spacing}`;
    for (const box of boxes) this.prompting.begin()?.say({ box });
    this.render();
    await this.#encode(generation);
  }

  /** Goes some slices on. */
  scroll(steps: number): void {
    const place = this.#slices.place;
    const stack = this.seen?.stack;
    if (place === undefined || stack === undefined) return;
    const index = Math.min(countOf(stack, place.axis) - 1, Math.max(0, place.index + steps));
    if (index !== place.index) this.goTo({ ...place, index });
  }

  /** Shows another slice, and encodes it when it rests. */
  goTo(place: Place): void {
    this.guard(() => this.#want(place));
  }

  /** Shows and encodes the same slice through another window. */
  changeWindow(): void {
    const place = this.#slices.place;
    this.propagating.end("Ended by the change of the window.");
    for (const object of this.prompting.all) object.outdate();
    if (place !== undefined) this.guard(() => this.#want(place));
  }

  /** Follows an object through the slices; what goes wrong is shown whatever is seen meanwhile. */
  follow(part: SegmentedObject, wanted: Range | undefined): void {
    const { seen } = this;
    if (seen === undefined) return;
    hideError();
    this.propagating
      .follow(part, seen, wanted)
      .then(async () => {
        const model = await this.#network.model;
        if (model !== undefined) await showRequests(model);
      })
      .catch(showError);
  }

  #dragWindow(by: { x: number; y: number } | undefined): void {
    const seen = this.seen;
    if (seen === undefined) return;
    if (by === undefined) beginDrag(seen.slice);
    else {
      dragTo(by.x, by.y);
      this.changeWindow();
    }
  }

  async #want(place: Place): Promise<void> {
    const generation = this.#begin();
    this.#image = undefined;
    const { seen } = this;
    if (seen !== undefined) showPlace(seen.stack, place);
    try {
      await this.#slices.want(place);
    } finally {
      // What cannot be read is not gone to.
      if (generation === this.#generation && seen !== undefined) showPlace(seen.stack, this.#slices.place ?? place);
      page.progress.hidden = true;
    }
    const isKnown = this.#encodings.get(this.#key()) !== undefined;
    if (!isKnown) await new Promise((resolve) => setTimeout(resolve, REST_MS));
    if (generation === this.#generation) await this.#encode(generation);
  }

  /** A slice, or the same through another window, is seen: never with masks of another one. */
  #shown({ picture, slice, place, stack }: Seen): void {
    const [across, down] = slice.spacing ?? [1, 1];
    const ratio = across > 0 && down > 0 ? Math.min(20, Math.max(0.05, down / across)) : 1;
    this.viewer.setImage(picture, stack !== this.#last, ratio);
    this.#last = stack;
    if (this.#slices.place !== undefined && isSame(place, this.#slices.place)) showPlace(stack, place);
    this.render();
  }

  #key(): string {
    const { seen } = this;
    return seen === undefined ? "" : `${this.#network.generation} ${keyOf(seen.place)} ${lookKey(seen.look)}`;
  }

  /** Encodes what is seen and segments its objects. */
  async #encode(generation: number): Promise<void> {
    const { seen } = this;
    if (seen === undefined || chosenLook(seen.slice) === undefined) return;
    const { signal } = this.#stop;
    const isCurrent = () => generation === this.#generation;
    const key = this.#key();
    try {
      const model = await this.#network.load();
      if (!isCurrent()) return;
      let image = this.#encodings.get(key);
      if (image === undefined) {
        showProgress({ stage: "encode", fraction: 0 });
        const onProgress = (progress: Progress) => {
          if (isCurrent()) showProgress(progress);
        };
        image = await model.encode({ ...seen.slice.image, ...seen.look }, { onProgress, signal });
        if (!isCurrent()) {
          image.dispose();
          return;
        }
        this.#encodings.put(key, image);
      }
      this.#image = image;
      this.#source = `${this.#network.generation} ${lookKey(seen.look)}`;
      for (const object of this.prompting.here) object.continueOn(image, this.#source);
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
    await this.#segment(this.prompting.here);
  }

  /** Asks the network what was said of objects: first single passes, to show masks at once, then ensembles. */
  async #segment(objects: readonly SegmentedObject[]): Promise<void> {
    const image = this.#image;
    const { signal } = this.#stop;
    if (image === undefined || objects.length === 0) return;
    const options = { ...askedBound(), zoom: page.zoomOn.checked ? "auto" : "off" } as const;
    const errors: unknown[] = [];
    try {
      // A copy, for objects come and go meanwhile.
      for (const [done, object] of [...objects].entries()) {
        if (!this.prompting.here.includes(object)) continue;
        // One object is done before a bar could be read.
        if (objects.length > 1) showProgress({ stage: "segment", fraction: done / objects.length });
        await this.#answer(object, image, options).catch((error: unknown) => errors.push(error));
        if (signal.aborted || image !== this.#image) return;
      }
    } finally {
      if (!signal.aborted) page.progress.hidden = true;
    }
    showGuarantee(resultsOf(this.prompting.here));
    if (errors.length > 0) throw errors[0];
    const model = await this.#network.model;
    if (model === undefined || image !== this.#image) return;
    await showRequests(model);
    page.memory.textContent = `${((await model.memoryBytes()) / 2 ** 20).toFixed(0)} MiB of WebAssembly, at most`;
  }

  async #answer(object: SegmentedObject, image: EncodedImage, options: { alpha: number; delta?: number; zoom: "auto" | "off" }): Promise<void> {
    const shown = () => {
      if (!this.prompting.parts.includes(object)) return;
      const { result, isFinal } = object;
      if (result !== undefined) (isFinal ? page.uncertaintyTime : page.segmentTime).textContent = milliseconds(result.timings.segmentMs);
      this.render();
    };
    try {
      await object.answer(image, this.#source, options, shown);
    } catch (error) {
      // More was said, the image was closed, or another opened meanwhile.
      if (error instanceof UmedsamError && (error.code === "disposed" || error.code === "aborted")) return;
      throw error;
    } finally {
      this.#renderObjects();
    }
  }

  /** Segments all objects anew, as after a change of an option. */
  async segmentAll(): Promise<void> {
    for (const part of this.prompting.parts) part.forget();
    await this.#segment(this.prompting.here);
  }

  render(): void {
    this.#renderObjects();
    this.paint();
  }

  #renderObjects(): void {
    const { seen } = this;
    const { here, selected, chosen, all } = this.prompting;
    this.viewer.setObjects(here, selected?.id, seen !== undefined);
    page.addBox.disabled = seen === undefined;
    showSuggestion(selected);
    page.undo.disabled = selected?.canUndo !== true;
    page.redo.disabled = selected?.canRedo !== true;
    page.saveMask.disabled = page.saveHeat.disabled = resultsOf(all, seen?.place).length === 0;
    page.saveFile.disabled = all.every(({ results }) => results.length === 0);
    showVolume(this);
    // Answers to prompts of this slice have their guarantees shown when they come.
    const found = here.length === 0 ? resultsOf(all, seen?.place) : [];
    if (seen !== undefined && found.length > 0) showGuarantee(found);
    if (seen === undefined) return;
    const item = (object: SegmentedObject) =>
      objectItem(object, seen, {
        isSelected: object === chosen,
        select: () => {
          this.prompting.select(object.id);
          if (object.resultAt(seen.place) === undefined) this.goTo(object.place);
          page.viewer.focus();
        },
        rename: (name) => {
          object.name = name;
          this.#renderObjects();
        },
        remove: () => this.prompting.remove(object.id),
      });
    // A name that is being typed stays.
    if (page.objects.querySelector("input") === null) page.objects.replaceChildren(...all.map(item));
  }

  paint(): void {
    this.viewer.setMaps(pictures(this.prompting.all, this.seen?.place));
  }
}
