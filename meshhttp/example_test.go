package meshhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"example.com/tcpnet"
	"example.com/tcpnet/meshhttp"
)

func ExampleTransport() {
	ctx := context.Background()
	name := fmt.Sprintf("http-%d", os.Getpid()) // usually a constant
	pi, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: "kitchen-pi"})
	if err != nil {
		log.Fatal(err)
	}
	defer pi.Close()
	ln, err := pi.Listen("http")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "21.5 °C")
	})}
	go server.Serve(ln)
	defer server.Close()

	laptop, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: "laptop"})
	if err != nil {
		log.Fatal(err)
	}
	defer laptop.Close()
	if err := laptop.Wait(ctx, 1); err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: meshhttp.Transport(laptop)}
	resp, err := client.Get("http://kitchen-pi.mesh/temperature")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(os.Stdout, resp.Body)
	// Output: 21.5 °C
}

func ExampleDebugHandler() {
	node, err := tcpnet.Join(context.Background(), tcpnet.Config{
		Name:  fmt.Sprintf("debug-%d", os.Getpid()),
		Addr:  "127.0.0.1:0",
		Label: "kitchen-pi",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/tcpnet", meshhttp.DebugHandler(node))
	server := httptest.NewServer(mux) // on loopback
	defer server.Close()

	resp, err := http.Get(server.URL + "/debug/tcpnet")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var status tcpnet.Status
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Label, "has", len(status.Peers), "peers")
	// Output: kitchen-pi has 0 peers
}
