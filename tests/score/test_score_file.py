import numpy as np
import pytest

from edgecheck.errors import DataError
from edgecheck.score.score_file import load_scores, save_scores


def test_what_was_saved_is_read(tmp_path):
    scores = {"grad-cam": np.array([0.1, 1.0]), "grad-cam++": np.array([0.3, 1 / 3])}
    save_scores(tmp_path / "scores.npz", scores)
    found = load_scores(tmp_path / "scores.npz")
    assert list(found) == list(scores)
    assert all((found[method] == scores[method]).all() for method in scores)


@pytest.mark.parametrize("content", [None, b"", b"text", b"PK\x03\x04"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "scores.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"scores\.npz: not a readable"):
        load_scores(path)
