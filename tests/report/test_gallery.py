"""The gallery of the report: every picture once, every figure as text, and names that cannot break out of it."""

import base64
import re
from html.parser import HTMLParser

import pytest
from attrs import evolve

from edgecheck.records import Withheld
from edgecheck.report import gallery, html, palettes
from edgecheck.report.class_names import class_name
from tests.report.conftest import HOSTILE, SHOWN, shown_on

pytestmark = pytest.mark.usefixtures("without_charts")

NAMES = ("control", "l1-filters-0.4", "l1-filters-0.6")


class Text(HTMLParser):
    """What a reader sees without a script and without pictures."""

    def __init__(self, page):
        super().__init__()
        self.parts, self.labels = [], []
        self.feed(re.search(r'<section id="gallery".*?</section>', page, re.DOTALL)[0])

    def handle_data(self, data):
        self.parts.append(data)

    def handle_starttag(self, tag, attributes):
        self.labels += [value for name, value in attributes if name == "aria-label"]

    @property
    def words(self):
        return " ".join(" ".join(self.parts).split()).replace(" ,", ",")


@pytest.fixture(scope="module")
def shown(report):
    return shown_on(report, *NAMES)


@pytest.fixture(scope="module")
def page(shown):
    return html.render(*shown)


def test_each_picture_is_in_the_page_once(page, shown):
    contents = {content for of_variant in shown[1].values() for content in of_variant.values()}
    stored = re.findall(r"data:image/webp;base64,([^\"]*)", page)
    assert len(stored) == len(set(stored))
    assert {base64.b64decode(one) for one in stored} == contents
    # 3 images and 6 heatmaps of the baseline, which all variants share, and 6 heatmaps of each variant.
    assert len(contents) == 3 + 6 + 6 * len(NAMES)


def test_each_reference_leads_to_a_picture(page):
    ids = set(re.findall(r'<image id="([^"]+)"', page))
    used = set(re.findall(r'<use href="#([^"]+)"', page))
    listed = {name for names in re.findall(r'data-maps="([^"]+)"', page) for name in names.split(" ")}
    assert used | listed == ids


def test_each_map_is_that_of_its_image_method_and_side(shown):
    report, pictures = shown
    found = gallery.content(report, pictures)
    stored = {name: base64.b64decode(uri.partition(",")[2]) for name, uri in found.stored}
    assert found.methods == ["grad-cam", "ablation-cam"]
    for section in found.sections:
        rows = [row for group in section.groups for row in group.rows]
        assert len(rows) == len(SHOWN)
        for row, one in zip(rows, SHOWN, strict=True):
            assert stored[row.image] == one.picture.encode()
            for side, maps in row.maps.items():
                names = [one.heatmap(method, side) for method in found.methods]
                assert [stored[name] for name in maps] == [pictures[section.variant][name] for name in names]


def test_all_that_is_known_of_an_image_is_there_as_text(page):
    text = Text(page)
    for sentence in (
        "Image 4,711, label cat Sp2PS grad-cam 0.113 ablation-cam 0.250",
        'image baseline: "cat" 0.97 l1-filters-0.4: "dog" 0.61, wrong difference',
        'baseline: "dog" 0.40, wrong l1-filters-0.6: "dog" 0.50, wrong',
        "nearest to the median of all images, 0.948",
    ):
        assert sentence in text.words
    for title in gallery.TITLES.values():
        assert text.words.count(title) == len(NAMES)
    assert 'Heatmap of l1-filters-0.4 over image 815, label cat: it predicts "dog" 0.61' in text.labels
    assert "Heatmap of control minus that of baseline, over image 7, label truck" in text.labels


def test_without_a_script_the_first_variant_is_open_and_no_control_is_to_be_seen(page):
    variants = re.findall(r'<details class="of-variant" id="gallery-\d+"( open)?>', page)
    assert variants == [" open", "", ""]
    assert '<div class="gallery-controls" hidden>' in page


def test_without_pictures_the_text_is_complete_and_says_so(page, shown):
    bare = html.render(shown[0])
    assert "data:image/webp" not in bare
    words = Text(bare).words
    assert "l1-filters-0.4/pictures.zip is missing or damaged" in words
    assert 'l1-filters-0.4: "dog" 0.61, wrong' in words
    assert "gallery-controls" not in re.search(r'<section id="gallery".*?</section>', bare, re.DOTALL)[0]


@pytest.mark.parametrize("group", gallery.TITLES)
def test_an_empty_group_says_why(shown, group):
    report, pictures = shown
    fewer = [one for one in SHOWN if one.group != group]
    variants = [evolve(v, gallery=evolve(v.gallery, shown=fewer)) if v.gallery else v for v in report.variants]
    words = Text(html.render(evolve(report, variants=variants), pictures)).words
    assert words.count(gallery.EMPTY[group]) == len(NAMES)


def test_a_run_without_a_gallery_says_why(report):
    assert gallery.NOT_MADE in Text(html.render(report)).words
    assert gallery.NOT_COMPARED in Text(html.render(evolve(report, similarities=[]))).words
    strips = [evolve(variant, pictures=["x/grad-cam-00003.png"]) for variant in report.variants]
    assert gallery.OLDER in Text(html.render(evolve(report, variants=strips))).words


def test_maps_that_the_policy_does_not_admit_are_not_shown(shown):
    report, pictures = shown
    withheld = evolve(report, withheld=[Withheld("l1-filters-0.4", "parity is 0.3", [])])
    sections = {one.variant: one for one in gallery.content(withheld, pictures).sections}
    assert sections["l1-filters-0.4"].groups == []
    assert "parity is 0.3" in Text(html.render(withheld, pictures)).words
    assert 'l1-filters-0.4: "dog" 0.61' not in Text(html.render(withheld, pictures)).words
    assert len(sections["control"].groups) == 3


def test_the_recommended_variant_comes_first_and_controls_last(report):
    assert report.recommendation.variant == "l1-filters-0.4"
    order = [variant.name for variant in gallery.ordered(report)]
    assert order[0] == "l1-filters-0.4"
    assert order[-1] == "control"
    assert sorted(order) == sorted(variant.name for variant in report.variants if variant.role != "baseline")
    none = evolve(report, recommendation=evolve(report.recommendation, variant=None))
    assert gallery.ordered(none)[0].name == gallery.nearest(none).name


def test_hostile_names_stay_text(hostile):
    page = html.render(*shown_on(hostile, HOSTILE, "control"))
    assert page.count("<script") == len(html.SCRIPTS)
    text = Text(page)
    assert '<script>alert("x")</script>' in text.words
    assert any('<script>alert("x")</script>' in label for label in text.labels)
    assert not re.search("[\x00-\x08\x1b\u202e]", page)


def test_a_picture_of_hostile_content_stays_a_picture(report):
    shown, pictures = shown_on(report, "control")
    evil = {name: b'"><script>alert(1)</script>' + content for name, content in pictures["control"].items()}
    assert html.render(shown, {"control": evil}).count("<script") == len(html.SCRIPTS)


def test_a_small_image_keeps_its_pixels_and_a_photograph_is_smooth(shown):
    report, pictures = shown
    assert 'viewBox="0 0 32 24"' in html.render(report, pictures)
    assert 'class="small"' in html.render(report, pictures)
    large = [evolve(v, gallery=evolve(v.gallery, height=224, width=224)) if v.gallery else v for v in report.variants]
    assert 'class="small"' not in html.render(evolve(report, variants=large), pictures)


def test_the_colours_of_the_filters_are_those_of_the_scales(page):
    for name in ("heat", "difference"):
        tables = re.search(rf'<filter id="gallery-{name}".*?</filter>', page)[0]
        channels = [[float(x) for x in table.split()] for table in re.findall(r'tableValues="([^"]*)"', tables)]
        scale = re.search(rf'<linearGradient id="gallery-{name}-scale">.*?</linearGradient>', page)[0]
        colours = re.findall(r'stop-color="#(..)(..)(..)"', scale)
        for levels, colour in zip(zip(*channels, strict=True), colours, strict=True):
            assert [round(255 * level) for level in levels] == [int(level, 16) for level in colour]


def test_inferno_is_that_of_matplotlib():
    colormaps = pytest.importorskip("matplotlib").colormaps
    steps = len(palettes.HEATMAP.colours) - 1
    for place, colour in enumerate(palettes.HEATMAP.colours):
        expected = colormaps["inferno"](round(place * 255 / steps))[:3]
        assert colour == "#" + "".join(f"{round(255 * level):02x}" for level in expected)


def test_no_change_is_the_middle_of_the_colours_of_differences():
    middle = palettes.DIFFERENCE.colours[len(palettes.DIFFERENCE.colours) // 2]
    assert len({middle[1:3], middle[3:5], middle[5:7]}) == 1


def test_classes_can_be_chosen_by_their_names(page, report):
    options = re.search(r'<select name="label">.*?</select>', page, re.DOTALL)[0]
    labels = sorted({one.label for one in SHOWN})
    assert re.findall(r'value="(\d+)">([^<]*)<', options) == [(str(i), class_name(report, i)) for i in labels]


def test_the_sign_off_has_both_heatmaps_of_an_image_of_each_group(page):
    """The pictures and filters lie outside of `main`, which paper hides with all that it holds."""
    signoff = re.search(r'<section id="signoff".*?</section>', page, re.DOTALL)[0]
    assert signoff.count('<g class="heat"') == 6
    for one in SHOWN:
        assert f"image {one.index:,}, label" in signoff
    store = page.index('<svg class="gallery-store"')
    assert store > page.index("</main>")
    assert page.count('<filter id="gallery-heat"') == 1
