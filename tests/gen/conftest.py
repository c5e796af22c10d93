"""The generator on the path, and a folder with sound schemas."""

import sys

import pytest
from sound import FILES, ROOT

sys.path.insert(0, str(ROOT / "schemas"))


@pytest.fixture
def folder(tmp_path):
    """<tmp>/schemas with the sound files."""
    ret = tmp_path / "schemas"
    ret.mkdir()
    for name, text in FILES.items():
        (ret / name).write_text(text)
    return ret
