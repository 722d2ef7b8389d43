"""Pages by Jinja2, which escapes all text of the data: what every page has, and the pieces that pages are made of.

The pieces are the values of `blocks.py`. A page needs no network and no script; it follows the light or the dark of its
reader, and the width of the window.
"""

from collections.abc import Mapping
from typing import Any

from fsaf_tf.errors import UserError
from fsaf_tf.terminal import commands

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --note: #5b6675; --line: #e0e5eb; --link: #0a5a96;
  --strong: #c9d1da; --bad: #a11; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --paper: #14181d; --note: #a9b4c0; --line: #2b333c;
  --link: #7fc1f5; --strong: #4a5562; --bad: #ff8f86; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; color: var(--ink);
  background: var(--paper); max-width: 1120px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.7em; margin-bottom: 0.2em; } h2 { font-size: 1.25em; margin: 2em 0 0.3em; }
h3 { font-size: 1em; margin: 1.2em 0 0.3em; } h1, h2, h3 { overflow-wrap: anywhere; scroll-margin-top: 0.5em; }
p { margin: 0.3em 0 0.9em; max-width: 75ch; } .note { color: var(--note); } a { color: var(--link); }
nav ul { list-style: none; margin: 0.8em 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0.2em 1.1em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2em 1em; margin: 0.3em 0 0.9em; }
dt { font-weight: 600; } dd { margin: 0; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; } th, td { padding: 0.3em 0.8em; text-align: left; vertical-align: middle; }
thead th { border-bottom: 2px solid var(--strong); font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid var(--line); } tbody th { font-weight: 500; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.bars { width: 32em; min-width: 15em; } .track { display: flex; align-items: center; gap: 0.5em; line-height: 1.35; }
.bar { height: 0.85em; border-radius: 2px; min-width: 1px; }
.track span { font-size: 0.87em; white-space: nowrap; font-variant-numeric: tabular-nums; }
.keys { display: flex; flex-wrap: wrap; gap: 0.2em 1.2em; }
.patch { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; margin-right: 0.4em; }
.heat { font-size: 0.87em; } .heat td, .heat th { padding: 0.25em 0.45em; border: 1px solid var(--paper); }
.heat td { text-align: center; min-width: 2.6em; font-variant-numeric: tabular-nums; }
.heat thead th { text-align: center; font-weight: 500; } .heat tbody th { text-align: right; }
.wide { font-size: 0.8em; } .wide thead th { writing-mode: vertical-rl; text-align: left; }
.side { display: flex; flex-wrap: wrap; gap: 1em 1.8em; }
.side > div { max-width: 100%; } .halves > div { flex: 1 1 440px; min-width: 0; }
.chart { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; margin-bottom: 0.5em; }
.gallery { display: grid; overflow-x: auto; gap: 1em; margin: 0.6em 0 1.6em; --least: 300px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--least)), 1fr)); }
.small { --least: 220px; } .large { --least: 460px; }
figure { margin: 0; } figcaption { font-size: 0.87em; color: var(--note); overflow-wrap: anywhere; }
.picture { position: relative; overflow: hidden; background: #222; border-radius: 3px; }
.picture img, .picture svg { position: absolute; display: block; max-width: none; }
.picture svg { inset: 0; width: 100%; height: 100%; }
.histogram { max-width: 760px; width: 100%; height: auto; } .histogram text { font-size: 11px; fill: var(--ink); }
.picture text { font-family: system-ui, "DejaVu Sans", sans-serif; font-weight: 600; }
.refused { color: var(--bad); font-weight: 600; }
@media (max-width: 640px) { body { padding: 0 0.8em; margin: 1em auto; } th, td { padding: 0.25em 0.45em; }
  td.bars { width: auto; min-width: 11em; } .chart { max-width: none; width: 760px; } }
"""

PIECES = """
{% macro patch(colour, text) %}<span><span class="patch" style="background:{{ colour }}"></span>{{ text }}</span>
{% endmacro %}
{% macro keys(one) %}<span class="keys">{% if one.title %}<span>{{ one.title }}</span>{% endif %}
{% for colour, name in one.names %}{{ patch(colour, name) }}{% endfor %}</span>
{% endmacro %}
{% macro cell(value, tag) %}
{% if value is string %}
<{{ tag }}{% if tag == "td" and (value == "-" or value[:1].isdigit()) %} class="number"{% endif %}>
{{ value }}</{{ tag[:2] }}>
{% elif value.kind == "link" %}
<{{ tag }}><a href="{{ value.href }}">{{ value.text }}</a></{{ tag[:2] }}>
{% elif value.kind == "keys" %}<{{ tag }}>{{ keys(value) }}</{{ tag[:2] }}>
{% elif value.kind == "shade" %}
<td style="background:rgba({{ value.rgb }},{{ "%.2f"|format(value.share) }})">{{ value.number }}</td>
{% elif not value.tracks %}
<td class="bars"><span class="note">no objects</span></td>
{% else %}
<td class="bars">{% for track in value.tracks %}<div class="track">
<div class="bar" style="width:{{ "%.1f"|format(track.width) }}%;background:{{ track.colour }}"></div>
<span>{{ track.text }}</span></div>{% endfor %}</td>
{% endif %}
{% endmacro %}
{% macro table(one) %}
<div class="scroll"><table class="{{ one.css }}"><thead><tr>
{% for title in one.header %}<th scope="col"{% if one.is_number(loop.index0) %} class="number"{% endif %}>
{% if title is string %}{{ title }}{% else %}{{ keys(title) }}{% endif %}</th>{% endfor %}
</tr></thead><tbody>
{% for row in one.rows %}<tr>
{% for value in row %}{{ cell(value, 'th scope="row"'|safe if loop.first else "td") }}{% endfor %}
</tr>{% endfor %}
</tbody></table></div>
{% endmacro %}
{% macro picture(one) %}
<figure{% if one.id %} id="{{ one.id }}"{% endif %}>
{% if one.href %}<a href="{{ one.href }}">{% endif %}
<div class="picture" style="aspect-ratio:{{ one.width }}/{{ one.height }}">
<img src="{{ one.source }}" alt="{{ one.alt }}" loading="lazy" style="{{ one.placed }}">
<svg viewBox="{{ one.view }}" aria-hidden="true" preserveAspectRatio="none">
{% for box in one.boxes %}<g>
{% if box.is_bold %}<rect {{ box.place }} fill="none" stroke="#000" stroke-opacity="0.4" stroke-width="3.5"
 vector-effect="non-scaling-stroke"/>{% endif %}
<rect {{ box.place }} fill="none" stroke="{{ box.colour }}" stroke-width="{{ 2 if box.is_bold else 1 }}"
 vector-effect="non-scaling-stroke"{% if box.is_dashed %} stroke-dasharray="5 3"{% endif %}
{% if box.is_faint %} opacity="0.45"{% endif %}/>
<title>{{ box.title }}</title></g>{% endfor %}
{% for label in one.labels %}
<text x="{{ "%.1f"|format(label.x) }}" y="{{ "%.1f"|format(label.y) }}" font-size="{{ "%.1f"|format(label.size) }}"
 fill="{{ label.colour }}" stroke="#000" stroke-width="{{ "%.1f"|format(label.size / 5) }}"
 paint-order="stroke">{{ label.text }}</text>{% endfor %}
</svg></div>
{% if one.href %}</a>{% endif %}
<figcaption>{{ one.caption }}</figcaption></figure>
{% endmacro %}
{% macro block(one) %}
{% if one is string %}<p>{{ one }}</p>
{% elif one.kind == "table" %}{{ table(one) }}
{% elif one.kind == "chart" %}
<div class="scroll"><img class="chart" src="{{ one.source }}" alt="{{ one.alt }}"></div>
{% elif one.kind == "keys" %}<p>{{ keys(one) }}</p>
{% elif one.kind == "meanings" %}
<dl>{% for word, meaning in one.words %}<dt>{{ word }}</dt><dd>{{ meaning }}</dd>{% endfor %}</dl>
{% elif one.kind == "link" %}<p><a href="{{ one.href }}">{{ one.text }}</a></p>
{% elif one.kind == "histogram" %}
<figure><svg class="histogram" viewBox="0 0 {{ 62 * one.bins|length }} 145" role="img" aria-label="{{ one.caption }}">
{% for bin in one.bins %}
<rect x="{{ 62 * loop.index0 + 4 }}" y="{{ 120 - bin.height }}" width="54" height="{{ bin.height }}"
 fill="{{ "#c23b3b" if bin.is_lost else "#0b6fb8" }}"/>
<text x="{{ 62 * loop.index0 + 31 }}" y="{{ 114 - bin.height }}" text-anchor="middle">{{ bin.number }}</text>
<text x="{{ 62 * loop.index0 + 31 }}" y="136" text-anchor="middle">{{ bin.label }}</text>
{% endfor %}</svg>
<figcaption>{{ one.caption }}</figcaption></figure>
{% elif one.kind == "gallery" %}
<div class="gallery {{ one.css }}"{% if one.columns %}
 style="grid-template-columns:repeat({{ one.columns }},minmax(220px,1fr))"{% endif %}>
{% for shown in one.pictures %}{{ picture(shown) }}{% endfor %}</div>
{% elif one.kind == "side" %}
<div class="side {{ one.css }}">
{% for title, part in one.parts %}<div>{% if title %}<h3>{{ title }}</h3>{% endif %}{{ block(part) }}</div>{% endfor %}
</div>
{% endif %}
{% endmacro %}
"""

BASE = """<!doctype html>
{% from "pieces" import block %}
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{{ tool }}">
<title>{{ title }}</title><style>{{ style }}</style></head>
<body>
<header><h1>{{ title }}</h1>
{% if note %}<p class="note">{{ note }}</p>{% endif %}
{% if refused %}<p class="refused">{{ refused }}</p>{% endif %}
<nav aria-label="Sections"><ul>
{% for link in links %}<li><a href="{{ link.href }}">{{ link.text }}</a></li>{% endfor %}
{% for section in sections %}<li><a href="#{{ section.id }}">{{ section.title }}</a></li>{% endfor %}
</ul></nav></header>
<main>
{% for section in sections %}
<section id="{{ section.id }}"><h2>{{ section.title }}</h2>
{% for one in section.blocks %}{{ block(one) }}{% endfor %}
</section>
{% endfor %}
</main>
</body></html>
"""


def check_installed() -> None:
    """Raises a UserError where Jinja2 is not there."""
    try:
        import jinja2  # noqa: F401 (an extra)
    except ImportError:
        raise UserError(f"a page needs Jinja2: {commands.to_install('report')}") from None


def render(values: Mapping[str, Any]) -> str:
    """A page.

    Args:
        values: `title`, `tool` that makes it, `sections` (of `blocks.Section`); and where there are such `note` and
            `refused`, lines below the title, and `links` to other pages.

    Raises:
        UserError: Jinja2 is not there.
    """
    check_installed()
    import jinja2
    import markupsafe

    loader = jinja2.DictLoader({"base": BASE, "pieces": PIECES})
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    blank = {"note": "", "refused": "", "links": ()}
    sections = [part._replace(id=part.id or f"part-{place}") for place, part in enumerate(values["sections"])]
    values = {**blank, **values, "sections": sections, "style": markupsafe.Markup(STYLE)}
    return environment.get_template("base").render(values)
