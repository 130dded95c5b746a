/** Points, scribbles, earlier masks, and an object with its history. */

import { Annotation, load } from "umedsam";
import { BOX, HEIGHT, WIDTH, disc, failure } from "./disc.js";

const QUICK = { uncertainty: { samples: 0, maps: [] } };
const INSIDE = { x: 100, y: 75 };
const OUTSIDE = { x: 8, y: 8, label: "background" };

/** Prompts that are refused: what, and a part of the message. */
function wrongPrompts() {
  const box = BOX;
  return [
    [{}, "nothing to go by"],
    [{ points: [] }, "nothing to go by"],
    [{ previous: new Uint8Array(WIDTH * HEIGHT) }, "nothing to go by"],
    [{ points: INSIDE }, "array"],
    [{ points: [[1, 2]] }, "points"],
    [{ points: [{ x: 1 }] }, "points.y"],
    [{ points: [{ x: "1", y: 2 }] }, "points.x"],
    [{ points: [{ x: NaN, y: 2 }] }, "NaN"],
    [{ points: [{ ...INSIDE, label: 1 }] }, "foreground"],
    [{ points: [{ ...INSIDE, size: 3 }] }, "points.size"],
    [{ points: [{ x: WIDTH + 1, y: 2 }] }, "not in the"],
    [{ points: Array.from({ length: 129 }, () => INSIDE) }, "128"],
    [{ scribbles: [[1, 2]] }, "scribbles"],
    [{ scribbles: [{ points: [[1, 2, 3]] }] }, "[x, y]"],
    [{ scribbles: [{ points: [] }] }, "scribble"],
    [{ scribbles: [{ points: [[1, -1]] }] }, "not in the"],
    [{ box, previous: new Uint8Array(7) }, "7 values"],
    [{ box, previous: new Float32Array(WIDTH * HEIGHT) }, "Float32Array"],
    [{ box, previous: { logits: [1, 2] } }, "lowRes"],
    [{ box, previous: { logits: new Float32Array(9), crop: null } }, "9 values"],
    [{ box, previous: { logits: new Float32Array(65536).fill(NaN), crop: null } }, "NaN"],
    [{ box, previous: { logits: new Float32Array(65536), crop: { x: 0, y: 0, width: 9999, height: 1 } } }, "not within"],
    [{ box, mask: 3 }, "mask"],
  ];
}

async function stateless(image) {
  const unexpected = [];
  for (const [prompt, part] of wrongPrompts()) {
    const [code, message] = await failure(image.segment([{ box: BOX }, prompt], QUICK));
    if (code !== "invalid-prompt" || !message.includes(part)) unexpected.push([part, code, message]);
  }
  const [boxed] = await image.segment([{ box: BOX }], QUICK);
  const [pointed] = await image.segment([{ points: [INSIDE, OUTSIDE] }], QUICK);
  const low = boxed.lowRes;
  const [corrected] = await image.segment([{ box: BOX, points: [INSIDE], previous: low }], QUICK);
  const [painted] = await image.segment([{ points: [INSIDE], scribbles: [{ points: [[90, 60], [120, 90]] }], previous: boxed.mask }], QUICK);
  const [mixed, alone] = await image.segment([{ points: [INSIDE] }, { box: BOX }], QUICK);
  // What is given is copied at once.
  const points = [{ ...INSIDE }];
  const later = image.segment([{ points }], QUICK);
  points[0].x = Number.NaN;
  const [copied] = await later;
  return {
    unexpected,
    kinds: [boxed, pointed, corrected, painted].map(({ promptKind }) => promptKind),
    boxes: [boxed.box !== null, pointed.box === null],
    low: [low.logits.length, low.crop],
    changed: corrected.probability.some((value, pixel) => value !== boxed.probability[pixel]),
    together: alone.mask.every((value, pixel) => value === boxed.mask[pixel]) && mixed.promptKind === "points",
    copied: copied.area === mixed.area,
  };
}

async function annotated(image) {
  const annotation = new Annotation(image, QUICK);
  const report = { empty: [annotation.result === undefined, annotation.canUndo, annotation.canRedo, annotation.undo() === undefined] };
  const first = await annotation.add({ box: BOX });
  const second = await annotation.add({ points: [OUTSIDE] });
  report.kinds = [first.promptKind, second.promptKind];
  report.prompt = [annotation.prompt.box.length, annotation.prompt.points.length, annotation.prompt.previous === first.lowRes];
  report.undo = [annotation.undo() === first, annotation.canRedo, annotation.redo() === second, annotation.canRedo];
  // A step that fails changes nothing.
  report.failed = await failure(annotation.add({ points: [{ x: -5, y: 0 }] }));
  report.same = annotation.result === second && annotation.prompt.points.length === 1;
  // What waits is not done any more after an undo.
  const waiting = failure(annotation.add({ points: [INSIDE] }));
  annotation.undo();
  report.waiting = await waiting;
  report.undone = annotation.result === first;
  const [third, fourth] = await Promise.all([annotation.add({ points: [INSIDE] }), annotation.add({ scribbles: [{ points: [[90, 60], [120, 90]] }] })]);
  report.both = [annotation.result === fourth, annotation.prompt.previous === third.lowRes, annotation.canRedo];
  const refined = await annotation.refine({ uncertainty: { samples: 2 } });
  report.refined = [refined.uncertainty.epistemic.some((value) => value > 0), annotation.result === refined, annotation.undo() === third];
  report.unknown = await failure(annotation.add({ previous: third.lowRes }));
  report.nothing = await failure(annotation.add({}));
  const mask = Uint8Array.from(third.mask);
  const painting = annotation.add({ mask });
  mask.fill(0);
  const painted = await painting;
  report.painted = painted.promptKind === "corrected" && annotation.prompt.previous.length === WIDTH * HEIGHT;
  report.copied = annotation.prompt.previous.some((value) => value !== 0);
  annotation.clear();
  report.cleared = [annotation.result === undefined, annotation.canUndo, annotation.canRedo];
  return report;
}

export async function corrections() {
  const model = await load({ device: "cpu" });
  const image = await model.encode({ data: disc(), width: WIDTH, height: HEIGHT, window: { center: -200, width: 1200 } });
  const report = { prompts: model.info.calibration.prompts, stateless: await stateless(image), annotated: await annotated(image) };
  model.dispose();
  return report;
}
