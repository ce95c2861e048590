"""How the checker looks at the servers: Redis by its own few lines of protocol, Kafka by confluent-kafka, the stores by
sqlite3 and psql. Nothing of the engine is used."""
import json
import pathlib
import socket
import sqlite3
import subprocess
import time
import urllib.parse
import uuid

import confluent_kafka

ROLES = ["order", "inventory", "payment", "shipping", "notification"]
TABLES = {"order": ["orders", "transitions"], "inventory": ["reservations", "products"], "payment": ["charges"],
          "shipping": ["shipments"], "notification": ["notices"]}
COMMON = ["shards", "positions", "dead_letters", "parked", "quarantine", "role_state"]


# --- Redis ---


class Redis:
    """One connection; raises OSError when it is lost."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.socket.close()

    def ask(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection was closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise OSError(rest.decode())
        if kind in b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if rest == b"-1":
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode("latin-1")
        return [self.reply() for _ in range(int(rest))]

    def dump(self, prefix):
        """{key: value} of everything of a group's prefix; a hash is a dict."""
        out, cursor = {}, "0"
        while True:
            cursor, keys = self.ask("SCAN", cursor, "MATCH", "{%s}:*" % prefix, "COUNT", 1000)
            for key in keys:
                kind = self.ask("TYPE", key)
                if kind == "hash":
                    flat = self.ask("HGETALL", key)
                    out[key] = dict(zip(flat[::2], flat[1::2]))
                elif kind == "string":
                    out[key] = self.ask("GET", key)
            if cursor == "0":
                return out


# --- Kafka ---


class Kafka:
    """`names` are the topics' names on the broker by those of the contract."""

    def __init__(self, broker, names):
        self.broker, self.names = broker, dict(names)
        self.names.update({topic + ".dlq": name + ".dlq" for topic, name in names.items()})
        self.back = {name: topic for topic, name in self.names.items()}

    def consumer(self, group, **more):
        return confluent_kafka.Consumer({"bootstrap.servers": self.broker, "group.id": group, "enable.auto.commit": False,
                                         "auto.offset.reset": "earliest"} | more)

    def places(self, consumer):
        there = consumer.list_topics(timeout=20).topics
        return [confluent_kafka.TopicPartition(name, partition, 0) for name in self.back if name in there
                for partition in there[name].partitions]

    def dump(self, seconds=60):
        """Every record, as text lines for topics.jsonl; {TOPIC/PARTITION: end}."""
        consumer = self.consumer("chaos-reader-" + uuid.uuid4().hex, **{"enable.partition.eof": True})
        places = self.places(consumer)
        consumer.assign(places)
        ended, out, limit = {}, [], time.monotonic() + seconds
        while len(ended) < len(places):
            if time.monotonic() > limit:
                raise TimeoutError(f"the topics could not be read within {seconds} s")
            for message in consumer.consume(2000, 0.5):
                place = f"{self.back[message.topic()]}/{message.partition()}"
                if message.error():
                    if message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        ended[place] = message.offset()
                    continue
                out.append({"topic": self.back[message.topic()], "partition": message.partition(), "offset": message.offset(),
                            "at": message.timestamp()[1], "key": text(message.key()), "value": text(message.value()),
                            "headers": {name: text(value) for name, value in message.headers() or []}})
        consumer.close()
        return out, ended

    def committed(self, prefix):
        """{group: {TOPIC/PARTITION: offset}} of the five groups."""
        out = {}
        for role in ROLES:
            consumer = self.consumer(f"{prefix}.{role}")
            found = consumer.committed(self.places(consumer), timeout=20)
            consumer.close()
            out[f"{prefix}.{role}"] = {f"{self.back[one.topic]}/{one.partition}": one.offset for one in found if one.offset >= 0}
        return out


def text(data):
    return None if data is None else data.decode("latin-1")


# --- the stores ---


class SqliteStore:
    def __init__(self, url):
        self.directory = pathlib.Path(url.removeprefix("sqlite:"))

    def rows(self, role, table, columns="*"):
        database = "gateway" if role == "gateway" else role
        connection = sqlite3.connect(f"file:{self.directory / database}.db?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        try:
            return [dict(row) for row in connection.execute(f"SELECT {columns} FROM {table}")]
        finally:
            connection.close()

    def several(self, questions):
        return [self.rows(*question) for question in questions]


class PostgresStore:
    def __init__(self, url, prefix):
        self.url, self.prefix = url, prefix

    def several(self, questions):
        """Answers of [(role, table, columns)], by one psql."""
        command = ["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", self.url]
        for number, (role, table, *columns) in enumerate(questions):
            command += ["-c", f"SELECT {number}, row_to_json(t) FROM (SELECT {columns[0] if columns else '*'} "
                              f"FROM \"{self.prefix}_{role}\".{table}) t"]
        done = subprocess.run(command, capture_output=True, timeout=60)
        if done.returncode != 0:
            raise OSError(done.stderr.decode(errors="replace"))
        answers = [[] for _ in questions]
        for line in done.stdout.decode().splitlines():
            number, row = line.split("|", 1)
            answers[int(number)].append(json.loads(row))
        return answers

    def rows(self, role, table, columns="*"):
        return self.several([(role, table, columns)])[0]


def store_of(url, prefix):
    if url.startswith("sqlite:"):
        return SqliteStore(url)
    parts = urllib.parse.urlsplit(url)
    return PostgresStore(parts.geturl(), prefix)


def positions(store):
    """{role: {TOPIC/PARTITION: next}}: the stores keep the names of the contract."""
    found = store.several([(role, "positions") for role in ROLES])
    return {role: {f"{row['topic']}/{row['partition']}": row["next"] for row in rows} for role, rows in zip(ROLES, found)}


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
