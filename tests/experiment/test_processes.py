"""Processes that share work compute, whatever the one that starts them has computed before."""

import os
import subprocess
import sys

PROGRAM = """
import torch
from dimat.processes import pool_of

MANY = 10**6  # so many numbers that torch divides them among threads

def threads_and_sum():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    return threads, int(torch.arange(MANY).sum())

if __name__ == "__main__":
    torch.set_num_threads(2)
    torch.arange(MANY).sum()
    with pool_of(2, []) as pool:
        print(*pool.submit(threads_and_sum).result())
"""


def test_processes_do_not_wait_for_threads_of_the_one_that_starts_them(tmp_path):
    """GNU's OpenMP keeps the threads of a loop; a process forked after one waits for them for ever."""
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["1", str(sum(range(10**6)))]
