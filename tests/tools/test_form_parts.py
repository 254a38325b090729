"""Files of a form that are not described as one can be."""

from typing import Any

import pytest

from tools.errors import RunError
from tools.steps.form_parts import encode_multipart


@pytest.mark.parametrize(
    "file", [{"base64": "hi!"}, {"text": "a", "base64": "YQ=="}, {"text": "a", "size": 1}]
)
def test_what_a_file_can_be_is_said_as_a_caller_writes_it(file: dict[str, Any]) -> None:
    with pytest.raises(RunError) as caught:
        encode_multipart({"photo": {"file": file, "name": "cat.png"}})
    assert caught.value.message.startswith("body.photo.file: ")
    hint = caught.value.detail.hint or ""
    assert 'a file is {"text": "…"}' in hint
    assert '"file"' not in hint
