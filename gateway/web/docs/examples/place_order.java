// Places an order, with Java 17 or newer: `java place_order.java` runs it.
// Run it again: the answer is the same, and the order is there once.

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

class PlaceOrder {
    static final int ATTEMPTS = 6;

    public static void main(String[] arguments) throws InterruptedException {
        var orderNo = System.getenv().getOrDefault("ORDER_NO", "W-1001");
        // Money is text in major units, never a double, and has to add up.
        var order = """
            {
              "channel": "web", "order_no": "%s", "buyer_id": "b-1",
              "placed_at": "2026-11-23T10:00:00+08:00", "currency": "CNY",
              "items": [
                {"sku": "TEA-1", "name": "Longjing tea 100 g", "quantity": 2, "unit_price": "99.50"}
              ],
              "amounts": {"goods": "199.00", "payable": "199.00"},
              "recipient": {
                "name": "Zhang San", "phone": "13800138000", "country": "CN",
                "province": "Zhejiang", "city": "Hangzhou", "district": "Xihu",
                "street": "Longjing Road 1"
              }
            }
            """.formatted(orderNo);
        System.out.println(place(order, "web-" + orderNo));
    }

    /** Returns the stored order. Sends it with the same key until it is answered. */
    static String place(String order, String key) throws InterruptedException {
        var client = HttpClient.newHttpClient();
        var url = URI.create(System.getenv("TIDEGATE_URL") + "/v1/orders");
        var request = HttpRequest.newBuilder(url)
            .timeout(Duration.ofSeconds(10))
            .header("Authorization", "Bearer " + System.getenv("TIDEGATE_API_KEY"))
            .header("Content-Type", "application/json")
            // Belongs to the order: the same in every attempt, and after a restart.
            .header("Idempotency-Key", key)
            .POST(BodyPublishers.ofString(order))
            .build();
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            long waitS = 1L << attempt;
            try {
                HttpResponse<String> answer = client.send(request, BodyHandlers.ofString());
                if (answer.statusCode() < 400) {
                    return answer.body();
                }
                if (answer.statusCode() != 429 && answer.statusCode() != 503) {
                    // problem+json: what is wrong, field by field.
                    System.err.println(answer.statusCode() + " " + answer.body());
                    System.exit(1);
                }
                waitS = answer.headers().firstValueAsLong("Retry-After").orElse(waitS);
            } catch (IOException error) {
                // A time-out or a lost connection: the order may be stored.
                // Sending it again finds out.
                System.err.println("no answer (" + error + ")");
            }
            Thread.sleep(waitS * 1000);
        }
        System.err.println("no answer after " + ATTEMPTS + " attempts");
        System.exit(1);
        return "";
    }
}
