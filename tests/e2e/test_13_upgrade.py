"""A newer mailhooks on the state of an older one: ``up`` brings the store along, and keeps a copy."""

from __future__ import annotations

import shutil

from server import Server

from mailhooks.store import schema

OLDER = 4  # a schema of before the first release, so that there is always something to do


def test_up_brings_an_older_store_along(machine, tmp_path, monkeypatch):
    older = schema.migrations()[:OLDER]
    monkeypatch.setattr(schema, "migrations", lambda: older)
    schema.create(tmp_path / "old.db")
    with Server(machine) as server:
        owner = server.store.stat()
        assert server.stop() == 0
        for path in server.store.parent.glob("mailhooks.db*"):
            path.unlink()
        shutil.copy(tmp_path / "old.db", server.store)
        shutil.chown(server.store, owner.st_uid, owner.st_gid)
        server.start()
        assert f"brought the store from schema {OLDER} to " in server.log
        assert (server.store.parent / f"mailhooks.db-schema-{OLDER}").exists()
        server.furnish()
        server.deliver("after the upgrade", "adam@example1.com")
        server.arrives("after the upgrade", "adam@example1.com")
