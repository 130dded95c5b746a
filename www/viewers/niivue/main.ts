import { NVImage } from "@niivue/niivue";
import { load } from "umedsam";
import { connect } from "umedsam/niivue";
import { at, expose, fail, onCommands, onTool, openNiivue, say } from "./page.js";

const nv = await openNiivue();
const device = new URLSearchParams(location.search).get("device") === "cpu" ? "cpu" : "auto";
const model = await load({ device });
const connection = connect({ nv, NVImage, model }, { target: "drawing", overlay: "total" });
say("Drag a box around something.");

connection.on("result", ({ place, segmentation, expectedDsc, needsReview, isFinal }) => {
  fail();
  const check = needsReview ? ", check this one" : "";
  say(`${place.plane} slice ${place.slice + 1}: expected DSC ${expectedDsc.toFixed(2)}${check}${isFinal ? "" : " …"}`, needsReview === true);
  at("question").hidden = !isFinal || segmentation.suggestions.length === 0;
});
connection.on("progress", ({ done, atMost }) => say(`slice ${done} of at most ${atMost}`));
connection.on("settled", (isAccepted) => {
  at("question").hidden = true;
  say(isAccepted ? "Accepted: NiiVue's drawing has it." : "Drag a box around something.");
});
connection.on("cleared", () => {
  at("question").hidden = true;
  say("Drag a box around something.");
});
connection.on("busy", (isBusy) => at("status").setAttribute("aria-busy", String(isBusy)));
connection.on("error", fail);

async function propagate() {
  const found = await connection.propagate();
  const [slices, ml, toCheck] = [found.slices(0).length, found.volume(0).ml, found.toReview().length];
  say(`${slices} slices, ${ml.toFixed(1)} ml, ${toCheck} to check`, toCheck > 0);
}

onTool(nv, (isPrompting, clicks) => {
  connection.setActive(isPrompting);
  connection.setPointLabel(clicks);
});
at<HTMLInputElement>("label").onchange = ({ target }) => connection.setLabel(Number((target as HTMLInputElement).value));
onCommands(
  {
    accept: () => connection.accept(),
    reject: () => connection.reject(),
    undo: () => connection.undo(),
    redo: () => connection.redo(),
    inside: () => connection.answer(true),
    outside: () => connection.answer(false),
    propagate: () => propagate().catch((error) => error.code === "aborted" || fail(error)),
    cancel: () => connection.cancel(),
    "draw-undo": () => nv.drawUndo(),
    save: () => nv.saveImage({ filename: "labels.nii.gz", isSaveDrawing: true, volumeByIndex: 0 }),
  },
  { Enter: "accept", Escape: "reject", i: "inside", o: "outside" },
);
expose({ nv, NVImage, model, connection, connect });
