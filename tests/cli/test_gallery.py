"""The gallery of a whole run: the images that it names, and the pictures that it holds of them."""

import cv2
import numpy as np
import pytest

from edgecheck.attribution.table import in_order
from edgecheck.images import load_npz
from edgecheck.pipeline.picture_file import PICTURES, load_pictures
from edgecheck.records import Gallery, from_dict
from edgecheck.score import cam
from edgecheck.score.cam_file import load_cams
from edgecheck.score.pe_like import confidence
from edgecheck.score.score_file import load_scores

NAME = "l1-filters-0.50"


def decoded(content):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def gallery(tiny_report):
    (variant,) = (one for one in tiny_report["variants"] if one["name"] == NAME)
    assert variant["pictures"] == [f"{NAME}/{PICTURES}"]
    return from_dict(variant["gallery"], Gallery)


@pytest.fixture(scope="module")
def sides(tiny_run):
    return {
        side: load_cams(tiny_run / name / "cams.npz") for side, name in (("baseline", "baseline"), ("variant", NAME))
    }


def test_it_says_what_both_models_answer(gallery, sides, tiny_run):
    labels = load_npz(tiny_run / "data.npz").labels
    scores = load_scores(tiny_run / NAME / "scores.npz")
    assert gallery.method == in_order(scores)[0]
    assert gallery.median == np.median(scores[gallery.method])
    for one in gallery.shown:
        assert one.label == labels[one.index]
        assert one.sp2ps == {method: scores[method][one.index] for method in one.sp2ps}
        for side, cams in sides.items():
            predicted = cams.logits[one.index].argmax()
            assert getattr(one, f"{side}_class") == predicted
            probability = confidence(cams.logits, np.full(len(cams.logits), predicted))[one.index]
            assert getattr(one, f"{side}_confidence") == pytest.approx(probability)


def test_the_image_that_moved_most_is_the_worst_of_those_with_the_same_class(gallery, sides, tiny_run):
    scores = load_scores(tiny_run / NAME / "scores.npz")[gallery.method]
    same = sides["baseline"].logits.argmax(1) == sides["variant"].logits.argmax(1)
    (moved,) = (one for one in gallery.shown if one.group == "moved")
    assert scores[moved.index] == scores[same].min()


def test_scores_are_kept_for_every_image(tiny_run, tiny_report):
    scores = load_scores(tiny_run / NAME / "scores.npz")
    for one in tiny_report["similarities"]:
        if one["variant"] == NAME:
            assert scores[one["method"]].mean() == pytest.approx(one["score"])
            assert [worst["score"] for worst in one["worst"]] == sorted(scores[one["method"]])[: len(one["worst"])]


def test_its_pictures_show_the_images_and_what_was_scored(gallery, sides, tiny_run):
    images = load_npz(tiny_run / "data.npz").images
    pictures = load_pictures(tiny_run / NAME / PICTURES)
    assert len(pictures) == len(gallery.shown) * (1 + 2 * len(gallery.shown[0].sp2ps))
    for one in gallery.shown:
        assert (decoded(pictures[one.picture]) == np.broadcast_to(images[one.index], (*images.shape[1:3], 3))).all()
        for method in one.sp2ps:
            for side, cams in sides.items():
                levels = cam.heatmaps(cams.maps[method][one.index][None], (gallery.height, gallery.width))[0]
                found = decoded(pictures[one.heatmap(method, side)])[..., 0]
                assert np.abs(found - 255 * levels).max() <= 0.5 + 1e-9


def test_the_page_has_them(gallery, tiny_run):
    page = (tiny_run / "report.html").read_text()
    section = page.split('<section id="gallery"')[1].split("</section>")[0]
    assert section.count('<details class="of-variant"') == 3  # with the control
    for one in gallery.shown:
        assert f"<strong>Image {one.index}</strong>" in section
