"""What others read in the files that `umedsam segment --propagate` wrote: `OUT SOURCE [MASK]`. Prints the DSC with the mask."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import highdicom as hd
import nibabel as nib
import nrrd
import numpy as np
import pydicom
from pycocotools import mask as coco
from shapely.geometry import shape

warnings.filterwarnings("ignore")
out, source = Path(sys.argv[1]), Path(sys.argv[2])
result = json.loads((out / "result.json").read_text())
written = nib.load(out / "labelmap.nii.gz")
labels = np.asarray(written.dataobj)
assert list(labels.shape) == result["image"]["size"], labels.shape


def frames():
    """The series' files in the order of their positions along the slices."""
    files = [pydicom.dcmread(path, stop_before_pixels=True) for path in source.iterdir()]
    row, column = np.reshape(files[0].ImageOrientationPatient, (2, 3)).astype(float)
    return sorted(files, key=lambda file: float(np.dot(np.cross(row, column), file.ImagePositionPatient)))


if source.is_dir():
    files = frames()
    instances = [file.SOPInstanceUID for file in files]
    options = {"assert_missing_frames_are_empty": True, "rescale_fractional": False}
    for name, kind in [("segmentation", "BINARY"), ("segmentation_labelmap", "LABELMAP"), ("segmentation_fractional", "FRACTIONAL")]:
        read = hd.seg.segread(out / f"{name}.dcm")
        assert read.SegmentationType == kind and read.PatientID == files[0].PatientID and read.StudyInstanceUID == files[0].StudyInstanceUID
        values = read.get_pixels_by_source_instance(instances, combine_segments=kind != "FRACTIONAL", **options)
        if kind == "FRACTIONAL":
            probability = np.asarray(nib.load(out / "probability_0.nii.gz").dataobj)
            assert np.allclose(values[..., 0].T / 255, probability, atol=1e-6), kind
        else:
            assert np.array_equal(values.T, labels), kind
    for name in ["probability", "uncertainty"]:
        read = pydicom.dcmread(out / f"{name}_0.dcm")
        values = read.float_pixel_array if hasattr(read, "float_pixel_array") else np.frombuffer(read.FloatPixelData, np.float32)
        values = np.reshape(values, (read.NumberOfFrames, read.Rows, read.Columns))
        assert np.allclose(values.T, np.asarray(nib.load(out / f"{name}_0.nii.gz").dataobj), atol=1e-6), name
    # Middles of the first voxel, in LPS.
    place = np.array([-1, -1, 1]) * written.affine[:3, 3]
    assert np.allclose(place, np.array(files[0].ImagePositionPatient, float), atol=1e-2), place
    if shutil.which("dciodvfy"):
        for name in ["segmentation", "segmentation_fractional", "probability_0", "uncertainty_0"]:
            said = subprocess.run(["dciodvfy", out / f"{name}.dcm"], capture_output=True, text=True).stderr
            assert not [line for line in said.splitlines() if line.startswith("Error")], said
else:
    original = nib.load(source)
    assert np.array_equal(original.affine, written.affine) and original.header["sizeof_hdr"] == written.header["sizeof_hdr"]

data, header = nrrd.read(str(out / "segmentation.seg.nrrd"))
assert np.array_equal(data, labels) and header["Segment0_LabelValue"] == "1"

axis = result["image"]["axis"]
inside = [entry["slice"] for entry in result["objects"][0]["slices"] if entry["end"] is None]
for slice_ in inside:
    folder = out / f"slice_{slice_:04}"
    stored = np.take(labels, slice_, axis)
    [found, *_] = json.loads((folder / "masks.coco.json").read_text())
    decoded = coco.decode({**found["segmentation"], "counts": found["segmentation"]["counts"].encode()})
    assert np.array_equal(decoded.T, stored == 1), slice_
    [feature, *_] = json.loads((folder / "masks.geojson").read_text())["features"]
    polygon = shape(feature["geometry"])
    assert polygon.is_valid and polygon.area == (stored == 1).sum(), slice_
    assert (folder / "mask_0.png").exists() and (folder / "uncertainty_0.png").exists()
assert sum(entry["area_pixels"] for entry in result["objects"][0]["slices"] if entry["end"] is None) >= (labels == 1).sum()

if len(sys.argv) > 3:
    truth = np.asarray(nib.load(sys.argv[3]).dataobj).reshape(labels.shape) > 0
    print(f"DSC {2 * (truth & (labels == 1)).sum() / (truth.sum() + (labels == 1).sum()):.4f}")
