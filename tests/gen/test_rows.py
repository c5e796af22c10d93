"""Rows that nobody uses are promises that nobody keeps: every metric is updated, every setting is read and every error is answered, by the code
that the row names."""

import re

import pytest
from gen import meta
from sound import ROOT

FOLDERS = {
    "gateway": ["gateway"],
    "broker": ["broker"],
    "worker": ["workers"],
    "soukctl": ["soukctl"],
}
PROJECT = meta.read(ROOT / "schemas")


def sources(*folders):
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.[ch]")]
    return "\n".join(path.read_text() for path in paths)


TEXTS = {process: sources(*folders) for process, folders in FOLDERS.items()}
LIB = sources("lib")
SCRIPTS = "\n".join(
    path.read_text()
    for path in (ROOT / "deploy/local").rglob("*")
    if path.is_file() and path.suffix != ".sum"
)


def lacking(word, processes):
    """The processes whose code has not the word, and the library has it neither."""
    pattern = re.compile(rf"{word}\b")
    return [
        each for each in processes if not pattern.search(TEXTS[each]) and not pattern.search(LIB)
    ]


@pytest.mark.parametrize("metric", PROJECT.metrics, ids=lambda each: each.name)
def test_a_metric_is_updated_by_its_processes(metric):
    processes = list(FOLDERS)[:3] if metric.process == ["all"] else metric.process
    assert lacking(rf"\b{metric.enum}", processes) == []
    others = [each for each in FOLDERS if each not in processes]
    assert [each for each in others if re.search(rf"\b{metric.enum}\b", TEXTS[each])] == []


@pytest.mark.parametrize("setting", PROJECT.settings, ids=lambda each: each.env)
def test_a_setting_is_read_by_its_processes(setting):
    programs = [each for each in setting.process if each != "local"]
    assert lacking(rf"(->|\.){setting.member}", programs) == []
    if "local" in setting.process:
        computed = re.sub("^SOUK_[A-Z]+", "}", setting.env)  # f"SOUK_{service}_PROCESSES"
        assert setting.env in SCRIPTS or computed in SCRIPTS


RESERVED = {}


@pytest.mark.parametrize("error", PROJECT.errors, ids=lambda each: each.code)
def test_an_error_is_answered(error):
    answered = re.search(rf"\b{error.enum}\b", "\n".join([LIB, *TEXTS.values()]))
    assert bool(answered or error.constraints) != (error.code in RESERVED)


def written_by(service):
    """The service's code, and its migrations, whose functions write events too."""
    migrations = (ROOT / "deploy/migrations" / service).glob("*.sql")
    return sources(f"workers/{service}") + "\n".join(path.read_text() for path in migrations)


@pytest.mark.parametrize("event", PROJECT.events, ids=lambda each: each.type)
def test_an_event_is_written_by_its_service(event):
    text = written_by(event.service)
    happened = event.type.partition(".")[2]  # SQL writes 'order.' || 'paid'
    assert re.search(rf"[\"']({re.escape(event.type)}|{happened})[\"']", text)


@pytest.mark.parametrize("service", ["users", "orders"])
def test_what_is_written_is_declared(service):
    declared = {each.type for each in PROJECT.events if each.service == service}
    aggregates = "|".join({each.aggregate for each in PROJECT.events if each.service == service})
    if aggregates:
        sql = "\n".join(
            path.read_text() for path in (ROOT / "deploy/migrations" / service).glob("*.sql")
        )
        found = set(re.findall(rf"'((?:{aggregates})\.[a-z_]+)'", sql))
        assert found - declared == set()
