"""The way in for remarks: what reaches the ledger, and what is counted."""

import pytest
from prometheus_client import REGISTRY

from gateway.domain.errors import Unavailable
from gateway.domain.remarks import Answer, Edit, Edited, RemarkChange
from gateway.intake.remarks import Remarks
from tests.domain.support import NOW, new_id
from tests.support.fakes.clock import ManualClock

ID = new_id()


class FakeStore:
    """Answers as it is asked and keeps what it was asked."""

    def __init__(self, answer: Edited | Unavailable | None) -> None:
        self.answer = answer
        self.asked: list[Edit] = []

    async def change(self, edit: Edit) -> Edited | None:
        self.asked.append(edit)
        if isinstance(self.answer, Unavailable):
            raise self.answer
        return self.answer


def edited(answer: Answer) -> Edited:
    return Edited(answer, ID, "web", "W-1", "paid", 3, None)


async def change(store: FakeStore, remark: str | None) -> Edited | None:
    intake = Remarks(store=store, clock=ManualClock())
    return await intake.change(
        ID,
        RemarkChange(remark),
        channels=["web"],
        is_test=None,
        version=2,
        raw=b"{}",
        trigger="key:1",
    )


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tidegate_{name}_total", labels) or 0.0


async def test_the_ledger_gets_all_parts_of_an_edit() -> None:
    store = FakeStore(edited("changed"))
    assert await change(store, "a") == edited("changed")
    assert store.asked == [Edit(ID, ["web"], None, "a", 2, b"{}", "key:1", NOW)]


async def test_a_control_character_reaches_the_ledger_as_a_blank() -> None:
    store = FakeStore(edited("changed"))
    await change(store, "a\0b\x1b[31m\r\n\tc\x85\u2028\u202e")
    assert [edit.remark for edit in store.asked] == ["a b [31m\r\n\tc   "]


@pytest.mark.parametrize("answer", ["changed", "same", "version_changed", None])
async def test_each_answer_is_counted(answer: Answer | None) -> None:
    label = answer or "unknown"
    before = counted("remarks", answer=label)
    await change(FakeStore(answer and edited(answer)), "a")
    assert counted("remarks", answer=label) == before + 1


async def test_what_could_not_be_answered_is_counted_and_passed_on() -> None:
    before = counted("unavailable", part="postgres")
    with pytest.raises(Unavailable):
        await change(FakeStore(Unavailable("postgres")), "a")
    assert counted("unavailable", part="postgres") == before + 1
