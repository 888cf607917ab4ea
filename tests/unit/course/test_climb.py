"""A red rung ends the climb, whichever of its tests is red."""

from types import SimpleNamespace

from gpu_utils.course import ladder


class Item:
    """As much of a test as a climb looks at."""

    def __init__(self, name: str, rung: str, passes: bool) -> None:
        self.name, self.rung, self.passes = name, rung, passes
        plugins = SimpleNamespace(unregister=lambda name: None)
        hook = SimpleNamespace(
            pytest_report_to_serializable=lambda config, report: {"name": report.name}
        )
        self.config = SimpleNamespace(pluginmanager=plugins, hook=hook)

    def get_closest_marker(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(args=("a", self.rung))


def run(item, log, nextitem):
    state = "passed" if item.passes else "failed"
    return [SimpleNamespace(name=item.name, when="setup", sections=[], ridge={"state": state})]


def test_all_tests_of_a_red_rung_run_and_none_above_it(monkeypatch):
    monkeypatch.setattr(ladder, "runtestprotocol", run)
    group = [
        Item("runs", "runs", True),
        Item("close", "correct", False),
        Item("special", "correct", True),
        Item("lean", "lean", True),
    ]
    sent = []
    ladder._run_group(group, sent.append, lambda: None)
    ran = [message["report"]["name"] for message in sent if "report" in message]
    assert ran == ["runs", "close", "special"]
