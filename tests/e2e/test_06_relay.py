"""Scenario 6: a second real Postfix is the relay host; its password changes between two messages."""

from __future__ import annotations

import os
import signal

from server import Server, message, until


def furnish_relay_host(host: Server) -> str:
    """Make the account of a customer who may send as our domain, and a reader; return the next hop."""
    host.mailhooks("domain", "add", "remote.test")
    host.add_user("customer@remote.test")
    host.add_user("reader@remote.test")
    host.mailhooks("sender", "allow", "customer@remote.test", "@example1.com")
    return f"[{host.machine.loopback}]:{host.port['submission']}"


def test_relay_password_changes_live(machine):
    with Server(machine) as host:
        nexthop = furnish_relay_host(host)
        with Server(machine, {"server": {"relayhost": nexthop}}) as server:
            server.furnish()

            def set_password(password: str) -> None:
                server.mailhooks(
                    "relay",
                    "add",
                    nexthop,
                    "--username",
                    "customer@remote.test",
                    "--password-stdin",
                    given=password + "\n",
                )

            def submit(subject: str) -> None:
                with server.submit("adam@example1.com") as client:
                    client.send_message(message(subject), "adam@example1.com", ["reader@remote.test"])

            set_password("secret-Q7")
            submit("first")
            host.arrives("first", "reader@remote.test")

            host.mailhooks("user", "passwd", "customer@remote.test", "--password-stdin", given="changed-9\n")
            submit("with the old password")
            until("the mail waits", lambda: any(mail["queue_name"] == "deferred" for mail in server.postqueue()))
            assert "535" in server.postqueue()[0]["recipients"][0]["delay_reason"]

            server.mailhooks("relay", "remove", nexthop)
            set_password("changed-9")
            submit("with the new password")
            host.arrives("with the new password", "reader@remote.test")
            server.flush()
            host.arrives("with the old password", "reader@remote.test")
            until("the queue is empty", lambda: not server.postqueue())
            assert "changed-9" not in server.log


def test_relay_tls_is_asked_of_a_senders_relay_and_not_of_the_world(machine):
    """Without a default relay host relay_tls = verify was ignored: the password went to any certificate."""
    with Server(machine) as host:
        nexthop = furnish_relay_host(host)
        server = Server(machine, {"server": {"relay_tls": "verify"}})
        world = server.host("etc/mailhooks/postfix/main.cf.d/world.cf")  # in place of the DNS
        world.parent.mkdir(parents=True)
        world.write_text(f"transport_maps = inline:{{ remote.test=smtp:[{machine.loopback}]:{host.port['smtp']} }}\n")
        with server:
            server.furnish()
            relay = ("relay", "add", nexthop, "--for-sender", "adam@example1.com", "--username", "customer@remote.test")
            server.mailhooks(*relay, "--password-stdin", given="secret-Q7\n")

            def submit(subject: str, sender: str, recipient: str) -> None:
                with server.submit(sender) as client:
                    client.send_message(message(subject), sender, [recipient])

            submit("straight", "bob@example1.com", "reader@remote.test")
            host.arrives("straight", "reader@remote.test")

            submit("by the relay", "adam@example1.com", "reader@other.test")
            until("the mail waits", lambda: any(mail["queue_name"] == "deferred" for mail in server.postqueue()))
            reason = server.postqueue()[0]["recipients"][0]["delay_reason"]
            assert reason in ("Server certificate not verified", "Server certificate not trusted")

            server.settings["server"]["relay_tls"] = "encrypt"
            server._write_configuration()
            os.kill(server.supervisor, signal.SIGHUP)
            until("it is read", lambda: "the configuration was read again" in server.log)
            server.drain()
            until("the relay host takes it", lambda: "to=<reader@other.test>" in host.log)
