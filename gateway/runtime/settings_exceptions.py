"""The settings of exceptions: who has the cases of a class, and until when."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

#: Of a person or a team, as `tidegate exceptions list` shows it.
Owner = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


class ExceptionPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How the exceptions of one class are treated; a class without a table has the defaults."""

    #: The class.
    name: Literal[
        "payment_timeout", "payment_mismatch", "unknown_order", "bad_address", "out_of_stock",
        "suspected_fraud", "invoice", "dispute", "hand_off", "unreadable", "other",
    ]  # fmt: skip
    #: Who owns them when they are opened; empty: nobody until a person takes one.
    owner: Owner = ""
    #: Hours from when one is opened until it is overdue. A dispute is overdue sooner where the
    #: provider wants evidence by then.
    deadline_h: Annotated[float, Meta(gt=0, le=90 * 24)] = 24.0
    #: Who owns them once they are overdue; empty: the owner stays.
    escalate_to: Owner = ""
