package message_test

import (
	"fmt"
	"io"
	"log"
	"net"

	"example.com/tcpnet/message"
)

// A pipe stands for a *tcpnet.Conn or *tcpnet.Stream.
func Example() {
	here, there := net.Pipe()
	go func() {
		defer here.Close()
		for _, text := range []string{"one", "two\nlines", ""} {
			message.Write(here, []byte(text))
		}
	}()
	r := message.NewReader(there, 4096)
	for {
		m, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q\n", m)
	}
	// Output:
	// "one"
	// "two\nlines"
	// ""
}

func ExampleReader_NextJSON() {
	type reading struct {
		Sensor  string
		Celsius float64
	}
	here, there := net.Pipe()
	go func() {
		defer here.Close()
		message.WriteJSON(here, reading{"kitchen", 21.5})
	}()
	var got reading
	if err := message.NewReader(there, 0).NextJSON(&got); err != nil {
		log.Fatal(err)
	}
	fmt.Println(got.Sensor, got.Celsius)
	// Output: kitchen 21.5
}
