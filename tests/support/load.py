"""A bounded load of HTTP requests from threads, which keeps every answer that was not as expected."""

import threading

import requests


class Load:
    """`with Load(url, paths, threads=4) as load: ...` asks for paths in turn until the block ends; load.done counts answers, load.bad keeps the
    first hundred others. At most limit requests."""

    def __init__(self, url, paths, threads=4, limit=200_000, good=(200,)):
        self.url, self.paths, self.good, self.limit = url, paths, good, limit
        self.done, self.bad = 0, []
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [
            threading.Thread(target=self.run, args=(number,)) for number in range(threads)
        ]

    def run(self, number):
        with requests.Session() as session:
            at = number
            while not self.over.is_set() and self.done < self.limit:
                path = self.paths[at % len(self.paths)]
                at += 1
                try:
                    answer = session.get(self.url + path, timeout=30)
                    bad = (
                        None
                        if answer.status_code in self.good
                        else f"{path}: {answer.status_code} {answer.text[:300]}"
                    )
                except requests.RequestException as error:
                    bad = f"{path}: {error!r}"
                with self.lock:
                    self.done += 1
                    if bad and len(self.bad) < 100:
                        self.bad.append(bad)

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        for each in self.threads:
            each.join()
