import OpenSeadragon from "openseadragon";
import { load } from "umedsam";
import { connect } from "umedsam/openseadragon";
import { check, controls, find, listObjects, say } from "./controls.js";
import { ownImage } from "./own-image.js";

const query = new URLSearchParams(location.search);
const sample = { type: "image", url: new URL("../../samples/chest-ct.png", location.href).href };

const viewer = OpenSeadragon({
  element: find("viewer"),
  tileSources: query.get("source") ?? sample,
  crossOriginPolicy: "Anonymous",
  showNavigationControl: false,
  maxZoomPixelRatio: 4,
});
const model = await load({ device: query.get("device") === "cpu" ? "cpu" : "auto" });
const connection = connect({ OpenSeadragon, viewer, model });
say("Drag a box around an object.");

connection.on("busy", (busy) => busy && say("Working…"));
connection.on("result", ({ segmentation, expectedDsc, needsReview, isFinal }) => {
  say(`Expected DSC ${expectedDsc.toFixed(2)}${needsReview ? " · check this one" : ""}${isFinal ? "" : " · the ensemble is at work…"}`);
  find("question").hidden = segmentation.suggestions.length === 0;
  show();
});
connection.on("settled", (isAccepted) => ended(isAccepted ? "Accepted. Drag the next box." : "Rejected."));
connection.on("cleared", () => ended("Drag a box around an object."));
connection.on("error", ({ message }) => say("", message));

function ended(text: string): void {
  say(text);
  find("question").hidden = true;
  show();
}

function show(): void {
  listObjects(connection.features(), (id) => {
    connection.remove(id);
    show();
  });
}

controls({
  accept: () => connection.accept(),
  reject: () => connection.reject(),
  undo: () => connection.undo(),
  redo: () => connection.redo(),
  inside: () => connection.answer(true),
  "not-inside": () => connection.answer(false),
  save: () => ({ type: "FeatureCollection", features: connection.features() }),
  file: async (file) => viewer.open({ tileSource: await ownImage(file) }),
});
check("active", (isOn) => connection.setActive(isOn));
check("outside", (isOn) => connection.setPointLabel(isOn ? "background" : "foreground"));
check("uncertainty", (isOn) => find("viewer").classList.toggle("hide-uncertainty", !isOn));

// For the console.
Object.assign(window, { OpenSeadragon, viewer, model, connect, connection });
