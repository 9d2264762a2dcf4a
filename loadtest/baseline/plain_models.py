"""The order as baseline (b) reads it (pydantic) and stores it (SQLAlchemy)."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import DateTime, ForeignKey, Index, Numeric, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Money = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=2)]
Text = Annotated[str, Field(min_length=1, max_length=128)]
Place = Annotated[str, Field(max_length=64)]


class Strict(BaseModel):
    """Rejects unknown fields, as the gateway does."""

    model_config = ConfigDict(extra="forbid")


class Item(Strict):
    """One item of an order."""

    sku: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    quantity: Annotated[int, Field(ge=1, le=100_000)]
    unit_price: Money
    discount: Money = Decimal(0)


class Amounts(Strict):
    """The amounts of an order."""

    goods: Money
    payable: Money
    shop_discount: Money = Decimal(0)
    platform_subsidy: Money = Decimal(0)
    freight: Money = Decimal(0)


class Recipient(Strict):
    """The recipient of the parcel."""

    name: Text
    phone: Annotated[str, Field(pattern=r"^\+?[0-9][0-9 -]{4,20}$")]
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")]
    street: Annotated[str, Field(min_length=1, max_length=512)]
    province: Place = ""
    city: Place = ""
    district: Place = ""
    postcode: str | None = None
    id_number: str | None = None


class Submission(Strict):
    """An order as it is submitted."""

    channel: Annotated[str, Field(min_length=1, max_length=32)]
    order_no: Annotated[str, Field(min_length=1, max_length=64)]
    buyer_id: Text
    placed_at: AwareDatetime
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    items: Annotated[list[Item], Field(min_length=1, max_length=200)]
    amounts: Amounts
    recipient: Recipient
    remark: Annotated[str, Field(max_length=1024)] | None = None
    is_test: bool = False
    attributes: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        goods = sum(item.unit_price * item.quantity - item.discount for item in self.items)
        amounts = self.amounts
        payable = goods - amounts.shop_discount - amounts.platform_subsidy + amounts.freight
        if (amounts.goods, amounts.payable) != (goods, payable):
            raise ValueError("the amounts do not add up")
        return self


class Base(DeclarativeBase):
    """The declarative base of the tables."""


class Order(Base):
    """One row per order, with its items and its recipient as JSON, as in most such services."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("channel", "order_no"),
        Index("orders_by_status", "status", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    channel: Mapped[str]
    order_no: Mapped[str]
    buyer_id: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    version: Mapped[int]
    currency: Mapped[str]
    goods: Mapped[Decimal] = mapped_column(Numeric(16, 2))
    shop_discount: Mapped[Decimal] = mapped_column(Numeric(16, 2))
    platform_subsidy: Mapped[Decimal] = mapped_column(Numeric(16, 2))
    freight: Mapped[Decimal] = mapped_column(Numeric(16, 2))
    payable: Mapped[Decimal] = mapped_column(Numeric(16, 2))
    items: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    recipient: Mapped[dict[str, Any]] = mapped_column(JSONB)
    remark: Mapped[str | None]
    is_test: Mapped[bool]
    placed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


_SAME_NAME = {
    "channel", "order_no", "buyer_id", "currency", "remark", "is_test", "placed_at",
}  # fmt: skip


class OrderEvent(Base):
    """The history of an order."""

    __tablename__ = "order_events"
    __table_args__ = (UniqueConstraint("source", "source_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    source: Mapped[str]
    source_key: Mapped[str]
    what: Mapped[str]
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Outbox(Base):
    """The outbox row for a worker, in the transaction of the order."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    topic: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def rows(submission: Submission) -> tuple[Order, OrderEvent, Outbox]:
    """Return the rows of a new order: itself, its first event and its outbox row."""
    now = datetime.now(UTC)
    key = f"{submission.channel}:{submission.order_no}"
    order = Order(
        **submission.model_dump(include=_SAME_NAME),
        **submission.amounts.model_dump(),
        id=uuid4(),
        status="pending_payment",
        version=1,
        items=submission.model_dump(mode="json", include={"items"})["items"],
        recipient=submission.recipient.model_dump(mode="json"),
        created_at=now,
    )
    event = OrderEvent(
        order_id=order.id, source="api", source_key=key, what="placed", occurred_at=now
    )
    outbox = Outbox(order_id=order.id, topic="order.placed", payload={"order": key}, created_at=now)
    return order, event, outbox


class Placed(BaseModel):
    """The answer."""

    id: UUID
    channel: str
    order_no: str
    status: str
    version: int

    @classmethod
    def of(cls, order: Order) -> Self:
        """Return the answer for an order."""
        return cls(
            id=order.id,
            channel=order.channel,
            order_no=order.order_no,
            status=order.status,
            version=order.version,
        )
