"""The brokers that cashewd is tried beside: what each needs, how it is built and started, killed and started again.

Happy path: missing() is None, prepare() puts what it needs into BUILD/brokers/NAME, once; start() returns when a handler's token gets in.
All of them listen on 127.0.0.1 alone, with TLS, verify tokens with JWT_SECRET and let a user do nothing but what lies below its id: by the
configuration files in the folder of that name here. Failure: Failed, with the end of what the broker said.
"""

import fcntl
import glob
import hashlib
import os
import shutil
import signal
import subprocess
import time

from mqtt import Client
from programs import NO_QUOTAS, Failed, free_port
from rabbitmq.authorities import Authorities

HERE = os.path.dirname(os.path.realpath(__file__))
UP_LIMIT_S = 180
KEYS_PASSWORD = "cashew"  # of a file that lies beside the key itself
PROBE = "cashewd-probe"  # a client id that only a handler may use
JAVA_OPENS = ["--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
              "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
              "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED"]


def needs(*names, group=""):
    """None, or what is missing on PATH."""
    missing = [name for name in names if not shutil.which(name)]
    return f"there is no {' and no '.join(missing)} on PATH{group}" if missing else None


def run(arguments, folder, what):
    done = subprocess.run(arguments, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{what} (without a network it does):\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


class Broker:
    """One broker, with a state that outlives its process."""

    name, title, versions = "", "", (4,)
    dotted = True  # client ids may have a dot
    java = False
    pair = False  # a primary and its backup on one store: the row of that is played, and no other
    divides = False  # the rows of SHARED_GROUP are played
    keeps_for_dead = False  # what it gave to a host that died waits for that one, and goes to no other
    cannot = {}  # row -> {how a finding begins: why it is the broker's own}

    def __init__(self, programs):
        self.programs = programs
        self.own = os.path.join(HERE, self.name)
        self.built = os.path.join(os.path.dirname(programs.build), "brokers", self.name)
        self.state = os.path.join(programs.folder, self.name)
        self.port = self.host_port = 0
        self.program = None

    def missing(self):
        """None where its toolchain is here; else what is not."""
        return None

    def prepare(self):
        """Builds it, unless that has been done for the same files. Two runs may do so at once."""
        wanted = hashlib.sha256()
        for path in sorted(glob.glob(os.path.join(self.own, "*.*"))) + sorted(glob.glob(os.path.join(HERE, "java", "*.java"))):
            with open(path, "rb") as file:
                wanted.update(file.read())
        os.makedirs(self.built, exist_ok=True)
        with open(self.built + ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            mark = os.path.join(self.built, "built")
            if os.path.exists(mark):
                with open(mark, encoding="utf-8") as file:
                    if file.read() == wanted.hexdigest():
                        return
            self.make()
            with open(mark, "w", encoding="utf-8") as file:
                file.write(wanted.hexdigest())

    def make(self):
        pass

    # ---- running ----

    def configuration(self, name, written_as=""):
        """The file of that name with what is between @ filled in; its path, which may have another name."""
        values = {"PORT": self.port, "STATE": self.state, "CERTIFICATE": os.path.join(self.programs.certificates, "server.crt"),
                  "KEY": os.path.join(self.programs.certificates, "server.key"), "CA": self.programs.ca, "KEYS": self.keys(),
                  "KEYS_PASSWORD": KEYS_PASSWORD, **self.values()}
        with open(os.path.join(self.own, name), encoding="utf-8") as file:
            text = file.read()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        os.makedirs(self.state, exist_ok=True)
        path = os.path.join(self.state, written_as or name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def values(self):
        return {}

    def keys(self):
        """Certificate and key as Java wants them."""
        path = os.path.join(self.programs.certificates, "server.p12")
        if self.java and not os.path.exists(path):
            run(["openssl", "pkcs12", "-export", "-in", os.path.join(self.programs.certificates, "server.crt"), "-inkey",
                 os.path.join(self.programs.certificates, "server.key"), "-out", path, "-passout", f"pass:{KEYS_PASSWORD}"], None, "openssl failed")
        return path

    def environment(self):
        return {**os.environ, "JWT_SECRET": self.programs.secret}

    def command(self):
        raise NotImplementedError

    def launch(self):
        self.program = self.programs.start(self.name, self.command(), self.environment())

    def start(self):
        """Also after kill(), with the same state and port. The seconds that it took."""
        began = time.monotonic()
        self.port = self.port or free_port()
        self.host_port = self.host_port or self.port
        self.launch()
        return self.await_login(began)

    def await_login(self, began):
        """Until a handler's token gets in: the seconds since `began`."""
        token = self.programs.token("handler", "probe")
        while True:
            try:
                Client(self.port, self.programs.ca, PROBE, token, version=4).close()
                return time.monotonic() - began
            except (OSError, Failed) as failure:
                if self.program.process.poll() is not None or time.monotonic() - began > UP_LIMIT_S:
                    raise Failed(f"{self.name} does not come up ({failure}):\n{self.program.tail()}") from None
                time.sleep(0.05)

    def kill(self):
        """SIGKILL to all of its processes; their end."""
        if not self.program:
            return
        for pid in self.program.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass  # it has ended meanwhile
        self.program.process.wait()
        if self.program in self.programs.running:
            self.programs.running.remove(self.program)
        self.program = None

    def close(self):
        self.kill()


class Mosquitto(Broker):
    name, title, versions = "mosquitto", "mosquitto with the plugin of examples/broker", (4, 5)
    divides = keeps_for_dead = True

    def missing(self):
        return needs("mosquitto", group=": examples/packages/install")

    def launch(self):
        self.program, self.port = self.programs.start_broker(True, self.state, self.port, self.host_port)
        self.host_port = self.programs.handler_port

    def start(self):
        self.host_port = self.host_port or free_port()
        return super().start()


class Aedes(Broker):
    name, title = "aedes", "Aedes, sessions in memory"
    overtakes = {"out of order": "new messages overtake those that it sends again: see redelivery"}
    cannot = {"redelivery": {"sent again out of order": "new messages overtake those that it sends again"}, "host killed": overtakes,
              "links cut": overtakes, "broker killed": {"the session is new": "its sessions are in memory"}}

    def missing(self):
        return needs("node", "npm")

    def make(self):
        """Only what the lock file says, and none of its scripts is run."""
        for name in ("package.json", "package-lock.json", "broker.mjs"):
            shutil.copy(os.path.join(self.own, name), self.built)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"], self.built, "npm ci failed")

    def command(self):
        certificates = self.programs.certificates
        return ["node", os.path.join(self.built, "broker.mjs"), str(self.port), os.path.join(certificates, "server.crt"),
                os.path.join(certificates, "server.key")]


class Nats(Broker):
    name, title = "nats", "NATS server with JetStream"
    dotted = False
    late = {"out of order": "what a host held comes again after ack_wait, behind what is newer"}
    cannot = {"redelivery": {"sent again out of order": "what a client held comes again after ack_wait, behind what is newer"}, "host killed": late,
              "links cut": late, "broker killed": late, "doctor": {"names: SECURITY HOLE": "an embedded login is not told the client id"}}

    def missing(self):
        return needs("go")

    def make(self):
        run(["go", "build", "-o", os.path.join(self.built, "nats"), "."], self.own, "go build failed")

    def values(self):
        return {"CLIENT_PORT": free_port()}

    def command(self):
        return [os.path.join(self.built, "nats"), self.configuration("nats.conf")]


class Java(Broker):
    """Embedded, from Maven."""

    java, main, options = True, "", ()

    def missing(self):
        return needs("java", "javac", "mvn")

    def make(self):
        libraries = os.path.join(self.built, "lib")
        run(["mvn", "-B", "-q", "-f", os.path.join(self.own, "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={libraries}"],
            self.built, "mvn failed")
        sources = glob.glob(os.path.join(self.own, "*.java")) + glob.glob(os.path.join(HERE, "java", "*.java"))
        run(["javac", "-nowarn", "-d", os.path.join(self.built, "classes"), "-cp", os.path.join(libraries, "*"), *sources], self.built, "javac failed")
        shutil.rmtree(os.path.join(self.own, "target"), ignore_errors=True)

    def command(self):
        path = os.pathsep.join((os.path.join(self.built, "classes"), os.path.join(self.built, "lib", "*")))
        level = "info" if self.pair else "warn"
        return ["java", "-Xmx512m", *self.options, *JAVA_OPENS, f"-Dorg.slf4j.simpleLogger.defaultLogLevel={level}", "-cp", path, self.main, *self.arguments()]

    def arguments(self):
        return []


class Artemis(Java):
    name, title, versions, main = "artemis", "Apache ActiveMQ Artemis, embedded", (4, 5), "ArtemisBroker"
    divides = True
    shuffles = {"out of order": "now and then it sends neighbours of one user in another order: a bare client sees that, too"}
    cannot = {"broker killed": shuffles,
              "shared back": {"done twice without a reason": "a session's SUBSCRIBE makes a new consumer of a group, and what the old one had in flight comes "
                              "again, as new messages, to any member"}}

    def values(self):
        return {"HA_POLICY": ""}

    def arguments(self):
        return [self.configuration("broker.xml")]


class ArtemisPair(Artemis):
    """A primary, and a backup that waits for the lock on their store, and then listens where the primary did."""

    name, title = "artemis-pair", "Apache ActiveMQ Artemis, a primary and its backup on one store"
    pair, divides = True, False
    cannot = {"failover": Artemis.shuffles}
    options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # the backup begins cold, where a service's has its time
    waits = "AMQ221109"  # what the backup says when it waits

    def __init__(self, programs):
        super().__init__(programs)
        self.own = os.path.join(HERE, Artemis.name)
        self.built = os.path.join(os.path.dirname(self.built), Artemis.name)
        self.role, self.backup = "primary", None

    def values(self):
        return {"HA_POLICY": f"<ha-policy><shared-store><{self.role}/></shared-store></ha-policy>"}

    def arguments(self):
        return [self.configuration("broker.xml", f"{self.role}.xml")]

    def start(self):
        """Both."""
        took_s, primary = super().start(), self.program
        self.role = "backup"
        self.launch()
        self.program, self.backup = primary, self.program
        began = time.monotonic()
        while self.waits not in self.backup.output():
            if self.backup.process.poll() is not None or time.monotonic() - began > UP_LIMIT_S:
                raise Failed(f"the backup does not come up:\n{self.backup.tail()}")
            time.sleep(0.05)
        return took_s

    def fail_over(self):
        """SIGKILL to the primary; the seconds until the backup lets a client in."""
        began = time.monotonic()
        self.kill()
        self.program, self.backup = self.backup, None
        return self.await_login(began)

    def close(self):
        self.kill()
        self.program, self.backup = self.backup, None
        self.kill()


class HiveMq(Java):
    name, title, versions, main = "hivemq", "HiveMQ CE, embedded", (4, 5), "HiveMqBroker"

    def arguments(self):
        self.configuration("config.xml")
        for name in ("data", "extensions"):
            os.makedirs(os.path.join(self.state, name), exist_ok=True)
        return [self.state]


class RabbitMq(Broker):
    name, title = "rabbitmq", "RabbitMQ"
    cannot = {"story": {"ids of 64 characters with | and .": "a dot in a topic is a slash to it"}}

    def __init__(self, programs):
        super().__init__(programs)
        self.authorities = self.epmd = None

    def script(self):
        """The server's own script: Debian's in /usr/sbin wants to be the package's user."""
        return next(iter(sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))), None)

    def missing(self):
        return None if self.script() and shutil.which("epmd") else "there is no rabbitmq-server: examples/packages/install brokers"

    def values(self):
        return {"AUTHORITIES": self.authorities.port}

    def environment(self):
        return {**os.environ, "HOME": self.state, "RABBITMQ_NODENAME": "cashew@localhost", "RABBITMQ_CONFIG_FILE": os.path.join(self.state, "rabbitmq.conf"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(self.state, "enabled_plugins"), "RABBITMQ_MNESIA_BASE": os.path.join(self.state, "data"),
                "RABBITMQ_LOG_BASE": os.path.join(self.state, "log"), "RABBITMQ_LOGS": "-", "RABBITMQ_CONF_ENV_FILE": os.path.join(self.state, "none"),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}", "RABBITMQ_DIST_PORT": str(self.dist_port),
                "RABBITMQ_GENERATED_CONFIG_DIR": os.path.join(self.state, "config"), "RABBITMQ_SCHEMA_DIR": os.path.join(self.state, "schema"),
                "ERL_EPMD_PORT": str(self.epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}

    def launch(self):
        os.makedirs(self.state, exist_ok=True)
        self.authorities = self.authorities or Authorities(self.programs.secret)
        if not self.epmd:
            # Else the node starts one that outlives it.
            self.epmd_port, self.dist_port = free_port(), free_port()
            self.epmd = self.programs.start("epmd", ["epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port)])
        self.configuration("rabbitmq.conf")
        self.configuration("enabled_plugins")
        super().launch()

    def command(self):
        return [self.script()]

    def close(self):
        super().close()
        if self.epmd:
            self.epmd.end()
            self.programs.running.remove(self.epmd)
            self.epmd = None
        if self.authorities:
            self.authorities.close()
            self.authorities = None


BROKERS = (Mosquitto, RabbitMq, Aedes, Nats, Artemis, ArtemisPair, HiveMq)
