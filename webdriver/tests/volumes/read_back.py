"""Reads labels that the page saved as others would: LABELS.nii.gz GRID.nii.gz [SEG.dcm IMAGES SLICE.png INDEX]. Prints what it finds as JSON."""

import json
import sys
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
from PIL import Image


def seg_volume(path, folder):
    """The segment's voxels in the order of the images' places along their normal."""
    images = [pydicom.dcmread(file) for file in sorted(Path(folder).iterdir())]
    normal = np.cross(images[0].ImageOrientationPatient[:3], images[0].ImageOrientationPatient[3:])
    images.sort(key=lambda image: float(np.dot(normal, image.ImagePositionPatient)))
    seg = highdicom.seg.segread(path)
    uids = [image.SOPInstanceUID for image in images]
    frames = seg.get_pixels_by_source_instance(
        source_sop_instance_uids=uids, combine_segments=True, assert_missing_frames_are_empty=True
    )
    return np.asarray(frames) > 0


def main(labels_path, grid_path, seg_path=None, folder=None, picture=None, index=None):
    labels = nibabel.load(labels_path)
    grid = nibabel.load(grid_path)
    inside = np.asarray(labels.dataobj) > 0
    found = {
        "is_on_grid": labels.shape == grid.shape[:3] and bool(np.allclose(labels.affine, grid.affine, atol=1e-3)),
        "slices": [int(inside.any(axis=tuple(other for other in range(3) if other != axis)).sum()) for axis in range(3)],
        "across": [int(count) for count in inside.sum(axis=(0, 2)) if count > 0],
    }
    if seg_path is not None:
        truth = np.asarray(grid.dataobj) > 0
        found["dsc"] = 2 * int((inside & truth).sum()) / int(inside.sum() + truth.sum())
        # Frames are rows by columns.
        voxels = seg_volume(seg_path, folder).transpose(2, 1, 0)
        found["is_same"] = bool(np.array_equal(voxels, inside))
        shown = np.asarray(Image.open(picture).convert("L")) > 0
        found["is_slice_same"] = bool(np.array_equal(shown.T, inside[:, :, int(index)]))
    print(json.dumps(found))


main(*sys.argv[1:])
