"""docs/runbooks/events.md names every log event of the sources, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
EVENT = r"(?:GW|BR|WK|CA|PG|OR|US)-[A-Z][A-Z-]*[A-Z]"


def test_the_page_and_the_sources_name_the_same_events():
    sources = set()
    for folder in ("lib", "gateway", "broker", "workers"):
        for path in (ROOT / folder).rglob("*.c"):
            sources |= set(re.findall(f'"({EVENT})"', path.read_text()))
    page = set(re.findall(EVENT, (ROOT / "docs" / "runbooks" / "events.md").read_text()))
    assert len(sources) > 40, "the sources are where they are looked for"
    assert sources - page == set(), "events that the page lacks"
    assert page - sources == set(), "events that nothing logs any more"
