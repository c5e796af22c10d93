"""Guessing is slow, for everybody but the owner (docs/security.md). Client addresses are of the loopback network."""

import itertools

import pytest
from support.accounts import PASSWORD, QUICK, Person, metric, person, problem
from support.stack import Stack

PAIR, ACCOUNT, ADDRESS, MAIL = 3, 6, 9, 2
LIMITED = (429, "rate_limited")
_hosts = itertools.count(2)


@pytest.fixture(scope="module")
def stack(servers):
    """Two workers; places do not come back within a test."""
    bursts = {"PAIR": PAIR, "ACCOUNT": ACCOUNT, "ADDRESS": ADDRESS, "MAIL": MAIL}
    settings = {f"SOUK_USERS_THROTTLE_{name}_BURST": str(n) for name, n in bursts.items()}
    settings |= {f"SOUK_USERS_THROTTLE_{name}_S": "3600" for name in bursts}
    with Stack(servers, catalog=0, diag=0, users=2, env={**QUICK, **settings}) as started:
        yield started


def new_address():
    """A client address that no other test uses."""
    number = next(_hosts)
    return f"127.{number // 250 + 1}.{number % 250 + 1}.1"


def guess(stack, email, address):
    return Person(stack, email, "not the password", address=address).try_login()


def owner_at(stack, address):
    return person(stack, address=address)


def exhaust(stack, email):
    """Guess from ever new addresses until the account takes no more from strangers; how many guesses it took."""
    for taken in range(ACCOUNT + 1):
        answer = guess(stack, email, new_address())
        if answer.status_code == 429:
            return taken
        assert problem(answer) == (401, "credentials_wrong")
    raise AssertionError("there is no end to guessing")


def test_a_guesser_at_one_address_is_slowed(stack):
    owner = owner_at(stack, new_address())
    address = new_address()
    answers = [guess(stack, owner.email, address) for _ in range(PAIR + 2)]
    assert [each.status_code for each in answers] == [401] * PAIR + [429] * 2
    assert problem(answers[-1]) == LIMITED
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 3600
    right = Person(stack, owner.email, PASSWORD, address=address).try_login()
    assert problem(right) == LIMITED, "not even the right one is tried"
    owner.login()


def test_a_guess_that_is_refused_costs_no_hash(stack):
    owner = owner_at(stack, new_address())
    address = new_address()
    before = metric(stack, "souk_users_hashes_total")
    for _ in range(PAIR + 5):
        guess(stack, owner.email, address)
    assert metric(stack, "souk_users_hashes_total") - before == PAIR


def test_a_guesser_with_many_addresses_cannot_keep_the_owner_out(stack):
    home = new_address()
    owner = owner_at(stack, home)
    assert exhaust(stack, owner.email) == ACCOUNT
    assert problem(guess(stack, owner.email, new_address())) == LIMITED
    for _ in range(5):
        owner.login()
    assert owner.get("/v1/me").status_code == 200


def test_an_owner_who_is_elsewhere_comes_in_by_mail(stack):
    owner = owner_at(stack, new_address())
    exhaust(stack, owner.email)
    away = Person(stack, owner.email, PASSWORD, address=new_address())
    assert problem(away.try_login()) == LIMITED
    assert away.post("/v1/auth/password-reset", {"email": owner.email}).status_code == 202
    token = owner.token("user.password_reset_requested")
    body = {"token": token, "password": "staple wagon lantern"}
    assert away.post("/v1/auth/password-reset/confirm", body).status_code == 204
    away.password = body["password"]
    away.login()


def test_a_guesser_cannot_use_up_the_owners_mails(stack):
    owner = owner_at(stack, new_address())
    answers = [
        Person(stack, address=new_address()).post("/v1/auth/password-reset", {"email": owner.email})
        for _ in range(MAIL + 3)
    ]
    assert {each.status_code for each in answers} == {202}, "nobody is told"
    assert len(owner.mails("user.password_reset_requested")) == MAIL
    token = owner.token("user.password_reset_requested")
    body = {"token": token, "password": "staple wagon lantern"}
    assert owner.post("/v1/auth/password-reset/confirm", body).status_code == 204


def test_an_unknown_account_is_throttled_like_a_known_one(stack):
    known = owner_at(stack, new_address()).email
    addresses = [new_address(), new_address()]
    answers = [
        [guess(stack, email, address) for _ in range(PAIR + 1)]
        for email, address in zip((known, "nobody@example.com"), addresses, strict=True)
    ]
    codes = [[problem(each) for each in row] for row in answers]
    assert codes[0] == codes[1] == [(401, "credentials_wrong")] * PAIR + [LIMITED]


def test_one_address_cannot_try_many_accounts(stack):
    address = new_address()
    answers = [guess(stack, f"spray-{n}@example.com", address) for n in range(ADDRESS + 2)]
    assert [each.status_code for each in answers] == [401] * ADDRESS + [429] * 2


def test_who_shares_the_owners_address_takes_only_its_place_at_that_account(stack):
    home = new_address()
    owner, fresh = owner_at(stack, home), owner_at(stack, new_address())
    while guess(stack, "spray-from-home@example.com", home).status_code != 429:
        pass
    for n in range(ADDRESS):
        guess(stack, f"spray-from-home-{n}@example.com", home)
    assert problem(Person(stack, fresh.email, PASSWORD, address=home).try_login()) == LIMITED
    owner.login()
    while guess(stack, owner.email, home).status_code != 429:
        pass
    assert problem(owner.try_login()) == LIMITED, "the pair is shared"
    assert owner.post("/v1/auth/password-reset", {"email": owner.email}).status_code == 202
    body = {
        "token": owner.token("user.password_reset_requested"),
        "password": "staple wagon lantern",
    }
    assert owner.post("/v1/auth/password-reset/confirm", body).status_code == 204
    owner.password = body["password"]
    owner.login()


def test_logins_that_are_right_are_never_too_many(stack):
    owner = owner_at(stack, new_address())
    for _ in range(3 * ADDRESS):
        owner.login()


def test_guesses_of_codes_count(stack):
    home = new_address()
    owner = owner_at(stack, home)
    owner.enrol()
    thief = Person(stack, owner.email, PASSWORD, address=new_address())
    answers = [thief.try_login(totp_code=f"{n:06d}") for n in range(PAIR + 1)]
    assert [each.status_code for each in answers] == [401] * PAIR + [429]


def test_guesses_of_codes_cannot_be_bought_off(stack):
    """A login without a code is no guess, but it forgives none either, even where the owner is known."""
    owner = owner_at(stack, new_address())
    owner.enrol()
    codes = []
    for n in range(PAIR + 2):
        codes.append(owner.try_login(totp_code=f"{n:06d}").status_code)
        owner.try_login()
    assert codes == [401] * PAIR + [429] * 2


def test_a_missing_code_is_no_guess(stack):
    owner = owner_at(stack, new_address())
    owner.enrol()
    for _ in range(2 * ADDRESS):
        assert problem(owner.try_login()) == (401, "totp_missing")


def test_registrations_of_one_address_are_bounded(stack):
    somebody = Person(stack, address=new_address())
    before = metric(stack, "souk_users_hashes_total")
    codes = []
    for n in range(ADDRESS + 2):
        body = {"email": f"robot-{n}@example.com", "password": PASSWORD}
        codes.append(somebody.post("/v1/users", body).status_code)
    assert codes == [202] * ADDRESS + [429] * 2
    assert metric(stack, "souk_users_hashes_total") - before == ADDRESS


def test_mails_to_one_account_are_bounded(stack):
    owner = owner_at(stack, new_address())
    for _ in range(MAIL + 3):
        body = {"email": owner.email, "password": PASSWORD}
        assert Person(stack, address=new_address()).post("/v1/users", body).status_code == 202
    assert len(owner.mails("user.register_attempted")) == MAIL
    codes = [owner.post("/v1/me/verify-email").status_code for _ in range(MAIL + 1)]
    assert codes == [202] * MAIL + [429]


def test_the_present_password_is_not_guessed_by_a_stolen_session(stack):
    owner = owner_at(stack, new_address())
    wrong = {"current_password": "not it at all", "password": "staple wagon lantern"}
    codes = [owner.post("/v1/me/password", wrong).status_code for _ in range(12)]
    assert codes == [403] * 10 + [429] * 2
    other = owner.again().login()
    right = {**wrong, "current_password": owner.password}
    assert other.post("/v1/me/password", right).status_code == 204, "the owner's own session may"


def test_tokens_are_not_guessed(stack):
    somebody = Person(stack, address=new_address())
    codes = [
        somebody.post("/v1/auth/verify-email", {"token": f"sve_{n}"}).status_code
        for n in range(ADDRESS + 1)
    ]
    assert codes == [422] * ADDRESS + [429]


def test_the_table_names_nobody_and_is_emptied(stack):
    with stack.connect("users") as database:
        rows = database.execute("SELECT bucket FROM throttle").fetchall()
        assert rows and all(len(each) == 16 for (each,) in rows)
        database.execute("UPDATE throttle SET full_at = now() - interval '1 second'")
    owner = owner_at(stack, new_address())
    owner.login()
    assert problem(guess(stack, owner.email, "127.0.0.1")) == (401, "credentials_wrong")
