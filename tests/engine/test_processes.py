import pytest

from groot.engine.processes import make_accelerator
from groot.errors import ConfigError


def test_alone_on_the_cpu(monkeypatch):
    monkeypatch.delenv("MASTER_PORT", raising=False)
    accelerator = make_accelerator(cpu=True)
    assert accelerator.num_processes == 1
    assert accelerator.device.type == "cpu"


def test_processes_that_do_not_see_each_other_are_refused(monkeypatch):
    make_accelerator(cpu=True)  # its state is shared from now on: alone
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes were started, but this one sees 1"):
        make_accelerator(cpu=True)


def test_a_launcher_that_started_only_one_process_is_told(monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ConfigError, match="a single one was started"):
        make_accelerator(cpu=True)
