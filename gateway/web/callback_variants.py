"""How callbacks are documented: each provider's by itself, in the provider's own format."""

from collections.abc import Mapping

import msgspec

from gateway.providers import contract
from gateway.web.routing import Answer, Variant

_TEXTS: Mapping[contract.Answer, str] = {
    "accepted": "Committed, journaled or parked; so was every earlier one of the same event.",
    "later": "Not stored. The provider sends it again.",
    "rejected": "Rejected: signature, freshness, account or content. Not stored.",
}


def of(providers: Mapping[str, contract.Provider]) -> list[Variant]:
    """Return one variant for each provider, by its name."""
    return [_variant(name, provider) for name, provider in sorted(providers.items())]


def _variant(name: str, provider: contract.Provider) -> Variant:
    words = "".join(word.capitalize() for word in name.split("_"))
    return Variant(
        values={"provider": name},
        operation=f"receive{words}",
        summary=f"Callback of {provider.title}",
        body={
            "type": "object",
            "description": f"As {provider.title} signed and sent it.",
        },
        body_types=provider.body_types,
        sender=f"Sent by {provider.title}. `tidegate simulate {name}` sends what it would send.",
        answers=[_answer(text, provider.replies[answer]) for answer, text in _TEXTS.items()],
    )


def _answer(text: str, reply: contract.Reply) -> Answer:
    content_type = reply.content_type.partition(";")[0]
    is_json = content_type == contract.JSON
    return Answer(
        reply.status,
        text,
        {"type": "object"} if is_json else {"type": "string"},
        content_type,
        example=msgspec.json.decode(reply.body) if is_json else reply.body.decode(),
    )
