// umedsam/nifti against nibabel. The environment names the compiled package (UMEDSAM_DIST), nibabel's Python (UMEDSAM_PYTHON) and a folder (UMEDSAM_FILES).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const { UMEDSAM_DIST, UMEDSAM_PYTHON, UMEDSAM_FILES } = process.env;
const { placeOf, planeOf, readNifti, spacingOf, turnOf, writeNifti } = await import(pathToFileURL(join(UMEDSAM_DIST, "nifti.js")));
const python = (command) => execFileSync(UMEDSAM_PYTHON, [join(import.meta.dirname, "nifti.py"), command, UMEDSAM_FILES], { encoding: "utf8" });
const bytes = (name) => readFileSync(join(UMEDSAM_FILES, name));

let expected;
before(() => {
  python("make");
  expected = JSON.parse(bytes("expected.json"));
});

const isClose = (actual, wanted, tolerance, what) => {
  assert.equal(actual.length, wanted.length, what);
  actual.forEach((value, index) => assert.ok(Math.abs(value - wanted[index]) <= tolerance * Math.max(1, Math.abs(wanted[index])), `${what}: ${value}, not ${wanted[index]}`));
};

/** All values in the stored order, from slices that were turned upright and back. */
function stored(volume) {
  const values = [];
  for (let index = 0; index < volume.slices(); index++) {
    const { image, turn } = volume.slice(index);
    values.push(...turn.turnedBack(image.data, image.data.slice()));
  }
  return values;
}

test("values, sizes and affines are nibabel's, whatever the type, version and byte order", async () => {
  assert.ok(expected.length > 100);
  for (const { name, size, affine, frames, values, last, problems = 0 } of expected) {
    const file = await readNifti(bytes(name));
    assert.deepEqual(file.volume.geometry.size, size, name);
    isClose(file.volume.geometry.affine, affine, 1e-6, name);
    assert.equal(file.count, frames, name);
    isClose(stored(file.volume), values, 1e-6, name);
    isClose(stored(file.frame(frames - 1)), last, 1e-6, name);
    assert.equal(file.problems.length, problems, name);
  }
});

test("slices of all 48 orientations are upright as nibabel's canonical volume says", async () => {
  const turned = expected.filter(({ slices }) => slices);
  assert.equal(turned.length, 49);
  for (const { name, slices } of turned) {
    const { volume } = await readNifti(bytes(name));
    for (const axis of [0, 1, 2]) {
      for (const [index, rows] of slices[axis].entries()) {
        const { image, turn, spacing } = volume.slice(index, axis);
        assert.deepEqual([image.width, image.height], [rows[0].length, rows.length], `${name} ${axis}`);
        assert.deepEqual([...image.data], rows.flat(), `${name} across ${axis}, slice ${index}`);
        // A pixel's box goes there and back, and holds its value.
        const box = [image.width - 1, 0, image.width, 1];
        const at = turn.storedBox(box);
        assert.deepEqual(turn.upright(at), box);
        const value = turn.turnedBack(image.data, image.data.slice())[at[1] * turn.stored[0] + at[0]];
        assert.equal(value, image.data[image.width - 1]);
        assert.deepEqual([...spacing].sort(), spacingOf(volume.geometry).filter((_, stored) => stored !== axis).sort());
      }
    }
    if (name !== "turn-oblique.nii") {
      const planes = [0, 1, 2].map((axis) => planeOf(volume.geometry, axis));
      const codes = [...name.slice(5, 8)].map((code) => ({ L: "sagittal", R: "sagittal", A: "coronal", P: "coronal", I: "axial", S: "axial" })[code]);
      assert.deepEqual(planes, codes, name);
    }
  }
});

test("volumes are written on the grid of their source, as nibabel reads it", async () => {
  for (const { name, size } of expected.filter(({ name }) => /^(turn|type-int16|type-float32|qform|qfac|scaled|series)/.test(name))) {
    const source = await readNifti(bytes(name));
    const voxels = size[0] * size[1] * size[2];
    const data = Uint8Array.from({ length: voxels }, (_, index) => (index * 2) % 251);
    const description = "made by a test";
    const written = writeNifti({ data, description }, source);
    writeFileSync(join(UMEDSAM_FILES, `out-${name}`), name.endsWith(".gz") ? gzipSync(written) : written);
    const again = await readNifti(writeNifti({ data: Float32Array.from(data, (value) => value / 4), description }, source));
    assert.deepEqual(stored(again.volume), [...data].map((value) => value / 4));
    assert.deepEqual(again.volume.geometry, source.volume.geometry);
  }
  assert.ok(Number(python("verify")) > 40);
});

test("places are in millimetres of the patient", async () => {
  const { volume } = await readNifti(bytes("turn-RAS.nii"));
  // RAS (-20, 30, 5.5) and its steps of 1, 2 and 3 mm, in LPS.
  assert.deepEqual(placeOf(volume.geometry, [0, 0, 0]), [20, -30, 5.5]);
  assert.deepEqual(placeOf(volume.geometry, [2, 1, 1]), [18, -32, 8.5]);
  assert.equal(turnOf(volume.geometry, 2).isMirroredX, true);
});

test("what cannot be read is named", async () => {
  const whole = bytes("turn-LPS.nii");
  const changed = (change) => {
    const copy = Buffer.from(whole);
    change(copy);
    return copy;
  };
  const packed = bytes("packed.nii.gz");
  const cases = [
    [Buffer.alloc(0), /0 bytes/],
    [Buffer.from("<!doctype html>"), /no NIfTI file/],
    [whole.subarray(0, 100), /cut off: 100 bytes/],
    [whole.subarray(0, 400), /cut off: 400 of 472 bytes/],
    [packed.subarray(0, packed.length - 20), /cut off or damaged/],
    [changed((copy) => copy.write("ni1\0", 344)), /\.hdr and \.img/],
    [changed((copy) => copy.write("\0\0\0\0", 344)), /Analyze/],
    [changed((copy) => copy.writeInt16LE(1536, 70)), /float128/],
    [changed((copy) => copy.writeInt16LE(77, 70)), /type is 77/],
    [changed((copy) => copy.writeInt16LE(0, 40)), /0 dimensions/],
    [changed((copy) => copy.writeInt16LE(-4, 42)), /-4×4×5/],
    [42, /the file is number/],
  ];
  for (const [file, message] of cases) {
    await assert.rejects(readNifti(file), (error) => error.code === "invalid-image" && message.test(error.message), String(message));
  }
  const { volume, frame } = await readNifti(whole);
  for (const [call, message] of [
    [() => volume.slice(5), /slice is 5; axis 2 has slices 0 to 4/],
    [() => volume.slice(-1, 0), /axis 0 has slices 0 to 2/],
    [() => volume.slice(0.5), /slice is 0.5/],
    [() => volume.slice(0, 3), /axis is 3/],
    [() => frame(1), /volumes 0 to 0/],
    [() => writeNifti({ data: new Uint8Array(5) }, { volume, header: new Uint8Array(whole.subarray(0, 348)) }), /5 values, the volume 3×4×5 = 60/],
  ]) {
    assert.throws(call, (error) => error.code === "invalid-option" && message.test(error.message));
  }
});

test("NaN, infinite slopes and impossible affines do no harm", async () => {
  const whole = bytes("turn-LPS.nii");
  const copy = Buffer.from(whole);
  copy.writeFloatLE(Number.NaN, 112);
  copy.writeFloatLE(Number.POSITIVE_INFINITY, 116);
  // The sform on a plane; the qform takes its place.
  for (let index = 0; index < 4; index++) copy.writeFloatLE(0, 280 + 4 * index);
  const file = await readNifti(copy);
  assert.match(file.problems[0], /sform/);
  assert.deepEqual(stored(file.volume), stored((await readNifti(whole)).volume));
});
