"""The shipped monitoring against the real thing: Prometheus scrapes a whole server, alerts and dashboard are asked."""

from __future__ import annotations

import contextlib
import json
import re
import smtplib
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import machines
from server import Server, free_ports, until

ROOT = Path(__file__).parent.parent.parent
MONITORING = ROOT / "docker/monitoring"
DASHBOARD = ROOT / "docker/grafana/dashboards/mailhooks.json"

SECONDS = 150
# What comes from the exporters beside mailhooks, which no test machine has.
OF_OTHERS = ("container_", "postfix_")

TOKEN = "scrape-me"


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_configuration_and_rules():
    promtool("check", "config", "--syntax-only", str(MONITORING / "prometheus.yml"))
    assert "SUCCESS" in promtool("check", "rules", str(MONITORING / "rules.yml"))


def test_every_alert_fires_on_a_bad_day_and_none_on_a_good_one():
    promtool("test", "rules", str(MONITORING / "rules.test.yml"))
    tested = set(re.findall(r'alertname="(\w+)"', (MONITORING / "rules.test.yml").read_text()))
    assert tested == set(re.findall(r"alert: (\w+)", (MONITORING / "rules.yml").read_text()))


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [each for each in found if not any(name in each for name in OF_OTHERS)]


def test_the_dashboard_has_its_rows_and_names_only_alerts_that_exist():
    rows = [panel["title"] for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] == "row"]
    assert rows == [
        "Is mail flowing?",
        "Are people getting in?",
        "Are lookups healthy?",
        "Who is limited?",
        "Is the machine well?",
    ]
    named = set(re.findall(r"Mailhooks\w+", "".join(panel["description"] for panel in panels())))
    assert named <= set(re.findall(r"alert: (\w+)", (MONITORING / "rules.yml").read_text()))
    (source,) = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert f"uid: {source}\n" in (ROOT / "docker/grafana/provisioning/datasources/prometheus.yml").read_text()


def test_a_bound_of_an_exporters_histogram_is_asked_for_as_prometheus_2_and_3_spell_it():
    """Prometheus 3 stores le="1000" as le="1000.0"; the daemon's own bounds are told as floats always."""
    bounds = [re.findall(r'le=(~?"[^"]*")', target["expr"]) for panel in panels() for target in panel["targets"]]
    assert [bound for found in bounds for bound in found] == [r'~"1000(\\.0)?"']


class Prometheus:
    """A Prometheus on loopback that scrapes one server, with the shipped configuration."""

    def __init__(self, directory: Path, server: Server) -> None:
        (self.port,) = free_ports(1)
        config = (MONITORING / "prometheus.yml").read_text().partition("  - job_name: postfix")[0]
        for shipped, here in (
            ("mail:9465", f"127.0.0.1:{server.port['http']}"),
            ("/run/secrets/metrics_token", str(server.host("etc/token"))),
            ("15s", "1s"),
            ("rules.yml", str(MONITORING / "rules.yml")),
        ):
            assert shipped in config
            config = config.replace(shipped, here)
        (directory / "prometheus.yml").write_text(config)
        files = (f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data")
        self.process = subprocess.Popen(
            ["prometheus", *files, f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
            stdin=subprocess.DEVNULL,
        )

    def get(self, path: str, **parameters: str) -> Any:
        text = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{text}", timeout=30) as answer:
            return json.load(answer)["data"]

    def ask(self, query: str) -> list[Any]:
        """Return the samples that a query finds now; none while Prometheus is starting."""
        with contextlib.suppress(OSError):
            return self.get("query", query=query.replace("$__rate_interval", "1m"))["result"]
        return []

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    machine = machines()["here"]
    if missing := machine.missing():
        pytest.fail(f"not installed: {', '.join(missing)}; `make test` brings it")
    running = Server(machine, settings={"log": {"count_lines": True}})
    running.settings["http"] = {"token_file": f"{running.root}/etc/token"}
    running._write_configuration()
    token = running.host("etc/token")
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    with running:
        running.furnish()
        running.stop()
        running.start()  # objects are counted at the start, and then once a minute
        yield running


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), server)
    yield running
    running.close()


@pytest.mark.e2e
def test_every_query_of_the_dashboard_returns_data(server: Server, prometheus: Prometheus):
    server.deliver("seen by Prometheus", "adam@example1.com")
    server.arrives("seen by Prometheus", "adam@example1.com")
    with server.submit("adam@example1.com") as client:
        client.sendmail("adam@example1.com", ["bob@example1.com"], "Subject: x\r\n\r\nx\r\n")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.submit("adam@example1.com", "wrong")
    without = queries()
    assert len(without) > 25

    def all_answered() -> bool:
        without[:] = [query for query in without if not prometheus.ask(query)]
        return not without

    try:
        until("every query has data", all_answered, SECONDS)
    except AssertionError as error:
        raise AssertionError(f"without data: {without}") from error


@pytest.mark.e2e
def test_the_rules_are_evaluated_and_an_outage_is_seen(server: Server, prometheus: Prometheus):
    until("it scrapes", lambda: prometheus.ask('up{job="mailhooks"} == 1'))
    until("all rules were asked", lambda: all(rule["health"] == "ok" for rule in prometheus.rules()))
    critical = {rule["name"] for rule in prometheus.rules() if rule["labels"]["severity"] == "critical"}
    until(
        "nothing critical is seen",
        lambda: not [rule for rule in prometheus.rules() if rule["name"] in critical and rule["alerts"]],
    )
    away = server.store.with_suffix(".away")
    server.store.rename(away)
    try:
        until(
            "Prometheus sees the outage",
            lambda: [rule for rule in prometheus.rules() if rule["name"] == "MailhooksStoreDown" and rule["alerts"]],
        )
    finally:
        away.rename(server.store)


@pytest.mark.e2e
def test_a_whole_servers_page_is_clean_and_bounded(server: Server):
    request = urllib.request.Request(f"http://127.0.0.1:{server.port['http']}/metrics")
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        page = answer.read().decode()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sum(not line.startswith("#") for line in page.splitlines()) <= 700
    assert "@" not in page
    assert "127.0.0.1" not in page
