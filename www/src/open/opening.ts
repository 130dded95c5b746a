/** Opens what people bring: files, folders, drops, samples. */

import type { App } from "../app.js";
import { droppedFiles } from "./drop.js";
import { page } from "../page.js";
import { type Item, type Study, readStudy } from "./reading.js";
import { type Sample, fetchSample, loadSamples } from "./samples.js";
import { showReading } from "../status.js";
import { hideStudy, showStudy } from "./study-list.js";
import type { Stack } from "./slices.js";

/** Ends the reading of files that are not wanted any more. */
let stop = new AbortController();

function begin(): AbortSignal {
  stop.abort();
  stop = new AbortController();
  return stop.signal;
}

/** Opens the largest of what files hold, and lists the others. */
async function openFiles(app: App, files: Promise<File[]> | File[]): Promise<void> {
  const signal = begin();
  let study: Study | undefined;
  const read = async (): Promise<Stack> => {
    try {
      const all = await files;
      study = await readStudy(all, { signal, onProgress: (done, count) => count > 1 && !signal.aborted && showReading(done / count) });
      return await largest(study).open();
    } finally {
      if (!signal.aborted) page.progress.hidden = true;
    }
  };
  try {
    const reading = read();
    await app.open(
      reading.then((stack) => {
        signal.throwIfAborted();
        if (study !== undefined) list(app, study, largest(study));
        return stack;
      }),
    );
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function largest({ items }: Study): Item {
  return items.reduce((best, item) => (item.weight > best.weight ? item : best));
}

function list(app: App, study: Study, current: Item): void {
  showStudy(study, current, (item) => {
    begin();
    app.guard(async () => {
      await app.open(item.open());
      list(app, study, item);
    });
  });
}

/** A sample, read as files are. */
async function openSample(app: App, sample: Sample, blob: Blob): Promise<void> {
  const signal = begin();
  const read = async () => {
    const file = new File([blob], sample.file);
    const { items } = await readStudy([file], { signal, onProgress: () => {} });
    const stack = await (items[0] as Item).open();
    return { ...stack, name: sample.file.replace(/\..*$/, ""), credit: sample.credit };
  };
  await app.open(read(), { ...(sample.box === undefined ? {} : { boxes: [sample.box] }), ...(sample.slice === undefined ? {} : { slice: sample.slice }) });
  hideStudy();
}

/** Everything the page fetches it fetches here, before the first segmentation. Opens the first sample. */
export async function openSamples(app: App): Promise<void> {
  const samples = await loadSamples();
  const blobs = new Map(await Promise.all(samples.map(async (sample) => [sample, await fetchSample(sample)] as const)));
  for (const [sample, blob] of blobs) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sample.name;
    button.addEventListener("click", () => app.guard(() => openSample(app, sample, blob)));
    page.samples.append(button);
  }
  const [first] = blobs;
  if (first !== undefined) await openSample(app, ...first);
}

export function listenToFiles(app: App): void {
  for (const input of [page.file, page.folder]) {
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      input.value = "";
      if (files.length > 0) app.guard(() => openFiles(app, files));
    });
  }
  // Anywhere: a file that the page does not take would replace the page.
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    if (event.dataTransfer !== null) event.dataTransfer.dropEffect = "copy";
    page.dropHint.hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) page.dropHint.hidden = true;
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    page.dropHint.hidden = true;
    // Before the event ends, after which its files are gone.
    const files = droppedFiles(event.dataTransfer);
    app.guard(() => openFiles(app, files));
  });
}
