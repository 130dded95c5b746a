/** What is segmented: a few images of different sizes and types, and all that is asked of them, so that every answer can be had of a fresh run too. */

/** An ellipse on an uneven ground, 0–1. */
function ellipse(width, height, value) {
  return (_, index) => {
    const [x, y] = [(index % width) / width, Math.floor(index / width) / height];
    const isInside = Math.hypot((x - 0.5) / 0.25, (y - 0.5) / 0.3) < 1;
    return value(isInside ? 0.85 : 0.2 + 0.1 * Math.sin(9 * x) * Math.cos(7 * y), index);
  };
}

const SUBJECTS = [
  () => ({ data: Int16Array.from({ length: 200 * 150 }, ellipse(200, 150, (value) => 1400 * value - 900)), width: 200, height: 150, window: { center: -200, width: 1200 } }),
  () => {
    const [width, height] = [160, 120];
    const picture = new ImageData(width, height);
    const fill = ellipse(width, height, (value, index) => picture.data.set([255 * value, 180 * value, 120, 255], 4 * index));
    for (let index = 0; index < width * height; index++) fill(undefined, index);
    return { data: picture };
  },
  () => ({ data: Float32Array.from({ length: 96 * 128 }, ellipse(96, 128, (value) => 1e-3 * value)), width: 96, height: 128, window: "min-max", invert: true }),
];

export const MOST_SUBJECTS = SUBJECTS.length;

/** The image of a number, made anew. */
export function subject(number) {
  return SUBJECTS[number]();
}

function sizeOf({ data, width = data.width, height = data.height }) {
  return { width, height };
}

const single = { uncertainty: { samples: 0 } };
const whole = [0.2, 0.15, 0.8, 0.85];

/** Shares of an image to pixels. */
function placed({ box, points, scribbles }, { width, height }) {
  const place = ([x, y]) => [x * width, y * height];
  return {
    ...(box && { box: [...place(box), ...place(box.slice(2))] }),
    ...(points && { points: points.map(([x, y, label]) => ({ x: x * width, y: y * height, label })) }),
    ...(scribbles && { scribbles: scribbles.map((points) => ({ points: points.map(place) })) }),
  };
}

const QUESTIONS = {
  box: [[{ box: whole }], single],
  ensemble: [[{ box: whole }], { uncertainty: { samples: 2 }, mask: "consensus" }],
  point: [[{ points: [[0.5, 0.5, "foreground"]] }], single],
  stroke: [[{ box: whole, scribbles: [[[0.4, 0.5], [0.6, 0.5]]] }], { ...single, alpha: 0.2 }],
  close: [[{ box: [0.45, 0.45, 0.6, 0.6] }], { ...single, zoom: "on" }],
  two: [[{ box: whole }, { box: [0.1, 0.1, 0.6, 0.9] }], { uncertainty: { samples: 0, maps: ["total"] } }],
};
export const QUESTION_NAMES = Object.keys(QUESTIONS);

/** Prompts and options of a question. */
export function question(name, number) {
  const [prompts, options] = QUESTIONS[name];
  const size = sizeOf(subject(number));
  return { prompts: prompts.map((prompt) => placed(prompt, size)), options };
}

const CORRECTIONS = {
  draw: { box: whole },
  click: { points: [[0.5, 0.45, "foreground"], [0.1, 0.1, "background"]] },
  stroke: { scribbles: [[[0.35, 0.5], [0.65, 0.55]]] },
};
export const CORRECTION_NAMES = Object.keys(CORRECTIONS);

export function correction(name, number) {
  return placed(CORRECTIONS[name], sizeOf(subject(number)));
}

/** The options of every step of an annotation, and those of its refinement. */
export const STEP_OPTIONS = single;
export const REFINED_OPTIONS = { uncertainty: { samples: 2 } };

/** What an annotation is to ask after corrections, of which the last is told apart: everything said so far, and the answer before, but not if a new box is drawn. */
export function corrected(names, number, before) {
  const said = names.map((name) => correction(name, number));
  const box = said.findLast((each) => each.box)?.box;
  const previous = said.at(-1).box ? undefined : before?.lowRes;
  return {
    ...(box && { box }),
    points: said.flatMap(({ points = [] }) => points),
    scribbles: said.flatMap(({ scribbles = [] }) => scribbles),
    ...(previous && { previous }),
  };
}
