"""What renders pages: one HTML file each, with its style inside, that opens without a network."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from glocalseg.report.text.names import html


def environment(package: str = "glocalseg.report.page") -> Environment:
    """The templates of a package, with text escaped wherever a value is put in, and ``rich`` for text with superscripts.

    Args:
        package: where ``templates/`` lies; the report's own are found too.
    """
    env = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "glocalseg.report.page"))]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["rich"] = html
    return env
