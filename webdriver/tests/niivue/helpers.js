// What tests say to the page: volumes made of numbers, places on the canvas, and what the package gives for the same slice.

/**
 * Bytes of a NIfTI file of 16-bit values: `axes` says which RAS axis each stored axis runs along, `flips` whether against it. Sizes and spacings are those of the
 * RAS axes. All orientations of one `seed` are the same image.
 */
window.makeNifti = ({ axes = [0, 1, 2], flips = [0, 0, 0], size = [48, 40, 32], spacing = [1.5, 1, 2.5], frames = 1, oblique = 0, slope = 1, intercept = 0, colors = false }) => {
  const dims = axes.map((ras) => size[ras]);
  const voxels = dims[0] * dims[1] * dims[2];
  const width = colors ? 3 : 2;
  const bytes = new Uint8Array(352 + width * voxels * frames);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, 348, true);
  [frames > 1 ? 4 : 3, ...dims, frames, 1, 1, 1].forEach((length, index) => view.setInt16(40 + 2 * index, length, true));
  view.setInt16(70, colors ? 128 : 4, true);
  view.setInt16(72, 8 * width, true);
  [1, ...axes.map((ras) => spacing[ras]), 1, 1, 1, 1].forEach((length, index) => view.setFloat32(76 + 4 * index, length, true));
  [352, slope, intercept].forEach((value, index) => view.setFloat32(108 + 4 * index, value, true));
  view.setUint8(123, 2);
  view.setInt16(254, 1, true);
  // A turn about the long axis of the body.
  const turn = [[Math.cos(oblique), -Math.sin(oblique), 0], [Math.sin(oblique), Math.cos(oblique), 0], [0, 0, 1]];
  for (let row = 0; row < 3; row++) {
    let offset = 0;
    axes.forEach((ras, stored) => {
      const step = turn[row][ras] * spacing[ras];
      view.setFloat32(280 + 16 * row + 4 * stored, flips[stored] ? -step : step, true);
      if (flips[stored]) offset += step * (size[ras] - 1);
    });
    view.setFloat32(292 + 16 * row, offset - 20 * row, true);
  }
  bytes.set([0x6e, 0x2b, 0x31, 0], 344);
  const at = [0, 0, 0];
  const place = [0, 0, 0];
  for (let frame = 0; frame < frames; frame++) {
    for (at[2] = 0; at[2] < dims[2]; at[2]++) {
      for (at[1] = 0; at[1] < dims[1]; at[1]++) {
        for (at[0] = 0; at[0] < dims[0]; at[0]++) {
          axes.forEach((ras, stored) => (place[ras] = (flips[stored] ? dims[stored] - 1 - at[stored] : at[stored]) / size[ras]));
          const byte = 352 + width * (frame * voxels + at[0] + dims[0] * (at[1] + dims[1] * at[2]));
          const value = valueAt(place, frame);
          if (colors) bytes.set([value / 4, value / 5, 60], byte);
          else view.setInt16(byte, value, true);
        }
      }
    }
  }
  return bytes;
};

// Two bright bodies of different sizes on a slope, so that no axis can be taken for another, nor its direction.
const valueAt = ([x, y, z], frame) => {
  const inside = (a, b, c, r) => Math.hypot((x - a) * 1.1, y - b, (z - c) * 0.9) < r;
  const body = inside(0.55 - 0.1 * frame, 0.4 + 0.1 * frame, 0.55, 0.22) ? 500 : inside(0.2, 0.8, 0.3, 0.12) ? 350 : 0;
  return Math.round(100 + 80 * x + 50 * y + 30 * z + body + 12 * Math.sin(40 * x) * Math.cos(31 * y + 17 * z));
};

/** Opens bytes alone, connected with these options. */
window.start = async (spec, options) => {
  window.connection.dispose();
  nv.closeDrawing();
  nv.volumes = [];
  window.file = makeNifti(spec);
  nv.addVolume(await NVImage.loadFromUrl({ url: file.slice(), name: "made.nii" }));
  connectAgain(options);
};

window.connectAgain = (options) => {
  window.connection = connect({ nv, NVImage, model }, options);
  window.told = { results: [], errors: [], settled: [], progress: [], busy: [] };
  connection.on("result", (result) => told.results.push(result));
  connection.on("error", (error) => told.errors.push(error));
  for (const name of ["settled", "progress", "busy"]) connection.on(name, (event) => told[name].push(event));
};

window.finished = () => told.errors.length > 0 || told.results.at(-1)?.isFinal === true;

/** Where a place, in shares of the RAS axes, lies in the window; across a plane it is where the crosshair is. */
window.onCanvas = (plane, place) => {
  const shares = Float32Array.from(place);
  shares[2 - plane] = nv.scene.crosshairPos[2 - plane];
  const found = nv.frac2canvasPosWithTile(shares, plane);
  const { left, top, width } = nv.canvas.getBoundingClientRect();
  const scale = width / nv.canvas.width;
  return [left + found.pos[0] * scale, top + found.pos[1] * scale];
};

/** The labels that NiiVue saves: of its drawing, or of a volume. */
window.savedLabels = async (volumeByIndex) => {
  const isSaveDrawing = volumeByIndex === undefined;
  const bytes = await nv.saveImage({ filename: "", isSaveDrawing, volumeByIndex: volumeByIndex ?? 0 });
  // NiiVue 0.69 leaves the count of frames in the header of a drawing, which has none.
  if (isSaveDrawing) new Int16Array(bytes.buffer, bytes.byteOffset + 40, 8).set([3, ...nv.volumes[0].hdr.dims.slice(1, 4), 1]);
  return readNifti(bytes);
};

/** Which of NiiVue's volumes is segmented. */
window.imageIndex = 0;

const referenceMasks = new Map();

/** What `umedsam/nifti` and the model give for the box of the last answer, on its slice of the file, beside the labels there. */
window.compared = async (volumeByIndex, label = 1) => {
  const [error] = told.errors;
  if (error !== undefined) return { error: error.message };
  const { place, segmentation } = told.results.at(-1);
  const [{ frame }, saved] = [await readNifti(file), await savedLabels(volumeByIndex)];
  const { image, turn } = frame(place.frame).slice(place.slice, place.axis);
  const { cal_min: black, cal_max: white } = nv.volumes[imageIndex];
  const prompt = { box: segmentation.box };
  const key = JSON.stringify([segmentation.box.map((side) => side.toFixed(3)), image.width, image.height, black, white, [...image.data]]);
  let mask = referenceMasks.get(key);
  if (mask === undefined) {
    const window = image.channels === 1 ? { center: (black + white) / 2, width: white - black } : "auto";
    const encoded = await model.encode({ ...image, window });
    const [reference] = await encoded.segment([prompt], { uncertainty: { samples: 0 } });
    encoded.dispose();
    mask = reference.mask;
    referenceMasks.set(key, mask);
  }
  const labels = saved.volume.slice(place.slice, place.axis).image.data;
  let elsewhere = 0;
  for (let slice = 0; slice < saved.volume.slices(); slice++) elsewhere += saved.volume.slice(slice).image.data.filter((value) => value === label).length;
  const area = mask.filter((inside) => inside === 1).length;
  return {
    place,
    box: [...segmentation.box],
    size: turn.size,
    area,
    different: mask.filter((inside, pixel) => inside !== Number(labels[pixel] === label)).length,
    elsewhere: elsewhere - area,
    sameGrid: JSON.stringify(saved.volume.geometry.size) === JSON.stringify((await readNifti(file)).volume.geometry.size),
    affineOff: Math.max(...saved.volume.geometry.affine.map((value, index) => Math.abs(value - frame(0).geometry.affine[index]))),
  };
};

/** The same picture is encoded once, whoever asks for it. */
window.encodeOnce = () => {
  const encoded = new Map();
  const { encode } = model;
  model.encode = async (input, options) => {
    const key = JSON.stringify([input.width, input.height, input.window, [...input.data]]);
    if (!encoded.has(key)) {
      const image = await encode.call(model, input, options);
      image.dispose = () => {};
      encoded.set(key, image);
    }
    return encoded.get(key);
  };
};

/** The share of the canvas that has colours, without the crosshair. */
window.colored = () => {
  const picture = new OffscreenCanvas(nv.canvas.width, nv.canvas.height).getContext("2d");
  nv.setCrosshairWidth(0);
  nv.drawScene();
  picture.drawImage(nv.canvas, 0, 0);
  const { data } = picture.getImageData(0, 0, nv.canvas.width, nv.canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    const [least, ...others] = [data[at], data[at + 1], data[at + 2]].sort((a, b) => a - b);
    count += Number(others[1] - least > 30);
  }
  return (4 * count) / data.length;
};

/** How many voxels have each value of the drawing. */
window.drawn = () => {
  const counts = {};
  for (const value of nv.drawBitmap ?? []) if (value !== 0) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
};
