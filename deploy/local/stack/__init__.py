"""The local stack: how PostgreSQL, the MongoDB-protocol server, broker, gateway and workers start and stop.

`make up` runs it under circus (`python -m stack up`, see __main__.py); the end-to-end tests start the same process
specifications privately (tests/support). Nothing here is needed in production: there, deploy/helm describes the same
processes to Kubernetes.
"""


class StackError(Exception):
    """Something that an operator can mend; the text says what is wrong and what to do."""
