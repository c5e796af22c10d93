"""What happens when processes die, stop or go away under load: reads go on, nothing acknowledged is lost."""

import pytest
import requests
from support.api import Api, product
from support.load import Load
from support.stack import Servers, wait_for

ENOUGH = 300


def filled(stack, count=20):
    """Products in the stack's catalogue; returns their paths."""
    api = Api(stack)
    made = [api.create() for _ in range(count)]
    paths = [f"/v1/products/{each['slug']}" for each in made] + [
        "/v1/products?q=thing&sort=price",
        "/v1/products/facets?q=thing",
    ]
    wait_for(
        lambda: all(api.get(path).status_code == 200 for path in paths for _ in range(4)),
        what="the products on all workers",
    )
    return paths


def more(load, count=ENOUGH):
    """Wait until the load has had so many further answers."""
    goal = load.done + count
    wait_for(lambda: load.done >= goal, 60, "the load goes on")


@pytest.mark.smoke
def test_no_read_fails_when_a_worker_is_killed(make_stack):
    stack = make_stack(catalog=2, diag=0)
    with Load(stack.url, filled(stack)) as load:
        more(load)
        stack["catalog-1"].kill()
        more(load)
        stack["catalog-1"].start().wait_ready()
        more(load)
        stack["catalog-2"].kill()
        more(load)
    assert load.bad == []


def test_no_read_fails_when_workers_drain(make_stack):
    stack = make_stack(catalog=2, diag=0)
    with Load(stack.url, filled(stack)) as load:
        for name in ("catalog-1", "catalog-2"):
            more(load)
            assert stack[name].stop() == 0
            more(load)
            stack[name].start().wait_ready()
    assert load.bad == []


def test_the_gateway_drains(make_stack):
    """SIGTERM: answers in progress are finished, the connection is closed, exit 0."""
    stack = make_stack(catalog=1, diag=1)
    with requests.Session() as session:
        assert session.get(stack.url + "/v1/diag/fixed", timeout=30).status_code == 200
        assert stack["gateway"].stop() == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(stack.url + "/v1/diag/fixed", timeout=5)


def test_reads_come_back_after_the_broker_was_killed(make_stack):
    stack = make_stack(catalog=2, diag=0)
    paths = filled(stack)
    with Load(stack.url, paths, good=(200, 503, 504)) as load:
        more(load)
        stack["broker"].kill()
        # An error is an answer too: the load below has seen none that is not allowed.
        more(load, 1)
        stack["broker"].start().wait_ready()
        wait_for(
            lambda: requests.get(stack.url + paths[0], timeout=30).status_code == 200,
            what="reads are back",
        )
        more(load)
    assert load.bad == []


def test_without_workers_the_answer_is_503(make_stack):
    stack = make_stack(catalog=1, diag=0)
    stack["catalog-1"].kill()

    def refused():
        answer = requests.get(stack.url + "/v1/products", timeout=30)
        return (
            answer.status_code == 503
            and answer.json()["code"] == "no_worker"
            and int(answer.headers["Retry-After"]) > 0
        )

    wait_for(refused, what="no_worker")
    stack["catalog-1"].start().wait_ready()
    wait_for(
        lambda: requests.get(stack.url + "/v1/products", timeout=30).status_code == 200,
        what="reads are back",
    )


def test_reads_go_on_while_the_database_is_away(make_stack):
    """MongoDB is killed: reads go on, writes answer 503, readiness says degraded, a worker started meanwhile serves from the snapshot file; back again, all recovers
    by itself."""
    with Servers() as servers:
        if servers.external_mongodb:
            pytest.skip("the database of MONGODB_URI is not ours to kill")
        stack = make_stack(
            servers=servers, catalog=2, diag=0, env={"SOUK_CATALOG_SNAPSHOT_MS": "200"}
        )
        api = Api(stack)
        with Load(stack.url, filled(stack)) as load:
            more(load)
            newest = int(api.get("/v1/products?limit=1").json()["revision"])
            wait_for(lambda: list(stack.folder.rglob("*.snap")), what="a snapshot file")
            stack["catalog-1"].stop()  # writes its last snapshot
            servers["mongo"].kill()

            def degraded():
                answer = requests.get(stack["catalog-2"].admin_url + "/readyz", timeout=5)
                return answer.status_code == 200 and answer.json()["status"] == "degraded"

            wait_for(degraded, what="/readyz says degraded")
            refused = api.post("/v1/admin/products", json=product())
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable"), (
                refused.text
            )
            assert int(refused.headers["Retry-After"]) > 0
            more(load)
            stack["catalog-1"].start().wait_ready()
            stack["catalog-2"].stop()
            more(load)
            assert int(api.get("/v1/products?limit=1").json()["revision"]) == newest
            servers["mongo"].start().wait_ready()
            made = wait_for(lambda: written(api), what="writes are back")
            wait_for(
                lambda: api.get(f"/v1/products/{made['slug']}").status_code == 200,
                what="the write is read",
            )
        assert load.bad == []


def written(api):
    answer = api.post("/v1/admin/products", json=product())
    return answer.json() if answer.status_code == 201 else None
