import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import { load } from "umedsam";
import { connect } from "umedsam/cornerstone";
import { imagesOf } from "./images.js";
import { at, listen, say } from "./page.js";
import { mouse, showImages, startViewer } from "./viewer.js";

const viewer = startViewer();
const model = await load();
let images: string[] = [];
let connection: ReturnType<typeof connect> | undefined;

/** Shows the images as a stack or as a plane of a volume, and connects the viewport. */
async function show(view: string): Promise<void> {
  connection?.dispose();
  await showImages(viewer, at("viewport") as HTMLDivElement, images, view);
  connection = connect({ core, tools, model }, "viewport");
  connection.on("result", ({ expectedDsc, needsReview, isFinal, segmentation }) => {
    say("error", "");
    say("result", `Expected DSC ${expectedDsc.toFixed(2)}${needsReview ? ": check this one" : ""}${isFinal ? "" : " …"}`);
    at("suggestion").hidden = segmentation.suggestions.length === 0;
  });
  connection.on("busy", (isBusy) => say("status", isBusy ? "Working…" : "Ready"));
  connection.on("progress", ({ done, atMost }) => say("status", `Slice ${done} of at most ${atMost}…`));
  connection.on("error", ({ message }) => say("error", message));
  connection.on("settled", (isAccepted) => {
    say("result", isAccepted ? "Accepted" : "");
    at("suggestion").hidden = true;
  });
  connection.on("cleared", () => {
    say("result", "");
    at("suggestion").hidden = true;
  });
  Object.assign(globalThis, { core, tools, model, connect, connection, images });
  say("status", "Ready");
}

async function open(files: readonly Blob[]): Promise<void> {
  say("error", "");
  images = await imagesOf(files);
  await show((at("view") as HTMLSelectElement).value);
}

/** Follows the object, and lists the slices that someone should look at. */
async function propagate(): Promise<void> {
  const found = await connection?.propagate();
  const slices = found?.toReview().map(({ slice, expectedDsc }) => `Slice ${slice + 1}: expected DSC ${expectedDsc.toFixed(2)}`) ?? [];
  at("review").replaceChildren(...slices.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

listen({
  open,
  show,
  propagate,
  mouse: (tool) => mouse(viewer.group, tool, (on) => connection?.setActive(on)),
  connection: () => connection,
});
const sample = await fetch("../../samples/chest.nii.gz");
await open([new File([await sample.blob()], "chest.nii.gz")]);
