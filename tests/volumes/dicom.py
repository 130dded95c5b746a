"""DICOM files of pydicom's collections and what pydicom reads in them: `make FOLDER` writes `expected.json`, values, and series made here;
`wrap FOLDER` makes a DICOM file of the HTJ2K frame that is there; `large FOLDER` a CT of 300 slices."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless, generate_uid

warnings.filterwarnings("ignore")
LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"}


def collections():
    import data_store

    folders = [Path(pydicom.__file__).parent / "data/test_files", Path(data_store.__path__[0]) / "data"]
    return sorted(path for folder in folders for path in folder.glob("*.dcm"))


def coded(folder):
    """Files that no collection has: signed values in JPEG-LS, losslessly and nearly so."""
    folder.mkdir(parents=True, exist_ok=True)
    for syntax, name, options in [(JPEGLSLossless, "CT_jls", {}), (JPEGLSNearLossless, "CT_jls_near", {"jls_error": 2})]:
        data = pydicom.dcmread(Path(pydicom.__file__).parent / "data/test_files/CT_small.dcm")
        data.compress(syntax, generate_instance_uid=False, **options)
        data.save_as(folder / f"{name}.dcm")
    return sorted(folder.glob("*.dcm"))


def values(data, frame):
    """A frame in its units, or in RGB of 8 bits; NaN where there is no pixel."""
    raw = pixel_array(data, index=frame)
    if data.PhotometricInterpretation == "PALETTE COLOR":
        rgb = apply_color_lut(raw, data)
        return (rgb >> 8 if rgb.dtype.itemsize > 1 and data.RedPaletteColorLookupTableDescriptor[2] > 8 else rgb).astype(np.float32)
    if raw.ndim == 3:
        return (raw >> max(0, data.BitsStored - 8)).astype(np.float32)
    source = data
    for groups in ["PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"]:
        if groups in data:
            group = data[groups].value[frame if groups.startswith("Per") else 0]
            if "PixelValueTransformationSequence" in group:
                source = group.PixelValueTransformationSequence[0]
                break
    result = apply_modality_lut(raw, source).astype(np.float32)
    if "PixelPaddingValue" in data:
        limits = [data.PixelPaddingValue, data.get("PixelPaddingRangeLimit", data.PixelPaddingValue)]
        result[(raw >= min(limits)) & (raw <= max(limits))] = np.nan
    return result


def make(folder):
    (folder / "values").mkdir(parents=True, exist_ok=True)
    expected = []
    for path in [*collections(), *coded(folder / "coded")]:
        try:
            data = pydicom.dcmread(path)
            frames = int(data.get("NumberOfFrames", 1) or 1)
            shown = [values(data, frame) for frame in {0, frames - 1}] if frames > 1 else [values(data, 0)]
        except Exception as error:  # noqa: BLE001
            expected.append({"path": str(path), "error": str(error)[:200]})
            continue
        name = f"{path.stem}.f32"
        np.stack(shown).tofile(folder / "values" / name)
        expected.append(
            {
                "path": str(path),
                "values": name,
                "frames": frames,
                "shape": list(shown[0].shape),
                "lossy": str(data.file_meta.TransferSyntaxUID) in LOSSY,
                "inverted": data.PhotometricInterpretation == "MONOCHROME1",
                "modality": str(data.get("Modality", "")),
                "sop_class": str(data.get("SOPClassUID", "")),
            }
        )
    (folder / "expected.json").write_text(json.dumps(expected))
    make_series(folder / "series")


def slice_file(path, like, position, orientation, number, pixels, series, **more):
    data = pydicom.dcmread(like)
    for keyword in ["SliceLocation", "PixelPaddingValue"]:
        if keyword in data:
            delattr(data, keyword)
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.astype(np.int16).tobytes()
    data.RescaleSlope, data.RescaleIntercept = 1, -1000
    data.PixelSpacing = [2.0, 0.5]
    data.SliceThickness = 3.0
    data.ImagePositionPatient, data.ImageOrientationPatient = list(position), list(orientation)
    data.InstanceNumber = number
    data.SeriesInstanceUID, data.SeriesNumber = series, 7
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in more.items():
        setattr(data, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path)


def make_series(folder):
    like = Path(pydicom.__file__).parent / "data/test_files/CT_small.dcm"
    random = np.random.default_rng(1)
    axial, head_first = [1, 0, 0, 0, 1, 0], [0.0, 0.0, 1.0]

    def write(name, positions, orientation=axial, size=(4, 6), numbers=None, sizes=None, **more):
        series = generate_uid()
        for index, position in enumerate(positions):
            shape = sizes[index] if sizes else size
            pixels = np.full(shape, 100 * index) + random.integers(0, 50, shape)
            number = numbers[index] if numbers else len(positions) - index
            slice_file(folder / name / f"{random.integers(1e9)}.dcm", like, position, orientation, number, pixels, series, **more)

    along = [np.array(head_first) * 3 * index + [-10, 5, 40] for index in range(6)]
    write("plain", along)
    write("tilted", [place + [0, index * 0.6, 0] for index, place in enumerate(along)])
    write("unequal", [along[0], along[1], along[2] + [0, 0, 0.7], along[3]])
    write("missing", [along[0], along[1], along[4], along[5]])
    write("repeated", [along[0], along[1], along[1], along[2]])
    write("mixed", along, sizes=[(4, 6)] * 4 + [(5, 5)] * 2)
    # Cosines of rows and columns along every pair of axes, either way: 24 right-handed and 24 mirrored ones seen from the other end.
    for a in range(3):
        for b in range(3):
            if a == b:
                continue
            for signs in range(4):
                row, column = np.zeros(3), np.zeros(3)
                row[a], column[b] = 1 - 2 * (signs & 1), 1 - (signs & 2)
                normal = np.cross(row, column)
                places = [np.array([3.0, -7.0, 11.0]) + normal * 4 * index for index in range(3)]
                write(f"turn-{a}{b}{signs}", places, orientation=[*row, *column])


def wrap(folder):
    data = pydicom.dcmread(Path(pydicom.__file__).parent / "data/test_files/MR_small.dcm")
    data.PixelData = encapsulate([(folder / "frame.j2c").read_bytes()])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"
    data.save_as(folder / "htj2k.dcm", implicit_vr=False, little_endian=True)


def large(folder):
    like = Path(pydicom.__file__).parent / "data/test_files/CT_small.dcm"
    random, series = np.random.default_rng(2), generate_uid()
    pixels = random.integers(0, 3000, (512, 512))
    for index in range(300):
        slice_file(folder / "large" / f"{index}.dcm", like, [0, 0, index], [1, 0, 0, 0, 1, 0], index, pixels + index, series)


{"make": make, "wrap": wrap, "large": large}[sys.argv[1]](Path(sys.argv[2]))
