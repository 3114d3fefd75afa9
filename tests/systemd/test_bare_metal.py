"""The distribution's own services, mailhooks beside them as a service of systemd."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from systemd_host import ROOT, Host, until

ADAM = "adam@example.com"
TRAFFIC = Path(__file__).with_name("traffic_program.py").read_text()
UNITS = "/usr/local/lib/systemd/system"
LOGINS = "split/mailhooks-logins.service"
FILTER = ROOT / "mailhooks/fail2ban/filter.d/mailhooks.conf"
RESTARTS = 20
KILLS = 3

UNNOTICED = {"unknown 550", "known 250", "submission 235", "imap OK"}
# What is heard of a daemon that is killed. Dovecot 2.3 says the last itself when the auth socket closes while it waits
# (auth-client-connection.c).
TEMPORARY = ("451", "454", "421", "UNAVAILABLE", "EOF", "BYE", "closed", "timed out", "AUTHENTICATIONFAILED")

SEND = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, timeout=100) as client:
    message = f"From: joe@sender.test\\nSubject: {sys.argv[1]}\\n\\nhello\\n"
    client.sendmail("joe@sender.test", ["adam@example.com"], message)
"""

SUBJECTS = """
import imaplib, json, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
subjects = []
with imaplib.IMAP4_SSL("127.0.0.1", 993, ssl_context=context, timeout=100) as client:
    client.login("adam@example.com", sys.argv[1])
    for folder in ("INBOX", "Junk"):
        if client.select(folder, readonly=True) == ("OK", [b"0"]) or client.state != "SELECTED":
            continue
        _, found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        subjects += [part[1].decode().removeprefix("Subject: ").strip() for part in found if isinstance(part, tuple)]
print(json.dumps(subjects))
"""


COPY_TO_JUNK = """
import imaplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with imaplib.IMAP4_SSL("127.0.0.1", 993, ssl_context=context, timeout=100) as client:
    client.login("adam@example.com", sys.argv[1])
    client.select("INBOX")
    assert client.copy("1", "Junk")[0] == "OK"
"""

PRIORITIES = """
import os, sys
print([os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in os.listdir(f"/proc/{sys.argv[1]}/task")])
"""

ASK_HTTP = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=100).read().decode())
"""

GUESS = """
import smtplib, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP("127.0.0.1", 587, timeout=100) as client:
    client.starttls(context=context)
    try:
        client.login("adam@example.com", "guessed")
    except smtplib.SMTPAuthenticationError as refused:
        assert refused.smtp_code == 535, refused
"""

# The daemon, with a signal that keeps the thread which answers busy for longer than the watchdog waits.
BLOCKED = """
import signal, time
from mailhooks.cli import main

def block(*_):
    time.sleep(600)

signal.signal(signal.SIGUSR2, block)
main(["serve"])
"""


def subjects(host: Host) -> list[str]:
    heard: list[str] = json.loads(host.python(SUBJECTS, host.passwords[ADAM]))
    return heard


def traffic(host: Host, command: str, times: int) -> tuple[dict[str, int], list[str]]:
    result = json.loads(host.python(TRAFFIC, host.passwords[ADAM], command, str(times)))
    return result["heard"], result["accepted"]


def everything_arrives(host: Host, accepted: list[str]) -> None:
    def arrived() -> bool:
        host.run("postqueue -f")  # what met a neighbour that was just starting comes again
        return set(accepted) <= set(subjects(host))

    assert accepted
    until("everything that was accepted arrives", arrived)


def mail_flows(host: Host, subject: str) -> None:
    host.python(SEND, subject)
    everything_arrives(host, [subject])


def test_mail_flows_after_the_steps_of_the_page(host: Host):
    mail_flows(host, "first")
    assert "no store" not in host.run("mailhooks ready")
    for unit in ("mailhooks", "postfix@-", "dovecot", "spamd"):
        assert host.show(f"{unit}.service", "ActiveState") == "active", host.journal(unit)


def test_the_filter_scanned_it(host: Host):
    assert "X-Spam-Checker-Version" in host.run("cat /var/vmail/example.com/adam/Maildir/*/*")


def test_what_is_moved_to_junk_is_learned(host: Host):
    host.python(COPY_TO_JUNK, host.passwords[ADAM])
    until("spamd learned it", lambda: "spamd: Tell: " in host.journal("spamd"))


def test_the_units_say_nothing_that_systemd_does_not_understand(host: Host):
    said = host.run(f"systemd-analyze verify {UNITS}/mailhooks*.* 2>&1")
    assert said == ""


def test_the_process_of_logins_is_run_as_the_other():
    lines = [set((ROOT / "systemd" / unit).read_text().splitlines()) for unit in ("mailhooks.service", LOGINS)]
    differ = {line.split("=")[0] for line in lines[0] ^ lines[1] if not line.startswith("#")}
    assert differ == {"Description", "ExecStart", "SyslogIdentifier", "Sockets", "Also"}


@pytest.mark.parametrize("unit", ["mailhooks", "mailhooks-backup"])
def test_the_sandbox_is_tight(host: Host, unit: str):
    said = host.run(f"systemd-analyze security --no-pager --offline=true {UNITS}/{unit}.service")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert exposure
    assert float(exposure[1]) <= 1.6, said


def test_threads_that_check_passwords_are_niced_in_the_sandbox(host: Host):
    priorities = json.loads(host.python(PRIORITIES, host.show("mailhooks", "MainPID")))
    assert 0 in priorities
    assert max(priorities) > 0


def test_status_says_how_it_goes(host: Host):
    assert host.show("mailhooks", "StatusText").startswith("serving 8 hooks (socketmap, policy, postfix_auth, login, ")


def test_every_socket_has_its_owner_and_mode(host: Host):
    said = host.run("stat --format '%n %U:%G %a' /var/spool/postfix/mailhooks/* /run/mailhooks/*")
    assert said.splitlines() == [
        "/var/spool/postfix/mailhooks/auth mailhooks:postfix 660",
        "/var/spool/postfix/mailhooks/policy mailhooks:postfix 660",
        "/var/spool/postfix/mailhooks/socketmap mailhooks:postfix 660",
        "/run/mailhooks/auth-master mailhooks:mailhooks 600",
        "/run/mailhooks/auth-userdb mailhooks:mailhooks 600",
        "/run/mailhooks/dict mailhooks:mailhooks-mail 660",
        "/run/mailhooks/login mailhooks:dovenull 660",
    ]


def test_restarts_under_traffic_are_not_noticed(host: Host):
    heard, accepted = traffic(host, "systemctl restart mailhooks", RESTARTS)
    assert set(heard) == UNNOTICED, heard
    everything_arrives(host, accepted)
    assert "status=bounced" not in host.run("journalctl --boot --no-pager --identifier postfix/lmtp")


def test_kills_under_traffic_make_nobody_hear_a_wrong_answer(host: Host):
    heard, accepted = traffic(host, "systemctl kill --signal KILL mailhooks", KILLS)
    wrong = [what for what in heard if what not in UNNOTICED and not any(word in what for word in TEMPORARY)]
    assert not wrong, heard
    everything_arrives(host, accepted)
    assert int(host.show("mailhooks", "NRestarts")) >= KILLS


def test_a_reload_keeps_the_process_and_a_bad_one_the_configuration(host: Host):
    pid = host.show("mailhooks", "MainPID")
    config = "/etc/mailhooks/mailhooks.toml"
    host.run("systemctl reload mailhooks")
    assert "configuration read again" in host.journal("mailhooks")
    host.run(f"cp {config} {config}.good; echo 'nonsense = 1' >>{config}; systemctl reload mailhooks")
    until("it is told", lambda: "the old one stays" in host.journal("mailhooks"))
    host.run(f"mv {config}.good {config}; mailhooks ready")
    assert host.show("mailhooks", "MainPID") == pid


def test_a_reactor_that_is_blocked_is_ended_with_a_trace_of_where_in_the_log(host: Host):
    drop_in = "/run/systemd/system/mailhooks.service.d/blocked.conf"
    start = "ExecStart=\\nExecStart=/opt/mailhooks/bin/python /run/blocked.py\\n"
    host.run(f"cat >/run/blocked.py <<'EOF'\n{BLOCKED}EOF\nmkdir -p $(dirname {drop_in})")
    host.run(f"printf '[Service]\\nWatchdogSec=5\\n{start}' >{drop_in}")
    host.run("systemctl daemon-reload; systemctl restart mailhooks")
    pid = host.show("mailhooks", "MainPID")
    host.run("systemctl kill --kill-whom=main --signal=USR2 mailhooks")
    until("it is another process", lambda: host.show("mailhooks", "MainPID") not in {pid, "0"})
    said = host.journal("mailhooks")
    assert "Watchdog timeout" in said
    trace = said[said.index("Fatal Python error: Aborted") :]
    assert 'File "/run/blocked.py", line 6 in block\n' in trace, trace
    assert re.search(r'File ".*/mailhooks/run.py", line \d+ in run\n', trace), trace
    host.run(f"rm {drop_in}; systemctl daemon-reload; systemctl restart mailhooks")
    mail_flows(host, "after the trace")


def test_a_process_that_hangs_is_ended_and_started_again(host: Host):
    drop_in = "/run/systemd/system/mailhooks.service.d/soon.conf"
    host.run(f"mkdir -p $(dirname {drop_in}); printf '[Service]\\nWatchdogSec=5\\n' >{drop_in}")
    host.run("systemctl daemon-reload; systemctl restart mailhooks")
    pid = host.show("mailhooks", "MainPID")
    host.run(f"kill -STOP {pid}")
    until("it is another process", lambda: host.show("mailhooks", "MainPID") not in {pid, "0"})
    assert "Watchdog timeout" in host.journal("mailhooks")
    host.run(f"rm {drop_in}; systemctl daemon-reload")
    until("it serves", lambda: host.show("mailhooks", "ActiveState") == "active")
    mail_flows(host, "after the watchdog")


def test_the_doctor_of_an_installed_service_can_ask_the_dns_and_finds_nothing_wrong(host: Host):
    notes = json.loads(host.run("mailhooks doctor --json"))
    assert {each["severity"] for each in notes} <= {"note"}, notes
    # This machine has no network: dnspython is there, and nobody answers it.
    assert "the DNS of the domains: no resolver answers" in " ".join(each["what"] for each in notes)


def test_a_backup_is_made_in_its_sandbox(host: Host):
    host.run("systemctl start mailhooks-backup.service")
    (made,) = host.run("ls /var/backups/mailhooks").split()
    assert host.run(f"stat --format '%U %a' /var/backups/mailhooks/{made}") == "mailhooks 600"


def test_mail_comes_while_it_is_down_and_waits_for_nobody_in_vain(host: Host):
    """A lookup starts the daemon that an admin stopped, unless its sockets are stopped, too."""
    host.run("systemctl stop mailhooks")
    mail_flows(host, "starts it")
    host.run("systemctl stop mailhooks 'mailhooks-*.socket'")
    assert host.show("mailhooks", "ActiveState") == "inactive"
    host.run("systemctl start mailhooks")
    mail_flows(host, "after the stop")


def test_all_comes_back_after_a_reboot(host: Host):
    host.reboot()
    mail_flows(host, "after the reboot")
    assert "first" in subjects(host)
    assert host.run("readlink /run/dovecot/auth-master") == "/run/mailhooks/auth-master"
    failed = host.run("systemctl --failed --plain --no-legend --no-pager")
    assert not re.search("mailhooks|postfix|dovecot|spamd", failed), failed


def test_logins_in_a_process_of_their_own(host: Host, tmp_path: Path):
    """The last one, for it changes the machine."""
    host.run("cp -r /source/systemd/split/. /etc/systemd/system/; systemctl daemon-reload")
    host.run("systemctl stop mailhooks 'mailhooks-*.socket'; systemctl enable --now mailhooks mailhooks-logins")
    assert host.run(f"systemd-analyze verify {UNITS}/mailhooks.service mailhooks-logins.service 2>&1") == ""
    assert "serving 5 hooks (postfix_auth, login," in host.show("mailhooks-logins", "StatusText")
    assert "serving 4 hooks (socketmap, policy, dict, http)" in host.show("mailhooks", "StatusText")
    heard, _ = traffic(host, "systemctl restart mailhooks", 1)
    assert set(heard) == UNNOTICED, heard
    heard, _ = traffic(host, "systemctl restart mailhooks-logins", 1)
    assert set(heard) == UNNOTICED, heard
    assert "warn" not in host.journal("mailhooks-logins")
    # Whoever looks after it sees them, too: health, metrics, fail2ban.
    assert "login" in host.python(ASK_HTTP, "http://127.0.0.1:9466/readyz")
    assert 'mailhooks_auth_total{mechanism="PLAIN",result="accepted",service="imap"}' in host.python(
        ASK_HTTP, "http://127.0.0.1:9466/metrics"
    )
    host.python(GUESS)
    match = re.search(r"^journalmatch = (.+)", FILTER.read_text(), re.MULTILINE)
    seen = host.run(f"journalctl --boot --no-pager --output short-iso {match[1]}")
    (tmp_path / "log").write_text(seen)
    command = ["fail2ban-regex", "--out", "ip", str(tmp_path / "log"), str(FILTER)]
    counted = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert set(counted.stdout.split()) == {"127.0.0.1"}, seen
