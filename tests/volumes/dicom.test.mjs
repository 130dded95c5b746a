// umedsam/dicom against pydicom. The environment names the compiled package (UMEDSAM_DIST), Python (UMEDSAM_PYTHON) and a folder (UMEDSAM_FILES).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, openAsBlob, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { pathToFileURL } from "node:url";

const { UMEDSAM_DIST, UMEDSAM_PYTHON, UMEDSAM_FILES } = process.env;
const entry = (name) => import(pathToFileURL(join(UMEDSAM_DIST, name)));
const { planeOf, readDicom, spacingOf } = await entry("dicom.js");
const { readNifti } = await entry("nifti.js");
const python = (command) => execFileSync(UMEDSAM_PYTHON, [join(import.meta.dirname, "dicom.py"), command, UMEDSAM_FILES]);
const blob = (path) => Object.assign(new Blob([readFileSync(path)]), { name: basename(path) });
const folder = (path) => readdirSync(path).map((name) => blob(join(path, name)));
const made = (name) => folder(join(UMEDSAM_FILES, "series", name));
/** One frame of one file. */
const single = async (path) => {
  const { series } = await readDicom([blob(path)]);
  assert.equal(series.length, 1);
  return series[0];
};

let expected;
before(() => {
  python("make");
  expected = JSON.parse(readFileSync(join(UMEDSAM_FILES, "expected.json"), "utf8"));
});

/** Files that pydicom reads as they were not meant: the palette of a big-endian file in the other order. The same pixels are in another file. */
const SAME_AS = { "OBXXXX1A_expb.dcm": "OBXXXX1A.f32", "OBXXXX1A_expb_2frame.dcm": "OBXXXX1A_2frame.f32" };
/** Its values are not written as its header says. */
const DAMAGED = ["SC_rgb_jpeg.dcm"];

test("pixels are pydicom's in every transfer syntax", async () => {
  const read = expected.filter(({ values }) => values);
  assert.ok(read.length > 110);
  const faults = [];
  for (const { path, values: name, frames, shape, lossy, inverted, modality } of read) {
    if (/^RT|^SEG/.test(modality) || DAMAGED.includes(basename(path))) continue;
    try {
      const series = await single(path);
      assert.equal(series.frames, frames);
      assert.equal(series.modality, modality);
      const all = new Float32Array(Uint8Array.from(readFileSync(join(UMEDSAM_FILES, "values", SAME_AS[basename(path)] ?? name))).buffer);
      const each = shape.reduce((product, length) => product * length, 1);
      for (const [place, number] of (frames > 1 ? [0, frames - 1] : [0]).entries()) {
        // Sorted by position; the first and last may have changed places.
        const { image, turn } = await frameNumber(series, number);
        assert.equal(image.invert ?? false, inverted);
        const stored = turn.turnedBack(image.data, image.data.slice(), image.channels);
        const wanted = all.subarray(place * each, (place + 1) * each);
        assert.equal(stored.length, each, "values");
        let [worst, sum] = [0, 0];
        for (let index = 0; index < each; index++) {
          // NaN is padding.
          const difference = Number.isNaN(wanted[index]) ? 0 : Math.abs(stored[index] - wanted[index]) / Math.max(1, lossy ? 0 : Math.abs(wanted[index]));
          worst = Math.max(worst, difference);
          sum += difference / each;
        }
        // Lossy decoders round and enlarge colours in their own ways.
        assert.ok(lossy ? worst <= 6 && sum < 0.6 : worst <= 1e-6, `values differ by ${worst}, on average by ${sum}`);
      }
    } catch (error) {
      faults.push(`${basename(path)}: ${error.message.split("\n")[0]}`);
    }
  }
  assert.deepEqual(faults, []);
});

/** The frame that a file holds at a place. */
async function frameNumber(series, number) {
  for (const index of [number, series.frames - 1 - number]) {
    const frame = await series.frame(index);
    if (frame.frameNumber === number) return frame;
  }
  for (let index = 0; index < series.frames; index++) {
    const frame = await series.frame(index);
    if (frame.frameNumber === number) return frame;
  }
  throw new Error(`there is no frame ${number}`);
}

test("HTJ2K is read as the pixels that were coded", async () => {
  const path = expected.find(({ path }) => basename(path) === "MR_small.dcm").path;
  const plain = await (await single(path)).frame(0);
  const { default: factory } = await entry("vendor/openjph.js");
  const module = await factory({ wasmBinary: readFileSync(join(UMEDSAM_DIST, "vendor/openjph.wasm")), print() {}, printErr() {} });
  const encoder = new module.HTJ2KEncoder();
  const stored = plain.turn.turnedBack(plain.image.data, plain.image.data.slice());
  encoder.getDecodedBuffer({ width: plain.turn.stored[0], height: plain.turn.stored[1], bitsPerSample: 16, componentCount: 1, isSigned: true, isUsingColorTransform: false }).set(new Uint8Array(stored.buffer));
  encoder.encode();
  writeFileSync(join(UMEDSAM_FILES, "frame.j2c"), encoder.getEncodedBuffer());
  python("wrap");
  const coded = await (await single(join(UMEDSAM_FILES, "htj2k.dcm"))).frame(0);
  assert.deepEqual(coded.image.data, plain.image.data);
});

test("series are in the order of their positions, with their geometry", async () => {
  const { series, rejected } = await readDicom(made("plain"));
  assert.equal(series.length, 1);
  assert.deepEqual(rejected, []);
  const [{ frames, geometry, problems, size, modality, number }] = series;
  assert.deepEqual([frames, size, problems, modality, number], [6, [6, 4], [], "CT", 7]);
  assert.deepEqual(geometry.size, [6, 4, 6]);
  assert.deepEqual(geometry.affine, [0.5, 0, 0, -10, 0, 2, 0, 5, 0, 0, 3, 40, 0, 0, 0, 1]);
  assert.deepEqual(spacingOf(geometry), [0.5, 2, 3]);
  // Instance numbers count the other way round.
  for (let index = 0; index < 6; index++) {
    const { image, spacing } = await series[0].frame(index);
    assert.ok(image.data.every((value) => value >= 100 * index - 1000 && value < 100 * index - 950), `frame ${index}`);
    assert.deepEqual(spacing, [0.5, 2]);
  }
  const volume = await series[0].volume();
  const { image, spacing } = volume.slice(2, 1);
  assert.deepEqual([image.width, image.height, spacing], [6, 6, [0.5, 3]]);
  // Coronal, the head above.
  assert.ok(image.data[0] >= -500 && image.data[35] < -950);
});

test("what is odd about a series is said", async () => {
  const problems = async (name) => {
    const { series } = await readDicom(made(name));
    return series.flatMap((one) => one.problems);
  };
  const [tilt] = await problems("tilted");
  assert.match(tilt, /askew.*11\.3°/);
  assert.match((await problems("unequal"))[0], /3 mm to 3\.7 mm|2\.3 mm to 3\.7 mm/);
  assert.match((await problems("missing"))[0], /2 slices are missing: gaps of more than 3 mm/);
  assert.match((await problems("repeated"))[0], /1 of 4 slices lie where others do/);
  const { series } = await readDicom(made("mixed"));
  assert.deepEqual(series.map(({ frames, size }) => [frames, size]), [[4, [6, 4]], [2, [5, 5]]]);
});

test("frames of every orientation are upright", async () => {
  const names = readdirSync(join(UMEDSAM_FILES, "series")).filter((name) => name.startsWith("turn-"));
  assert.equal(names.length, 24);
  for (const name of names) {
    const [a, b, signs] = [...name.slice(5)].map(Number);
    const [{ geometry, frames }] = (await readDicom(made(name))).series;
    assert.equal(frames, 3);
    const plane = { 0: "sagittal", 1: "coronal", 2: "axial" }[3 - a - b];
    assert.equal(planeOf(geometry, 2), plane, name);
    const { image, turn } = await (await readDicom(made(name))).series[0].frame(1);
    // Where a step to the right and one down go in the patient, by the file's own directions.
    const step = (from, to) => [0, 1, 2].map((line) => geometry.affine[4 * line] * (to[0] - from[0]) + geometry.affine[4 * line + 1] * (to[1] - from[1]));
    const corner = (x, y) => turn.storedBox([x, y, x + 1, y + 1]);
    const right = step(corner(0, 0), corner(1, 0));
    const down = step(corner(0, 0), corner(0, 1));
    const axis = (vector) => "xyz"[vector.findIndex((value) => value !== 0)] + (vector.some((value) => value > 0) ? "+" : "-");
    assert.deepEqual([axis(right), axis(down)], { axial: ["x+", "y+"], coronal: ["x+", "z-"], sagittal: ["y+", "z-"] }[plane], name);
    assert.equal(image.data.length, 24);
    assert.ok(signs < 4);
  }
});

test("a file of many frames is a series", async () => {
  const named = (name) => single(expected.find(({ path }) => basename(path) === name).path);
  // An enhanced CT, whose frames have places of their own.
  const enhanced = await named("eCT_Supplemental.dcm");
  assert.deepEqual([enhanced.frames, enhanced.geometry.size.slice(2), spacingOf(enhanced.geometry)[2]], [2, [2], 10]);
  assert.deepEqual([(await enhanced.frame(0)).frameNumber, (await enhanced.frame(1)).frameNumber], [1, 0]);
  // One whose frames have none.
  const flat = await named("emri_small.dcm");
  assert.deepEqual([flat.frames, flat.geometry, (await flat.frame(9)).frameNumber], [10, null, 9]);
  await assert.rejects(flat.volume(), /no place in space/);
});

test("what cannot be read is named", async () => {
  const path = (name) => expected.find(({ path }) => basename(path) === name).path;
  const whole = readFileSync(path("CT_small.dcm"));
  const with_ = (name, bytes) => Object.assign(new Blob([bytes]), { name });
  const syntax = (uid) => {
    const copy = Buffer.from(whole);
    const at = copy.indexOf("1.2.840.10008.1.2.1\0");
    copy.write(uid.padEnd(20, "\0"), at);
    return copy;
  };
  const cases = [
    [blob(path("rtplan.dcm")), /a plan \(RTPLAN\)/],
    [blob(path("test-SR.dcm")), /structured report/],
    [blob(path("waveform_ecg.dcm")), /waveform/],
    [blob(path("liver.dcm")), /a segmentation \(SEG\)/],
    [blob(path("MR_truncated.dcm")), /cut off: 8130 of 8192 bytes/],
    [blob(path("no_meta.dcm")), /no DICM after 128 bytes/],
    [blob(path("meta_missing_tsyntax.dcm")), /transfer syntax/],
    [with_("half.dcm", whole.subarray(0, 1000)), /cut off|no pixels/],
    [with_("x.dcm", syntax("1.2.840.10008.1.2.9")), /transfer syntax 1\.2\.840\.10008\.1\.2\.9 is not read/],
    [with_("empty.dcm", Buffer.alloc(0)), /the file is empty/],
    [with_("page.dcm", Buffer.from("<!doctype html>")), /web page/],
  ];
  for (const [file, message] of cases) {
    await assert.rejects(readDicom([file]), (error) => error.code === "invalid-image" && message.test(error.message) && error.message.startsWith(file.name), `${file.name} ${message}`);
    // Beside an image it is left out, and named.
    const { series, rejected } = await readDicom([file, blob(path("CT_small.dcm"))]);
    assert.equal(series.length, 1);
    assert.match(rejected[0].reason, message);
  }
  await assert.rejects(readDicom([]), /there are no files/);
  await assert.rejects(readDicom([5]), /the file is number/);
  const stopped = AbortSignal.abort();
  await assert.rejects(readDicom([blob(path("CT_small.dcm"))], { signal: stopped }), (error) => error.code === "aborted");
  const one = await single(path("CT_small.dcm"));
  await assert.rejects(one.frame(1), (error) => error.code === "invalid-option" && /frames 0 to 0/.test(error.message));
});

test("damaged frames are errors, whatever their coding", async () => {
  for (const name of ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG-LL.dcm", "SC_rgb_jpeg_gdcm.dcm", "JPGExtended.dcm"]) {
    const bytes = readFileSync(expected.find(({ path }) => basename(path) === name).path);
    const copy = Buffer.from(bytes);
    copy.fill(0x55, copy.length - Math.floor(copy.length / 3));
    let outcome;
    try {
      const { series } = await readDicom([new Blob([copy])]);
      const { image } = await series[0].frame(0);
      outcome = image.data.length > 0 && image.data.every((value) => typeof value === "number");
    } catch (error) {
      outcome = error.code === "invalid-image" && /damaged|cut off|fragments/.test(error.message);
      assert.ok(outcome, `${name}: ${error.stack}`);
    }
    assert.ok(outcome, name);
  }
});

const shared = process.env.UMEDSAM_SHARED && join(process.env.UMEDSAM_SHARED, "volumes");
test("real series have the geometry and values of their NIfTI files", { skip: !(shared && existsSync(shared)) && "../shared/volumes is not there" }, async () => {
  for (const patient of ["STS_002", "STS_003"]) {
    for (const modality of readdirSync(join(shared, "dicom", patient))) {
      const { series } = await readDicom(folder(join(shared, "dicom", patient, modality, "image")));
      assert.equal(series.length, 1, modality);
      const name = readdirSync(join(shared, "nifti", patient)).find((name) => name.startsWith(modality) && name.includes("_image"));
      const { volume } = await readNifti(readFileSync(join(shared, "nifti", patient, name)));
      const read = await series[0].volume();
      assert.deepEqual(read.geometry.size, volume.geometry.size, `${patient} ${modality}`);
      const last = read.slices() - 1;
      // Slices may be stored the other way round, and rows too; upright they are the same.
      const same = (a, b) => a.image.data.every((value, index) => Math.abs(value - b.image.data[index]) <= 1e-2 * Math.max(1, Math.abs(value)));
      const [first, other] = [read.slice(3), [volume.slice(3), volume.slice(last - 3)]];
      assert.ok(other.some((slice) => same(first, slice)), `${patient} ${modality}: no slice is the same`);
      assert.equal(planeOf(read.geometry, 2), planeOf(volume.geometry, 2));
    }
  }
});

test("a CT of 300 slices opens at once and takes little more than its voxels", async () => {
  python("large");
  const path = join(UMEDSAM_FILES, "large");
  const files = await Promise.all(readdirSync(path).map((name) => openAsBlob(join(path, name))));
  setFlagsFromString("--expose_gc");
  const collect = runInNewContext("gc");
  const held = () => (collect(), process.memoryUsage().heapUsed + process.memoryUsage().external);
  const before = held();
  const start = performance.now();
  const { series } = await readDicom(files);
  const { image } = await series[0].frame(150);
  const ms = performance.now() - start;
  assert.deepEqual([series.length, series[0].frames, image.width], [1, 300, 512]);
  const volume = await series[0].volume();
  const ratio = (held() - before) / (2 * 512 * 512 * 300);
  console.log(`headers and the first slice: ${ms.toFixed(0)} ms; the volume takes ${ratio.toFixed(2)} of its voxels`);
  assert.equal(volume.slices(1), 512);
  // One second is the aim; other work may go on beside.
  assert.ok(ms < 3000 && ratio < 1.5);
  rmSync(path, { recursive: true });
});
