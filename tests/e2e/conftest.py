"""Fixtures of the end-to-end tests: private servers once a session, a private stack for each module."""

import pytest
from support.buyers import Buyer
from support.stack import Servers, Stack


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "smoke: the few that also run under sanitizers in every CI run"
    )


@pytest.fixture(scope="session")
def servers():
    """PostgreSQL and the MongoDB-protocol server, for all tests that do not harm them."""
    with Servers() as started:
        yield started


@pytest.fixture(scope="module")
def stack(servers):
    """Broker, gateway, two catalog workers and a diag worker, for all tests of a module that leave them running."""
    with Stack(servers) as started:
        yield started


@pytest.fixture
def guest(stack):
    """A new guest of the module's stack."""
    return Buyer.guest(stack)


@pytest.fixture
def user(stack):
    """A new user of the module's stack, who has logged in."""
    return Buyer.user(stack)


@pytest.fixture
def make_stack(servers):
    """Starts stacks for one test alone: make_stack(catalog=1, env={...}); make_stack(servers=own) on other servers."""
    started = []

    def make(servers=servers, **options):
        stack = Stack(servers, **options)
        stack.__enter__()
        started.append(stack)
        return stack

    yield make
    for stack in reversed(started):
        stack.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test's report ends with the logs of the stacks that it used."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        groups = [
            value
            for value in getattr(item, "funcargs", {}).values()
            if isinstance(value, (Servers, Stack))
        ]
        for group in groups:
            report.sections.append((f"logs of {type(group).__name__.lower()}", group.logs()))
