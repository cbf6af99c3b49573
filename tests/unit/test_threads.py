"""Work on all cores: in the order of the tasks, however many there are."""

from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import pytest

from journeykit.support.threads import cores, on_all_cores, stay_on_one_core


@pytest.mark.parametrize("size", [0, 1, 2, 3, 511, 512, 513, 1_025, 5_000])
@pytest.mark.parametrize("threads_per_core", [1, 3])
def test_results_come_in_the_order_of_the_tasks(size, threads_per_core):
    assert on_all_cores(lambda n: n * n, range(size), threads_per_core=threads_per_core) == [
        n * n for n in range(size)
    ]


@pytest.mark.parametrize("size", [1, 3, 5_000])
def test_an_error_of_one_task_goes_up(size):
    def work(n):
        if n == size - 1:
            raise KeyError(n)

    with pytest.raises(KeyError):
        on_all_cores(work, range(size))


def test_a_thread_that_stays_on_one_core_works_alone():
    with ThreadPoolExecutor(1, initializer=stay_on_one_core) as pool:
        idents = pool.submit(on_all_cores, lambda _: get_ident(), range(5)).result()
        assert {*idents} == {pool.submit(get_ident).result()}
        assert pool.submit(cores).result() == 1
