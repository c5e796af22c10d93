"""Who may call: the auth of methods, roles, the source of keys."""

import json
import subprocess

import pytest
from gen import emit_openapi, meta
from gen.__main__ import build_files, write
from gen.loader import Problem
from sound import FILES
from test_c import compile_c

SOURCE = """\
service: keys
description: Keys.
types:
  key:
    description: A public key.
    fields:
      kid: {type: str, required: true, description: Id., example: k1}
      x: {type: str, required: true, description: X., example: x}
      "y": {type: str, required: true, description: Y., example: yy}
  api_key:
    description: A hash.
    fields:
      id: {type: str, required: true, description: Id., example: a}
      sha256: {type: bytes, required: true, description: Hash., example: aGk}
      subject: {type: str, required: true, description: Whose., example: usr_1}
      scopes: {type: list, item: {type: str}, required: true, description: Rights., example: ["*"]}
      expires_at: {type: time, description: Its end., example: "2026-11-24T10:00:00Z"}
methods:
  list:
    summary: List keys
    class: read
    key: none
    priority: account
    auth: none
    auth_source: true
    timeout_ms: 1500
    lane: slot
    request_bytes_max: 100
    reply_bytes_max: 1000000
    memory_bytes_max: 65536
    request:
      since: {type: int, min: 0, max: 9007199254740991, description: Known revision., example: 3}
    reply:
      revision: {type: int, required: true, description: Revision., example: 4}
      unchanged: {type: bool, description: Nothing is new.}
      issuer: {type: str, description: Iss., example: souk}
      audience: {type: str, description: Aud., example: souk}
      keys: {type: list, item: {type: key}, description: Keys.}
      api_keys: {type: list, item: {type: api_key}, description: Hashes.}
    success: {status: 200}
    errors: []
"""


def with_auth(folder, auth):
    (folder / "shop.yaml").write_text(FILES["shop.yaml"].replace("auth: none", f"auth: {auth}", 1))
    return meta.read(folder)


@pytest.mark.parametrize(
    ("auth", "security", "answers"),
    [
        ("none", [], set()),
        ("optional", [{}, {"guestToken": []}, {"accessToken": []}, {"apiKey": []}], {"401"}),
        ("guest", [{"guestToken": []}, {"accessToken": []}], {"401", "403"}),
        ("user", [{"accessToken": []}], {"401", "403"}),
        (
            '{scope: "shop:admin"}',
            [{"apiKey": ["shop:admin"]}, {"accessToken": ["shop:admin"]}],
            {"401", "403"},
        ),
    ],
)
def test_openapi_says_who(folder, auth, security, answers):
    document = json.loads(emit_openapi.document(with_auth(folder, auth)))
    operation = document["paths"]["/v1/things/{id}"]["get"]
    assert operation["security"] == security
    assert {"401", "403"} & set(operation["responses"]) == answers
    schemes = document["components"]["securitySchemes"]
    assert {name for each in security for name in each} <= set(schemes)
    assert "clerk: shop:write; boss: all" in schemes["accessToken"]["description"]


@pytest.mark.parametrize(
    ("auth", "row"),
    [
        ("guest", ".auth = SOUK_AUTH_GUEST, .scope = NULL"),
        ('{scope: "shop:admin"}', '.auth = SOUK_AUTH_SCOPE, .scope = "shop:admin"'),
    ],
)
def test_the_route_table_says_who(folder, auth, row):
    routes = build_files(with_auth(folder, auth))["src/routes.c"].decode()
    assert row in routes
    assert "souk_auth_source = {.service = NULL}" in routes


def test_the_roles_in_c(folder, tmp_path):
    write(tmp_path, build_files(meta.read(folder)))
    main = tmp_path / "main.c"
    main.write_text(
        """#include <stdio.h>
#include "gen/roles.h"
int main(void) {
    for (size_t i = 0; i < souk_user_roles_count; i++) {
        printf("%s %zu\\n", souk_user_roles[i].name, souk_user_roles[i].scopes_count);
    }
    printf("%s %s %zu\\n", souk_user_roles[SOUK_USER_ROLE_BOSS].scopes[0], souk_scopes[1],
           souk_scopes_count);
    return 0;
}
"""
    )
    program = tmp_path / "roles"
    ran = compile_c("gcc", tmp_path, main, str(tmp_path / "src/roles.c"), "-o", str(program))
    assert ran.returncode == 0, ran.stderr
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["buyer 0", "clerk 1", "boss 1", "* shop:admin 2"]


def test_the_source_of_keys(folder, tmp_path):
    (folder / "keys.yaml").write_text(SOURCE)
    routes = build_files(meta.read(folder))["src/routes.c"].decode()
    assert (
        'souk_auth_source = {.service = "keys", .method = "list", .timeout_ms = 1500, '
        ".priority = SOUK_PRIORITY_ACCOUNT}" in routes
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("since: {type: int, min: 0", "since: {type: float, min: 0", "has no int since"),
        ("sha256: {type: bytes", "sha256: {type: str", "has no bytes api_keys[].sha256"),
        (
            "scopes: {type: list, item: {type: str}",
            "scopes: {type: list, item: {type: int}",
            "scopes[]",
        ),
        ('      "y": {type: str, required: true, description: Y., example: yy}\n', "", "keys[].y"),
    ],
)
def test_its_shape_is_fixed(folder, old, new, said):
    assert old in SOURCE
    text = SOURCE.replace(old, new).replace('["*"]', "[1]" if "{type: int}" in new else '["*"]')
    (folder / "keys.yaml").write_text(text)
    with pytest.raises(Problem) as caught:
        meta.read(folder)
    assert said in str(caught.value)


def test_there_is_one_source(folder):
    (folder / "keys.yaml").write_text(SOURCE)
    (folder / "locks.yaml").write_text(SOURCE.replace("service: keys", "service: locks"))
    with pytest.raises(
        Problem, match="locks.yaml:[0-9]+: keys.list is the auth_source too; keep one"
    ):
        meta.read(folder)


def test_a_well_known_path(folder):
    text = FILES["stock.yaml"].replace(
        "    class: read",
        "    http:\n      - {verb: GET, path: /.well-known/jwks.json}\n    class: read",
    )
    (folder / "stock.yaml").write_text(text)
    assert '"/.well-known/jwks.json"' in build_files(meta.read(folder))["src/routes.c"].decode()
