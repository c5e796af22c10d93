"""What people read of events and machines."""

from gen import emit_docs, emit_events, meta


def test_events_page(folder):
    page = emit_events.document(meta.read(folder))
    assert "| [thing.made](#thingmade) | shop | A thing was made. |" in page
    assert "## thing.made" in page and "Of `shop`; the aggregate is the thing." in page
    assert "| `price` | [money](#type-souk-money) |  | Price. May be null. |" in page
    assert '<a id="type-souk-money"></a>' in page
    assert '"state":"new"' in page
    assert page.count("| field |") == 2, "thing.made and money; thing.lost says nothing"


def test_a_machine_stands_in_the_reference(folder):
    page = emit_docs.reference(meta.read(folder))
    assert "### States: thing" in page
    assert "| `fresh` (initial) | It was just made. | take -> `used`, drop -> `gone` |" in page
    assert "| `gone` | It is no more. | final |" in page
    assert "| drop | Nobody wanted it. |" in page
