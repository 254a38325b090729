"""Templates: `<<…>>` in urls, queries, headers and bodies.

A template is parsed once, its placeholders are resolved once, and a value is never scanned again.
"""

from tools.templates.body import render_body
from tools.templates.fields import render_fields
from tools.templates.parse import Placeholder, Template, parse_template
from tools.templates.resolve import Resolver
from tools.templates.text import render_text
from tools.templates.url import render_url

__all__ = [
    "Placeholder",
    "Resolver",
    "Template",
    "parse_template",
    "render_body",
    "render_fields",
    "render_text",
    "render_url",
]
