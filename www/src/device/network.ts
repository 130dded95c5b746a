/** The network, and the device that it runs on. */

import { type DeviceRequest, type Model, load } from "../../umedsam/index.js";
import { milliseconds } from "../dom.js";
import { page } from "../page.js";
import { stopWatching, watchRequests } from "./requests.js";
import { showModel, showProgress } from "../status.js";

/** Other weights than the package's, to compare them: `?weights=URL`. */
const WEIGHTS = new URLSearchParams(location.search).get("weights");

export class Network {
  #model: Promise<Model> | undefined;
  /** Counts devices: what one encoded another does not know. */
  generation = 0;
  /** What the page fetches besides the network before it counts what it sends. */
  readonly #before: Promise<unknown>;

  constructor(before: Promise<unknown>) {
    this.#before = before;
  }

  /** The network where it was loaded or is loading. */
  get model(): Promise<Model> | undefined {
    return this.#model;
  }

  load(): Promise<Model> {
    if (this.#model !== undefined) return this.#model;
    const start = performance.now();
    // What a change of device fetches again is not the image being sent.
    stopWatching();
    const loading = this.#load((progress) => {
      if (this.#model === loading) showProgress(progress);
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

  async #load(onProgress: (progress: Parameters<typeof showProgress>[0]) => void): Promise<Model> {
    const weights = WEIGHTS === null ? {} : { weights: new URL(WEIGHTS, location.href) };
    const [model] = await Promise.all([load({ ...weights, device: page.deviceChoice.value as DeviceRequest, onProgress }), this.#before]);
    return model;
  }

  /** The last choice wins: what was begun for another device is disposed of when it is there. */
  change(): void {
    const previous = this.#model;
    this.#model = undefined;
    this.generation++;
    previous?.then(
      (model) => model.dispose(),
      () => {},
    );
  }
}
