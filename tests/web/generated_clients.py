"""Programs that place an order with the clients that generators made from /openapi.json.

Each prints the id, the order number and the status of the stored order.
"""

#: With a client of openapi-python-client, imported as ``client``.
OPENAPI_PYTHON_CLIENT = """
import os
from datetime import datetime

from client import AuthenticatedClient
from client.api.orders import get_order, submit_order
from client.models import Amounts, Item, Problem, Recipient, Submission

tidegate = AuthenticatedClient(
    base_url=os.environ["TIDEGATE_URL"], token=os.environ["TIDEGATE_API_KEY"]
)
order = Submission(
    channel="web", order_no=os.environ["ORDER_NO"], buyer_id="b-1",
    placed_at=datetime.fromisoformat("2026-11-23T10:00:00+08:00"), currency="CNY",
    items=[Item(sku="TEA-1", name="Longjing tea", quantity=2, unit_price="99.50")],
    amounts=Amounts(goods="199.00", payable="199.00"),
    recipient=Recipient(
        name="Zhang San", phone="13800138000", country="CN", province="Zhejiang",
        city="Hangzhou", district="Xihu", street="Longjing Road 1",
    ),
)
key = "generated-" + order.order_no
placed = submit_order.sync_detailed(client=tidegate, body=order, idempotency_key=key)
assert placed.status_code == 201, placed
again = submit_order.sync_detailed(client=tidegate, body=order, idempotency_key=key)
assert again.status_code == 200 and again.headers["Idempotency-Replayed"] == "true", again
assert again.parsed == placed.parsed
shown = get_order.sync(client=tidegate, id=placed.parsed.id)
assert shown.amounts.payable == "199.00" and shown.id == placed.parsed.id, shown
assert shown.placed_at == order.placed_at, shown
wrong = submit_order.sync(client=tidegate, body=Submission(**{
    **{name: getattr(order, name) for name in (
        "channel", "buyer_id", "placed_at", "items", "amounts", "recipient")},
    "order_no": order.order_no + "-x", "currency": "XXX",
}))
assert isinstance(wrong, Problem) and wrong.errors[0].field == "currency", wrong
print(placed.parsed.id, shown.order_no, shown.status.value)
"""

#: With a client of openapi-generator for Python, imported as ``openapi_client``.
OPENAPI_GENERATOR_PYTHON = """
import os

import openapi_client
from openapi_client.models import Submission

configuration = openapi_client.Configuration(
    host=os.environ["TIDEGATE_URL"], access_token=os.environ["TIDEGATE_API_KEY"]
)
with openapi_client.ApiClient(configuration) as connection:
    orders = openapi_client.OrdersApi(connection)
    order = Submission(
        channel="web", order_no=os.environ["ORDER_NO"], buyer_id="b-1",
        placed_at="2026-11-23T10:00:00+08:00", currency="CNY",
        items=[{"sku": "TEA-1", "name": "Longjing tea", "quantity": 2, "unit_price": "99.50"}],
        amounts={"goods": "199.00", "payable": "199.00"},
        recipient={
            "name": "Zhang San", "phone": "13800138000", "country": "CN", "province": "Zhejiang",
            "city": "Hangzhou", "district": "Xihu", "street": "Longjing Road 1",
        },
    )
    key = "generated-" + order.order_no
    placed = orders.submit_order_with_http_info(order, idempotency_key=key)
    assert placed.status_code == 201, placed
    again = orders.submit_order_with_http_info(order, idempotency_key=key)
    assert again.status_code == 200 and again.data == placed.data, again
    assert again.headers["Idempotency-Replayed"] == "true", again.headers
    shown = orders.get_order(placed.data.id)
    assert shown.amounts.payable == "199.00", shown
    try:
        orders.submit_order(order.model_copy(update={"currency": "XXX", "order_no": "x"}))
    except openapi_client.ApiException as error:
        assert error.status == 422, error
        # ``field`` is a name of pydantic: the generator gives it a prefix.
        assert error.data.errors[0].var_field == "currency", error
    else:
        raise AssertionError("an order in no currency was taken")
    print(shown.id, shown.order_no, shown.status.value)
"""

#: With a client of openapi-generator for Go, in the folder ``client`` of the same module.
OPENAPI_GENERATOR_GO = """
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	client "example.org/generated/client"
)

func main() {
	configuration := client.NewConfiguration()
	configuration.Servers = client.ServerConfigurations{{URL: os.Getenv("TIDEGATE_URL")}}
	orders := client.NewAPIClient(configuration).OrdersAPI
	ctx := context.WithValue(
		context.Background(), client.ContextAccessToken, os.Getenv("TIDEGATE_API_KEY"))
	at, err := time.Parse(time.RFC3339, "2026-11-23T10:00:00+08:00")
	if err != nil {
		log.Fatal(err)
	}
	items := []client.Item{*client.NewItem("TEA-1", "Longjing tea", 2, "99.50")}
	recipient := client.NewRecipient("CN")
	recipient.SetName("Zhang San")
	recipient.SetPhone("13800138000")
	recipient.SetStreet("Longjing Road 1")
	recipient.SetProvince("Zhejiang")
	recipient.SetCity("Hangzhou")
	recipient.SetDistrict("Xihu")
	order := client.NewSubmission("web", os.Getenv("ORDER_NO"), "b-1", at, "CNY", items,
		*client.NewAmounts("199.00", "199.00"))
	order.SetRecipient(*recipient)
	key := "generated-" + order.OrderNo
	var ids []string
	for _, expected := range []int{201, 200} {
		request := orders.SubmitOrder(ctx).Submission(*order).IdempotencyKey(key)
		placed, answer, err := request.Execute()
		if err != nil {
			log.Fatal(err)
		}
		if answer.StatusCode != expected {
			log.Fatalf("%d in place of %d", answer.StatusCode, expected)
		}
		ids = append(ids, placed.Id)
	}
	shown, _, err := orders.GetOrder(ctx, ids[0]).Execute()
	if err != nil {
		log.Fatal(err)
	}
	if ids[0] != ids[1] || shown.Amounts.Payable != "199.00" {
		log.Fatal(ids, shown)
	}
	fmt.Println(shown.Id, shown.OrderNo, shown.Status)
}
"""
