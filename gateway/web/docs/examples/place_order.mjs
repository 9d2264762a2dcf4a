// Places an order, with Node.js 18 or newer.
// Run it again: the answer is the same, and the order is there once.
import { setTimeout as sleep } from "node:timers/promises";

const { TIDEGATE_URL, TIDEGATE_API_KEY, ORDER_NO = "W-1001" } = process.env;
const ATTEMPTS = 6;

// Money is text in major units, never a number, and has to add up.
const order = {
  channel: "web",
  order_no: ORDER_NO,
  buyer_id: "b-1",
  placed_at: "2026-11-23T10:00:00+08:00",
  currency: "CNY",
  items: [{ sku: "TEA-1", name: "Longjing tea 100 g", quantity: 2, unit_price: "99.50" }],
  amounts: { goods: "199.00", payable: "199.00" },
  recipient: {
    name: "Zhang San",
    phone: "13800138000",
    country: "CN",
    province: "Zhejiang",
    city: "Hangzhou",
    district: "Xihu",
    street: "Longjing Road 1",
  },
};

// Returns the stored order. Sends it again, with the same key, until it is answered.
async function place(order) {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    let waitS = 2 ** attempt;
    try {
      const answer = await fetch(`${TIDEGATE_URL}/v1/orders`, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${TIDEGATE_API_KEY}`,
          "Content-Type": "application/json",
          // Belongs to the order: the same in every attempt, and after a restart.
          "Idempotency-Key": `web-${order.order_no}`,
        },
        body: JSON.stringify(order),
        signal: AbortSignal.timeout(10_000),
      });
      const text = await answer.text();
      if (answer.ok) return JSON.parse(text);
      if (answer.status !== 429 && answer.status !== 503) {
        // problem+json: what is wrong, field by field.
        console.error(answer.status, text);
        process.exit(1);
      }
      waitS = Number(answer.headers.get("Retry-After") ?? waitS);
    } catch (error) {
      // A time-out or a lost connection: the order may be stored.
      // Sending it again finds out.
      console.error(`no answer (${error.message})`);
    }
    await sleep(waitS * 1000);
  }
  console.error(`no answer after ${ATTEMPTS} attempts`);
  process.exit(1);
}

console.log(JSON.stringify(await place(order)));
