"""The faults: each is done to a world under load and has healed when its function returns. All choices come from the fault's
own numbers. Those that bring orders of their own leave the ids of those in flight in one["keys"]."""
import os
import random
import shutil
import signal
import threading
import time

import lib
from lib import check, wait_until

POSTGRES = "postgres"


def victim(world, rng):
    return rng.choice(sorted(world.nodes))


# --- nodes ---


def node_kill(world, one, rng):
    name = victim(world, rng)
    world.kill_node(name)
    world.death()
    world.start_node(name)


def node_killed_twice(world, one, rng):
    """Again while it recovers."""
    name = victim(world, rng)
    for _ in range(2):
        world.kill_node(name)
        world.start_node(name)
        time.sleep(rng.uniform(0.5, 5.0))
    world.kill_node(name)
    world.death()
    world.start_node(name)


def node_terminated(world, one, rng):
    """SIGTERM drains; a second node, or this one again, goes on."""
    name = victim(world, rng)
    code = world.nodes[name].terminate(45)
    world.ports[name] = None
    check(code == 0, "a node that is told to end drains and ends with 0", f"{code}\n{world.nodes[name].tail()}")
    world.death()
    world.start_node(name)


def crash(world, one, rng):
    """kill -9 of itself between two steps of a turn."""
    name = victim(world, rng)
    node = world.nodes[name]
    new = node.crash_plan.with_suffix(".new")
    new.write_text(f"{one['point']} {one['passes']}\n")
    new.rename(node.crash_plan)
    if ".rebuild-" in one["point"]:
        world.servers.call(f"redis-cli -p {world.redis_port} flushall")
    tokens = ["tok_timeout"] * 3 + ["tok_error"] if one["point"].startswith("payment.") else None
    world.clients.batch(one["burst"], name, tokens)
    if tokens is None:
        for _ in range(5):
            world.clients.bare()
    limit = time.monotonic() + 60
    while node.alive() and time.monotonic() < limit:
        if ".rebuild-" in one["point"] and rng.random() < 0.02:  # the other node may have rebuilt it
            world.servers.call(f"redis-cli -p {world.redis_port} flushall")
        time.sleep(0.05)
    check(not node.alive(), f"the node comes by {one['point']} {one['passes']} times", node.tail())
    check(node.child.returncode == -signal.SIGKILL, "the node died of its crash point", f"{node.child.returncode}\n{node.tail()}")
    world.ports[name] = None
    one["keys"] = world.open_orders()
    world.death()
    world.start_node(name)


def node_frozen(world, one, rng):
    """SIGSTOP beyond the session timeout: others take its shards; when it comes back it is a zombie with a full mailbox."""
    name = victim(world, rng)
    node = world.nodes[name]
    world.clients.batch(one["burst"], name)
    node.send(signal.SIGSTOP)
    one["keys"] = world.open_orders()
    time.sleep(one["for"])
    node.send(signal.SIGCONT)


def rebalance_storm(world, one, rng):
    """A third node comes and goes, by SIGTERM or kill -9; sometimes another one with it."""
    storm = world.new_node("storm")
    for _ in range(5):
        storm.start(None)
        time.sleep(rng.uniform(1.0, 5.0))
        if rng.random() < 0.5:
            storm.kill()
        else:
            check(storm.terminate(45) == 0, "a node that is told to end in the middle of a rebalance ends with 0", storm.tail())
        if rng.random() < 0.4:
            name = victim(world, rng)
            world.kill_node(name)
            world.start_node(name)
    shutil.copy(storm.log, world.evidence / "logs" / "storm.log")


# --- Redis ---


def redis_kill(world, one, rng):
    world.servers.call(f"kill_redis {world.redis}")
    time.sleep(one["for"])
    world.servers.call(f"restart_redis {world.redis}")


def redis_frozen(world, one, rng):
    world.servers.call(f"pause_server {world.redis}")
    time.sleep(one["for"])
    world.servers.call(f"resume_server {world.redis}")


def redis_flushall(world, one, rng):
    world.servers.call(f"redis-cli -p {world.redis_port} flushall")


def redis_emptied(world, one, rng):
    world.servers.call(f"kill_redis {world.redis}")
    shutil.rmtree(world.servers.directory / world.redis / "appendonlydir")
    time.sleep(one["for"])
    world.servers.call(f"restart_redis {world.redis}")


def redis_old(world, one, rng):
    """Its disk as it was some hundred orders ago: with orders in it, and with a generation that was once the right one."""
    files = world.servers.directory / world.redis / "appendonlydir"
    old = world.test.directory / "old-redis"
    shutil.rmtree(old, ignore_errors=True)
    world.servers.call(f"kill_redis {world.redis}")
    shutil.copytree(files, old)
    world.servers.call(f"restart_redis {world.redis}")
    before = world.ended()
    world.progress(before, 30)
    world.clients.batch(one["burst"], victim(world, rng))
    one["keys"] = world.open_orders()
    world.servers.call(f"kill_redis {world.redis}")
    shutil.rmtree(files)
    shutil.copytree(old, files)
    world.servers.call(f"restart_redis {world.redis}")


# --- the broker ---


def broker_kill(world, one, rng):
    if world.broker_kind == "embedded":  # its log is in memory: all of it is lost
        world.embedded.kill()
        world.log_was_lost = True
        world.embedded.start()
    else:
        world.servers.call("kill_kafka kafka")
        world.servers.call("restart_kafka kafka")


def broker_frozen(world, one, rng):
    world.servers.call("pause_server kafka")
    time.sleep(8)
    world.servers.call("resume_server kafka")


def all_killed(world, one, rng):
    """The machine goes: node, Redis and broker at once."""
    for name in world.nodes:
        world.kill_node(name)
    world.servers.call(f"kill_redis {world.redis}")
    if world.broker_kind == "embedded":
        world.embedded.kill()
        world.log_was_lost = True
        world.embedded.start()
    else:
        world.servers.call("kill_kafka kafka")
        world.servers.call("restart_kafka kafka")
    for name in world.nodes:  # before Redis: it waits for it
        world.start_node(name)
    time.sleep(one["for"])
    world.servers.call(f"restart_redis {world.redis}")


# --- the store ---


def postgres_restart(world, one, rng):
    """`immediate`: connections are cut, transactions in the middle of a COMMIT are lost or not, and nobody is told which."""
    world.servers.call(f"abort_postgres {POSTGRES}")
    time.sleep(one["for"])
    world.servers.call(f"restart_postgres {POSTGRES}")


def postgres_kill(world, one, rng):
    world.servers.call(f"kill_postgres {POSTGRES}")
    time.sleep(one["for"])
    world.servers.call(f"restart_postgres {POSTGRES}")


def commits_unheard(world, one, rng):
    """COMMITs are done and their answers lost, then PostgreSQL is away: the nodes do not know what is stored."""
    seen = world.proxy.text().count("cut after")
    world.cut_file.touch()
    try:
        def cut():  # with requests of its own, so that orders are among what is committed
            world.clients.batch(10, victim(world, rng))
            return world.proxy.text().count("cut after") > seen

        wait_until(cut, 20, "a COMMIT is cut off")
        time.sleep(one["for"])
    finally:
        world.cut_file.unlink()


def disk_full(world, one, rng):
    """The store cannot grow: the node is not ready and says 503, and goes on by itself."""
    name = victim(world, rng)
    node = world.nodes[name]
    with world.servers.full_disk(world.data):
        last = [None]

        def refuses():
            last[0] = node.try_call("GET", "/readyz", limit=5)
            return last[0] is not None and last[0].status == 503

        wait_until(refuses, 40, lambda: f"a node whose disk is full is not ready: {last[0]}\n{node.tail()}")
        number, _, body = world.clients.new_order()
        kind, _ = world.clients.place(number, name, body, f"key-{number}")
        check(kind != "ok", "a node whose disk is full acknowledges nothing")
        time.sleep(one["for"])
        check(node.alive(), "a node whose disk is full stays up", node.tail())


def ready_says(world, what):
    """Every node is not ready, because of `what`."""
    last = [None]

    def refuses():
        last[0] = [node.try_call("GET", "/readyz", limit=5) for node in world.nodes.values()]
        return all(one is not None and one.status == 503 and what in one.body.decode() for one in last[0])

    wait_until(refuses, 40, lambda: f"the nodes are not ready because of {what}: {[one and one.body for one in last[0]]}")


def redis_disk_full(world, one, rng):
    """Its log cannot grow: it answers MISCONF to whatever writes, and the nodes ask again until it can."""
    with world.servers.full_disk(world.servers.directory / world.redis):
        wait_until(lambda: world.servers.say(f"redis-cli -p {world.redis_port} set chaos-probe 1").startswith("MISCONF"), 30, "Redis refuses to write")
        world.clients.batch(one["burst"], victim(world, rng))
        time.sleep(one["for"])
        check(all(node.alive() for node in world.nodes.values()), "the nodes stay up")


def broker_disk_full(world, one, rng):
    """Kafka gives its log directory up and ends; somebody makes room and starts it again."""
    with world.servers.full_disk(world.servers.directory / "kafka"):
        wait_until(lambda: not world.servers.say("server_alive ${server_pids[kafka]} && echo up").startswith("up"), 60, "Kafka gives up")
        time.sleep(one["for"])
    world.servers.call("restart_kafka kafka")


def postgres_disk_full(world, one, rng):
    """Its log cannot grow: it panics, and cannot recover before there is room."""
    with world.servers.full_disk(world.servers.directory / POSTGRES / "data"):
        ready_says(world, "store")
        time.sleep(one["for"])
    world.servers.call(f"restart_postgres {POSTGRES}")


# --- what comes in ---


def mess(world, one, rng):
    """Poison, copies of records that were written long ago, in any order, and cancellations before their orders."""
    records = [record for record in lib.Kafka(world.broker, world.names).read() if not record.topic.endswith(".dlq")]
    copies = rng.sample(records, min(300, len(records)))
    rng.shuffle(copies)
    for number, record in enumerate(copies):
        # What was rerouted says in a header what it is, and where it lies is where it belongs.
        as_it_was = record.topic == "order.rerouted"
        headers = list(record.headers.items()) if as_it_was or rng.random() < 0.5 else None
        where = {"partition": record.partition} if as_it_was or rng.random() < 0.8 else {}
        world.clients.producer.produce(world.names[record.topic], record.value, record.key, headers=headers, **where)
        world.clients.producer.poll(0)
        if number % 10 == 0:
            world.clients.poison(rng)
        if number % 30 == 0:
            world.clients.bare(early_cancel=True)
    check(world.clients.producer.flush(60) == 0, "everything is written")


def flood(world, one, rng):
    """More than it can take for some seconds: it says so, stays small, and comes back."""
    name = victim(world, rng)
    node, end, peak = world.nodes[name], time.monotonic() + 6, [0]
    before = memory(node)

    def pour():
        while time.monotonic() < end:
            world.clients.batch(1000, name, ["tok_ok"])

    threads = [threading.Thread(target=pour, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak[0] = max(peak[0], memory(node))
        time.sleep(0.2)
    one["note"] = f"resident memory {before} MB before, {peak[0]} MB at most"
    check(peak[0] < before + 1500, "memory has a bound under a flood", one["note"])


def memory(node):
    with open(f"/proc/{node.child.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000


ALL = {"node-kill": node_kill, "node-killed-twice": node_killed_twice, "node-terminated": node_terminated, "crash": crash,
       "node-frozen": node_frozen, "rebalance-storm": rebalance_storm, "redis-kill": redis_kill, "redis-frozen": redis_frozen,
       "redis-flushall": redis_flushall, "redis-emptied": redis_emptied, "redis-old": redis_old, "broker-kill": broker_kill,
       "broker-frozen": broker_frozen, "all-killed": all_killed, "postgres-restart": postgres_restart, "postgres-kill": postgres_kill, "commits-unheard": commits_unheard,
       "disk-full": disk_full, "redis-disk-full": redis_disk_full, "broker-disk-full": broker_disk_full,
       "postgres-disk-full": postgres_disk_full, "mess": mess, "flood": flood}


def strike(world, one):
    ALL[one["kind"]](world, one, random.Random(one["seed"]))
