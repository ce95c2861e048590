"""What is done to which world and when: a pure function of the seed and the form, so that a seed replays a schedule."""
import random

# Where a node can be told to crash (crash/points.hpp), and up to which pass.
POINTS = {"order.after-decide": 40, "order.after-commit": 40, "order.after-placing": 25,
          "inventory.after-decide": 15, "inventory.after-commit": 15, "inventory.before-act": 15, "inventory.after-act": 15,
          "inventory.rebuild-begun": 1, "inventory.rebuild-filled": 1,
          "payment.after-decide": 15, "payment.after-commit": 15, "payment.before-act": 10, "payment.after-act": 10,
          "shipping.after-commit": 10, "shipping.before-act": 10, "shipping.after-act": 10,
          "notification.after-commit": 10, "after-publish": 60}

# The worlds: broker, store, nodes.
WORLDS = {"one": ("kafka", "sqlite", 1), "embedded": ("embedded", "sqlite", 1), "two": ("kafka", "postgresql", 2)}

EVERYWHERE = ["node-kill", "redis-kill", "redis-old", "redis-emptied", "redis-flushall", "redis-frozen", "redis-disk-full", "broker-kill"]
FAULTS = {"one": EVERYWHERE + ["broker-frozen", "broker-disk-full", "all-killed", "disk-full", "mess", "flood", "node-terminated", "node-killed-twice"],
          "embedded": EVERYWHERE + ["all-killed"],
          "two": EVERYWHERE + ["node-frozen", "broker-frozen", "postgres-restart", "postgres-kill", "postgres-disk-full", "commits-unheard", "rebalance-storm", "mess",
                               "node-terminated"]}


def fault(rng, kind, point=None):
    one = {"kind": kind, "pause": round(rng.uniform(0.0, 0.4), 3), "burst": rng.choice([60, 120, 200]), "seed": rng.randrange(1 << 30)}
    if kind == "crash":
        one["point"] = point
        one["passes"] = rng.randint(1, POINTS[point])
    if kind in ("redis-kill", "redis-emptied", "redis-frozen", "broker-frozen", "disk-full", "postgres-restart", "postgres-kill", "all-killed",
                "commits-unheard", "redis-disk-full", "broker-disk-full", "postgres-disk-full"):
        one["for"] = round(rng.uniform(1.0, 4.0), 2)
    if kind == "node-frozen":
        one["for"] = round(rng.uniform(8.0, 12.0), 2)  # the session timeout is 6 s
    return one


def crashes(rng, count):
    names = sorted(POINTS)
    rng.shuffle(names)
    return [fault(rng, "crash", name) for name in (names * 2)[:count]]


def short(rng):
    """About two minutes: one fault of each family; which crash points, and all moments, are the seed's."""
    one = crashes(rng, 1) + [fault(rng, "crash", "payment.after-act"), fault(rng, rng.choice(["redis-old", "redis-emptied"])),
                             fault(rng, "broker-kill"), fault(rng, "disk-full"), fault(rng, "redis-disk-full"), fault(rng, "mess")]
    two = [fault(rng, "node-frozen"), fault(rng, "postgres-restart"), fault(rng, "commits-unheard"),
           fault(rng, "redis-flushall")]
    embedded = [fault(rng, "broker-kill")]
    for faults in (one, two):
        rng.shuffle(faults)
    return [{"world": "embedded", "faults": embedded}, {"world": "one", "faults": one}, {"world": "two", "faults": two}]


def long(rng):
    """Every fault of every world, every crash point."""
    worlds = []
    for world in WORLDS:
        points = sorted(POINTS) if world != "two" else [name for name in sorted(POINTS) if rng.random() < 0.4]
        faults = [fault(rng, kind) for kind in FAULTS[world]] + [fault(rng, "crash", point) for point in points]
        rng.shuffle(faults)
        worlds.append({"world": world, "faults": faults})
    return worlds


def schedule(form, seed, worlds=None, kinds=None):
    """[{world, faults}]. `worlds` and `kinds` leave out what is not named; the rest stays as the seed has it. A kind may name
    a crash point: crash@payment.after-act."""
    plan = {"short": short, "long": long}[form](random.Random(seed))
    for one in plan:
        one["faults"] = [each for each in one["faults"] if not kinds or each["kind"] in kinds or f"crash@{each.get('point')}" in kinds]
    return [one for one in plan if one["faults"] and (not worlds or one["world"] in worlds)]


def name_of(one):
    text = one["kind"] + (f" at {one['point']}, pass {one['passes']}" if "point" in one else "")
    return text + (f" for {one['for']} s" if "for" in one else "")
