"""The rows of the benchmark: who is measured with what, and the targets. What --beside compares, beside.py says."""

from dataclasses import dataclass, field

PHASES = ("saturated", "rate")


@dataclass(frozen=True)
class Case:
    """One program under one load."""

    name: str
    kind: str  # cashewd, echo, bare, broker (alone), database (alone)
    mode: str  # of the load generator
    tls: bool = False
    workers: int = 8
    binary: str = "cashewd"
    build: str = ""  # folder of another build to take the binary from; "": the one that is measured
    phases: tuple = PHASES


@dataclass(frozen=True)
class Target:
    """`figure` of `case` divided by that of `reference`, pairwise per repetition; the median counts."""

    case: str
    reference: str
    phase: str  # saturated, rate
    figure: str  # per_second: at least `limit`; cpu: at most `limit`
    limit: float


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    cases: tuple
    rate: float  # commands a second of the second phase
    targets: tuple
    store: bool = False  # the database is made anew before each case
    groups: tuple = ()  # with --beside: which cases take turns


def cpu(case, reference, limit):
    return tuple(Target(case, reference, phase, "cpu", limit) for phase in PHASES)


def as_fast_as_bare():
    return (Target("cashewd", "bare", "saturated", "per_second", 0.95), *cpu("cashewd", "bare", 1.15))


def store_row(mode):
    return Row(mode, f"{mode}: 8 workers, the database with w=majority and journal",
               (Case("database alone", "database", mode), Case("bare", "bare", mode), Case("cashewd", "cashewd", mode)),
               300, as_fast_as_bare(), store=True)


ROWS = (
    Row("get_apples", "get_apples: a handler that never waits",
        # Those that are compared stand side by side: the machine changes over minutes.
        (Case("broker alone", "broker", "loopback"),
         Case("echo TLS", "echo", "get_apples", tls=True),
         Case("echo", "echo", "get_apples"),
         Case("cashewd, light", "cashewd", "get_apples"),
         Case("cashewd TLS, light", "cashewd", "get_apples", tls=True),
         Case("cashewd TLS, workers", "cashewd", "get_apples_worker", tls=True, binary="cashewd-bench"),
         Case("cashewd, workers", "cashewd", "get_apples_worker", binary="cashewd-bench"),
         Case("bare, workers", "bare", "get_apples_worker")),
        2000,
        (*cpu("cashewd, light", "echo", 0.90), *cpu("cashewd, workers", "echo", 1.25),
         *cpu("cashewd TLS, light", "echo TLS", 0.90), *cpu("cashewd TLS, workers", "echo TLS", 1.25),
         *cpu("cashewd TLS, light", "cashewd, light", 1.15), *cpu("cashewd TLS, workers", "cashewd, workers", 1.15))),
    Row("sleep5", "a handler that sleeps 5 ms: 128 workers",
        (Case("bare", "bare", "sleep5", workers=128),
         Case("cashewd", "cashewd", "sleep5", workers=128, binary="cashewd-bench")),
        2000, as_fast_as_bare()),
    store_row("request_contact"),
    store_row("get_contact_list"),
)

# Rows of another shape; see run.
MEMORY_LIMIT = 16_000_000  # bytes of resident memory, with 8 workers and TLS
GROWTH_LIMIT = 256 * 1024  # bytes that do not count as growth over a million commands
START_LIMIT_MS = 200
QUERY_LIMIT = 2.0  # time over 20,000 documents by time over 200
OTHER_ROWS = ("memory", "start", "queries", "saves", "window", "naps")
BESIDE_ROWS = ("window", "naps")  # of these, what --beside measures too
NAMES = tuple(row.name for row in ROWS) + OTHER_ROWS


@dataclass
class Verdict:
    text: str
    reached: bool | None  # None: not measured
    values: list = field(default_factory=list)
