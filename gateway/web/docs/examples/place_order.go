// Places an order. Run it again: the answer is the same, and the order is there once.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

const attempts = 6

type object map[string]any

// place returns the stored order. It sends it again, with the same key, until
// it is answered.
func place(order object) ([]byte, error) {
	body, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 10 * time.Second}
	for attempt := 0; attempt < attempts; attempt++ {
		wait := time.Second << attempt
		url := os.Getenv("TIDEGATE_URL") + "/v1/orders"
		request, err := http.NewRequest("POST", url, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+os.Getenv("TIDEGATE_API_KEY"))
		request.Header.Set("Content-Type", "application/json")
		// Belongs to the order: the same in every attempt, and after a restart.
		request.Header.Set("Idempotency-Key", fmt.Sprintf("web-%v", order["order_no"]))
		status, header, answer, err := send(client, request)
		switch {
		case err != nil:
			// A time-out or a lost connection: the order may be stored.
			// Sending it again finds out.
			log.Printf("no answer (%v)", err)
		case status < 400:
			return answer, nil
		case status != 429 && status != 503:
			// problem+json: what is wrong, field by field.
			return nil, fmt.Errorf("%d %s", status, answer)
		default:
			if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil {
				wait = time.Duration(seconds) * time.Second
			}
		}
		time.Sleep(wait)
	}
	return nil, fmt.Errorf("no answer after %d attempts", attempts)
}

func send(client *http.Client, request *http.Request) (int, http.Header, []byte, error) {
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, body, err
}

func main() {
	// Money is text in major units, never a float, and has to add up.
	stored, err := place(object{
		"channel":   "web",
		"order_no":  cmp.Or(os.Getenv("ORDER_NO"), "W-1001"),
		"buyer_id":  "b-1",
		"placed_at": "2026-11-23T10:00:00+08:00",
		"currency":  "CNY",
		"items": []object{
			{"sku": "TEA-1", "name": "Longjing tea 100 g", "quantity": 2, "unit_price": "99.50"},
		},
		"amounts": object{"goods": "199.00", "payable": "199.00"},
		"recipient": object{
			"name": "Zhang San", "phone": "13800138000", "country": "CN", "province": "Zhejiang",
			"city": "Hangzhou", "district": "Xihu", "street": "Longjing Road 1",
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(stored))
}
