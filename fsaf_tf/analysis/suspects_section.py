"""The section of a report on labels that may be wrong: pictures of the likeliest, and a table."""

from fsaf_tf.analysis import errors, page, suspects

ROWS = 50  # of the table; the file beside the page has more
AROUND = 2.0  # times its larger side that a suspect's part of its picture is wide


def shown(runs: dict[str, dict], count: int) -> list[int]:
    """The images of which `render` shows a part; see there."""
    return [suspect["image_id"] for suspect in _of_best(runs)[: 2 * count]]


def render(runs: dict[str, dict], thumbnails: dict[int, bytes], pictures: int) -> str:
    """The section.

    Args:
        runs: see `report.render`.
        thumbnails: see there.
        pictures: see there; twice as many are shown, as they are small.
    """
    found = _of_best(runs)
    if not found:
        return ""
    sizes = {one["image_id"]: (one["width"], one["height"]) for one in next(iter(runs.values()))["pictures"]}
    figures = [
        _suspect_picture(suspect, thumbnails[suspect["image_id"]], sizes[suspect["image_id"]])
        for suspect in found[: 2 * pictures]
        if suspect["image_id"] in thumbnails
    ]
    rows = [
        [str(number), page.escape(one["kind"]), f"{one['suspicion']:.3f}", page.escape(one["file_name"]), _seen(one)]
        for number, one in enumerate(found[:ROWS], start=1)
    ]
    kinds = "; ".join(f"<b>{kind}</b>: {meaning}" for kind, meaning in suspects.MEANINGS.items())
    text = (
        "Where the detector and the labels disagree, the likeliest mistakes of the labels first. A suspicion is how"
        " sure the detector is, times how rare such a disagreement is among what is as sure (docs/analysis.md)."
        f" {kinds}. Dashed is what was drawn. The JSON beside this page has {len(found)} of them."
    )
    grid = f'<div class="pictures" style="grid-template-columns:repeat(4,1fr)">{"".join(figures)}</div>'
    table = page.table(["", "kind", "suspicion", "picture", "what"], rows)
    return f"<h2>Labels that may be wrong</h2><p>{text}</p>{grid}{table}"


def _of_best(runs: dict[str, dict]) -> list[dict]:
    """The suspects of the detector with the greatest AP."""
    return max(runs.values(), key=lambda run: run["metrics"]["AP"] or 0.0)["suspects"]


def _seen(suspect: dict) -> str:
    """What was drawn and what was found, in words."""
    score = f" {suspect['score']:.2f}" if "score" in suspect else ""
    if suspect["kind"] == suspects.NOT_DRAWN:
        return page.escape(f"{suspect['name']}{score}")
    found = f", found as {suspect['found_name']}{score}" if "found_name" in suspect else ""
    return page.escape(f"drawn as {suspect['name']}{found}")


def _suspect_picture(suspect: dict, jpeg: bytes, size: tuple[int, int]) -> str:
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
    caption = page.escape(f"{suspect['kind']}, {suspect['suspicion']:.3f}: {suspect['file_name']}")
    return page.picture(jpeg, size, boxes, caption, (left, top, side, side))
