/** Wires the page together. */

import {
  type Box,
  type DeviceRequest,
  type EncodedImage,
  type Model,
  type Progress,
  type Segmentation,
  type UncertaintyMap,
  UmedsamError,
  colorize,
  load,
} from "../umedsam/index.js";
import { context2d, element, milliseconds } from "./dom.js";
import { MAPS, contourPicture, heatPicture, maskPicture, savePng, toCanvas, unionPicture } from "./overlay.js";
import { type Sample, fetchSample, loadSamples } from "./samples.js";
import { type EditableBox, Viewer } from "./viewer.js";

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

interface Entry extends EditableBox {
  result?: Segmentation;
  /** Whether the result is the ensemble's. */
  isFinal?: boolean;
  /** Counts edits, so that late results of earlier places are dropped. */
  edit: number;
  timer?: number;
}

const page = {
  privacy: element("privacy", HTMLParagraphElement),
  progress: element("progress", HTMLDivElement),
  progressLabel: element("progress-label", HTMLLabelElement),
  progressBar: element("progress-bar", HTMLProgressElement),
  error: element("error", HTMLParagraphElement),
  dropHint: element("drop-hint", HTMLDivElement),
  viewer: element("viewer", HTMLDivElement),
  samples: element("samples", HTMLDivElement),
  file: element("file", HTMLInputElement),
  credit: element("credit", HTMLParagraphElement),
  boxes: element("boxes", HTMLOListElement),
  addBox: element("add-box", HTMLButtonElement),
  maskOn: element("mask-on", HTMLInputElement),
  maskOpacity: element("mask-opacity", HTMLInputElement),
  heatOn: element("heat-on", HTMLInputElement),
  heatOpacity: element("heat-opacity", HTMLInputElement),
  map: element("map", HTMLSelectElement),
  outerOn: element("outer-on", HTMLInputElement),
  innerOn: element("inner-on", HTMLInputElement),
  alpha: element("alpha", HTMLSelectElement),
  guarantee: element("guarantee", HTMLParagraphElement),
  legendTitle: element("legend-title", HTMLSpanElement),
  legendHalf: element("legend-half", HTMLSpanElement),
  legendMax: element("legend-max", HTMLSpanElement),
  meaning: element("meaning", HTMLParagraphElement),
  calibration: element("calibration", HTMLElement),
  pointer: element("pointer", HTMLParagraphElement),
  saveImage: element("save-image", HTMLButtonElement),
  saveMask: element("save-mask", HTMLButtonElement),
  saveHeat: element("save-heat", HTMLButtonElement),
  device: element("device", HTMLSpanElement),
  deviceReason: element("device-reason", HTMLSpanElement),
  model: element("model", HTMLElement),
  loadTime: element("load-time", HTMLElement),
  encodeTime: element("encode-time", HTMLElement),
  segmentTime: element("segment-time", HTMLElement),
  uncertaintyTime: element("uncertainty-time", HTMLElement),
  memory: element("memory", HTMLElement),
  requests: element("requests", HTMLElement),
  deviceChoice: element("device-choice", HTMLSelectElement),
  legend: element("legend-bar", HTMLCanvasElement),
};

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
  /** Counts opened images, so that a slower earlier one does not replace a later one. */
  #opened = 0;
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
    page.viewer.addEventListener("dragover", (event) => {
      event.preventDefault();
      page.dropHint.hidden = false;
    });
    page.viewer.addEventListener("dragleave", () => (page.dropHint.hidden = true));
    page.viewer.addEventListener("drop", (event) => {
      event.preventDefault();
      page.dropHint.hidden = true;
      const file = event.dataTransfer?.files[0];
      if (file !== undefined) this.#guard(() => this.#openFile(file));
    });
    page.addBox.addEventListener("click", () => this.#addBox(this.#viewer.centredBox()));
    for (const input of [page.maskOn, page.maskOpacity, page.heatOn, page.heatOpacity, page.outerOn, page.innerOn]) {
      input.addEventListener("input", () => this.#paint());
    }
    page.map.addEventListener("change", () => {
      drawLegend();
      this.#render();
    });
    page.alpha.addEventListener("change", () => this.#guard(() => this.#segment(this.#entries)));
    page.deviceChoice.addEventListener("change", () => this.#guard(() => this.#changeDevice()));
    page.saveImage.addEventListener("click", () =>
      this.#guard(() => savePng(this.#viewer.imageLayer, `${this.#name}.png`)),
    );
    page.saveMask.addEventListener("click", () =>
      this.#guard(() => {
        const picture = unionPicture(this.#results(), this.#viewer.width, this.#viewer.height);
        return savePng(toCanvas(picture), `${this.#name}-mask.png`);
      }),
    );
    page.saveHeat.addEventListener("click", () =>
      this.#guard(async () => {
        const picture = heatPicture(this.#results(), shownMap(), page.heatOpacity.valueAsNumber);
        if (picture === undefined) return;
        await savePng(toCanvas(picture, this.#viewer.imageLayer), `${this.#name}-${shownMap()}-uncertainty.png`);
      }),
    );
  }

  /** Shows what goes wrong instead of losing it. */
  #guard(action: () => Promise<void>): void {
    hideError();
    action().catch(showError);
  }

  #loadModel(): Promise<Model> {
    if (this.#model !== undefined) return this.#model;
    const start = performance.now();
    // What a change of device fetches again is not the image being sent.
    requestObserver?.disconnect();
    const loading = load({
      ...(WEIGHTS === null ? {} : { weights: new URL(WEIGHTS, location.href) }),
      device: page.deviceChoice.value as DeviceRequest,
      onProgress: showProgress,
    });
    this.#model = loading;
    loading.then(
      (model) => {
        page.loadTime.textContent = milliseconds(performance.now() - start);
        showModel(model);
        watchRequests();
      },
      () => {
        this.#model = undefined;
      },
    );
    return loading;
  }

  async #changeDevice(): Promise<void> {
    const previous = this.#model;
    this.#model = undefined;
    this.#image = undefined;
    (await previous?.catch(() => undefined))?.dispose();
    await this.#encode();
  }

  async #openSample(sample: Sample, blob: Blob): Promise<void> {
    await this.#open(blob, sample.file.replace(/\.\w+$/, ""), [sample.box], sample.credit);
  }

  async #openFile(file: File): Promise<void> {
    await this.#open(file, file.name.replace(/\.\w+$/, ""), [], `${file.name}, opened from this machine`);
  }

  async #open(blob: Blob, name: string, boxes: readonly Box[], credit: string): Promise<void> {
    const opened = ++this.#opened;
    let bitmap: ImageBitmap;
    try {
      bitmap = await createImageBitmap(blob);
    } catch {
      const file = blob instanceof File ? blob.name : name;
      throw new Error(`${file} is not an image this browser can read; choose a PNG or JPEG file`);
    }
    if (opened !== this.#opened) return;
    this.#image?.dispose();
    this.#image = undefined;
    this.#name = name;
    this.#viewer.setImage(bitmap);
    bitmap.close();
    page.credit.textContent = credit;
    this.#entries = [];
    this.#selected = undefined;
    for (const box of boxes) this.#newEntry(box);
    this.#render();
    await this.#encode();
  }

  /** Encodes the shown image and segments its boxes. */
  async #encode(): Promise<void> {
    const opened = this.#opened;
    page.encodeTime.textContent = "…";
    try {
      const model = await this.#loadModel();
      if (opened !== this.#opened) return;
      showProgress({ stage: "encode", fraction: 0 });
      const image = await model.encode({ data: this.#viewer.pixels() }, { onProgress: showProgress });
      if (opened !== this.#opened) {
        image.dispose();
        return;
      }
      this.#image = image;
      const { preprocessMs, encodeMs } = image.timings;
      page.encodeTime.textContent = milliseconds(preprocessMs + encodeMs);
      showModel(model);
    } finally {
      if (opened === this.#opened) page.progress.hidden = true;
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
          { alpha: Number(page.alpha.value), uncertainty: samples === undefined ? {} : { samples } },
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
        entry.isFinal = samples === undefined;
        this.#showTime(result, entry.isFinal);
      }
      this.#render();
    }
    showGuarantee(this.#results());
    const model = await this.#model;
    if (model !== undefined) page.memory.textContent = `${((await model.memoryBytes()) / 2 ** 20).toFixed(0)} MiB of WebAssembly, at most`;
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
    page.boxes.replaceChildren(...this.#entries.map((entry, index) => this.#boxItem(entry, index)));
  }

  #boxItem(entry: Entry, index: number): HTMLLIElement {
    const item = document.createElement("li");
    if (entry.id === this.#selected) item.setAttribute("aria-current", "true");
    const select = document.createElement("button");
    select.type = "button";
    select.className = "select";
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = entry.color;
    const details = document.createElement("small");
    details.textContent = describe(entry);
    select.append(swatch, `Box ${index + 1}`);
    if (entry.isFinal === true && entry.result?.needsReview === true) {
      const flag = document.createElement("span");
      flag.className = "flag";
      flag.textContent = "check this one";
      select.append(flag);
    }
    select.append(details);
    select.addEventListener("click", () => {
      this.#select(entry.id);
      page.viewer.focus();
    });
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "remove";
    remove.textContent = "✕";
    remove.setAttribute("aria-label", `Remove box ${index + 1}`);
    remove.addEventListener("click", () => this.#remove(entry.id));
    item.append(select, remove);
    return item;
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

function shownMap(): UncertaintyMap {
  return page.map.value as UncertaintyMap;
}

function describe({ result, isFinal }: Entry): string {
  if (result === undefined) return "waiting";
  if (isFinal !== true) return `${result.area.toLocaleString("en")} px · finding where it is unsure`;
  const area = result.area.toLocaleString("en");
  const unsure = result.uncertainty.total?.reduce((count, value) => count + Number(value > 0.5), 0) ?? 0;
  return `expected DSC ${result.expectedDsc.toFixed(2)} · ${area} px · unsure (over ½ bit) of ${unsure.toLocaleString("en")} px`;
}

/** Says what the contours promise, or why there are none. */
function showGuarantee(results: readonly Segmentation[]): void {
  const alpha = `${Math.round(100 * Number(page.alpha.value))} %`;
  const isFitted = results.every(({ calibration }) => calibration === "fitted");
  page.guarantee.textContent = isFitted
    ? `On images like those of the calibration, the outer contour misses ${alpha} of the object on average at most, and ${alpha} of what is within the inner one is wrong at most.`
    : "The weights are not calibrated: there is nothing to promise.";
  for (const input of [page.outerOn, page.innerOn, page.alpha]) input.disabled = !isFitted;
}

function drawLegend(): void {
  const ramp = Float32Array.from({ length: 256 }, (_, index) => index / 255);
  const picture = colorize(ramp, 256, 1);
  for (let pixel = 0; pixel < 256; pixel++) picture.data[4 * pixel + 3] = 255;
  context2d(page.legend).putImageData(picture, 0, 0);
  const { title, meaning, max } = MAPS[shownMap()];
  page.legendTitle.textContent = title;
  page.meaning.textContent = meaning;
  page.legendHalf.textContent = String(max / 2);
  page.legendMax.textContent = max === 1 ? "1 bit" : `${max} bit or more`;
}

const STAGES = { weights: "Loading weights", model: "Starting the network", encode: "Encoding the image" };

function showProgress({ stage, fraction, loadedBytes }: Progress): void {
  page.progress.hidden = false;
  const size = loadedBytes === undefined ? "" : ` ${(loadedBytes / 1e6).toFixed(1)} MB`;
  page.progressLabel.textContent = `${STAGES[stage]}${size}`;
  if (fraction === undefined) page.progressBar.removeAttribute("value");
  else page.progressBar.value = fraction;
}

function showModel({ info }: Model): void {
  const { device } = info;
  page.device.textContent = device.kind === "webgpu" ? `GPU (WebGPU): ${device.adapter ?? "unnamed"}` : "CPU (WebAssembly)";
  page.deviceReason.textContent = device.reason;
  page.model.textContent = `${info.architecture}, ${info.precision}, ${info.licence}`;
  page.calibration.textContent =
    info.calibration === null ? "none: probabilities are the network's own" : `learned on ${info.calibration.cases} images`;
}

let requestObserver: PerformanceObserver | undefined;

/** Counts requests from now on; everything the page needs is here. */
function watchRequests(): void {
  const since = performance.now();
  let count = 0;
  const show = () => {
    const requests = count === 1 ? "1 request" : `${count} requests`;
    page.requests.textContent = `${count === 0 ? "nothing: " : ""}${requests} since the model was loaded`;
    page.privacy.classList.toggle("broken", count > 0);
    page.privacy.textContent = count === 0 ? "Nothing was sent: the image stays on this machine" : `${requests} after the start`;
  };
  requestObserver?.disconnect();
  requestObserver = new PerformanceObserver((list) => {
    count += list.getEntries().filter(({ startTime }) => startTime >= since).length;
    show();
  });
  requestObserver.observe({ type: "resource" });
  show();
}

function showError(error: unknown): void {
  page.progress.hidden = true;
  page.error.hidden = false;
  page.error.textContent = error instanceof Error ? error.message : String(error);
}

function hideError(): void {
  page.error.hidden = true;
}

new App().start().catch(showError);
