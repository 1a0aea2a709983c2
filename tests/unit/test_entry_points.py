"""What every component does however it is started."""

import signal
import subprocess
import sys

import pytest

SLOW = """
import runpy, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1] + ".main":
            print("importing", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
runpy.run_module(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize(
    "module", ["harebell_operator", "harebell_api", "harebell_archive", "harebell_agent"]
)
def test_it_can_be_told_to_stop_while_it_is_being_imported(module: str) -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW, module], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGTERM)
        # By itself, with the status that a shell would show; not by the signal, which the first process of a
        # container is spared.
        assert process.wait(timeout=20) == 128 + signal.SIGTERM
