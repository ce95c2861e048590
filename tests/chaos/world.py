"""A world: servers, nodes, clients that load them, and the evidence that is gathered."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "end_to_end"), str(HERE / "checker")]
import clients as load
import lib
import outside
from lib import Failed, wait_until

PAYMENT_TTL, INVENTORY_TTL = 40_000, 120_000
SETTINGS = {"CARTWRIGHT_ORDER_PAYMENT_TTL": f"{PAYMENT_TTL}ms", "CARTWRIGHT_ORDER_INVENTORY_TTL": f"{INVENTORY_TTL}ms",
            # Quicker than by default, so that what is asked again is asked again while we look.
            "CARTWRIGHT_ORDER_ASK_AGAIN": "3s", "CARTWRIGHT_ORDER_ASK_AGAIN_MAX": "10s", "CARTWRIGHT_PORT_ASK_AGAIN_MAX": "4s"}
NEVER = "doc NOT LIKE '%tok_never%'"  # orders whose payment is never answered: the refund of them is awaited for ever


class Servers:
    """tests/lib/servers.sh in a shell of its own, which is told what to do line by line and ends them when it ends."""

    def __init__(self, log):
        script = ('set -euo pipefail; source tests/lib/servers.sh; echo "@@ 0 $servers_dir"; '
                  'while IFS= read -r line; do status=0; { eval "$line"; } >&2 || status=$?; '
                  'echo "@@ $status ${REDIS_PORT:-} ${KAFKA_BROKER:-} ${POSTGRES_URL:-}"; done')
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "KAFKA_", "POSTGRES_"))}
        self.log, self.lock = log, threading.Lock()
        self.shell = subprocess.Popen(["bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(log, "ab"),
                                      text=True, bufsize=1, cwd=ROOT, preexec_fn=lib.die_with_parent, env=environment)
        self.directory = pathlib.Path(self.answer("start").split()[2])
        # Where PostgreSQL's account can read it: what shall be full is written there.
        self.full, library = self.directory / "full-disks", self.directory / "disk_full.so"
        shutil.copy(pathlib.Path(lib.PROGRAM).with_name("disk_full.so"), library)
        self.preloaded = {"LD_PRELOAD": str(library), "DISK_FULL_LIST": str(self.full)}
        self.call("export " + " ".join(f"{name}={value}" for name, value in self.preloaded.items()))

    def say(self, line):
        """What a line of bash prints, whatever its status."""
        said = self.directory / "said"
        self.call(f"{{ {line}; }} > {said} 2>&1 || true")
        return said.read_text(errors="replace")

    @contextlib.contextmanager
    def full_disk(self, directory):
        """Within it, whatever lies under `directory` cannot be written."""
        new = self.full.with_suffix(".new")
        new.write_text(f"{directory}/\n")
        new.rename(self.full)
        try:
            yield
        finally:
            self.full.unlink()

    def answer(self, what):
        while True:
            line = self.shell.stdout.readline()
            if not line:
                raise Failed(f"the servers' shell ended at: {what}; see {self.log}")
            if line.startswith("@@ "):
                if line.split()[1] != "0":
                    raise Failed(f"servers.sh: {what} failed: {pathlib.Path(self.log).read_text(errors='replace')[-1500:]}")
                return line

    def call(self, line):
        """Runs a line of bash; returns what is known of the servers then: [redis port, kafka, postgres]."""
        with self.lock:
            self.shell.stdin.write(line + "\n")
            return self.answer(line).rstrip("\n").split(" ")[2:]

    def end(self):
        self.shell.stdin.close()
        try:
            self.shell.wait(60)
        except subprocess.TimeoutExpired:
            self.shell.kill()


class World:
    def __init__(self, test, servers, kind, faults, seed, evidence):
        import plan
        self.test, self.servers, self.kind, self.seed, self.evidence = test, servers, kind, seed, evidence
        self.broker_kind, self.store_kind, count = plan.WORLDS[kind]
        self.prefix = f"chaos-{kind}"
        self.names = {topic: f"{self.prefix}.{topic}" for topic in lib.TOPICS}
        self.data = test.directory / f"data-{kind}"
        self.log_was_lost = False
        shutil.rmtree(evidence, ignore_errors=True)
        for part in ("logs", "deaths"):
            (evidence / part).mkdir(parents=True)
        self.start_servers()
        self.nodes = {name: self.new_node(name) for name in "abc"[:count]}
        self.ports, self.strikes = {}, []
        self.write_meta()
        self.sampler = lib.Process(test, f"sampler-{kind}", [sys.executable, str(HERE / "checker" / "sample"), str(evidence)])
        self.history = load.History(evidence / "history.jsonl")
        self.clients = load.Clients(self.history, self.ports, self.broker, self.names, seed,
                                    never=len(faults) > 3)  # a short world would end long before they do

    # -- servers and nodes

    def start_servers(self):
        self.redis = f"redis-{self.kind}"
        # everysec is Redis' own default for its log, and enough against a kill: the page cache survives it.
        self.redis_port = int(self.servers.call(f"start_redis {self.redis} appendonly yes")[0])
        self.database = self.nodes_database = f"sqlite:{self.data}"
        if self.store_kind == "postgresql":
            self.servers.call("[ -n \"${POSTGRES_URL:-}\" ] || start_postgres postgres")
            self.database = self.servers.call(":")[2]
            self.cut_file, port = self.test.directory / f"cut-{self.kind}", lib.free_port()
            self.proxy = lib.Process(self.test, f"proxy-{self.kind}", [sys.executable, str(HERE / "postgres_proxy"), str(port),
                                                                       self.database.rsplit(":", 1)[1].split("/")[0], str(self.cut_file)])
            self.proxy.spawn()
            wait_until(lambda: lib.accepts(port), 20, lambda: f"the proxy listens\n{self.proxy.tail()}")
            self.nodes_database = f"{self.database.rsplit(':', 1)[0]}:{port}/{self.database.rsplit('/', 1)[1]}"
        if self.broker_kind == "kafka":
            self.servers.call("[ -n \"${KAFKA_BROKER:-}\" ] || start_kafka kafka")
            self.broker = self.servers.call(":")[1]
        else:
            self.embedded = lib.EmbeddedBroker(self.test, name=f"broker-{self.kind}")
            self.embedded.environment |= {f"TOPIC_{topic.upper().replace('.', '_')}": name for topic, name in self.names.items()}
            self.embedded.start()
            self.broker = self.embedded.address
        self.store = outside.store_of(self.database, self.prefix)

    def new_node(self, name):
        node = lib.Node(self.test, name=f"{self.kind}-{name}", broker=self.broker, redis=f"redis://127.0.0.1:{self.redis_port}",
                        database=self.nodes_database, prefix=self.prefix, topics=self.names, **SETTINGS)
        node.command = [os.environ.get("CARTWRIGHT_CRASH_PROGRAM") or str(pathlib.Path(lib.PROGRAM).with_name("cartwright-crash")), "node"]
        if self.broker_kind == "embedded":  # an order.placed may be gone with the log, and what it brought about is undone then
            node.environment["CARTWRIGHT_ORDER_ORPHAN_TTL"] = "45s"
        node.crash_plan = self.test.directory / f"crash-{self.kind}-{name}"
        node.environment["CRASH_PLAN"] = str(node.crash_plan)
        node.environment |= self.servers.preloaded
        return node

    def start_node(self, name, ready=None):
        node = self.nodes[name]
        node.crash_plan.unlink(missing_ok=True)
        node.start(ready)
        self.ports[name] = node.port

    def kill_node(self, name):
        self.nodes[name].kill()
        self.ports[name] = None

    def write_meta(self):
        (self.evidence / "meta.json").write_text(json.dumps({
            "seed": self.seed, "world": self.kind, "prefix": self.prefix, "topics": self.names, "products": sorted(load.STOCKED),
            "payment_ttl": PAYMENT_TTL, "inventory_ttl": INVENTORY_TTL, "broker": self.broker, "database": self.database,
            "redis_port": self.redis_port, "log_was_lost": self.log_was_lost, "canaries": [load.CANARY]}, indent=1))

    def begin(self, rate):
        for name in self.nodes:
            self.start_node(name)
        for node in self.nodes.values():
            node.wait_ready(120)
        self.clients.put_stock("a")
        self.sampler.spawn()
        self.clients.start(rate)

    # -- what is seen meanwhile

    def count(self, where):
        return self.store.rows("order", f"orders WHERE {where}", "count(*) AS n")[0]["n"]

    def try_count(self, where):
        try:
            return self.count(where)
        except Exception:  # the store may be away
            return None

    def open_orders(self):
        """The ids of orders that have not ended, less those that wait for a gateway that never answers."""
        return {row["key"] for row in self.store.rows("order", f"orders WHERE open = 1 AND {NEVER}", "key")}

    def ended(self):
        return self.count("open = 0 AND version > 1")

    def note(self, what):
        with open(self.evidence / "faults.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"wall": int(time.time() * 1000), "what": what}) + "\n")
        lib.step(f"  {self.kind}: {what}")

    def collect(self, *more):
        done = subprocess.run([sys.executable, str(HERE / "checker" / "collect"), str(self.evidence), *more], capture_output=True, text=True,
                              timeout=180)
        if done.returncode != 0:
            raise Failed(f"the evidence cannot be collected: {done.stderr[-1500:]}")

    def death(self):
        """No node lives now: what the groups have committed against what the stores know."""
        if not any(node.alive() for node in self.nodes.values()):
            self.collect("--death")

    def progress(self, ended_before, wanted, seconds=90):
        """At least so many orders have ended since the last strike: a fault must hit a system that works."""
        last = [0]

        def there():
            now = self.try_count("open = 0 AND version > 1")
            last[0] = last[0] if now is None else now - ended_before
            return last[0] >= wanted

        wait_until(there, seconds, lambda: f"{wanted} orders end after the last fault; {last[0]} did\n" +
                   "\n".join(node.tail(8) for node in self.nodes.values()), 0.2)
        return last[0]

    def works_again(self, seconds=90):
        """An order placed now is shipped. Returns (seconds until every node was ready, until the order was shipped)."""
        began, name = time.monotonic(), sorted(self.nodes)[0]
        for node in self.nodes.values():
            node.wait_ready(seconds)
        ready = time.monotonic() - began
        number, _, body = self.clients.new_order()
        body = {"product_id": "bolt", "quantity": 1, "user_id": body["user_id"], "payment_token": "tok_ok"}
        placed = [None]

        def shipped():
            if placed[0] is None:
                kind, order_id = self.clients.place(number, name, body, f"key-{number}")
                placed[0] = order_id if kind == "ok" else None
            if placed[0] is None:
                return False
            found = self.store.rows("order", f"orders WHERE key = '{placed[0]}'", "state")
            return bool(found) and found[0]["state"] == "shipped"

        wait_until(shipped, seconds, lambda: f"an order placed after the fault is shipped: {placed[0]}\n{self.nodes[name].tail(12)}", 0.1)
        return ready, time.monotonic() - began

    def settle(self, seconds):
        """Until every order has ended; returns how many have not."""
        left, end, since = None, time.monotonic() + seconds, None
        while time.monotonic() < end:
            left = self.try_count(f"(open = 1 AND {NEVER}) OR state IN ('pending', 'inventory_reserved', 'paid')")
            # An order that was placed by a record alone is in no store before the record is read: none for a while, not none just now.
            since = None if left != 0 else since or time.monotonic()
            if since and time.monotonic() - since > 4:
                return 0
            time.sleep(0.3)
        return left

    def finish(self, seconds):
        """Ends the load, waits for everything to end, reads what clients are told, ends the nodes, collects."""
        self.clients.stop()
        lib.check(not self.clients.broken, "the clients can do what they are to do", self.clients.broken[:1])
        left = self.settle(seconds)
        lib.step(f"  {self.kind}: the load has ended ({self.clients.placed} acknowledged, answers {dict(self.clients.said)}); {left} orders have not")
        # What is behind an order's end (stock told, notices, the tail of each topic) is done when the groups have read everything.
        time.sleep(2)
        for name in self.nodes:
            self.clients.final_reads(name)
        self.sampler.kill()
        for name, node in self.nodes.items():
            code = node.terminate(60)
            if code != 0:
                raise Failed(f"the node {name} ended with {code} after SIGTERM\n{node.tail()}")
        self.history.flush()
        self.write_meta()
        self.collect()
        for name, node in self.nodes.items():
            shutil.copy(node.log, self.evidence / "logs" / f"{name}.log")

    def end(self):
        """Lets go of everything that is this world's alone."""
        self.clients.stopping.set()
        for process in self.test.processes:
            if f"{self.kind}-" in process.name or process.name.endswith(f"-{self.kind}"):
                process.kill()
        self.servers.call(f"stop_redis {self.redis}")
