from shared.resilience.retry_budget import RetryBudget


def test_the_first_failure_may_be_retried_and_the_second_may_not() -> None:
    budget = RetryBudget()
    assert budget.take()
    assert not budget.take()


def test_ten_requests_earn_one_retry() -> None:
    budget = RetryBudget()
    budget.take()
    for _ in range(9):
        budget.count_request()
    assert not budget.take()
    budget.count_request()
    assert budget.take()


def test_an_hour_of_success_does_not_pay_for_a_storm_of_retries() -> None:
    budget = RetryBudget(most=10)
    for _ in range(100_000):
        budget.count_request()
    assert sum(budget.take() for _ in range(100)) == 10


def test_retries_stay_within_a_tenth_of_the_requests_when_everything_fails() -> None:
    budget = RetryBudget()
    retries = 0
    for _ in range(1000):
        budget.count_request()
        retries += budget.take()
    assert retries <= 101
