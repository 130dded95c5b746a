// What a test asks the page of Cornerstone; the package beside the page is another copy than the page's own.
const { cache } = core;

const at = (id) => document.getElementById(id);
const viewport = () => core.getEnabledElementByViewportId("viewport").viewport;

/** Solves `affine * index = world`. */
function indexOf(affine, world) {
  const m = [0, 1, 2].map((row) => [0, 1, 2].map((column) => affine[4 * row + column]));
  const d = world.map((value, row) => value - affine[4 * row + 3]);
  const det = (a) =>
    a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) + a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
  return [0, 1, 2].map((column) => det(m.map((line, row) => line.map((value, index) => (index === column ? d[row] : value)))) / det(m));
}

const probe = {
  events: [],
  failure: "",
  value: null,

  /** Listens to the connection of the page. */
  watch() {
    probe.events = [];
    for (const name of ["result", "busy", "error", "settled", "cleared", "progress"]) {
      connection.on(name, (event) => probe.events.push({ name, event }));
    }
  },

  /** Runs something that takes its time; `probe.value` is what came of it. */
  start(work) {
    probe.value = null;
    probe.failure = "";
    work().then(
      (value) => (probe.value = value ?? true),
      (error) => (probe.failure = String(error.stack ?? error)),
    );
  },

  last(name) {
    return probe.events.filter((told) => told.name === name).at(-1)?.event;
  },

  has(name) {
    return probe.events.some((told) => told.name === name);
  },

  get isFinal() {
    return probe.last("result")?.isFinal === true;
  },

  /** Where a share of the viewport is in the window. */
  place(x, y) {
    at("viewport").scrollIntoView({ block: "nearest" });
    const { left, top, width, height } = at("viewport").getBoundingClientRect();
    return [left + x * width, top + y * height];
  },

  /** All labels of the viewer's own segmentations, or of the uncertainty, by image of the series. */
  labels(isUncertainty = false) {
    const all = images.map(() => null);
    for (const { segmentationId, representationData } of tools.segmentation.state.getSegmentations()) {
      if (segmentationId.startsWith("umedsam-uncertainty") !== isUncertainty) continue;
      const { imageIds, volumeId } = representationData.Labelmap;
      for (const id of imageIds ?? cache.getVolume(volumeId).imageIds) {
        const { referencedImageId, voxelManager } = cache.getImage(id);
        const place = images.indexOf(referencedImageId);
        if (place < 0) throw new Error(`${referencedImageId} is no image of the page`);
        all[place] = Uint8Array.from(voxelManager.getScalarData());
      }
    }
    return all;
  },

  /** How many voxels have which label. */
  counts(isUncertainty = false) {
    const found = {};
    for (const slice of probe.labels(isUncertainty)) for (const label of slice ?? []) if (label !== 0) found[label] = (found[label] ?? 0) + 1;
    return found;
  },

  /** Slices of the file, read by the package and not by the viewer. */
  async open(files) {
    if (files.length === 1 && /nii/.test(files[0].name)) {
      const { readNifti } = await import("/umedsam/nifti.js");
      const { volume } = await readNifti(files[0]);
      probe.file = { geometry: volume.geometry, slice: async (index, axis) => volume.slice(index, axis) };
      return;
    }
    const { readDicom } = await import("/umedsam/dicom.js");
    const { series: [only] } = await readDicom(files);
    const volume = await only.volume();
    // The viewer may have sorted the other way.
    const first = cache.getImage(images[0]) && core.metaData.get("imagePlaneModule", images[0]).imagePositionPatient;
    const isReversed = Math.abs(indexOf(only.geometry.affine, first)[2]) > 0.5;
    probe.file = {
      geometry: only.geometry,
      isReversed,
      slice: async (index, axis) => volume.slice(index, axis),
    };
  },

  async sample() {
    const response = await fetch("../../samples/chest.nii.gz");
    await probe.open([new File([await response.blob()], "chest.nii.gz")]);
  },

  /** The voxels between two places of the window: the axis and slice that they are on, and their box on it as it is stored. */
  drawn(from, to) {
    const { left, top } = viewport().canvas.getBoundingClientRect();
    const ends = [from, to].map(([x, y]) => indexOf(probe.file.geometry.affine, [...viewport().canvasToWorld([x - left, y - top])]));
    const far = [0, 1, 2].map((axis) => Math.abs(ends[0][axis] - ends[1][axis]));
    const axis = far.indexOf(Math.min(...far));
    const [a, b] = axis === 0 ? [1, 2] : axis === 1 ? [0, 2] : [0, 1];
    const box = [[a, Math.min], [b, Math.min], [a, Math.max], [b, Math.max]].map(([along, pick]) => pick(ends[0][along], ends[1][along]) + 0.5);
    return { axis, index: Math.round(ends[0][axis]), box };
  },

  /** What the package gives for a box on a slice of the file, by voxel. */
  async expected({ axis, index }, box, prompt = {}) {
    const { image, turn } = await probe.file.slice(index, axis);
    const { lower, upper } = viewport().getProperties().voiRange;
    const encoded = await model.encode({ ...image, window: { center: (lower + upper) / 2, width: upper - lower } });
    const [{ mask }] = await encoded.segment([{ box, ...prompt }], { uncertainty: { samples: 0 } });
    encoded.dispose();
    return turn.turnedBack(mask, new Uint8Array(mask.length));
  },

  /** Whether the labels in the viewer are the package's for the same drag, voxel by voxel, and nowhere else; what differs otherwise. */
  async compare(from, to, label) {
    const drawn = probe.drawn(from, to);
    const { segmentation } = probe.last("result");
    const { turn } = await probe.file.slice(drawn.index, drawn.axis);
    const box = turn.upright(drawn.box).map((side, place) => Math.min(Math.max(side, 0), turn.size[place % 2]));
    const far = Math.max(...box.map((side, place) => Math.abs(side - segmentation.box[place])));
    if (far > 0.01) return `the box is ${segmentation.box} instead of ${box}`;
    const mask = await probe.expected(drawn, segmentation.box);
    const [columns, rows, count] = probe.file.geometry.size;
    const [width] = turn.stored;
    const all = new Uint8Array(columns * rows * count);
    mask.forEach((inside, stored) => {
      const [a, b] = [stored % width, Math.floor(stored / width)];
      const [i, j, k] = drawn.axis === 0 ? [drawn.index, a, b] : drawn.axis === 1 ? [a, drawn.index, b] : [a, b, drawn.index];
      all[i + columns * (j + rows * k)] = inside;
    });
    let [wrong, right] = [0, 0];
    probe.labels().forEach((slice, place) => {
      const k = probe.file.isReversed ? count - 1 - place : place;
      for (let pixel = 0; pixel < columns * rows; pixel++) {
        const isInside = (slice?.[pixel] ?? 0) === label;
        if (isInside !== (all[k * columns * rows + pixel] !== 0)) wrong++;
        else if (isInside) right++;
      }
    });
    if (right < 10) return `only ${right} voxels have label ${label}; ${wrong} differ`;
    return wrong === 0 ? { right, axis: drawn.axis, index: drawn.index } : `${wrong} voxels differ, ${right} do not`;
  },

  /** Follows what was accepted by the package alone, between two slices; how many voxels are another label in the viewer. */
  async followed([first, last]) {
    const { propagate } = await import("/umedsam/propagation.js");
    const { place, segmentation } = probe.last("result");
    const begin = images.indexOf(place.imageId);
    const { lower, upper } = viewport().getProperties().voiRange;
    const slice = async (index) => ({ ...(await probe.file.slice(index, 2)).image, window: { center: (lower + upper) / 2, width: upper - lower } });
    let wrong = 0;
    const labels = probe.labels();
    const onSlice = async ({ slice: index, segmentation: { mask }, end }) => {
      const { turn } = await probe.file.slice(index, 2);
      const stored = turn.turnedBack(mask, new Uint8Array(mask.length));
      stored.forEach((inside, pixel) => (wrong += Number((end === null && inside !== 0) !== (labels[index][pixel] === 1))));
    };
    await propagate(model, { slices: images.length, slice }, [{ slice: begin, prompt: { box: segmentation.box }, range: [first, last] }], { onSlice });
    return wrong;
  },

  /** What an adapter could leave behind. */
  remains() {
    const listeners = (target) => Object.values(target.listeners ?? {}).reduce((sum, list) => sum + list.length, 0);
    return {
      listeners: listeners(core.eventTarget),
      annotations: tools.annotation.state.getAllAnnotations().length,
      segmentations: tools.segmentation.state.getSegmentations().length,
      images: images.filter((id) => cache.getImage(id) !== undefined).length,
      elements: document.querySelectorAll("*").length,
    };
  },
};
globalThis.probe = probe;
