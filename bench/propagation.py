"""DSC of structures followed through real volumes from one box on their middle slice, with the command line.

    python bench/propagation.py PROGRAM VOLUMES [--weights FILE] [--within] [ARGUMENTS OF umedsam segment]

PROGRAM is the umedsam binary, VOLUMES a folder as ../shared/volumes/nifti (needs nibabel and numpy). The box is tight around the truth on the middle one of its slices. --within gives
the truth's slices as --range, as the challenge does; without it the object's ends are found.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy

program, volumes, *arguments = sys.argv[1:]
within = "--within" in arguments
arguments = [argument for argument in arguments if argument != "--within"]


def structures():
    for mask in sorted(Path(volumes).glob("STS_*/*_mask.nii.gz")):
        yield mask.with_name(mask.name.replace("_mask", "_image")), mask, 1
    for mask in sorted(Path(volumes).glob("hippocampus/*_labels.nii.gz")):
        for label in (1, 2):
            yield mask.with_name(mask.name.replace("_labels", "_images")), mask, label


def dsc(a, b):
    return 2 * float((a & b).sum()) / max(1, int(a.sum()) + int(b.sum()))


rows, slices = [], []
for image, mask, label in structures():
    loaded = nibabel.load(mask)
    truth = (numpy.asarray(loaded.dataobj) == label).reshape(loaded.shape[:3])
    spanned = numpy.flatnonzero(truth.any((0, 1)))
    middle = int(spanned[len(spanned) // 2])
    columns, lines = (numpy.flatnonzero(truth[:, :, middle].any(axis)) for axis in (1, 0))
    box = [columns[0], lines[0], columns[-1] + 1, lines[-1] + 1]
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "segment", "--image", image, "--slice", middle, "--box", ",".join(map(str, box)), "--propagate", "--out-dir", folder]
        command += ["--range", f"{spanned[0]},{spanned[-1]}"] if within else []
        subprocess.run([*map(str, command), *arguments], check=True, capture_output=True)
        report = json.loads((Path(folder) / "result.json").read_text())
        found = numpy.asarray(nibabel.load(Path(folder) / "labelmap.nii.gz").dataobj).reshape(truth.shape) == 1
    [one] = report["objects"]
    low, high = one["volume"]["interval_ml"]
    voxel = abs(numpy.linalg.det(loaded.affine[:3, :3])) / 1000
    inside = [slice for slice in one["slices"] if slice["end"] is None]
    row = {
        "name": f"{image.parent.name} {image.name.split('.')[0].replace('_image', '')} {label}",
        "dsc": dsc(found, truth),
        "slices": [int(spanned[0]), int(spanned[-1])],
        "found": [inside[0]["slice"], inside[-1]["slice"]],
        "ml": one["volume"]["ml"],
        "truth_ml": float(truth.sum() * voxel),
        "covered": bool(low <= truth.sum() * voxel <= high),
        "ms_per_slice": report["timings_ms"]["all"] / len(one["slices"]),
        "encode_share": report["timings_ms"]["encode"] / report["timings_ms"]["all"],
    }
    rows.append(row)
    for slice in inside:
        index = slice["slice"]
        slices.append([slice["distance"], dsc(found[:, :, index], truth[:, :, index]), slice["expected_dsc"], slice["needs_review"]])
    print(f"{row['name']:34} DSC {row['dsc']:.3f}  slices {row['slices']} found {row['found']}  {row['ml']:.1f} ml of {row['truth_ml']:.1f}", flush=True)

mean = lambda key: numpy.mean([row[key] for row in rows])
print(f"mean DSC {mean('dsc'):.3f}, {mean('ms_per_slice'):.0f} ms a slice, encodes {mean('encode_share'):.0%} of it, volume in its interval {mean('covered'):.0%}")
slices = numpy.array([[float(value or 0) for value in slice] for slice in slices])
print(f"expected DSC off by {numpy.abs(slices[1:, 1] - slices[1:, 2]).mean():.3f} a slice, on average {(slices[:, 2] - slices[:, 1]).mean():+.3f}; by distance from the prompt:")
for distance in range(int(slices[:, 0].max()) + 1):
    at = slices[slices[:, 0] == distance]
    if len(at):
        print(f"  {distance:2}  {len(at):3} slices  DSC {at[:, 1].mean():.3f}  expected {at[:, 2].mean():.3f}  to review {at[:, 3].mean():.0%}")
