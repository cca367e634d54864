"""The expressions of examples/containers' dashboard and alerts, for tests/containers/metrics and tests/containers/run: Python's standard library only.

Happy path: alerts() and dashboard() give pairs of a place, for people, and an expression as Prometheus takes it: what Grafana puts in is put in.
Failure: a file that is not as expected ends as Wrong, with the file's name.
"""

import json
import os
import re

HERE = os.path.dirname(os.path.realpath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
FOLDER = os.path.join(PROJECT, "examples", "containers")
ALERTS = os.path.join(FOLDER, "alerts.yml")
DASHBOARD = os.path.join(FOLDER, "grafana", "dashboards", "cashewd.json")
GRAFANA = {"$__rate_interval": "5m", "$__range": "3h", "$job": "cashewd"}


class Wrong(Exception):
    pass


def alerts():
    """Each rule's expression stands on one line: there is no YAML in the standard library."""
    found, name = [], None
    with open(ALERTS, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if match := re.match(r"\s+- alert: (\w+)$", line):
                name = match.group(1)
            elif match := re.match(r"\s+expr:\s*(.*)$", line):
                if not match.group(1) or match.group(1)[0] in "|>\"'":
                    raise Wrong(f"{ALERTS}:{number}: expected an expression on one line, without quotes")
                found.append((f"alert {name}", match.group(1)))
    if not found:
        raise Wrong(f"{ALERTS}: there is no expression")
    return found


def put_in(expression):
    for name, value in GRAFANA.items():
        expression = expression.replace(name, value)
    if "$" in expression:
        raise Wrong(f"{DASHBOARD}: {expression}: a variable that no test knows; known are {', '.join(GRAFANA)}")
    return expression


def dashboard():
    try:
        with open(DASHBOARD, encoding="utf-8") as file:
            board = json.load(file)
    except ValueError as error:
        raise Wrong(f"{DASHBOARD}: {error}") from None
    found, ids = [], set()
    for panel in board["panels"]:
        if panel["id"] in ids:
            raise Wrong(f"{DASHBOARD}: two panels have the id {panel['id']}")
        ids.add(panel["id"])
        if not panel.get("description") or not panel.get("targets"):
            raise Wrong(f"{DASHBOARD}: the panel {panel['title']} has no description or no expression")
        found += [(f"panel {panel['title']}", put_in(target["expr"])) for target in panel["targets"]]
    found += [(f"annotation {note['name']}", put_in(note["expr"])) for note in board["annotations"]["list"]]
    for variable in board["templating"]["list"]:
        values = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        if not values:
            raise Wrong(f"{DASHBOARD}: the variable {variable['name']}: expected label_values(METRIC, LABEL)")
        found.append((f"variable {variable['name']}", f"group by ({values.group(2)}) ({values.group(1)})"))
    return found
