/** A long random walk through the package's calls, whose every answer is compared with a fresh run's. `?seed=1&segmentations=300`, `&subjects=2` for fewer images. */

import { Random } from "./random.js";
import { MOST_SUBJECTS } from "./subjects.js";
import { Tracker } from "./tracker.js";

const query = new URLSearchParams(location.search);
const [seed, segmentations, subjects] = [Number(query.get("seed") ?? 1), Number(query.get("segmentations") ?? 300), Number(query.get("subjects") ?? MOST_SUBJECTS)];
/** How often everything is put away, so that memory can be measured. */
const RESTS = Math.max(4, Math.round(segmentations / 500));
/** The longest that calls may take to settle, in seconds: a lost emulated GPU is opened and its kernels compiled anew. */
const DEADLINE = 120;

const tracker = new Tracker();
const state = { phase: "loading", answered: 0, known: 0, steps: 0, seed, segmentations, workers: 0 };

/** Fresh runs. */
class Oracle {
  #worker = new Worker("oracle.js", { type: "module" });
  #waiting = new Map();
  #next = 1;

  constructor(weights) {
    this.#worker.postMessage({ weights });
    this.#worker.onmessage = ({ data: { id, wrong, known } }) => {
      state.answered++;
      state.known = known;
      this.#waiting.get(id)(wrong);
      this.#waiting.delete(id);
    };
    this.#worker.onerror = ({ message }) => tracker.fail(`the fresh runs failed: ${message}`);
  }

  compare(key, found, tolerance) {
    const id = this.#next++;
    this.#worker.postMessage({ id, key, found, tolerance });
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }
}

/** Counts workers that live. */
function countWorkers() {
  const Real = globalThis.Worker;
  const living = new WeakSet();
  globalThis.Worker = class extends Real {
    constructor(...given) {
      super(...given);
      state.workers++;
      living.add(this);
    }

    terminate() {
      if (living.delete(this)) state.workers--;
      super.terminate();
    }
  };
}

/** Lets the page do all that is ready. */
function turn(milliseconds = 0) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

let goOn = () => {};
let tell = () => {};

function enter(phase) {
  state.phase = phase;
  tell();
}

/** Tells what goes on, for the test. */
window.soak = {
  state: () => ({ ...state, underWay: tracker.calls.size, settled: tracker.settled, failures: tracker.failures, last: tracker.steps }),
  /** The same at the next rest or at the end, or after some seconds: every question of the test leaves something in the browser's memory. */
  async next(seconds) {
    goOn();
    if (state.phase !== "done") await Promise.race([new Promise((resolve) => (tell = resolve)), turn(1000 * seconds)]);
    return this.state();
  },
};

async function walk() {
  // The package takes the trap of a crash for its own, and says so to the browser.
  const unless = (tell) => (event) => setTimeout(() => event.defaultPrevented || tracker.fail(tell(event)));
  addEventListener("error", unless(({ message }) => `an error of the page: ${message}`));
  addEventListener("unhandledrejection", unless(({ reason }) => `nobody handled ${reason?.stack ?? reason}`));
  const oracle = new Oracle({ tiny: new URL("tiny.safetensors", location.href).href });
  countWorkers();
  const { Arena } = await import("./arena.js");
  const random = new Random(seed);
  const real = new Arena({ name: "real", subjects, devices: ["cpu"] }, random, tracker, oracle);
  const tiny = new Arena({ name: "tiny", subjects, weights: "tiny.safetensors", changes: true, devices: ["cpu", "cpu", "cpu", "cpu", "webgpu"] }, random, tracker, oracle);
  await real.load();
  await real.fill();
  // What the first use of each way to run leaves for good: 2 MB of glue with a network on this thread, and 1.5 MB once its instance is made anew.
  for (const [device, worker, crashes] of [["cpu", false, true], ["cpu", false, false], ["webgpu", true, false]]) {
    await tiny.load(device, worker);
    await tiny.fill(1);
    if (crashes) tiny.crash();
    await tracker.rest(DEADLINE);
    tiny.end();
  }
  const rest = async () => {
    await tracker.rest(DEADLINE);
    for (const arena of [real, tiny]) arena.clearAll();
    // Its threads and devices come and go.
    tiny.end();
    await turn(100);
    state.memory = await real.model.memoryBytes();
    const rested = new Promise((resolve) => (goOn = resolve));
    enter("resting");
    await rested;
    state.phase = "walking";
  };
  state.phase = "walking";
  for (let part = 1; part <= RESTS && tracker.failures.length === 0; part++) {
    while (state.answered < (segmentations * part) / RESTS && tracker.failures.length === 0) {
      const arena = random.weighted([
        [1, real],
        [1, tiny],
      ]);
      arena.act();
      state.steps++;
      const wait = random.weighted([
        [3, 0],
        [1, random.below(40)],
      ]);
      await turn(wait);
      for (const each of [real, tiny]) each.compareAll();
      if (random.chance(0.03)) await tracker.rest(DEADLINE);
    }
    await rest();
  }
  real.end();
  tiny.end();
  await turn(100);
  if (tracker.calls.size > 0) await tracker.rest(DEADLINE);
  if (state.workers !== 0) tracker.fail(`${state.workers} workers are left`);
  enter("done");
}

walk().catch((error) => {
  tracker.fail(`the walk ended: ${error.stack}`);
  enter("done");
});
