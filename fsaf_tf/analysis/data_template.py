"""The page on data as a Jinja2 template; see `data_page` for its values."""

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="generator" content="fsaf-data">
<title>{{ title }}</title><style>{{ style }}
.gallery { display: grid; gap: 0.8em; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); }
.refused { color: #a11; font-weight: 600; } h1, h2 { overflow-wrap: anywhere; }
text { font: 11px system-ui, sans-serif; }
</style></head><body>
<h1>{{ title }}</h1>
{% if error %}<p class="refused">A run would be refused: {{ error }}</p>{% endif %}
<h2>Findings</h2>
{% if not findings %}<p>None.</p>{% endif %}
{% for finding in findings %}
<p><b>{{ finding.kind }}</b> {{ finding.message }} <span class="note">{{ finding.where }}</span></p>
{% if finding.examples %}<p class="note">{{ finding.examples|join("; ") }}</p>{% endif %}
{% endfor %}
{% for part in parts %}
<h2>{{ part.name }}</h2>
<p>{{ part.words }}</p>
<table><thead><tr><th>class</th><th class="number">boxes</th><th class="number">{{ part.verb }}</th></tr></thead><tbody>
{% for name, count, kept in part.classes %}
<tr><th>{{ name }}</th><td class="number">{{ count }}</td><td class="number">{{ kept }}</td></tr>
{% endfor %}</tbody></table>
{% if part.more %}<p class="note">and {{ part.more }} classes more, with fewer boxes</p>{% endif %}
<figure><svg viewBox="0 0 {{ 62 * part.bars|length }} 150" style="background:#fff;max-width:760px" role="img">
{% for bar in part.bars %}
<rect x="{{ 62 * loop.index0 + 4 }}" y="{{ 120 - bar.height }}" width="54" height="{{ bar.height }}"
 fill="{{ '#c23b3b' if bar.is_lost else '#0b6fb8' }}"/>
<text x="{{ 62 * loop.index0 + 31 }}" y="{{ 114 - bar.height }}" text-anchor="middle">{{ bar.count }}</text>
<text x="{{ 62 * loop.index0 + 31 }}" y="136" text-anchor="middle">{{ bar.label }}</text>
{% endfor %}</svg>
<figcaption>Boxes by the root of their area in pixels at {{ part.sizing }}</figcaption></figure>
{% endfor %}
{% for gallery in galleries %}
<h2>{{ gallery.title }}</h2>
<div class="gallery">
{% for picture in gallery.pictures %}
<figure><svg viewBox="0 0 {{ picture.width }} {{ picture.height }}" role="img">
<image href="data:image/jpeg;base64,{{ picture.jpeg }}" width="{{ picture.width }}" height="{{ picture.height }}"
 preserveAspectRatio="none"/>
{% for box in picture.boxes %}
<rect x="{{ box.x }}" y="{{ box.y }}" width="{{ box.width }}" height="{{ box.height }}" fill="none"
 stroke="{{ '#ffd21f' if box.is_trained else '#ff5a4d' }}" stroke-width="{{ 2.5 if box.is_meant else 1 }}"
 {% if not box.is_meant %}opacity="0.45"{% endif %} vector-effect="non-scaling-stroke"
 {% if not box.is_trained %}stroke-dasharray="4 3"{% endif %}><title>{{ box.name }}</title></rect>
{% endfor %}</svg>
<figcaption>{{ picture.name }}, {{ picture.words }}</figcaption></figure>
{% endfor %}</div>
{% endfor %}
<p class="note">Boxes that are not trained on are dashed and red.</p>
</body></html>
"""
