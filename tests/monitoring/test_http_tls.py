"""The metrics port with TLS and a token, as a real TLS client meets it."""

from __future__ import annotations

import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from live_daemon import LIMIT


def make_pair(directory, name):
    """Make a self-signed pair as an admin would, and put it in place at once."""
    files = {"key": directory / "key.pem", "cert": directory / "cert.pem"}
    new = {kind: path.with_suffix(".new") for kind, path in files.items()}
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "7")
    out = ("-keyout", str(new["key"]), "-out", str(new["cert"]))
    subprocess.run(["openssl", "req", "-x509", *kind, "-subj", f"/CN={name}", *out], check=True, capture_output=True)
    for each, path in files.items():
        new[each].replace(path)
    return files["key"], files["cert"]


def shown(daemon):
    """Return the certificate that the port shows."""
    return ssl.get_server_certificate(("127.0.0.1", daemon.port), timeout=LIMIT)


def get(daemon, path, token=""):
    context = ssl._create_unverified_context()
    request = urllib.request.Request(f"https://127.0.0.1:{daemon.port}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=LIMIT, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def secured(daemon, tmp_path):
    key, cert = make_pair(tmp_path, "first")
    (tmp_path / "token").write_text("s3cret\n")
    daemon.listen["http"] = f"ssl:{daemon.port}:interface=127.0.0.1:privateKey={key}:certKey={cert}"
    daemon.write(f"[http]\ntoken_file = '{tmp_path}/token'\n")
    return daemon.start()


def test_who_has_the_token_reads_metrics_over_tls(secured, tmp_path):
    assert get(secured, "/metrics")[0] == 401
    assert get(secured, "/metrics", "s3cre")[0] == 401
    status, page = get(secured, "/metrics", "s3cret")
    assert status == 200
    assert f'mailhooks_certificate_not_after_seconds{{file="{tmp_path}/cert.pem"}}' in page
    assert get(secured, "/healthz") == (200, "alive\n")
    status, page = get(secured, "/readyz", "s3cret")
    assert status == 200, page


def test_a_replaced_certificate_is_shown_to_the_next_client_and_a_broken_one_is_not(secured, tmp_path):
    first = shown(secured)
    make_pair(tmp_path, "second")
    second = shown(secured)
    assert second != first
    (tmp_path / "key.pem").write_text("half a fi")
    assert shown(secured) == second
    make_pair(tmp_path, "third")
    assert shown(secured) not in (first, second)
    _, _, said = secured.end()
    assert said.count("took up the new certificate") == 2
    assert said.count("cannot be used, the old one stays") == 1


def test_clear_text_on_the_tls_port_is_no_harm(secured):
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{secured.port}/metrics", timeout=LIMIT)
    begun = time.monotonic()
    assert get(secured, "/healthz")[0] == 200
    assert time.monotonic() - begun < LIMIT
