import OpenSeadragon from "openseadragon";
import { load } from "umedsam";
import { connect } from "umedsam/openseadragon";
import { ownImage } from "./own-image.js";

const find = <Kind extends HTMLElement>(id: string) => document.getElementById(id) as Kind;
const query = new URLSearchParams(location.search);

const tileSources = query.get("source") ?? { type: "image", url: new URL("../../samples/chest-ct.png", location.href).href };
const viewer = OpenSeadragon({ element: find("viewer"), tileSources, showNavigationControl: false, crossOriginPolicy: "Anonymous", maxZoomPixelRatio: 4 });
const model = await load({ device: query.get("device") === "cpu" ? "cpu" : "auto" });
const connection = connect({ OpenSeadragon, viewer, model });
find("status").textContent = "Drag a box around an object.";

connection.on("busy", (busy) => {
  if (busy) find("status").textContent = "Working…";
});
connection.on("result", ({ segmentation, expectedDsc, needsReview, isFinal }) => {
  const course = isFinal ? "" : " · the ensemble is at work…";
  find("status").textContent = `Expected DSC ${expectedDsc.toFixed(2)}${needsReview === true ? " · check this one" : ""}${course}`;
  find("question").hidden = segmentation.suggestions.length === 0;
  find("error").hidden = true;
  list();
});
connection.on("settled", (accepted) => {
  find("status").textContent = accepted ? "Accepted. Drag the next box." : "Rejected.";
  find("question").hidden = true;
  list();
});
connection.on("error", ({ message }) => {
  find("error").hidden = false;
  find("error").textContent = message;
  find("status").textContent = "";
});

function list(): void {
  const items = connection.features().map(({ id, properties }) => {
    const { name, expectedDsc, needsReview, isAccepted } = properties;
    const [item, remove] = [document.createElement("li"), document.createElement("button")];
    item.append(`${isAccepted ? "✓ " : ""}${name}: expected DSC ${expectedDsc.toFixed(2)}${needsReview === true ? ", check this one" : ""}`, remove);
    item.classList.toggle("check", needsReview === true);
    remove.textContent = "Remove";
    remove.addEventListener("click", () => {
      connection.remove(id);
      list();
    });
    return item;
  });
  find("objects").replaceChildren(...items);
}

find("active").addEventListener("change", () => connection.setActive(find<HTMLInputElement>("active").checked));
find("outside").addEventListener("change", () => connection.setPointLabel(find<HTMLInputElement>("outside").checked ? "background" : "foreground"));
find("uncertainty").addEventListener("change", () => find("viewer").classList.toggle("hide-uncertainty", !find<HTMLInputElement>("uncertainty").checked));
const steps = { accept: () => connection.accept(), reject: () => connection.reject(), undo: () => connection.undo(), redo: () => connection.redo() };
const answers = { inside: () => connection.answer(true), "not-inside": () => connection.answer(false) };
for (const [id, step] of Object.entries({ ...steps, ...answers })) find(id).addEventListener("click", step);
addEventListener("keydown", ({ key, ctrlKey, metaKey, target }) => {
  const isButton = target instanceof HTMLButtonElement || target instanceof HTMLInputElement;
  if (key === "Enter" && !isButton) connection.accept();
  if (key === "Escape") connection.reject();
  if ((ctrlKey || metaKey) && key === "z") connection.undo();
  if ((ctrlKey || metaKey) && key === "y") connection.redo();
});
find("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = `data:application/geo+json,${encodeURIComponent(JSON.stringify({ type: "FeatureCollection", features: connection.features() }))}`;
  link.download = "objects.geojson";
  link.click();
});
find("file").addEventListener("change", async () => {
  const [file] = find<HTMLInputElement>("file").files ?? [];
  if (file !== undefined) viewer.open({ tileSource: await ownImage(file) });
});

// For the console.
Object.assign(window, { OpenSeadragon, viewer, model, connect, connection });
