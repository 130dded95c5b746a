/** Counts what leaves this machine: requests of the page and of the worker since the model was loaded, when everything is here. */

import type { Model } from "../../umedsam/index.js";
import { page } from "../page.js";

let observer: PerformanceObserver | undefined;
let ofPage = 0;
let ofWorker = 0;
/** The page's own program files that were fetched late, such as decoders of compressed DICOM files. */
let ownFiles = 0;
const OWN = new URL("../../umedsam/", import.meta.url).href;
/** Requests that the worker had made when it was ready. */
let before = 0;

/** Only what goes over the network: pictures from memory and an extension's files do not. */
function isSent(address: string): boolean {
  return /^(https?|wss?|ftp):/.test(address);
}

export function stopWatching(): void {
  observer?.disconnect();
}

/** Counts from now on. */
export async function watchRequests(model: Model): Promise<void> {
  const since = performance.now();
  ofPage = 0;
  ownFiles = 0;
  ofWorker = 0;
  observer?.disconnect();
  observer = new PerformanceObserver((list) => {
    const sent = list.getEntries().filter(({ name, startTime }) => startTime >= since && isSent(name));
    const own = sent.filter(({ name }) => name.startsWith(OWN)).length;
    ownFiles += own;
    ofPage += sent.length - own;
    show();
  });
  observer.observe({ type: "resource" });
  show();
  before = (await model.requests()).filter(isSent).length;
}

/** Asks the worker again: a page does not see what its workers fetch. */
export async function showRequests(model: Model): Promise<void> {
  ofWorker = (await model.requests()).filter(isSent).length - before;
  show();
}

function show(): void {
  const count = ofPage + ofWorker;
  const requests = count === 1 ? "1 request" : `${count} requests`;
  const own = ownFiles === 0 ? "" : `; ${ownFiles} of the page's own program files were fetched, such as decoders`;
  page.requests.textContent = `${count === 0 ? "nothing: " : ""}${requests} since the model was loaded${own}`;
  page.privacy.classList.toggle("broken", count > 0);
  page.privacy.textContent = count === 0 ? "Nothing was sent: the image stays on this machine" : `${requests} after the start`;
}
