"""What others read in the files that umedsam writes: `make FOLDER` prepares sources, `verify FOLDER` checks every file of `expected.json`."""

import json
import subprocess
import sys
import tempfile
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


def by_source(read, expected):
    """Values in the order of the source's frames, by what the file refers to."""
    combined = expected["kind"] != "FRACTIONAL"
    options = {"combine_segments": combined, "rescale_fractional": False, "assert_missing_frames_are_empty": True}
    if expected["multiframe"]:
        numbers = expected["numbers"]
        return read.get_pixels_by_source_frame(expected["instances"][0], numbers, **options)
    return read.get_pixels_by_source_instance(expected["instances"], **options)


def verify(folder):
    count = 0
    for expected in json.loads((folder / "expected.json").read_text()):
        path, kind = folder / expected["file"], expected["kind"]
        values = np.fromfile(folder / expected["values"], expected["type"]).reshape(expected["shape"]) if "values" in expected else None
        if kind in ("BINARY", "LABELMAP", "FRACTIONAL"):
            segmentation(path, expected, values)
        elif kind == "PARAMETRIC":
            parametric(path, expected, values)
        elif kind == "NIFTI":
            image = nib.load(path)
            assert np.array_equal(np.asarray(image.dataobj), values.T), path
            lps = np.diag([-1, -1, 1, 1]) @ image.affine
            assert np.allclose(lps, np.reshape(expected["affine"], (4, 4)), atol=1e-4), path
        elif kind == "NRRD":
            data, header = nrrd.read(str(path))
            assert np.array_equal(data, values.T), path
            affine = np.reshape(expected["affine"], (4, 4))
            assert np.allclose(header["space directions"], affine[:3, :3].T) and np.allclose(header["space origin"], affine[:3, 3])
            assert header["Segment1_Name"] == expected["labels"][1] and header["Segment1_LabelValue"] == "2", header
        elif kind == "COCO":
            for found, mask in zip(json.loads(path.read_text()), values, strict=True):
                decoded = coco.decode({"size": found["segmentation"]["size"], "counts": found["segmentation"]["counts"].encode()})
                assert np.array_equal(decoded, mask) and found["area"] == mask.sum()
                if mask.any():
                    assert np.array_equal(coco.toBbox({"size": found["segmentation"]["size"], "counts": found["segmentation"]["counts"].encode()}), found["bbox"])
        elif kind == "GEOJSON":
            for feature, mask in zip(json.loads(path.read_text())["features"], values, strict=True):
                polygon = shape(feature["geometry"])
                assert polygon.is_valid and polygon.area == mask.sum(), (path, polygon.area, mask.sum())
        else:
            raise AssertionError(kind)
        count += 1
    print(count)


def segmentation(path, expected, values):
    read = hd.seg.segread(path)
    kind = expected["kind"]
    assert str(read.SegmentationType) == kind
    labels = [read.get_segment_description(number).segment_label for number in range(1, len(expected["labels"]) + 1)]
    assert labels == expected["labels"], labels
    description = read.get_segment_description(1)
    assert description.algorithm_type.value == "SEMIAUTOMATIC" and description.algorithm_identification.name == "umedsam-test"
    found = by_source(read, expected)
    assert np.array_equal(np.moveaxis(found, -1, 0) if kind == "FRACTIONAL" else found, values), path
    if expected["placed"]:
        affine = np.reshape(expected["affine"], (4, 4))
        for frame in read.PerFrameFunctionalGroupsSequence:
            place = frame.FrameContentSequence[0].DimensionIndexValues
            place = int(np.atleast_1d(place)[-1])
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            if expected["equal"]:
                assert np.allclose((affine @ [0, 0, place - 1, 1])[:3], position, atol=1e-3), path
        if expected["regular"] and expected["shape"][-3] > 1:
            volume = read.get_volume(combine_segments=True) if kind != "FRACTIONAL" else read.get_volume(rescale_fractional=False)
            # highdicom puts the slices first, in either direction.
            steps = np.linalg.inv(affine) @ volume.affine
            assert np.allclose(np.abs(np.round(steps[:3, :3])), [[0, 0, 1], [0, 1, 0], [1, 0, 0]]), (path, steps)
        dcmqi(path, expected, values)
    validated(path, expected)


def dcmqi(path, expected, values):
    """What dcmqi's converter makes of it."""
    if expected["kind"] == "LABELMAP" or not expected.get("regular"):
        return
    with tempfile.TemporaryDirectory() as out:
        tool = Path(sys.executable).parent / "segimage2itkimage"
        result = subprocess.run([tool, "--inputDICOM", path, "--outputDirectory", out, "-t", "nifti"], capture_output=True, text=True)
        assert result.returncode == 0, (path, result.stdout, result.stderr)
        for number, file in enumerate(sorted(Path(out).glob("*.nii.gz"), key=lambda file: int(file.name.split(".")[0])), 1):
            image = nib.load(file)
            data = np.asarray(image.dataobj)
            expected_sum = (values == number).sum() if expected["kind"] == "BINARY" else values[number - 1].astype(int).sum()
            found = (data > 0).sum() if expected["kind"] == "BINARY" else data.astype(int).sum()
            assert expected_sum == found, (path, number, expected_sum, found)


def parametric(path, expected, values):
    data = pydicom.dcmread(path)
    assert np.array_equal(np.reshape(data.pixel_array, values.shape), values), path
    positions = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in data.PerFrameFunctionalGroupsSequence]
    # What has no place lies in one of its own.
    affine = np.reshape(expected["affine"], (4, 4)) if expected["placed"] else np.eye(4)
    assert expected["placed"] or data.FrameOfReferenceUID.startswith("2.25."), path
    for index, position in enumerate(positions):
        assert not expected["equal"] or np.allclose((affine @ [0, 0, index, 1])[:3], position, atol=1e-3), path
    unit = data.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence[0]
    assert unit.CodeValue == expected["unit"]
    validated(path, expected)
    if not expected["regular"]:
        return
    with tempfile.TemporaryDirectory() as out:
        tool = Path(sys.executable).parent / "paramap2itkimage"
        result = subprocess.run([tool, "--inputDICOM", path, "--outputDirectory", out, "-t", "nifti"], capture_output=True, text=True)
        assert result.returncode == 0, (path, result.stdout, result.stderr)
        image = nib.load(next(Path(out).glob("*.nii.gz")))
        assert np.isclose(np.asarray(image.dataobj).sum(), values.sum(), rtol=1e-4)


def validated(path, expected):
    """dciodvfy finds no error; it does not know LABELMAP."""
    if expected["kind"] == "LABELMAP":
        return
    try:
        result = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
    except FileNotFoundError:
        print("dciodvfy is not installed: its part is skipped", file=sys.stderr)
        return
    errors = [line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")]
    assert not errors, (path, errors)


{"verify": verify}[sys.argv[1]](Path(sys.argv[2]))
