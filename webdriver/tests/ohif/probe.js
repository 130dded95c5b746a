// What a test asks of OHIF, through what OHIF itself makes global.
window.probe = {
  value: null,
  failure: "",
  /** Runs what takes its time; `value` or `failure` tells that it is over. */
  start(work) {
    Object.assign(probe, { value: null, failure: "" });
    work().then(
      (value) => (probe.value = value ?? true),
      (error) => (probe.failure = String(error?.stack ?? error)),
    );
  },
  viewport() {
    return services.cornerstoneViewportService.getCornerstoneViewport(services.viewportGridService.getActiveViewportId());
  },
  panel() {
    return document.querySelector("umedsam-panel")?.shadowRoot;
  },
  /** What the panel says, a line for each of its parts. */
  text() {
    return [...(probe.panel()?.querySelectorAll("section:not([hidden])") ?? [])].map((part) => part.innerText.replace(/\s*\n\s*/g, " | ")).join("\n");
  },
  press(id) {
    const button = probe.panel().getElementById(id);
    if (button.disabled || button.hidden) throw new Error(`${id} cannot be pressed: ${probe.text()}`);
    button.click();
  },
  /** Where the corner of a stored pixel is in the window. */
  place(column, row) {
    const viewport = probe.viewport();
    const { imageData } = viewport.getImageData();
    const slice = viewport.type === "stack" ? 0 : Math.round(imageData.worldToIndex(viewport.getCamera().focalPoint)[2]);
    const [x, y] = viewport.worldToCanvas(imageData.indexToWorld([column - 0.5, row - 0.5, slice]));
    const { left, top } = viewport.element.getBoundingClientRect();
    return [left + x, top + y];
  },
  /** The box between two places of the window, in stored pixels. */
  box(...places) {
    const viewport = probe.viewport();
    const { left, top } = viewport.element.getBoundingClientRect();
    const corners = places.map(([x, y]) => viewport.getImageData().imageData.worldToIndex(viewport.canvasToWorld([x - left, y - top])));
    const [across, down] = [0, 1].map((axis) => corners.map((corner) => corner[axis] + 0.5));
    return [Math.min(...across), Math.min(...down), Math.max(...across), Math.max(...down)];
  },
  segmentations(label) {
    return services.segmentationService.getSegmentations().filter((segmentation) => segmentation.label === label);
  },
  images(segmentation) {
    const { imageIds, volumeId } = segmentation.representationData.Labelmap;
    return (imageIds ?? cornerstone.cache.getVolume(volumeId).imageIds).map((id) => cornerstone.cache.getImage(id));
  },
  sop(image) {
    return cornerstone.metaData.get("instance", image.referencedImageId).SOPInstanceUID;
  },
  /** Voxels of each label on each slice: `"SOP instance UID, label, voxels"`, in an order. */
  counts(label = "umedsam") {
    const found = new Map();
    for (const segmentation of probe.segmentations(label)) {
      for (const image of probe.images(segmentation)) {
        for (const value of image.voxelManager.getScalarData()) {
          const key = `${probe.sop(image)}, ${value}`;
          if (value !== 0) found.set(key, (found.get(key) ?? 0) + 1);
        }
      }
    }
    return [...found].map(([key, voxels]) => `${key}, ${voxels}`).sort();
  },
  /** Slices with a label. */
  slices(value) {
    return probe.counts().filter((count) => count.split(", ")[1] === String(value)).length;
  },
  /** The files of the series as the package reads them. */
  async series(files) {
    const { readDicom } = await import("/umedsam/dist/dicom.js");
    const blobs = await Promise.all(files.map(async (name) => (await fetch(`/series/${name}`)).blob()));
    const { series } = await readDicom(blobs);
    return series[0];
  },
  /** What the package itself gives for a picture, through the viewer's window. */
  async segmented(picture, box) {
    const { load } = await import("/umedsam/dist/index.js");
    const { lower, upper } = probe.viewport().getProperties().voiRange;
    const model = (probe.model ??= await load());
    const image = await model.encode({ ...picture, window: { center: (lower + upper) / 2, width: upper - lower } });
    const [result] = await image.segment([{ box }]);
    image.dispose();
    return result;
  },
  /** How many voxels of the viewer's labels on the slice in view are not what the package gives for a box of stored pixels, and its figures. */
  async compare(box, value, files) {
    const series = await probe.series(files);
    const sop = cornerstone.metaData.get("instance", probe.viewport().getCurrentImageId()).SOPInstanceUID;
    let frame;
    for (let index = 0; index < series.frames && frame?.sopInstance !== sop; index++) frame = await series.frame(index);
    const result = await probe.segmented(frame.image, frame.turn.upright(box));
    const expected = frame.turn.turnedBack(result.mask, new Uint8Array(result.mask.length));
    const [segmentation] = probe.segmentations("umedsam");
    const labels = probe.images(segmentation).find((image) => probe.sop(image) === sop).voxelManager.getScalarData();
    const different = expected.reduce((sum, inside, voxel) => sum + Number((inside === 1) !== (labels[voxel] === value)), 0);
    return { different, area: result.area, expectedDsc: result.expectedDsc.toFixed(2) };
  },
  /** The same of a sagittal (`axis` 0) or coronal slice of a volume, for a box between two places of the window. */
  async compareAcross(axis, places, value, files) {
    const series = await probe.series(files);
    const volume = await series.volume();
    const viewport = probe.viewport();
    const { left, top } = viewport.element.getBoundingClientRect();
    const { affine, size } = volume.geometry;
    const corners = places.map(([x, y]) => {
      const world = viewport.canvasToWorld([x - left, y - top]);
      return [0, 1, 2].map((column) => {
        const step = [0, 1, 2].map((row) => affine[4 * row + column]);
        const along = step.reduce((sum, part, row) => sum + part * (world[row] - affine[4 * row + 3]), 0);
        return along / step.reduce((sum, part) => sum + part * part, 0);
      });
    });
    const [a, b] = axis === 0 ? [1, 2] : [0, 2];
    const ends = (of) => corners.map((corner) => corner[of] + 0.5);
    const index = Math.round(corners[0][axis]);
    const slice = volume.slice(index, axis);
    const box = [Math.min(...ends(a)), Math.min(...ends(b)), Math.max(...ends(a)), Math.max(...ends(b))];
    const result = await probe.segmented(slice.image, slice.turn.upright(box));
    const expected = slice.turn.turnedBack(result.mask, new Uint8Array(result.mask.length));
    const images = new Map(probe.images(probe.segmentations("umedsam")[0]).map((image) => [probe.sop(image), image.voxelManager.getScalarData()]));
    let different = 0;
    for (let k = 0; k < size[2]; k++) {
      const labels = images.get((await series.frame(k)).sopInstance);
      for (let along = 0; along < size[a]; along++) {
        const voxel = axis === 0 ? along * size[0] + index : index * size[0] + along;
        different += Number((expected[k * size[a] + along] === 1) !== (labels[voxel] === value));
      }
    }
    return { different, area: result.area, expectedDsc: result.expectedDsc.toFixed(2) };
  },
  /** Where a share of a viewport is in the window. */
  share(viewportId, x, y) {
    const { left, top, width, height } = services.cornerstoneViewportService.getCornerstoneViewport(viewportId).element.getBoundingClientRect();
    return [left + x * width, top + y * height];
  },
};
