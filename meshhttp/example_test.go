package meshhttp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
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
