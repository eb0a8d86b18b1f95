from pathlib import Path

import numpy as np
import pytest

from edgecheck.errors import ConfigError, DataError
from edgecheck.score.cam_file import CamFile, load_cams, save_cams


def example() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "maps.grad-cam": random.random((4, 3, 2)).astype(np.float32),
        "maps.grad-cam++": random.random((4, 3, 2)).astype(np.float32),
        "logits": random.normal(size=(4, 5)).astype(np.float32),
        "classes": np.array([0, 4, 2, 2]),
    }


def test_round_trip(tmp_path: Path) -> None:
    arrays = example()
    maps = {"grad-cam": arrays["maps.grad-cam"], "grad-cam++": arrays["maps.grad-cam++"].astype(np.float64)}
    save_cams(tmp_path / "cams.npz", CamFile(maps, arrays["logits"], arrays["classes"]))
    found = load_cams(tmp_path / "cams.npz")
    assert list(found.maps) == ["grad-cam", "grad-cam++"]
    cams = found.cams("grad-cam++")
    assert cams.maps.dtype == cams.logits.dtype == np.float32
    np.testing.assert_array_equal(cams.maps, arrays["maps.grad-cam++"])
    np.testing.assert_array_equal(cams.logits, arrays["logits"])
    np.testing.assert_array_equal(cams.classes, [0, 4, 2, 2])
    np.testing.assert_array_equal(cams.predictions, arrays["logits"].argmax(axis=1))
    assert len(cams) == 4


def test_an_unknown_method_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"unknown CAM method 'grad_cam'.*known: grad-cam$"):
        CamFile({"grad-cam": np.ones((1, 2, 2))}, np.ones((1, 2)), np.array([0])).cams("grad_cam")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.npz: no such file"):
        load_cams(tmp_path / "gone.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cams.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"cams\.npz: not a readable \.npz"):
        load_cams(tmp_path / "cams.npz")


def test_an_archive_cut_short(tmp_path: Path) -> None:
    np.savez(tmp_path / "cams.npz", **example())
    whole = (tmp_path / "cams.npz").read_bytes()
    (tmp_path / "cams.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not a readable"):
        load_cams(tmp_path / "cams.npz")


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "cams.npz", **example() | {"logits": np.array([object()])})
    with pytest.raises(DataError, match="not a readable"):
        load_cams(tmp_path / "cams.npz")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("logits", None, r"no array named logits"),
        ("classes", None, r"no array named classes"),
        ("logits", np.zeros(4), r"logits must be floating of shape \(N, C\), not float64 \(4,\)"),
        ("logits", np.zeros((4, 5), int), r"logits must be floating .*, not int64"),
        ("classes", np.zeros(3, int), r"classes must be integer of shape \(4,\)"),
        ("classes", np.zeros(4), r"classes must be integer .* not float64"),
        ("classes", np.array([0, 1, 2, 5]), r"classes must be between 0 and 4"),
        ("classes", np.array([0, 1, 2, -1]), r"classes must be between 0 and 4"),
        ("maps.grad-cam", np.zeros((3, 2, 2)), r"maps\.grad-cam must be floating of shape \(4, h, w\)"),
        ("maps.grad-cam", np.zeros((4, 2)), r"maps\.grad-cam must be floating of shape \(4, h, w\)"),
        ("maps.grad-cam", np.array(1.0), r"maps\.grad-cam must be floating of shape \(4, h, w\)"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, name: str, array: np.ndarray | None, message: str) -> None:
    arrays = {key: value for key, value in (example() | {name: array}).items() if value is not None}
    np.savez(tmp_path / "cams.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_cams(tmp_path / "cams.npz")
