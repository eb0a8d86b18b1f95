"""Reports for data that may not leave the house."""

PICTURE = "data:image/"
SAID = "no test images and no heatmaps"


def test_a_report_without_images_says_so(tiny_run, tmp_path, edgecheck):
    for command, name in (("report", "again"), ("gate", "judged")):
        edgecheck(command, tiny_run, "--out", tmp_path / name, "--no-images")
        page = (tmp_path / name / "report.html").read_text()
        assert PICTURE not in page
        assert SAID in page
        assert not [*(tmp_path / name).glob("**/*.zip"), *(tmp_path / name).glob("**/*.png")]


def test_only_the_page_is_without_them(tiny_run, tmp_path, edgecheck):
    edgecheck("report", tiny_run, "--out", tmp_path / "without", "--no-images")
    edgecheck("report", tiny_run, "--out", tmp_path / "with")
    page = (tmp_path / "with" / "report.html").read_text()
    assert PICTURE in page
    assert SAID not in page
    without, whole = ((tmp_path / name / "report.json").read_text() for name in ("without", "with"))
    assert without == whole


def test_where_no_page_is_written_the_option_is_refused(tiny_run, refused):
    assert "--no-images needs --out" in refused("gate", tiny_run, "--no-images")
