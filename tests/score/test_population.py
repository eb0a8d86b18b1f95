from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecheck.score.population import exemplars, modal


@settings(max_examples=40, deadline=None)
@given(arrays(np.int64, st.tuples(st.integers(1, 7), st.integers(1, 6)), elements=st.integers(0, 3)))
def test_the_modal_class_is_the_most_common_one(predictions):
    for votes, found in zip(predictions.T, modal(list(predictions)), strict=True):
        counts = Counter(votes.tolist())
        assert found == min(label for label, count in counts.items() if count == max(counts.values()))


def test_exemplars_by_hand():
    compressed = [np.array(votes) for votes in ([0, 1, 2], [0, 1, 0], [1, 2, 0])]  # modal: 0 1 0
    uncompressed = [np.array(votes) for votes in ([0, 2, 0], [1, 2, 2], [0, 1, 0])]  # modal: 0 2 0
    assert exemplars(compressed, uncompressed).tolist() == [False, True, False]
