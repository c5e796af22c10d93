"""Is it ready? One short question to each process, by the protocol that it speaks."""

import urllib.error
import urllib.request

TIMEOUT_S = 2
OPENER = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # loopback never goes through a proxy


def http(url):
    """None when the URL answers 200, else the reason why not."""
    try:
        with OPENER.open(url, timeout=TIMEOUT_S) as reply:
            reply.read()
            return None if reply.status == 200 else f"{url} answers {reply.status}"
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(300).decode(errors="replace").strip()
        return f"{url} answers {error.code} {body}"
    except (OSError, ValueError) as error:
        return f"{url}: {getattr(error, 'reason', error)}"


def mongo(uri):
    """None when a MongoDB-protocol server answers, else the reason why not."""
    import pymongo  # 0.2 s to import, and most commands never ask
    import pymongo.errors

    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=TIMEOUT_S * 1000)
    try:
        client.admin.command("ping")
    except pymongo.errors.PyMongoError as error:
        return str(error).partition(", Timeout:")[0]
    finally:
        client.close()
    return None


def ask(kind, target):
    """Ask one process: kind is http, postgres, mongo or none."""
    if kind == "http":
        return http(target)
    if kind == "postgres":
        from . import postgres

        return postgres.answers(target)
    if kind == "mongo":
        return mongo(target)
    return None
