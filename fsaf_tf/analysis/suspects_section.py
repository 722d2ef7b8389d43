"""The section of a report on labels that may be wrong: pictures of the likeliest, and a table."""

from collections.abc import Mapping

from fsaf_tf.analysis import errors, picture_pages, shown_picture, suspects
from fsaf_tf.analysis.blocks import Gallery, Link, Meanings, Section, Table, section

ROWS = 50  # of the table; the file beside the page has more
AROUND = 2.0  # times its larger side that a suspect's part of its picture is wide


def shown(runs: dict[str, dict], count: int) -> list[int]:
    """The images of which `section_of` shows a part; see there."""
    return [suspect["image_id"] for suspect in _of_best(runs)[: 2 * count]]


def section_of(
    runs: Mapping[str, dict], thumbnails: Mapping[int, bytes], pictures: int, pages: picture_pages.Pages
) -> Section | None:
    """The section.

    Args:
        runs: see `report.render`.
        thumbnails: see there.
        pictures: see there; twice as many are shown, as they are small.
        pages: see there.
    """
    found = _of_best(runs)
    if not found:
        return None
    sizes = {one["image_id"]: (one["width"], one["height"]) for one in next(iter(runs.values()))["pictures"]}
    shown = []
    for suspect in found[: 2 * pictures]:
        image_id = suspect["image_id"]
        if image_id in thumbnails:
            one = _suspect_picture(suspect, thumbnails[image_id], sizes[image_id])
            shown.append({**one, "href": pages.address(image_id)})
    rows = [
        [str(number), one["kind"], f"{one['suspicion']:.3f}", _named(one, pages), _seen(one)]
        for number, one in enumerate(found[:ROWS], start=1)
    ]
    text = (
        "Where the detector and the labels disagree, the likeliest mistakes of the labels first. A suspicion is how"
        " sure the detector is, times how rare such a disagreement is among what is as sure (docs/analysis.md)."
        f" Dashed is what was drawn. The JSON beside this page has {len(found)} of them."
    )
    table = Table(["", "kind", "suspicion", "picture", "what"], rows)
    gallery = [Gallery(shown, "small")] * bool(shown)
    return section("Labels that may be wrong", text, Meanings(list(suspects.MEANINGS.items())), *gallery, table)


def _named(suspect: dict, pages: picture_pages.Pages) -> str | Link:
    """The name of its picture, which leads to its page."""
    address = pages.address(suspect["image_id"])
    return Link(suspect["file_name"], address) if address else suspect["file_name"]


def _of_best(runs: dict[str, dict]) -> list[dict]:
    """The suspects of the detector with the greatest AP."""
    return max(runs.values(), key=lambda run: run["metrics"]["AP"] or 0.0)["suspects"]


def _seen(suspect: dict) -> str:
    """What was drawn and what was found, in words."""
    score = f" {suspect['score']:.2f}" if "score" in suspect else ""
    if suspect["kind"] == suspects.NOT_DRAWN:
        return f"{suspect['name']}{score}"
    found = f", found as {suspect['found_name']}{score}" if "found_name" in suspect else ""
    return f"drawn as {suspect['name']}{found}"


def _suspect_picture(suspect: dict, jpeg: bytes, size: tuple[int, int]) -> dict:
    """The part of a picture about a suspect."""
    drawn = {"box": suspect["box"], "name": suspect["name"], "state": errors.MISSED}
    boxes = [drawn]
    if suspect["kind"] == suspects.NOT_DRAWN:
        boxes = [dict(drawn, state=errors.WRONG, score=suspect["score"])]
    elif "found_box" in suspect:
        name, score = suspect["found_name"], suspect["score"]
        boxes.append({"box": suspect["found_box"], "name": name, "state": errors.WRONG, "score": score})
    x, y, width, height = suspect["box"]
    side = min(max(AROUND * max(width, height), size[0] / 4), *size)
    left = min(max(x + width / 2 - side / 2, 0), size[0] - side)
    top = min(max(y + height / 2 - side / 2, 0), size[1] - side)
    caption = f"{suspect['kind']}, {suspect['suspicion']:.3f}: {suspect['file_name']}, {_seen(suspect)}"
    part = shown_picture.Part(left, top, side, side)
    return shown_picture.of_suspect(shown_picture.data_uri(jpeg), size, part, boxes, caption)
