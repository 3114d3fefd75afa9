from __future__ import annotations

import pytest

from mailhooks.own_addresses import own, shared

# proc_pid_net(5), as a kernel 6.1 prints it
FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 02 40 00 80     eth0
"""
LOOPBACK = ["127.0.0.0/8", "::1/128"]


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    (tmp_path / "if_inet6").write_text(IF_INET6)
    return tmp_path


def test_the_addresses_of_the_machine(proc):
    assert own(proc) == [*LOOPBACK, "192.0.2.2/32", "2001:db8::2/128"]


def test_without_proc_it_is_loopback(tmp_path):
    assert own(tmp_path) == LOOPBACK


def test_this_machine_has_loopback():
    assert own()[:2] == LOOPBACK


def test_own_is_one_of_several(proc):
    assert shared(("198.51.100.0/24", "own", "198.51.100.0/24"), proc)[:3] == ("198.51.100.0/24", *LOOPBACK)
    assert shared((), proc) == ()


@pytest.mark.parametrize("network", ["webmail", "192.0.2.1/24", ""])
def test_what_is_no_network_is_an_error(network, proc):
    with pytest.raises(ValueError, match="is no network: expected one like"):
        shared((network,), proc)
