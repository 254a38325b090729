"""Files as inputs of a tool, and as parts of a multipart body."""

from tools.json_text import JsonObject

__all__ = ["file_schema"]


def file_schema(
    name: str | None = None, content_type: str | None = None, *, description: str | None = None
) -> JsonObject:
    """The schema of an input that is a file; name and content type are those it has otherwise."""

    def text(words: str, default: str | None) -> JsonObject:
        return {
            "type": "string",
            "description": f"{words} Default: {default}." if default else words,
        }

    words = "A file: its content as `text`, or as `base64`."
    return {
        "type": "object",
        "description": f"{description.rstrip('.')}. {words}" if description else words,
        "properties": {
            "text": {"type": "string"},
            "base64": {"type": "string"},
            "name": text("The name of the file.", name),
            "contentType": text("Its content type.", content_type),
        },
        "oneOf": [{"required": ["text"]}, {"required": ["base64"]}],
        "additionalProperties": False,
    }
