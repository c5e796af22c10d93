"""The second factor: enrolment, logins with codes, recovery codes, its end, and what an admin lacks without it."""

import base64
import concurrent.futures

import pytest
from support.accounts import QUICK, UNTHROTTLED, address, give_roles, person, problem, totp
from support.stack import Stack


@pytest.fixture(scope="module")
def stack(servers):
    """Admins need a second factor."""
    settings = {"SOUK_USERS_TOTP_REQUIRED_FOR_ADMIN": "true"}
    with Stack(
        servers, catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED, **settings}
    ) as started:
        yield started


@pytest.fixture
def somebody(stack):
    return person(stack)


def test_it_needs_the_password_to_begin_and_a_code_to_count(somebody):
    asked = {"password": somebody.password}
    assert problem(somebody.post("/v1/me/totp", asked)) == (409, "email_unverified")
    somebody.confirm_address()
    assert problem(somebody.post("/v1/me/totp", {"password": "not it at all"})) == (
        403,
        "password_wrong",
    )
    assert problem(somebody.post("/v1/me/totp/confirm", {"code": "123456"})) == (
        409,
        "totp_inactive",
    )
    begun = somebody.post("/v1/me/totp", asked).json()
    assert begun["uri"].startswith("otpauth://totp/Souk:") and begun["secret"] in begun["uri"]
    somebody.login()
    wrong = f"{(int(totp(begun['secret'])) + 1) % 1000000:06d}"
    refused = somebody.post("/v1/me/totp/confirm", {"code": wrong})
    assert problem(refused) in ((401, "totp_wrong"),), refused.text
    assert somebody.get("/v1/me").json()["second_factor"] is False
    other = somebody.again().login()
    done = somebody.post("/v1/me/totp/confirm", {"code": totp(begun["secret"])})
    assert done.status_code == 200, done.text
    assert len(set(done.json()["recovery_codes"])) == 10
    me = somebody.get("/v1/me").json()
    assert (me["second_factor"], me["recovery_codes_left"]) == (True, 10)
    assert problem(other.get("/v1/me")) == (401, "unauthenticated"), "other sessions have ended"
    assert problem(somebody.post("/v1/me/totp", {"password": somebody.password})) == (
        409,
        "totp_active",
    )


def test_a_login_needs_a_code_that_was_not_used(somebody):
    secret, _ = somebody.enrol()
    assert problem(somebody.try_login()) == (401, "totp_missing")
    assert problem(somebody.try_login(password="not it at all")) == (401, "credentials_wrong")
    used = totp(secret)
    assert problem(somebody.try_login(totp_code=used)) == (401, "totp_wrong"), "it confirmed"
    somebody.forget_step()
    somebody.login(totp_code=totp(secret))
    assert problem(somebody.try_login(totp_code=totp(secret))) == (401, "totp_wrong")
    somebody.forget_step()
    for steps in (-4, -3, 3, 4):
        refused = somebody.try_login(totp_code=totp(secret, steps))
        assert problem(refused) == (401, "totp_wrong")
    assert problem(somebody.try_login(totp_code="12345x")) == (401, "totp_wrong")
    somebody.login(totp_code=totp(secret))


def test_one_code_opens_one_of_many_logins_at_once(somebody):
    secret, codes = somebody.enrol()
    somebody.forget_step()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        code = totp(secret)
        answers = list(pool.map(lambda _: somebody.again().try_login(totp_code=code), range(6)))
        assert sorted(each.status_code for each in answers) == [200] + [401] * 5
        answers = list(
            pool.map(lambda _: somebody.again().try_login(recovery_code=codes[0]), range(6))
        )
        assert sorted(each.status_code for each in answers) == [200] + [401] * 5


def test_a_recovery_code_is_good_once_and_however_it_is_typed(somebody):
    _, codes = somebody.enrol()
    typed = codes[3].lower().replace("-", " ").replace("0", "o").replace("1", "l")
    somebody.login(recovery_code=typed)
    assert problem(somebody.try_login(recovery_code=codes[3])) == (401, "totp_wrong")
    assert problem(somebody.try_login(recovery_code="0123-4567-89AB-CDEF")) == (401, "totp_wrong")
    assert somebody.get("/v1/me").json()["recovery_codes_left"] == 9


def test_it_ends_by_password_and_code(somebody):
    secret, codes = somebody.enrol()
    body = {"password": somebody.password}
    assert problem(somebody.post("/v1/me/totp/disable", body)) == (401, "totp_missing")
    assert problem(somebody.post("/v1/me/totp/disable", {**body, "totp_code": "000000"})) == (
        401,
        "totp_wrong",
    )
    wrong = {"password": "not it at all", "recovery_code": codes[0]}
    assert problem(somebody.post("/v1/me/totp/disable", wrong)) == (403, "password_wrong")
    assert (
        somebody.post("/v1/me/totp/disable", {**body, "recovery_code": codes[0]}).status_code == 204
    )
    assert problem(somebody.post("/v1/me/totp/disable", {**body, "totp_code": totp(secret)})) == (
        409,
        "totp_inactive",
    )
    somebody.login()
    assert somebody.get("/v1/me").json()["recovery_codes_left"] == 0


def test_a_password_reset_does_not_go_around_it(somebody):
    secret, _ = somebody.enrol()
    somebody.post("/v1/auth/password-reset", {"email": somebody.email})
    token = somebody.token("user.password_reset_requested")
    body = {"token": token, "password": "staple wagon lantern"}
    assert somebody.post("/v1/auth/password-reset/confirm", body).status_code == 204
    somebody.password = body["password"]
    assert problem(somebody.try_login()) == (401, "totp_missing")
    somebody.forget_step()
    somebody.login(totp_code=totp(secret))


def test_a_reset_of_an_address_that_was_never_confirmed_drops_what_a_squatter_left(stack):
    squatter = person(stack)
    squatter.patch("/v1/me", {"name": "Mallory", "phone": "+44 20 7946 0958"})
    assert squatter.post("/v1/me/addresses", address()).status_code == 201
    with stack.connect("users") as database:
        database.execute(
            "UPDATE users SET totp_sealed = 'x', totp_pending = 'x' WHERE id = %s", (squatter.id,)
        )
        database.execute("INSERT INTO recovery_codes VALUES (%s, 'x')", (squatter.id,))
        database.execute(
            "INSERT INTO known_addresses (user_id, address) VALUES (%s, '203.0.113.7')",
            (squatter.id,),
        )
    owner = squatter.again()
    owner.post("/v1/auth/password-reset", {"email": owner.email})
    body = {"token": owner.token("user.password_reset_requested"), "password": "lantern wagon"}
    assert owner.post("/v1/auth/password-reset/confirm", body).status_code == 204
    owner.password = body["password"]
    export = owner.login().get("/v1/me/export").json()
    account = export["account"]
    assert (account["second_factor"], account["recovery_codes_left"]) == (False, 0)
    assert (account["name"], account["phone"], account["email_verified"]) == (None, None, True)
    assert (export["addresses"], export["known_addresses"]) == ([], ["127.0.0.1"])
    owner.enrol()


def test_an_admin_without_it_is_none_until_the_session_has_proved_it(stack, somebody):
    give_roles(stack, somebody.id, ["admin", "staff"])
    somebody.login()
    assert somebody.tokens["roles"] == ["customer", "staff"]
    assert somebody.tokens["withheld_roles"] == ["admin"]
    assert problem(somebody.put(f"/v1/admin/users/{somebody.id}/roles", {"roles": []})) == (
        403,
        "forbidden",
    )
    secret, codes = somebody.enrol()
    assert somebody.refresh().status_code == 200
    assert somebody.tokens["roles"] == ["customer", "staff", "admin"]
    assert somebody.tokens["withheld_roles"] == []
    somebody.forget_step()
    assert somebody.login(totp_code=totp(secret)).tokens["withheld_roles"] == []
    body = {"password": somebody.password, "recovery_code": codes[0]}
    assert somebody.post("/v1/me/totp/disable", body).status_code == 204
    assert somebody.refresh().status_code == 200
    assert somebody.tokens["withheld_roles"] == ["admin"], "without it no session has proved it"


def test_secrets_are_sealed(stack, somebody):
    secret, codes = somebody.enrol()
    with stack.connect("users") as database:
        row = database.execute(
            "SELECT totp_sealed, (SELECT array_agg(hash) FROM recovery_codes WHERE user_id = u.id)"
            " FROM users u WHERE id = %s",
            (somebody.id,),
        ).fetchone()
    assert base64.b32decode(secret) not in row[0]
    assert len(row[1]) == 10 and all(len(each) == 32 for each in row[1])
    assert codes[0].replace("-", "").encode() not in b"".join(row[1])
