// umedsam/export against highdicom, dcmqi, dciodvfy, pydicom, nibabel, pynrrd, pycocotools and shapely.
// The environment names the compiled package (UMEDSAM_DIST), Python (UMEDSAM_PYTHON), a folder (UMEDSAM_FILES), and DICOM files made for dicom.test.mjs (UMEDSAM_DICOM).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";

const { UMEDSAM_DIST, UMEDSAM_PYTHON, UMEDSAM_FILES, UMEDSAM_DICOM } = process.env;
const entry = (name) => import(pathToFileURL(join(UMEDSAM_DIST, name)));
const { readDicom } = await entry("dicom.js");
const { toCocoRle, toFractionalSeg, toGeoJson, toNifti, toParametricMap, toSeg, toSegNrrd } = await entry("export.js");
const made = (name) => readdirSync(join(UMEDSAM_DICOM, "series", name)).map((file) => new Blob([readFileSync(join(UMEDSAM_DICOM, "series", name, file))]));
const known = JSON.parse(readFileSync(join(UMEDSAM_DICOM, "expected.json"), "utf8"));
const collected = (name) => [new Blob([readFileSync(known.find(({ path }) => basename(path) === name).path)])];

const algorithm = { name: "umedsam-test", version: "1.2.3", weightsSha256: "ab".repeat(32) };
const options = { algorithm, date: new Date(2026, 10, 28, 17, 5, 9), seriesDescription: "masks" };
const segments = [
  { label: "Großhirn é", color: [255, 0, 0] },
  { label: "Liver", color: [0, 128, 255], category: { value: "91723000", scheme: "SCT", meaning: "Anatomical structure" }, type: { value: "10200004", scheme: "SCT", meaning: "Liver" } },
];
/** The same numbers every time. */
const chance = (seed) => {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
};

const expected = [];
const write = (file, bytes, values, more) => {
  writeFileSync(join(UMEDSAM_FILES, file), bytes);
  if (values) writeFileSync(join(UMEDSAM_FILES, `${file}.values`), Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  expected.push({ file, ...(values ? { values: `${file}.values` } : {}), ...more });
};
before(() => mkdirSync(UMEDSAM_FILES, { recursive: true }));

async function writeAll(name, series, regular) {
  const reference = await series.reference();
  const [columns, rows] = series.size;
  const shape = [series.frames, rows, columns];
  const voxels = shape.reduce((product, length) => product * length, 1);
  const random = chance(name.length + voxels);
  const labels = Uint8Array.from({ length: voxels }, (_, index) => (index < columns * rows ? 0 : Math.floor(random() * 3)));
  const placed = series.geometry !== null;
  const common = { placed, regular: regular && placed, affine: series.geometry?.affine, labels: segments.map(({ label }) => label), instances: reference.frames.map(({ sopInstance }) => sopInstance), multiframe: reference.frames[0].number !== undefined, numbers: reference.frames.map(({ number }) => number), equal: name !== "unequal" };
  write(`${name}-binary.dcm`, await toSeg(reference, labels, segments, options), labels, { ...common, kind: "BINARY", type: "uint8", shape });
  write(`${name}-labelmap.dcm`, await toSeg(reference, labels, segments, { ...options, type: "LABELMAP" }), labels, { ...common, kind: "LABELMAP", type: "uint8", shape });
  const probabilities = segments.map((_, segment) => Uint8Array.from({ length: voxels }, (_, index) => (index < segment * columns * rows ? 0 : Math.floor(random() * 256))));
  const all = new Uint8Array(2 * voxels);
  probabilities.forEach((values, segment) => all.set(values, segment * voxels));
  write(`${name}-fractional.dcm`, await toFractionalSeg(reference, probabilities, segments, options), all, { ...common, kind: "FRACTIONAL", type: "uint8", shape: [2, ...shape] });
  const map = Float32Array.from({ length: voxels }, () => random());
  for (const [quantity, unit] of [["probability", "1"], ["total-uncertainty", "bit_s"]]) {
    write(`${name}-${quantity}.dcm`, await toParametricMap(reference, map, quantity, options), map, { ...common, kind: "PARAMETRIC", type: "float32", shape, unit });
  }
  if (!placed) return;
  write(`${name}.nii`, await toNifti(series.geometry, labels), labels, { ...common, kind: "NIFTI", type: "uint8", shape });
  write(`${name}-map.nii`, await toNifti(series.geometry, map), map, { ...common, kind: "NIFTI", type: "float32", shape });
  write(`${name}.seg.nrrd`, await toSegNrrd(series.geometry, labels, segments), labels, { ...common, kind: "NRRD", type: "uint8", shape });
}

test("files of series are written", async () => {
  for (const name of ["plain", "tilted", "unequal", ...["turn-010", "turn-123", "turn-201", "turn-212"]]) {
    const { series } = await readDicom(made(name));
    await writeAll(name, series[0], name !== "unequal" && name !== "tilted");
  }
  // One slice; an enhanced file; images without a place.
  for (const [file, regular] of [["CT_small.dcm", true], ["eCT_Supplemental.dcm", true], ["RG1_UNCR.dcm", false], ["emri_small.dcm", false]]) {
    const { series } = await readDicom(collected(file));
    await writeAll(basename(file, ".dcm"), series[0], regular);
  }
});

test("masks of pictures are written", async () => {
  const random = chance(7);
  for (const [index, [width, height, density]] of [[1, 1, 1], [7, 5, 0.5], [40, 30, 0.6], [64, 3, 0.3]].entries()) {
    const masks = ["a", "b \"c\""].map((label) => ({ label, color: [1, 2, 3], mask: Uint8Array.from({ length: width * height }, () => Number(random() < density)) }));
    masks.push({ label: "nothing", mask: new Uint8Array(width * height) });
    const values = new Uint8Array(masks.length * width * height);
    masks.forEach(({ mask }, place) => values.set(mask, place * width * height));
    const shape = [masks.length, height, width];
    write(`${index}.coco.json`, await toCocoRle(masks, width, height), values, { kind: "COCO", type: "uint8", shape });
    write(`${index}.geojson`, await toGeoJson(masks, width, height), values, { kind: "GEOJSON", type: "uint8", shape });
  }
});

test("others read the same voxels in the same places", () => {
  writeFileSync(join(UMEDSAM_FILES, "expected.json"), JSON.stringify(expected));
  assert.ok(expected.length > 60, String(expected.length));
  const said = execFileSync(UMEDSAM_PYTHON, [join(import.meta.dirname, "export.py"), "verify", UMEDSAM_FILES], { encoding: "utf8" });
  assert.equal(Number(said), expected.length);
});

test("the same input gives the same file", async () => {
  const { series } = await readDicom(made("plain"));
  const reference = await series[0].reference();
  const labels = new Uint8Array(144).fill(1, 30, 60);
  const [a, b] = [await toSeg(reference, labels, segments, options), await toSeg(reference, labels, segments, options)];
  assert.deepEqual(a, b);
  const later = await toSeg(reference, labels, segments, { ...options, date: new Date(2026, 10, 28, 17, 5, 10) });
  assert.notDeepEqual(a, later);
});

test("what does not fit is refused", async () => {
  const { series } = await readDicom(made("plain"));
  const reference = await series[0].reference();
  const labels = new Uint8Array(144);
  const cases = [
    [() => toSeg(reference, new Uint8Array(143), segments), /143 values, the source 6 frames of 6×4/],
    [() => toSeg(reference, labels, []), /0 segments; use 1 to 255/],
    [() => toSeg(reference, Uint8Array.from(labels, () => 3), segments), /a label 3, but there are 2 segments/],
    [() => toSeg(reference, labels, [{ label: " " }]), /give it a name/],
    [() => toSeg({ ...reference, seriesUid: "1.2.x" }, labels, segments), /series instance UID is "1\.2\.x", which is none/],
    [() => toSeg({}, labels, segments), /source: /],
    [() => toFractionalSeg(reference, [labels], segments), /values|masks/],
    [() => toParametricMap(reference, new Float32Array(144).fill(Number.NaN), "probability"), /a value NaN/],
    [() => toParametricMap(reference, new Float32Array(144), "size"), /quantity: /],
    [() => toNifti(series[0].geometry, new Uint8Array(3)), /3 values for 6×4×6/],
    [() => toSegNrrd(series[0].geometry, new Uint8Array(3), segments), /3 values for 6×4×6/],
    [() => toGeoJson([{ label: "a", mask: new Uint8Array(3) }], 2, 2), /3 values for 1 masks of 2×2/],
  ];
  for (const [call, message] of cases) {
    await assert.rejects(call, (error) => error.code === "invalid-option" && message.test(error.message), String(message));
  }
});
