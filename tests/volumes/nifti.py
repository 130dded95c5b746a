"""NIfTI files by nibabel, and what nibabel reads in them: `make FOLDER` writes files and `expected.json`; `verify FOLDER` reads what umedsam wrote."""

import itertools
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import aff2axcodes, axcodes2ornt, io_orientation, ornt_transform

TYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "complex64", "complex128"]


def upright(canonical, axis, index):
    """A slice of a volume in RAS as radiologists see it: rows of columns."""
    turned = {2: lambda: canonical[::-1, ::-1, index], 1: lambda: canonical[::-1, index, ::-1], 0: lambda: canonical[index, ::-1, ::-1]}
    return turned[axis]().T


def slices(image):
    """Upright slices across every stored axis, in stored order."""
    canonical = np.asarray(nib.as_closest_canonical(image).dataobj)
    orientation = io_orientation(image.affine)
    result = []
    for stored in range(3):
        axis, sign = int(orientation[stored][0]), orientation[stored][1]
        count = canonical.shape[axis]
        order = range(count) if sign > 0 else range(count - 1, -1, -1)
        result.append([upright(canonical, axis, index).astype(float).tolist() for index in order])
    return result


def described(name, image, values=None, frames=1):
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    data = np.asarray(image.get_fdata() if values is None else values)
    first = data if data.ndim == 3 else data[..., 0]
    return {
        "name": name,
        "size": list(image.shape[:3]),
        "affine": lps.flatten().tolist(),
        "frames": frames,
        "values": first.flatten(order="F").tolist(),
        "last": (data[..., -1] if data.ndim == 4 else first).flatten(order="F").tolist(),
    }


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    expected = []

    def write(name, image, **more):
        nib.save(image, folder / name)
        expected.append(described(name, image, **more) | ({"slices": slices(nib.load(folder / name))} if "turn" in name else {}))

    data = np.arange(60, dtype=np.int16).reshape(3, 4, 5) * 7 - 100
    affine = np.array([[1, 0, 0, -20], [0, 2, 0, 30], [0, 0, 3, 5.5], [0, 0, 0, 1]], float)
    base = nib.Nifti1Image(data, affine)
    for codes in itertools.product(*["LR", "AP", "IS"]):
        for order in itertools.permutations(codes):
            turn = ornt_transform(io_orientation(affine), axcodes2ornt(order))
            image = base.as_reoriented(turn)
            assert aff2axcodes(image.affine) == order
            write(f"turn-{''.join(order)}.nii", image)
    # Oblique by some degrees, as scanners are tilted: still the closest plane.
    a, b = np.radians(14), np.radians(-9)
    tilt = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    oblique = affine.copy()
    oblique[:3, :3] = tilt @ affine[:3, :3]
    write("turn-oblique.nii", nib.Nifti1Image(data, oblique))

    only_qform = nib.Nifti1Image(data, None)
    only_qform.set_qform(oblique, code=1)
    only_qform.set_sform(None, code=0)
    nib.save(only_qform, folder / "qform.nii")
    expected.append(described("qform.nii", nib.load(folder / "qform.nii")))
    mirrored = nib.Nifti1Image(data, None)
    mirrored.set_qform(oblique @ np.diag([1, 1, -1, 1.0]), code=2)
    nib.save(mirrored, folder / "qfac.nii")
    expected.append(described("qfac.nii", nib.load(folder / "qfac.nii")))
    nowhere = nib.Nifti1Image(data, None)
    nowhere.header.set_zooms((1.5, 2.5, 3.5))
    nib.save(nowhere, folder / "nowhere.nii")
    expected.append(described("nowhere.nii", nib.load(folder / "nowhere.nii")) | {"problems": 1})

    for kind in TYPES:
        values = (np.arange(60).reshape(3, 4, 5) * 3).astype(kind)
        if kind.startswith(("int", "float", "complex")):
            values = (values - np.array(50).astype(kind)).astype(kind)
        if kind.startswith("complex"):
            values = values * (1 + 2j)
        for version, cls in [(1, nib.Nifti1Image), (2, nib.Nifti2Image)]:
            for order in "<>":
                header = cls.header_class(endianness=order)
                image = cls(values.astype(kind), affine, header=header, dtype=kind)
                image.set_data_dtype(kind)
                name = f"type-{kind}-{version}-{'little' if order == '<' else 'big'}.nii"
                nib.save(image, folder / name)
                read = nib.load(folder / name)
                shown = np.abs(np.asarray(read.dataobj)) if kind.startswith("complex") else None
                expected.append(described(name, read, values=shown))
    scaled = nib.Nifti1Image(data, affine)
    scaled.header.set_slope_inter(0.25, -3)
    # nibabel scales on writing: the raw values are written by hand.
    with open(folder / "scaled.nii", "wb") as file:
        header = scaled.header.copy()
        header["vox_offset"], header["scl_slope"], header["scl_inter"], header["magic"] = 352, 0.25, -3, b"n+1"
        file.write(header.binaryblock + b"\0\0\0\0" + data.tobytes(order="F"))
    expected.append(described("scaled.nii", nib.load(folder / "scaled.nii")))
    write("packed.nii.gz", nib.Nifti1Image(data, affine))
    many = np.stack([data, data + 1, data + 2], axis=-1)
    write("series.nii.gz", nib.Nifti1Image(many, affine), frames=3)
    write("flat.nii", nib.Nifti1Image(data[:, :, :1], affine))
    (folder / "expected.json").write_text(json.dumps(expected))
    make_bodies(folder)


def make_bodies(folder):
    """One volume in several orientations, with the same slice and the same box of each; `places` are where its stored pixels lie in the upright picture."""
    x, y, z = np.meshgrid(np.arange(90), np.arange(80), np.arange(24), indexing="ij")
    inside = ((x - 55) / 22) ** 2 + ((y - 30) / 16) ** 2 + ((z - 11) / 9) ** 2 < 1
    data = (np.where(inside, 300, 40) + (x * 7 + y * 13) % 23).astype(np.int16)
    base = nib.Nifti1Image(data, np.diag([1.0, 1.0, 2.0, 1.0]))
    # Every voxel of the axial slice 12 has a number of its own.
    numbers = nib.Nifti1Image(np.where(z == 12, (79 - y) * 90 + (89 - x), -1).astype(np.int32), base.affine)
    corners = np.where(z == 12, inside, False)
    bodies = []
    for order in ["RAS", "LPS", "LAS", "ARS", "PLI", "SAR", "IPL", "RSA", "LIP", "ASR"]:
        turn = ornt_transform(io_orientation(base.affine), axcodes2ornt(order))
        image, places = base.as_reoriented(turn), np.asarray(numbers.as_reoriented(turn).dataobj)
        axis = [index for index, code in enumerate(order) if code in "SI"][0]
        index = int(np.argmax([np.take(places, k, axis).max() for k in range(places.shape[axis])]))
        found = np.take(np.asarray(nib.Nifti1Image(corners.astype(np.uint8), base.affine).as_reoriented(turn).dataobj), index, axis)
        columns, rows = np.nonzero(found)
        nib.save(image, folder / f"body-{order}.nii.gz")
        stored = np.take(places, index, axis).T
        bodies.append(
            {
                "name": f"body-{order}.nii.gz",
                "axis": axis,
                "slice": index,
                "box": [int(columns.min()) - 1, int(rows.min()) - 1, int(columns.max()) + 2, int(rows.max()) + 2],
                "size": [stored.shape[1], stored.shape[0]],
                "places": stored.flatten().tolist(),
            }
        )
    (folder / "bodies.json").write_text(json.dumps(bodies))


def verify(folder):
    """Every `out-NAME` has NAME's geometry, and twice its stored order's index, modulo 251, as values."""
    count = 0
    for path in sorted(folder.glob("out-*")):
        source, written = nib.load(folder / path.name.removeprefix("out-")), nib.load(path)
        assert np.array_equal(source.affine, written.affine), path
        for field in ["qform_code", "sform_code", "xyzt_units", "quatern_b", "qoffset_x", "srow_x", "pixdim"]:
            a, b = source.header[field], written.header[field]
            assert np.array_equal(a[:4] if field == "pixdim" else a, b[:4] if field == "pixdim" else b), (path, field, a, b)
        index = np.arange(np.prod(written.shape)) * 2 % 251
        values = index.reshape(written.shape, order="F")
        assert written.shape == source.shape[:3] and np.array_equal(written.get_fdata(), values), path
        assert written.header["descrip"].item().decode() == "made by a test", path
        count += 1
    assert count > 40, count
    print(count)


{"make": make, "verify": verify}[sys.argv[1]](Path(sys.argv[2]))
