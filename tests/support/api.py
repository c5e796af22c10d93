"""An API client for tests: requests with the stack's base URL and admin key, and products to send."""

import itertools
import subprocess

import requests

TIMEOUT_S = 40
_numbers = itertools.count(1)


class Api(requests.Session):
    """`api.get("/v1/products")`; admin routes get the key by `admin=True`."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack

    def request(self, method, path, admin=None, **options):
        headers = dict(options.pop("headers", None) or {})
        if admin if admin is not None else path.startswith("/v1/admin/"):
            headers.setdefault("Authorization", self.stack.admin["Authorization"])
        options.setdefault("timeout", TIMEOUT_S)
        return super().request(method, self.stack.url + path, headers=headers, **options)

    def create(self, **fields):
        """A product with a slug and SKU of its own; returns it."""
        answer = self.post("/v1/admin/products", json=product(**fields))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def change(self, product_id, version, **fields):
        """PATCH with If-Match; returns the answer."""
        return self.patch(
            f"/v1/admin/products/{product_id}", json=fields, headers={"If-Match": f'"{version}"'}
        )

    def category(self, **fields):
        number = next(_numbers)
        answer = self.post(
            "/v1/admin/categories",
            json={"slug": f"shelf-{number}", "name": f"Shelf {number}", **fields},
        )
        assert answer.status_code == 201, answer.text
        return answer.json()


def euro(amount):
    return {"amount": amount, "currency": "EUR"}


def product(**fields):
    """A valid product that differs from every other in slug and SKU."""
    number = next(_numbers)
    return {
        "slug": f"thing-{number}",
        "name": f"Thing {number}",
        "status": "active",
        "variants": [{"sku": f"THING-{number}", "price": euro(1999)}],
        **fields,
    }


def soukctl(stack, *argv, stdin=None, check=True, env=None):
    """Run soukctl against the stack; returns the finished process with text output."""
    settings = {
        "SOUK_GATEWAY_URL": stack.url,
        "SOUK_API_KEY": stack.api_key,
        "SOUK_BROKER_FRONT": stack.front,
        **(env or {}),
    }
    done = subprocess.run(
        [stack.program("soukctl"), *argv],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        env=settings,
    )
    if check:
        assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


def refused(answer, status, name):
    """The error of an answer that must be this one."""
    assert (answer.status_code, answer.json()["code"]) == (status, name), answer.text
    return answer.json()
