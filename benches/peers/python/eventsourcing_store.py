"""The Python library eventsourcing on PostgreSQL at the command line of the Rust peers: `URL`, then tasks as lines.

Appends go to the application's recorder, which is what `Application.save` ends in; the view is kept by a projection
runner, as the tutorial says. Pool and other settings are the defaults.
"""

import json
import sys
import threading
import time
from importlib.metadata import version
from urllib.parse import urlsplit
from uuid import uuid4

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import get_topic
from psycopg.sql import SQL, Identifier

TEXT = "Backend of the checkout, asks for payments on the free plan, about two thousand calls a day."
EXISTING, LOADED, LENGTH, READ, PAGE = 10, 100, 20, 5_000, 500


class Note(Aggregate):
    @event("Written")
    def __init__(self, text, subject, actor, correlation):
        self.text = text


class Notes(Application):
    pass


class NotesView(PostgresTrackingRecorder):
    """A row for each stream, written with the position in one transaction."""

    def _create_table(self, curs):
        super()._create_table(curs)
        table = Identifier(self.datastore.schema, "notes")
        columns = SQL("(id UUID PRIMARY KEY, text TEXT NOT NULL, written BIGINT NOT NULL)")
        curs.execute(SQL("CREATE TABLE IF NOT EXISTS {} ").format(table) + columns)

    def written(self, id, text, tracking):
        with self.datastore.transaction(commit=True) as curs:
            self._insert_tracking(curs, tracking)
            curs.execute(
                "INSERT INTO notes (id, text, written) VALUES (%s, %s, 1) "
                "ON CONFLICT (id) DO UPDATE SET text = excluded.text, written = notes.written + 1",
                (id, text),
                prepare=True,
            )

    def count(self):
        with self.datastore.transaction() as curs:
            curs.execute("SELECT COUNT(*) AS count FROM notes")
            return curs.fetchone()["count"]


class NotesProjection(Projection[NotesView]):
    # What other tasks wrote past the application is no aggregate.
    topics = (get_topic(Note.Written),)

    @singledispatchmethod
    def process_event(self, domain_event, tracking):
        self.view.insert_tracking(tracking)

    @process_event.register
    def _(self, domain_event: Note.Written, tracking):
        self.view.written(domain_event.originator_id, domain_event.text, tracking)


class Store:
    def __init__(self, url):
        url = urlsplit(url)
        self.environment = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": url.path[1:],
            "POSTGRES_HOST": url.hostname,
            "POSTGRES_PORT": str(url.port),
            "POSTGRES_USER": url.username,
            "POSTGRES_PASSWORD": url.password or "none",
        }
        self.application = Notes(self.environment)
        self.recorder = self.application.recorder
        self.existing, self.loaded, self.filled, self.runner = {}, [], False, None

    def append(self, stream, last, count):
        events = []
        for number in range(1, count + 1):
            id = str(uuid4())
            state = {"text": TEXT, "subject": id, "actor": id, "correlation": id, "causation": None}
            state = json.dumps(state).encode()
            events.append(StoredEvent(stream, last + number, "note:Note.Written", state))
        self.recorder.insert_events(events)
        return count

    def append_new(self, clients):
        return lambda client, turn: self.append(uuid4(), 0, 1)

    def append_existing(self, clients):
        if clients not in self.existing:
            streams = [[[uuid4(), 1] for _ in range(EXISTING)] for _ in range(clients)]
            for stream, _ in (stream for of_client in streams for stream in of_client):
                self.append(stream, 0, 1)
            self.existing[clients] = streams

        def operation(client, turn):
            stream = self.existing[clients][client][turn % EXISTING]
            stream[1] += self.append(*stream, 1)
            return 1

        return operation

    def load(self, clients):
        while len(self.loaded) < LOADED:
            self.loaded.append(uuid4())
            self.append(self.loaded[-1], 0, LENGTH)

        def operation(client, turn):
            events = self.recorder.select_events(self.loaded[(client * 7 + turn) % LOADED])
            assert len(events) == LENGTH
            return 1

        return operation

    def read(self, clients):
        if not self.filled:
            for _ in range(READ // 100 + 1):
                self.append(uuid4(), 0, 100)
            self.filled = True

        def operation(client, turn):
            count, position = 0, 1
            while count < READ:
                page = self.recorder.select_notifications(position, PAGE, inclusive_of_start=False)
                count, position = count + len(page), page[-1].id
            return count

        return operation

    def project(self, clients, seconds):
        if self.runner is None:
            self.runner = ProjectionRunner(
                application_class=Notes,
                projection_class=NotesProjection,
                view_class=NotesView,
                env=self.environment,
            )
        view, began = self.runner.view, time.monotonic()
        before = view.count()

        def operation(client, turn):
            id = str(uuid4())
            self.application.save(Note(TEXT, id, id, id))
            return 1

        repeat(operation, clients, seconds)
        self.runner.wait(self.recorder.max_notification_id(), timeout=30)
        return (view.count() - before) / (time.monotonic() - began)


def repeat(operation, clients, seconds):
    """Repeats an operation in that many threads; the sum of what it gives for a second."""
    began, sums, errors = time.monotonic(), [0] * clients, []

    def client(number):
        turn = 0
        try:
            while time.monotonic() - began < seconds and not errors:
                sums[number] += operation(number, turn)
                turn += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sum(sums) / (time.monotonic() - began)


def answer(store, line):
    work, clients, seconds = line.split()
    clients, seconds = int(clients), float(seconds)
    if work == "project":
        return store.project(clients, seconds)
    works = {"append-new": store.append_new, "append-existing": store.append_existing}
    works |= {"load": store.load, "read": store.read}
    return repeat(works[work](clients), clients, seconds)


def main():
    try:
        store = Store(sys.argv[1])
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print(json.dumps({"ready": f"eventsourcing {version('eventsourcing')}"}), flush=True)
    for line in sys.stdin:
        try:
            print(json.dumps({"rate": answer(store, line)}), flush=True)
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    if store.runner is not None:
        store.runner.stop()
    store.application.close()


main()
