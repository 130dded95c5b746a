/** One network at a time with its images and annotations, and what a person, or many at once, would do with it in any order. */

import { Annotation, load } from "./umedsam/dist/index.js";
import { CORRECTION_NAMES, QUESTION_NAMES, REFINED_OPTIONS, STEP_OPTIONS, correction, question, subject } from "./subjects.js";

const MOST_IMAGES = 3;
const MOST_ANNOTATIONS = 3;
const MOST_STEPS = 2;
const MOST_CALLS = 6;
/** Between an answer of emulated WebGPU and one of the CPU, in shares; numbers above 1 relative. */
const TOLERANCE = 5e-3;

export class Arena {
  #random;
  #tracker;
  #oracle;
  #options;
  #loading = false;
  /** Images that are encoded or being encoded. */
  #wanted = 0;
  images = [];
  annotations = [];
  model;

  /** `options`: `name`, `weights`, `subjects`, and whether the network `changes`: is loaded anew on other devices, lost, crashed. */
  constructor(options, random, tracker, oracle) {
    this.#options = options;
    this.#random = random;
    this.#tracker = tracker;
    this.#oracle = oracle;
  }

  #follow(what, promise, more, owner = { arena: this }) {
    return this.#tracker.follow({ arena: this, ...owner }, `${this.#options.name}: ${what}`, promise, more);
  }

  get #calls() {
    return [...this.#tracker.calls].filter(({ owner }) => owner.arena === this);
  }

  get #isOnGpu() {
    return this.model?.info.device.kind === "webgpu";
  }

  /** Codes that any call on the network may fail with by what was done to it before. */
  #codes() {
    return this.#isLost ? ["device-lost"] : [];
  }

  #isLost = false;
  /** How often a GPU was lost on purpose. */
  #losses = 0;

  /** Notes that a call that was made after so many losses has its answer. */
  #works(losses) {
    if (losses === this.#losses) this.#isLost = false;
  }

  async load(device = "cpu", worker = true, signal = undefined) {
    this.#loading = true;
    const { weights } = this.#options;
    const loading = load({ device, worker, ...(weights && { weights }), ...(signal && { signal }) });
    const onValue = (model) => {
      if (model.info.device.kind !== device) this.#tracker.fail(`asked for ${device}, got ${JSON.stringify(model.info.device)}`);
      this.model = model;
      this.#isLost = false;
    };
    this.#follow(`load on ${device}${worker ? "" : " inline"}`, loading, { codes: signal ? ["aborted"] : [], onValue });
    await loading.catch(() => {});
    this.#loading = false;
  }

  /** Does something, which may go on for a while. */
  act() {
    const { changes } = this.#options;
    if (this.model === undefined) {
      if (!this.#loading) this.#loadAnew();
      return;
    }
    if (this.#calls.length >= MOST_CALLS) return;
    this.#random.weighted([
      [4, () => this.#encode()],
      [30, () => this.#segment()],
      [24, () => this.#correct()],
      [6, () => this.#undo()],
      [4, () => this.#redo()],
      [1, () => this.#clear()],
      [4, () => this.#refine()],
      [3, () => this.#continueOn()],
      [5, () => this.#abort()],
      [1.5, () => this.#dispose()],
      [changes ? (this.#isOnGpu ? 1.5 : 0.25) : 0, () => this.#disposeModel()],
      [changes && this.#isOnGpu ? 1.5 : 0, () => this.#loseGpu()],
      [changes && !this.#isOnGpu ? 0.1 : 0, () => this.crash()],
    ])();
  }

  #loadAnew() {
    const { devices } = this.#options;
    const device = this.#random.of(devices);
    const worker = device !== "cpu" || this.#random.chance(0.7);
    const stop = this.#random.chance(0.2) ? new AbortController() : undefined;
    this.#tracker.step(`${this.#options.name}: load on ${device}, worker ${worker}${stop ? ", aborted" : ""}`);
    if (stop) setTimeout(() => stop.abort(), this.#random.below(600));
    void this.load(device, worker, stop?.signal);
  }

  /** A signal that is aborted in time, now, or never. */
  #signal(what) {
    const random = this.#random;
    if (!random.chance(0.12)) return {};
    const stop = new AbortController();
    if (random.chance(0.2)) {
      stop.abort();
      return { signal: stop.signal, codes: ["aborted"], mustFail: true };
    }
    setTimeout(() => stop.abort(), random.below(what === "encode" ? 150 : 60));
    return { signal: stop.signal, codes: ["aborted"] };
  }

  #encode() {
    if (this.#wanted >= MOST_IMAGES) {
      this.#dispose();
      return;
    }
    const number = this.#random.below(this.#options.subjects);
    const { signal, codes = [], mustFail } = this.#signal("encode");
    const model = this.model;
    const losses = this.#losses;
    this.#tracker.step(`${this.#options.name}: encode ${number}${signal ? ", aborted" : ""}`);
    this.#wanted++;
    const encoding = model.encode(subject(number), signal ? { signal } : {});
    this.#follow(`encode ${number}`, encoding, {
      codes: [...codes, ...this.#codes()],
      mustFail,
      onValue: (image) => {
        this.#works(losses);
        if (model === this.model) this.images.push({ image, number });
      },
      onError: () => {
        if (model === this.model) this.#wanted--;
      },
    });
  }

  /** Compares an answer with a fresh run's. */
  async #check(asked, number, found, isExact) {
    const { name } = this.#options;
    const key = `${name}/${number}/${asked}`;
    const wrong = await this.#oracle.compare(key, found, isExact ? 0 : TOLERANCE);
    if (wrong !== undefined) this.#tracker.fail(`${key} on ${isExact ? "the CPU" : "WebGPU"} is another answer: ${wrong}`);
  }

  #segment() {
    if (this.images.length === 0) {
      this.#encode();
      return;
    }
    const { image, number } = this.#random.of(this.images);
    const asked = this.#random.of(QUESTION_NAMES);
    const { prompts, options } = question(asked, number);
    const { signal, codes = [], mustFail } = this.#signal("segment");
    this.#tracker.step(`${this.#options.name}: segment ${number} ${asked}${signal ? ", aborted" : ""}`);
    const isExact = !this.#isOnGpu;
    const losses = this.#losses;
    this.#follow(`segment ${number} ${asked}`, image.segment(prompts, { ...options, ...(signal && { signal }) }), {
      codes: [...codes, ...this.#codes()],
      mustFail,
      onValue: (found) => {
        this.#works(losses);
        return this.#check(asked, number, found, isExact);
      },
    });
  }

  #annotation() {
    if (this.images.length > 0 && (this.annotations.length === 0 || (this.annotations.length < MOST_ANNOTATIONS && this.#random.chance(0.1)))) {
      const { image, number } = this.#random.of(this.images);
      this.annotations.push({ annotation: new Annotation(image, STEP_OPTIONS), image, number, steps: [], undone: [], isExact: true });
    }
    return this.annotations.length === 0 ? undefined : this.#random.of(this.annotations);
  }

  /** Whether the image of an annotation can still be asked. */
  #isOpen(one) {
    return this.images.some(({ image }) => image === one.image);
  }

  /** Follows a call of an annotation, whose `onValue` gets the answer. */
  #followStep(one, what, promise, signal, onValue) {
    const isOpen = this.#isOpen(one);
    const { codes = [], mustFail } = signal;
    const onGpu = this.#isOnGpu;
    const losses = this.#losses;
    return this.#follow(
      `annotation: ${what}`,
      promise,
      {
        codes: [...codes, ...this.#codes(), ...(isOpen ? [] : ["disposed", "crashed"])],
        mustFail: mustFail || !isOpen,
        onValue: (found) => {
          this.#works(losses);
          one.isExact &&= !onGpu;
          return onValue(found);
        },
      },
      { annotation: one },
    );
  }

  #correct() {
    const one = this.#annotation();
    if (one === undefined) return;
    const waiting = this.#calls.filter(({ owner }) => owner.annotation === one).length;
    if (one.steps.length + waiting >= MOST_STEPS) {
      this.#random.of([() => this.#undo(one), () => this.#clear(one)])();
      return;
    }
    const name = this.#random.of(CORRECTION_NAMES);
    const signal = this.#signal("segment");
    this.#tracker.step(`${this.#options.name}: correct ${one.number} ${name}${signal.signal ? ", aborted" : ""}`);
    const adding = one.annotation.add(correction(name, one.number), signal.signal ? { signal: signal.signal } : {});
    this.#followStep(one, `correct ${name}`, adding, signal, (result) => {
      one.steps.push({ name, result });
      one.undone = [];
      return this.#checkStep(one, result, "");
    });
  }

  #checkStep(one, result, end) {
    const names = one.steps.map(({ name }) => name).join("+");
    return this.#check(`+${names}${end}`, one.number, [result], one.isExact);
  }

  #refine() {
    const one = this.#annotation();
    if (one === undefined) return;
    this.#tracker.step(`${this.#options.name}: refine ${one.number}`);
    const call = this.#followStep(one, "refine", one.annotation.refine(REFINED_OPTIONS), {}, (result) => {
      const last = one.steps.at(-1);
      if (last === undefined || result === undefined) {
        if (result !== last?.result) this.#tracker.fail("there is nothing to refine, but an answer");
        return undefined;
      }
      last.result = result;
      return this.#checkStep(one, result, "!");
    });
    // Without a step nothing is asked of the image, which may be gone.
    call.mustFail = false;
  }

  /** The steps under way end, since their object is changed. */
  #endSteps(one) {
    for (const call of this.#calls) {
      if (call.owner.annotation !== one) continue;
      call.codes.add("aborted");
      call.mustFail = true;
    }
  }

  #undo(one = this.#annotation()) {
    if (one === undefined) return;
    this.#tracker.step(`${this.#options.name}: undo ${one.number}`);
    this.#endSteps(one);
    const step = one.steps.pop();
    if (step !== undefined) one.undone.push(step);
    this.#compare(one, one.annotation.undo());
  }

  #redo() {
    const one = this.#annotation();
    if (one === undefined) return;
    this.#tracker.step(`${this.#options.name}: redo ${one.number}`);
    const step = one.undone.pop();
    if (step !== undefined) {
      this.#endSteps(one);
      one.steps.push(step);
    }
    this.#compare(one, one.annotation.redo());
  }

  #clear(one = this.#annotation()) {
    if (one === undefined) return;
    this.#tracker.step(`${this.#options.name}: clear ${one.number}`);
    this.#endSteps(one);
    Object.assign(one, { steps: [], undone: [], isExact: true });
    one.annotation.clear();
    this.#compare(one, undefined);
    if (!this.#isOpen(one)) this.annotations.splice(this.annotations.indexOf(one), 1);
  }

  #continueOn() {
    const one = this.#annotation();
    const others = this.images.filter(({ image, number }) => number === one?.number && image !== one.image);
    if (others.length === 0) return;
    const { image } = this.#random.of(others);
    this.#tracker.step(`${this.#options.name}: continue ${one.number} on another encode`);
    this.#endSteps(one);
    one.image = image;
    one.annotation.continueOn(image);
  }

  /** Whether an annotation is as it should be. */
  #compare(one, returned = one.annotation.result) {
    const { annotation, steps, undone } = one;
    const isRight =
      annotation.result === steps.at(-1)?.result &&
      returned === annotation.result &&
      annotation.canUndo === steps.length > 0 &&
      annotation.canRedo === undone.length > 0;
    if (!isRight) this.#tracker.fail(`an annotation with ${steps.length} steps and ${undone.length} undone ones has another state`);
  }

  compareAll() {
    for (const one of this.annotations) this.#compare(one);
  }

  /** Begins a segmentation that ends after its first batch. */
  #abort() {
    if (this.images.length === 0) return;
    const { image, number } = this.#random.of(this.images);
    const stop = new AbortController();
    const { prompts, options } = question("ensemble", number);
    this.#tracker.step(`${this.#options.name}: segment ${number}, aborted at the first progress`);
    const segmenting = image.segment(prompts, { ...options, signal: stop.signal, onProgress: () => stop.abort() });
    this.#follow(`segment ${number}, aborted`, segmenting, { codes: ["aborted", ...this.#codes()], mustFail: true });
  }

  #dispose() {
    if (this.images.length === 0) return;
    const [{ image, number }] = this.images.splice(this.#random.below(this.images.length), 1);
    this.#tracker.step(`${this.#options.name}: dispose of image ${number}`);
    this.#wanted--;
    image.dispose();
    // Steps that wait for others have not asked it yet.
    for (const { owner, codes } of this.#calls) if (owner.annotation?.image === image) codes.add("disposed");
    this.#follow(`segment ${number}, which is gone`, image.segment(question("box", number).prompts), { codes: ["disposed"], mustFail: true });
  }

  #forgetModel() {
    this.images = [];
    this.#wanted = 0;
    this.model = undefined;
  }

  #disposeModel() {
    this.#tracker.step(`${this.#options.name}: dispose of the network`);
    this.#tracker.allow(this, "disposed");
    const { model } = this;
    this.#forgetModel();
    model.dispose();
    this.#follow("encode without a network", model.encode(subject(0)), { codes: ["disposed"], mustFail: true });
  }

  #loseGpu() {
    this.#tracker.step(`${this.#options.name}: lose the GPU`);
    this.#tracker.allow(this, "device-lost");
    this.#isLost = true;
    this.#losses++;
    this.#follow("lose the GPU", this.model.destroyGpuForTest(), {});
  }

  /** Ends the network's wasm instance in the middle of a call. */
  crash() {
    this.#tracker.step(`${this.#options.name}: crash`);
    this.#tracker.allow(this, "crashed");
    const { model } = this;
    this.#forgetModel();
    this.#follow("crash", model.crashForTest(), { codes: ["crashed"], mustFail: true, onError: () => model.dispose() });
    this.#follow("encode after a crash", model.encode(subject(0)), { codes: ["crashed", "disposed"], mustFail: true });
  }

  /** Disposes of what is open, so that only the network is left. */
  clearAll() {
    for (const { image } of this.images.splice(0)) image.dispose();
    this.annotations = [];
    this.#wanted = 0;
  }

  /** Opens as many images as may ever be open, and asks all questions of each: the most memory that is needed. */
  async fill(images = MOST_IMAGES + 2) {
    const open = [];
    for (let number = 0; number < images; number++) open.push(await this.model.encode(subject(number % this.#options.subjects)));
    for (const [number, image] of open.entries()) {
      for (const name of QUESTION_NAMES) {
        const { prompts, options } = question(name, number % this.#options.subjects);
        await image.segment(prompts, options);
      }
    }
    for (const image of open) image.dispose();
  }

  end() {
    this.clearAll();
    this.model?.dispose();
    this.model = undefined;
  }
}
